"""The PDF of an invoice or credit note: made when somebody asks for it, from frozen rows alone: it never changes."""

import logging
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from webapp import french
from webapp.errors import DomainError, UnavailableError
from webapp.models.invoices import Invoice
from webapp.services.invoices.listing import find_invoice

TEMPLATES = Path(__file__).parent / "print"
LOCALE = "fr_FR"
MONEY = "#,##0.00##\u00a0¤"
"""Unit prices may have up to four places."""


class NotNumberedError(DomainError):
    """A draft is no invoice yet."""


class PrintingUnavailableError(UnavailableError):
    """The libraries that draw text are not installed on this server."""


def print_invoice(invoice_id: UUID) -> bytes:
    """The invoice as a PDF. Raises NotFoundError, NotNumberedError, PrintingUnavailableError."""
    invoice = find_invoice(invoice_id)
    if invoice.number is None:
        raise NotNumberedError("Ce document n’a pas encore de numéro. Réessayez dans quelques instants.")
    return _printer()(render(invoice))


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
            is_without_vat=not invoice.seller.get("vat_number") and all(share["tax"] == 0 for share in vat),
            legal_line=_legal_line(invoice.seller),
        )
    )


def _legal_line(seller: dict[str, Any]) -> str:
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
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": french.unit_price, "day": _day, "number": french.quantity}
    return environment


def _day(day: date | None) -> str:
    return french.long_day(day) if day else ""


@cache
def _printer() -> Callable[[str], bytes]:
    """From HTML to PDF. The library is loaded at the first invoice: it takes a second, and wants Pango."""
    try:
        from weasyprint import CSS, HTML  # noqa: PLC0415
        from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415
        from weasyprint.urls import URLFetcher  # noqa: PLC0415
    except OSError as error:
        raise PrintingUnavailableError(
            "Les factures ne peuvent pas être imprimées sur ce serveur\u202f: la bibliothèque Pango n’y est pas "
            "installée. Prévenez votre administrateur."
        ) from error
    for library in ("weasyprint", "weasyprint.progress", "fontTools"):  # they tell every step
        logging.getLogger(library).setLevel(logging.WARNING)
    source = (TEMPLATES / "invoice.css").read_text(encoding="utf-8")
    fonts = FontConfiguration()
    style = CSS(string=source, font_config=fonts)

    def to_pdf(html: str) -> bytes:
        # Nothing is fetched: whatever a name or a label holds, it reaches neither files nor the network.
        page = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=[]))
        pdf: bytes = page.write_pdf(stylesheets=[style], font_config=fonts)
        return pdf

    return to_pdf
