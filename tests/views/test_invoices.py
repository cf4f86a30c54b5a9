"""Invoices: what the address of the list says is what it shows; one with its payments; its PDF."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.invoices import Invoice
from webapp.models.money import INSURANCE_TAX, totals
from webapp.models.payments import Payment, PaymentKind
from webapp.services.invoices import drafting, finalising

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)  # twelve o'clock in Paris
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def make_invoice(name: str = "DURAND", *, paid: bool = True, numbered: bool = True) -> Invoice:
    """An invoice of 24 € with tax."""
    client = factories.ClientFactory(last_name=name, first_name="Léa")
    total = totals([(Decimal(20), Decimal("20.00"))])
    line = {"label": "Coffret", "quantity": "1", "unit_price": "20.00", "discount": "0", "vat_rate": "20"}
    charge: Charge = factories.ChargeFactory(
        subscription_id=factories.SubscriptionFactory(client_id=client.id).id,
        client_id=client.id,
        status=ChargeStatus.SUCCEEDED,
        lines=[line | {"amount": "20.00"}],
        vat=total.as_json(),
    )
    if paid:
        db.session.add(
            Payment(
                company_id=charge.company_id,
                client_id=client.id,
                charge_id=charge.id,
                kind=PaymentKind.CAPTURE,
                amount=Decimal("24.00"),
                happened_at=NOON,
            )
        )
    drafting.draft_for_charge(charge, at=NOON)
    invoice = db.session.scalars(select(Invoice).where(Invoice.charge_id == charge.id)).one()
    if numbered:
        finalising.finalise(invoice.id, at=NOON)
    db.session.commit()
    db.session.refresh(invoice)
    return invoice


def shown(page: str) -> list[UUID]:
    return [UUID(each) for each in re.findall(r'data-testid="invoice-row"\s+data-invoice-id="([^"]+)"', page)]


def test_the_list_shows_each_invoice_with_its_number_and_total(client: FlaskClient) -> None:
    invoice = make_invoice()
    page = client.get("/factures").text
    assert shown(page) == [invoice.id]
    assert f'data-number="{invoice.reference}"' in page
    assert 'data-total="24.00"' in page
    assert re.search(r'data-testid="result-count"\s+data-count="1"', page)


def test_the_address_narrows_the_list(client: FlaskClient) -> None:
    paid, open_one = make_invoice("ALPHA"), make_invoice("BETA", paid=False)
    queries: dict[str, list[UUID]] = {
        "statut=paid": [paid.id],
        "statut=issued": [open_one.id],
        "q=beta": [open_one.id],
        f"q={paid.reference}": [paid.id],
        f"client={open_one.client_id}": [open_one.id],
        f"societe={uuid4()}": [],
        "statut=perdu&client=1&societe=2&apres=%00": [open_one.id, paid.id],
    }
    for query, expected in queries.items():
        assert shown(client.get(f"/factures?{query}", headers=HTMX).text) == expected, query


def test_a_clients_invoices_come_with_what_they_owe(client: FlaskClient) -> None:
    invoice = make_invoice(paid=False)
    assert 'data-owed="24.00"' in client.get(f"/factures?client={invoice.client_id}").text


def test_an_invoice_shows_its_lines_and_what_was_paid(client: FlaskClient) -> None:
    invoice = make_invoice()
    page = client.get(f"/factures/{invoice.id}").text
    assert "Coffret" in page
    assert 'data-amount="24.00"' in page
    assert f'href="/factures/{invoice.id}/pdf"' in page
    assert "/prelevements" not in page


def test_an_invoice_shows_what_each_tax_comes_to(client: FlaskClient) -> None:
    invoice = make_invoice(numbered=False)
    both = totals([(Decimal(20), Decimal("20.00")), (INSURANCE_TAX, Decimal("10.00"))])
    invoice.vat = both.as_json()
    db.session.commit()
    page = re.sub(r"<[^>]+>|\s+", " ", client.get(f"/factures/{invoice.id}").text)
    assert re.search(r"TSCA 9\s%\s+0,90\s€", page)
    assert re.search(r"TVA 20\s%\s+4,00\s€", page)


def test_the_pdf_is_downloaded_under_the_invoices_number(client: FlaskClient) -> None:
    invoice = make_invoice()
    answer = client.get(f"/factures/{invoice.id}/pdf")
    assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
    assert answer.data.startswith(b"%PDF-")
    assert str(invoice.reference) in answer.headers["Content-Disposition"]


def test_a_draft_has_no_pdf_yet(client: FlaskClient) -> None:
    invoice = make_invoice(numbered=False)
    assert "invoice-pdf" not in client.get(f"/factures/{invoice.id}").text
    answer = client.get(f"/factures/{invoice.id}/pdf")
    assert answer.status_code == 409
    assert "pas encore de numéro" in answer.text


def test_an_outsider_finds_nothing(cast: Cast, outsider_client: FlaskClient) -> None:
    invoice = make_invoice()
    assert shown(outsider_client.get("/factures").text) == []
    assert outsider_client.get(f"/factures/{invoice.id}").status_code == 404
    assert outsider_client.get(f"/factures/{invoice.id}/pdf").status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_rows(client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            client.get("/factures")
        return len(statements)

    make_invoice()
    few = queries()
    for _ in range(5):
        make_invoice()
    assert queries() == few
