"""The form of a mandate that the client signs, in the wording of the SEPA Core mandate in French (EPC016-06)."""

from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from jinja2 import Environment
from sqlalchemy import select

from webapp import french
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.organisations import Company
from webapp.models.providers import ProviderAccount
from webapp.services import pdf
from webapp.services.clients.banking import Revealed

TEMPLATES = Path(__file__).parent / "print"


class NotPrintableError(DomainError):
    """The form lacks what makes it a mandate."""


class MandateForm(NamedTuple):
    """What stands on the form; without ``details``, the client writes their account in by hand."""

    mandate: Mandate
    client: Client
    creditor: Company
    ics: str
    details: Revealed | None


def print_mandate(mandate: Mandate, details: Revealed | None) -> bytes:
    """The form as a PDF. Raises NotPrintableError, PrintingUnavailableError."""
    return pdf.printer(TEMPLATES / "mandate.css")(render(mandate, details))


def render(mandate: Mandate, details: Revealed | None) -> str:
    """The printed page as HTML. Raises NotPrintableError without a creditor, its ICS, or a reference."""
    if mandate.umr is None or mandate.company_id is None:
        raise NotPrintableError("Le mandat n’a pas encore de référence (RUM)\u202f: complétez-le d’abord.")
    creditor = db.session.scalars(select(Company).where(Company.id == mandate.company_id)).one()
    wanted = select(ProviderAccount.ics).where(
        ProviderAccount.company_id == creditor.id, ProviderAccount.ics.is_not(None)
    )
    ics = db.session.scalar(wanted.limit(1))
    if ics is None:
        raise NotPrintableError(
            f"{creditor.name} n’a pas d’identifiant créancier SEPA (ICS)\u202f: un administrateur l’inscrit sous "
            "Prélèvements, Prestataires, Fichier SEPA."
        )
    client = db.session.scalars(select(Client).where(Client.id == mandate.client_id)).one()
    form = MandateForm(mandate, client, creditor, ics, details)
    return _templates().get_template("mandate.html").render(form=form)


def file_name(mandate: Mandate) -> str:
    """What the PDF is called when it is downloaded."""
    return f"Mandat SEPA {mandate.umr}.pdf"


@cache
def _templates() -> Environment:
    return pdf.templates(TEMPLATES, day=french.day, country=french.country, in_fours=_in_fours)


def _in_fours(text: str) -> str:
    """An IBAN as people read it."""
    return " ".join(wrap(text, 4))
