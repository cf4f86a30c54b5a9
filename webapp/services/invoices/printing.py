"""The PDF of an invoice or credit note: made when somebody asks for it, from frozen rows alone: it never changes."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any
from uuid import UUID

from jinja2 import Environment

from webapp import french
from webapp.errors import DomainError
from webapp.models.invoices import Invoice
from webapp.models.money import INSURANCE_TAX, tax_label
from webapp.services import pdf
from webapp.services.invoices.listing import find_invoice

TEMPLATES = Path(__file__).parent / "print"
LOCALE = "fr_FR"
MONEY = "#,##0.00##\u00a0¤"
"""Unit prices may have up to four places."""


class NotNumberedError(DomainError):
    """A draft is no invoice yet."""


def print_invoice(invoice_id: UUID) -> bytes:
    """The invoice as a PDF. Raises NotFoundError, NotNumberedError, PrintingUnavailableError."""
    invoice = find_invoice(invoice_id)
    if invoice.number is None:
        raise NotNumberedError("Ce document n’a pas encore de numéro. Réessayez dans quelques instants.")
    return to_pdf(render(invoice))


def to_pdf(page: str) -> bytes:
    """The PDF of a page that was rendered. Raises PrintingUnavailableError."""
    return pdf.printer(TEMPLATES / "invoice.css")(page)


def file_name(invoice: Invoice) -> str:
    """What the PDF is called when it is downloaded."""
    return f"{invoice.kind.label} {invoice.reference or 'brouillon'}.pdf"


def render(invoice: Invoice) -> str:
    """The printed page as HTML, in French, with what the law wants on it."""
    vat = [{name: Decimal(value) for name, value in share.items()} for share in invoice.vat]
    return (
        _templates()
        .get_template("invoice.html")
        .render(
            invoice=invoice,
            vat=vat,
            last_day=invoice.period_end - timedelta(days=1) if invoice.period_end else None,
            has_insurance=any(share["rate"] == INSURANCE_TAX for share in vat),
            is_without_vat=not invoice.seller.get("vat_number") and all(share["tax"] == 0 for share in vat),
            legal_line=legal_line(invoice.seller),
        )
    )


def legal_line(seller: Mapping[str, Any]) -> str:
    """« SAS au capital de 50 000 € – SIREN 732 829 320 – RCS Lille – TVA FR44732829320 », as far as it is known."""
    capital, siren = seller.get("share_capital"), seller.get("siren")
    form = seller.get("legal_form") or ""
    if capital:
        form = f"{form or 'Société'} au capital de {french.quantity(Decimal(capital))}\u00a0€"
    parts = (
        form,
        "SIREN\u00a0" + "\u00a0".join(wrap(siren, 3)) if siren else "",
        f"RCS\u00a0{seller['registry_city']}" if seller.get("registry_city") else "",
        f"TVA\u00a0{seller['vat_number']}" if seller.get("vat_number") else "",
    )
    return " – ".join(part for part in parts if part)


@cache
def _templates() -> Environment:
    return pdf.templates(TEMPLATES, money=french.unit_price, day=_day, number=french.quantity, tax=tax_label)


def _day(day: date | None) -> str:
    return french.long_day(day) if day else ""
