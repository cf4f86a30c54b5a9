"""Numbers: chronological, without gaps or doubles, per company and series."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.factories import ClientFactory, CompanyFactory
from tests.services.invoices.conftest import NOW, pay
from webapp import tenancy
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.payments import PaymentKind
from webapp.services.invoices import finalising
from webapp.services.invoices.drafting import draft_for_charge

MakeCharge = Callable[..., Charge]


def invoices() -> list[Invoice]:
    db.session.expire_all()
    return list(db.session.scalars(select(Invoice).order_by(Invoice.number)))


def test_numbers_follow_the_order_of_the_drafts(cast: Cast, make_charge: MakeCharge) -> None:
    charges = [make_charge() for _ in range(3)]
    for rank, charge in enumerate(reversed(charges)):
        draft_for_charge(charge, at=NOW + timedelta(seconds=rank))
    assert finalising.finalise_drafts(cast.organisation.id, at=NOW) == 3
    numbered = invoices()
    assert [invoice.charge_id for invoice in numbered] == [charge.id for charge in reversed(charges)]
    assert [invoice.reference for invoice in numbered] == ["FA-000001", "FA-000002", "FA-000003"]


def test_each_company_counts_for_itself(cast: Cast, make_charge: MakeCharge) -> None:
    other = CompanyFactory(name="Autre société")
    for charge in (make_charge(), make_charge(company_id=other.id), make_charge()):
        draft_for_charge(charge, at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    assert sorted((invoice.company_id == other.id, invoice.number) for invoice in invoices()) == [
        (False, 1),
        (False, 2),
        (True, 1),
    ]


def test_a_later_number_never_has_an_earlier_date(cast: Cast, make_charge: MakeCharge) -> None:
    for at in (NOW, NOW - timedelta(days=3)):  # a worker whose clock is late
        draft_for_charge(make_charge(), at=at)
        finalising.finalise_drafts(cast.organisation.id, at=at)
    assert [invoice.issued_on for invoice in invoices()] == [NOW.date(), NOW.date()]


def test_a_number_is_given_once(make_charge: MakeCharge) -> None:
    draft_for_charge(make_charge(), at=NOW)
    invoice = invoices()[0]
    finalising.finalise(invoice.id, at=NOW)
    finalising.finalise(invoice.id, at=NOW + timedelta(days=1))
    assert [(each.number, each.issued_on) for each in invoices()] == [(1, NOW.date())]


def test_seller_and_buyer_are_copies(cast: Cast, make_charge: MakeCharge) -> None:
    client = ClientFactory(last_name="Durand", first_name="Léa", city="Lille")
    draft_for_charge(make_charge(client=client), at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    client.city = "Nantes"
    db.session.commit()
    assert invoices()[0].buyer["city"] == "Lille"


def test_a_paid_one_is_issued_paid_and_a_reversal_makes_it_due(cast: Cast, make_charge: MakeCharge) -> None:
    charge = make_charge()
    pay(charge)
    draft_for_charge(charge, at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    assert invoices()[0].status is InvoiceStatus.PAID
    pay(charge, str(-charge.amount), PaymentKind.REVERSAL)
    draft_for_charge(charge, at=NOW)
    assert (invoices()[0].status, invoices()[0].balance) == (InvoiceStatus.ISSUED, charge.amount)


def test_an_invoice_of_zero_is_paid(cast: Cast, make_charge: MakeCharge) -> None:
    draft_for_charge(make_charge(("Offert", "0.00", "20")), at=NOW)
    finalising.finalise_drafts(cast.organisation.id, at=NOW)
    assert invoices()[0].status is InvoiceStatus.PAID


def test_the_job_leaves_what_is_too_much_for_one_turn(
    cast: Cast, make_charge: MakeCharge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalising, "BATCH", 1)
    monkeypatch.setattr(finalising, "LONGEST_TURN", 2)
    for _ in range(3):
        draft_for_charge(make_charge(), at=NOW)
    assert finalising.finalise_drafts(cast.organisation.id, at=NOW) == 2
    assert finalising.finalise_drafts(cast.organisation.id, at=NOW) == 1


def test_the_sweeper_rings_for_drafts_whose_bell_was_lost(cast: Cast, make_charge: MakeCharge) -> None:
    draft_for_charge(make_charge(), at=NOW)
    assert finalising.sweep(at=NOW) == 0
    assert finalising.sweep(at=NOW + timedelta(minutes=1)) == 1


def test_two_workers_leave_neither_gap_nor_double(app: Flask, committed: None) -> None:
    numbers = 30
    organisation = _organisation_with_drafts(numbers)

    def work(_: int) -> int:
        with app.app_context():
            done = finalising.finalise_drafts(organisation, at=NOW)
            db.session.remove()
            return done

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(3) as threads:
        patch.setattr(finalising, "BATCH", 4)
        done = sum(threads.map(work, range(6)))
    with tenancy.organisation(organisation):
        assert [invoice.number for invoice in invoices()] == list(range(1, numbers + 1))
    assert done == numbers


def _organisation_with_drafts(count: int) -> Any:
    organisation = factories.OrganisationFactory()
    with tenancy.organisation(organisation.id):
        CompanyFactory(is_default=True)
        client = ClientFactory()
        subscription = factories.SubscriptionFactory(client_id=client.id)
        for cycle in range(count):
            charge = factories.ChargeFactory(subscription_id=subscription.id, client_id=client.id, cycle_no=cycle)
            draft_for_charge(charge, at=NOW)
        db.session.commit()
    return organisation.id
