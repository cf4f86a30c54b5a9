"""The draft of a charge's invoice."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from sqlalchemy import event, select

from tests.services.invoices.conftest import NOW, pay
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.payments import PaymentKind
from webapp.services.invoices.drafting import draft_for_charge, draft_for_charges

MakeCharge = Callable[..., Charge]


def invoice_of(charge: Charge) -> Invoice:
    db.session.expire_all()
    return db.session.scalars(select(Invoice).where(Invoice.charge_id == charge.id)).one()


def test_a_draft_copies_the_charge(make_charge: MakeCharge) -> None:
    charge = make_charge(("Café", "20.00", "5.5"), ("Tasse", "9.99", "20"))
    draft_for_charge(charge, at=NOW)
    invoice = invoice_of(charge)
    assert (invoice.status, invoice.number, invoice.paid) == (InvoiceStatus.DRAFT, None, 0)
    assert (invoice.amount_before_tax, invoice.total) == (charge.amount_before_tax, charge.amount)
    assert invoice.vat == charge.vat
    assert [(line.label, line.vat_rate, line.amount) for line in invoice.lines] == [
        ("Café", Decimal("5.5"), Decimal("20.00")),
        ("Tasse", Decimal("20"), Decimal("9.99")),
    ]


def test_a_charge_is_drafted_once(make_charge: MakeCharge) -> None:
    charge = make_charge()
    draft_for_charge(charge, at=NOW)
    draft_for_charge(charge, at=NOW)
    assert len(invoice_of(charge).lines) == 1


def test_what_was_captured_pays_the_invoice_once(make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    draft_for_charge(charge, at=NOW)
    draft_for_charge(charge, at=NOW)
    invoice = invoice_of(charge)
    assert (invoice.paid, invoice.balance, invoice.status) == (charge.amount, 0, InvoiceStatus.DRAFT)


def test_a_reversal_leaves_the_invoice_unpaid_again(make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    draft_for_charge(charge, at=NOW)
    pay(charge, str(-charge.amount), PaymentKind.REVERSAL)
    draft_for_charge(charge, at=NOW)
    assert invoice_of(charge).balance == charge.amount


def test_a_refund_waits_for_its_credit_note(make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    pay(charge, "-4.00", PaymentKind.REFUND)
    draft_for_charge(charge, at=NOW)
    assert invoice_of(charge).balance == 0


def test_money_in_another_currency_settles_nothing(make_charge: MakeCharge) -> None:
    charge = make_charge()
    payment = pay(charge)
    db.session.expunge(payment)
    other = make_charge(currency="CHF")
    draft_for_charges([charge, other], at=NOW)
    assert (invoice_of(charge).paid, invoice_of(other).paid) == (charge.amount, 0)


def test_a_free_charge_has_an_invoice_of_zero(make_charge: MakeCharge) -> None:
    charge = make_charge(("Offert", "0.00", "20"))
    draft_for_charge(charge, at=NOW)
    assert invoice_of(charge).total == 0


def test_drafting_costs_the_same_for_one_and_for_many(make_charge: MakeCharge) -> None:
    made = [make_charge().id for _ in range(6)]

    def statements_for(ids: list[UUID]) -> int:
        charges = db.session.scalars(select(Charge).where(Charge.id.in_(ids))).all()
        statements: list[str] = []
        connection = db.session.connection()
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        draft_for_charges(charges, at=NOW)
        return sum(not statement.startswith(("SAVEPOINT", "RELEASE")) for statement in statements)

    assert statements_for(made[:1]) == statements_for(made[1:]) == 3
