"""What an IBAN looks like on a page, and what equal ones are found by."""

from uuid import UUID


def iban_purpose(organisation_id: UUID) -> str:
    """The purpose of IBAN blind indexes: equality shows within an organisation only."""
    return f"{organisation_id}|iban"


def mask_iban(iban: str) -> str:
    """The country and the last four characters: ``FR•• •••• 2606``."""
    return f"{iban[:2]}•• •••• {iban[-4:]}"
