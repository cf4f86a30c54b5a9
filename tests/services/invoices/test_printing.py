"""The printed invoice."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory
from tests.services.invoices.conftest import NOW
from tests.services.invoices.test_finalising import invoices
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.invoices import Invoice
from webapp.models.organisations import Company
from webapp.services import pdf
from webapp.services.invoices import crediting, finalising, printing
from webapp.services.invoices.drafting import draft_for_charge

MakeCharge = Callable[..., Charge]


@pytest.fixture
def invoice(cast: Cast, make_charge: MakeCharge) -> Invoice:
    """An invoice of two rates, by a company whose legal details are known."""
    company = db.session.query(Company).filter_by(is_default=True).one()
    company.name, company.legal_form, company.share_capital = "Société d’essai", "SAS", Decimal(50_000)
    company.siren, company.registry_city, company.vat_number = "732829320", "Lille", "FR44732829320"
    client = ClientFactory(last_name="<b>Durand</b>", first_name="Léa", postcode="59000", city="Lille")
    draft_for_charge(make_charge(("Café", "1200.00", "5.5"), ("Tasse", "9.99", "20"), client=client), at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    return invoices()[0]


def printed(invoice: Invoice) -> str:
    """The page's text, its special spaces made plain."""
    return " ".join(
        printing.render(invoice).replace("\u00a0", " ").replace("\u202f", " ").replace("&nbsp;", " ").split()
    )


def test_the_legal_mentions_are_there(invoice: Invoice) -> None:
    page = printed(invoice)
    for mention in (
        "SAS au capital de 50 000 € – SIREN 732 829 320 – RCS Lille – TVA FR44732829320",
        "FA-000001",
        "1er février 2026",
        "Période du 31 janvier 2026 au 27 février 2026",
        "indemnité forfaitaire de 40 €",
        "Pas d’escompte",
    ):
        assert mention in page


def test_each_rate_has_its_base_and_tax(invoice: Invoice) -> None:
    page = printed(invoice)
    for amount in ("1 200,00 €", "66,00 €", "9,99 €", "2,00 €", "1 209,99 €", "68,00 €", "1 277,99 €"):
        assert amount in page


def test_a_credit_note_names_number_and_date_of_its_invoice(cast: Cast, invoice: Invoice) -> None:
    note = crediting.credit(invoice, Decimal("127.80"), reason="Retour d’un colis", by_id=None, at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    page = printed(note)
    for words in (
        "<h1>Avoir</h1>",
        "AV-000001",
        "Avoir sur la facture FA-000001 du 1er février 2026",
        "Motif : Retour d’un colis",
        "−121,00 €",
        "−6,80 €",
        "−127,80 €",
        "article 272, 1",
    ):
        assert words in page
    for words in ("Date d’échéance", "escompte", "Période"):
        assert words not in page
    assert printing.file_name(note) == "Avoir AV-000001.pdf"
    assert printing.print_invoice(note.id).startswith(b"%PDF-")


def test_names_are_text(invoice: Invoice) -> None:
    assert "&lt;b&gt;" in printing.render(invoice)
    assert "<b>" not in printing.render(invoice)


def test_the_pdf_reads_as_one(invoice: Invoice) -> None:
    pdf = printing.print_invoice(invoice.id)
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 5_000


def test_a_draft_cannot_be_printed(make_charge: MakeCharge) -> None:
    draft_for_charge(make_charge(), at=NOW)
    with pytest.raises(printing.NotNumberedError):
        printing.print_invoice(invoices()[0].id)


def test_a_seller_without_vat_says_so(cast: Cast, make_charge: MakeCharge) -> None:
    draft_for_charge(make_charge(("Conseil", "100.00", "0")), at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    assert "293 B" in printed(invoices()[0])


def test_another_organisation_has_no_such_invoice(invoice: Invoice) -> None:
    with pytest.raises(NotFoundError):
        printing.print_invoice(new_id())


def test_without_pango_a_sentence_says_what_is_missing(invoice: Invoice, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    load = builtins.__import__

    def fail(name: str, *given: object, **more: object) -> object:
        if name.startswith("weasyprint"):
            raise OSError("cannot load library 'libpango-1.0-0'")
        return load(name, *given, **more)  # type: ignore[arg-type]

    pdf.printer.cache_clear()
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(pdf.PrintingUnavailableError, match="Pango"):
        printing.print_invoice(invoice.id)
