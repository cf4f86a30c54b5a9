"""The codes and names that admins give to what is sold: plans, options, zones."""

import re

from webapp.errors import InvalidInputError
from webapp.services.contact import clean_text

LABEL_LENGTH = 100
_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{1,29}")


def checked_code(code: str) -> str:
    """The code in capitals. Raises InvalidInputError (field « code »)."""
    code = clean_text(code).upper()
    if not _CODE.fullmatch(code):
        raise InvalidInputError("Un code a de 2 à 30 lettres sans accent, chiffres ou tirets.", field="code")
    return code


def checked_label(label: str) -> str:
    """The name as it is kept. Raises InvalidInputError (field « label »)."""
    label = clean_text(label)
    if not label or len(label) > LABEL_LENGTH:
        raise InvalidInputError(f"Indiquez un nom, de {LABEL_LENGTH} caractères au plus.", field="label")
    return label
