"""Lists of invoices, and what clients owe."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory
from tests.queries import recorded_queries
from tests.services.invoices.conftest import NOW, pay
from tests.woocommerce_rows import make_shop
from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.invoices import InvoiceStatus
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.services.invoices import finalising, listing
from webapp.services.invoices.drafting import draft_for_charge
from webapp.services.invoices.listing import Balance, InvoicesView, list_invoices

MakeCharge = Callable[..., Charge]


def issue(cast: Cast, *charges: Charge) -> None:
    for rank, charge in enumerate(charges):
        draft_for_charge(charge, at=NOW + timedelta(seconds=rank))
    finalising.finalise_drafts(cast.organisation.id, at=NOW)


@pytest.mark.parametrize("status", [None, InvoiceStatus.ISSUED, InvoiceStatus.DRAFT])
def test_pages_follow_each_other(
    cast: Cast, make_charge: MakeCharge, monkeypatch: pytest.MonkeyPatch, status: InvoiceStatus | None
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 2)
    charges = [make_charge(due_on=date(2026, 1, 1) + timedelta(days=n // 2)) for n in range(5)]
    if status is InvoiceStatus.DRAFT:
        for rank, charge in enumerate(charges):
            draft_for_charge(charge, at=NOW + timedelta(seconds=rank))
    else:
        issue(cast, *charges)
    seen: list[UUID] = []
    cursor = ""
    for _ in range(3):
        page = list_invoices(InvoicesView(status=status, cursor=cursor))
        seen += [row.id for row in page.rows]
        cursor = page.next_cursor or ""
    assert cursor == ""
    assert len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


def test_queries_do_not_grow_with_rows(cast: Cast, make_charge: MakeCharge) -> None:
    issue(cast, make_charge())
    with recorded_queries() as for_one:
        list_invoices(InvoicesView())
    issue(cast, *(make_charge() for _ in range(4)))
    with recorded_queries() as for_five:
        assert len(list_invoices(InvoicesView()).rows) == 5
    assert len(for_five) == len(for_one) == 1


@pytest.mark.parametrize("search", ["FA-000002", "fa 2", "2", "martin", "MARTIN zoé"])
def test_an_invoice_is_found_by_number_or_client(cast: Cast, make_charge: MakeCharge, search: str) -> None:
    wanted = make_charge(client=ClientFactory(last_name="Martin", first_name="Zoé"))
    issue(cast, make_charge(), wanted)
    [row] = list_invoices(InvoicesView(search=search)).rows
    assert (row.reference, row.client) == ("FA-000002", "Martin Zoé")


@pytest.mark.parametrize("cursor", ["x", "e30", "WyItY3JlYXRpb24iLCAxLCAyLCAzXQ"])
def test_a_cursor_that_is_none_gives_the_first_page(cast: Cast, make_charge: MakeCharge, cursor: str) -> None:
    issue(cast, make_charge())
    assert len(list_invoices(InvoicesView(cursor=cursor)).rows) == 1


def test_filters_narrow_the_list_and_its_number(cast: Cast, make_charge: MakeCharge) -> None:
    paid, due = make_charge(), make_charge()
    pay(paid)
    issue(cast, paid, due)
    for view, charge in (
        (InvoicesView(status=InvoiceStatus.PAID), paid),
        (InvoicesView(client_id=due.client_id), due),
    ):
        [row] = list_invoices(view).rows
        assert row.client_id == charge.client_id
        assert listing.count_invoices(view, at_most=10) == 1


def test_another_organisation_finds_nothing(cast: Cast, make_charge: MakeCharge) -> None:
    charge = make_charge()
    issue(cast, charge)
    invoice_id = list_invoices(InvoicesView()).rows[0].id
    with tenancy.organisation(cast.other_organisation.id):
        assert list_invoices(InvoicesView()).rows == []
        assert listing.balances_of_client(charge.client_id) == []
        assert listing.list_settlements(invoice_id) == []
        with pytest.raises(NotFoundError):
            listing.find_invoice(invoice_id)


def test_the_balance_is_what_is_invoiced_and_what_came_in(cast: Cast, make_charge: MakeCharge) -> None:
    client = ClientFactory()
    paid, reversed_, due = (make_charge(client=client) for _ in range(3))
    pay(paid)
    pay(reversed_)
    pay(reversed_, "-24.00", PaymentKind.REVERSAL)
    issue(cast, paid, reversed_, due)
    assert listing.balances_of_client(client.id) == [
        Balance("EUR", invoiced=Decimal("72.00"), received=Decimal("24.00"), owed=Decimal("48.00"))
    ]


def test_what_a_shop_collected_is_no_money_in_advance(make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge, "10.00")
    shop = make_shop()
    for kind, amount in ((PaymentKind.CAPTURE, "24.00"), (PaymentKind.REFUND, "-4.00")):
        db.session.add(
            Payment(
                company_id=charge.company_id,
                client_id=charge.client_id,
                shop_id=shop.id,
                kind=kind,
                amount=Decimal(amount),
                provider=Provider.WOOCOMMERCE,
                external_id="44-0",
            )
        )
    db.session.flush()
    (balance,) = listing.balances_of_client(charge.client_id)
    assert balance == Balance("EUR", received=Decimal("10.00"), by_shop=Decimal("20.00"))
    assert balance.total == Decimal("-10.00")


def test_settlements_tell_what_was_paid_and_taken_back(cast: Cast, make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    pay(charge, "-24.00", PaymentKind.REVERSAL)
    issue(cast, charge)
    invoice = listing.find_invoice_of_charge(charge.id)
    assert invoice is not None
    amounts = [settlement.amount for settlement in listing.list_settlements(invoice.id)]
    assert amounts == [Decimal("24.00"), Decimal("-24.00")]
    db.session.expire_all()
    assert listing.find_invoice(invoice.id).balance == Decimal("24.00")
