"""Credit notes: a series of their own, never more than the invoice, and what they do to what is owed."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Cast
from tests.examples import some
from tests.services.invoices.conftest import NOW, pay
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.invoices import Allocation, Invoice, InvoiceStatus
from webapp.models.money import VAT_RATES, Totals, cents
from webapp.models.payments import PaymentKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.invoices import crediting, finalising, listing
from webapp.services.invoices.crediting import BeyondInvoiceError
from webapp.services.invoices.drafting import draft_for_charge

MakeCharge = Callable[..., Charge]


def invoice_of(charge: Charge, *, paid: bool = True, numbered: bool = True) -> Invoice:
    if paid:
        pay(charge)
    draft_for_charge(charge, at=NOW)
    if numbered:
        finalising.finalise_drafts(charge.organisation_id, at=NOW)
    return crediting.lock_invoice_of(charge.id)


def credit(invoice: Invoice, amount: str) -> Invoice:
    return crediting.credit(invoice, Decimal(amount), reason="Colis abîmé", by_id=None, at=NOW)


def give_back(charge: Charge, amount: str) -> Invoice | None:
    refund = pay(charge, f"-{amount}", PaymentKind.REFUND)
    invoice = crediting.lock_invoice_of(charge.id)
    return crediting.credit_refund(invoice, refund, reason="Colis abîmé", by_id=None, at=NOW)


def test_a_credit_note_has_its_own_series_and_names_its_invoice(cast: Cast, make_charge: MakeCharge) -> None:
    invoice = invoice_of(make_charge())
    note = credit(invoice, "24.00")
    finalising.finalise_drafts(cast.organisation.id, at=NOW + timedelta(days=2))
    found = listing.find_invoice(note.id)
    assert (found.reference, found.issued_on) == ("AV-000001", (NOW + timedelta(days=2)).date())
    assert found.corrects is not None
    assert (found.corrects.reference, found.corrects.issued_on) == ("FA-000001", NOW.date())
    assert (found.status_label, found.kind.label) == ("Émis", "Avoir")
    assert invoice_of(make_charge()).reference == "FA-000002"


def test_a_whole_credit_note_takes_back_every_line(make_charge: MakeCharge) -> None:
    note = credit(invoice_of(make_charge(("Coffret", "20.00", "20"), ("Livre", "10.00", "5.5"))), "34.55")
    assert (note.amount_before_tax, note.total) == (Decimal("-30.00"), Decimal("-34.55"))
    assert note.vat == [
        {"rate": "5.5", "base": "-10.00", "tax": "-0.55"},
        {"rate": "20", "base": "-20.00", "tax": "-4.00"},
    ]
    assert [(line.label, line.amount) for line in listing.find_invoice(note.id).lines] == [
        ("Coffret", Decimal("-20.00")),
        ("Livre", Decimal("-10.00")),
    ]


def test_a_partial_one_has_a_line_for_each_rate(make_charge: MakeCharge) -> None:
    note = credit(invoice_of(make_charge(("Coffret", "20.00", "20"), ("Livre", "10.00", "5.5"))), "3.46")
    lines = listing.find_invoice(note.id).lines
    assert [(line.label, line.vat_rate) for line in lines] == [
        ("Avoir partiel", Decimal("5.50")),
        ("Avoir partiel", Decimal("20.00")),
    ]
    assert sum(line.amount for line in lines) == note.amount_before_tax


@pytest.mark.parametrize("amount", ["24.01", "0.00", "-1.00"])
def test_more_than_the_invoice_is_not_credited(make_charge: MakeCharge, amount: str) -> None:
    with pytest.raises(BeyondInvoiceError):
        credit(invoice_of(make_charge()), amount)


def test_more_than_earlier_ones_left_is_not_credited(make_charge: MakeCharge) -> None:
    invoice = invoice_of(make_charge())
    credit(invoice, "20.00")
    with pytest.raises(BeyondInvoiceError):
        credit(invoice, "4.01")


@settings(max_examples=some(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(VAT_RATES), st.decimals(min_value="0.01", max_value=500, places=2)),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.floats(min_value=0.01, max_value=1), max_size=4),
)
def test_credit_notes_never_exceed_a_rate_and_equal_it_in_the_end(
    make_charge: MakeCharge, lines: list[tuple[Decimal, Decimal]], fractions: list[float]
) -> None:
    invoice = invoice_of(make_charge(*(("Coffret", f"{price:.2f}", str(rate)) for rate, price in lines)))
    for fraction in [*fractions, 1.0]:
        if amount := cents((invoice.total - invoice.credited) * Decimal(fraction)):
            credit(invoice, str(amount))
        sums = _credited(invoice)
        for share in Totals.from_json(invoice.vat).shares:
            base, tax = sums.get(share.rate, (Decimal(0), Decimal(0)))
            assert 0 <= base <= share.base
            assert 0 <= tax <= share.tax
    assert invoice.credited == invoice.total
    assert {share.rate: (share.base, share.tax) for share in Totals.from_json(invoice.vat).shares if share.base} == sums


def _credited(invoice: Invoice) -> dict[Decimal, tuple[Decimal, Decimal]]:
    """Base and tax that the credit notes took from each rate."""
    sums: dict[Decimal, tuple[Decimal, Decimal]] = {}
    for note in listing.list_credit_notes(invoice.id):
        for share in Totals.from_json(note.vat).shares:
            base, tax = sums.get(share.rate, (Decimal(0), Decimal(0)))
            sums[share.rate] = (base - share.base, tax - share.tax)
    return sums


def test_a_credit_note_waits_for_its_invoices_number(cast: Cast, make_charge: MakeCharge) -> None:
    invoice = invoice_of(make_charge(), numbered=False)
    note = credit(invoice, "24.00")
    finalising.finalise(note.id, at=NOW)
    assert note.number is None
    assert finalising.finalise_drafts(cast.organisation.id, at=NOW) == 2
    db.session.refresh(note)
    assert note.reference == "AV-000001"


def test_on_an_unpaid_invoice_it_lowers_what_remains(make_charge: MakeCharge) -> None:
    invoice = invoice_of(make_charge(), paid=False)
    credit(invoice, "10.00")
    assert (invoice.status, invoice.balance) == (InvoiceStatus.ISSUED, Decimal("14.00"))
    credit(invoice, "14.00")
    assert (invoice.status, invoice.balance) == (InvoiceStatus.PAID, Decimal("0.00"))


def test_what_remains_after_a_credit_note_pays_the_invoice(make_charge: MakeCharge) -> None:
    charge = make_charge()
    credit(invoice_of(charge, paid=False), "10.00")
    pay(charge, "14.00")
    draft_for_charge(charge, at=NOW)
    assert crediting.lock_invoice_of(charge.id).status is InvoiceStatus.PAID


def test_a_refund_is_settled_with_its_credit_note_once(make_charge: MakeCharge) -> None:
    charge = make_charge()
    invoice_of(charge)
    refund = pay(charge, "-10.00", PaymentKind.REFUND)
    assert crediting.list_waiting_refunds(charge.id) == [refund]
    for expected in (1, 1):
        invoice = crediting.lock_invoice_of(charge.id)
        crediting.credit_refund(invoice, refund, reason="Colis abîmé", by_id=None, at=NOW)
        assert len(listing.list_credit_notes(invoice.id)) == expected
    assert (invoice.paid, invoice.credited, invoice.balance) == (Decimal("14.00"), Decimal("10.00"), Decimal("0.00"))
    assert invoice.status is InvoiceStatus.PAID
    assert crediting.list_waiting_refunds(charge.id) == []
    assert db.session.scalars(select(Allocation.amount).where(Allocation.payment_id == refund.id)).one() == -10


def test_what_was_paid_twice_goes_back_without_a_credit_note(make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    invoice = invoice_of(charge)
    assert give_back(charge, "24.00") is None
    assert (invoice.paid, invoice.credited, invoice.status) == (Decimal("24.00"), Decimal(0), InvoiceStatus.PAID)
    note = give_back(charge, "5.00")
    assert note is not None
    assert note.total == Decimal("-5.00")


def test_the_balance_is_invoices_less_credit_notes_and_payments_plus_refunds(make_charge: MakeCharge) -> None:
    charge = make_charge()
    invoice = invoice_of(charge)
    other = invoice_of(make_charge(client=listing.find_invoice(invoice.id).client), paid=False)
    give_back(charge, "10.00")
    credit(other, "4.00")
    db.session.flush()
    (balance,) = listing.balances_of_client(charge.client_id)
    assert (balance.invoiced, balance.credited, balance.received) == (Decimal(48), Decimal(14), Decimal(14))
    assert balance.owed == balance.total == Decimal(20)


@pytest.mark.parametrize(
    "change", ["total = total - 1", "buyer = '{}'", "reference = 'AV-9'", "issued_on = '2020-01-01'"]
)
def test_what_was_printed_under_a_number_stays(cast: Cast, make_charge: MakeCharge, change: str) -> None:
    credit(invoice_of(make_charge()), "24.00")
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    with pytest.raises(DBAPIError, match="only ever added to"):
        db.session.execute(text(f"UPDATE invoices SET {change} WHERE corrects_id IS NOT NULL"))


def test_a_numbered_one_is_never_taken_away(cast: Cast, make_charge: MakeCharge) -> None:
    credit(invoice_of(make_charge()), "24.00")
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    with pytest.raises(DBAPIError, match="only ever added to"):
        db.session.execute(text("DELETE FROM invoices WHERE corrects_id IS NOT NULL"))


def test_the_timeline_tells_of_it(make_charge: MakeCharge) -> None:
    credit(invoice_of(make_charge()), "10.00")
    event = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == EventKind.CREDIT_NOTE_MADE)).one()
    assert event.changes["credited"] == [None, "10.00 EUR"]
    assert event.changes["invoice"] == [None, "FA-000001"]
