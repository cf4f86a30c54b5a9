"""Risques: counted for those in scope, each with the list behind it."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, CommercialFactory, ContractFactory
from webapp.extensions import db
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.services.clients.listing import list_clients
from webapp.services.contracts.listing import list_contracts
from webapp.services.figures.risks import Risks, find_risks
from webapp.services.figures.scope import figures_scope

TODAY = date(2026, 11, 20)


def risks_of(cast: Cast, who: str) -> Risks:
    return find_risks(figures_scope(getattr(cast, who)), today=TODAY)


def make(cast: Cast, **values: Any) -> None:
    ContractFactory(client_id=ClientFactory(commercial_id=cast.sales_rep.id).id, **values)


@pytest.mark.parametrize(("days", "expected"), [(-1, 0), (0, 3), (30, 3), (31, 2), (90, 1), (91, 0)])
def test_active_contracts_that_end_soon(cast: Cast, days: int, expected: int) -> None:
    make(cast, ends_on=TODAY + timedelta(days=days))
    make(cast, ends_on=TODAY + timedelta(days=days), status=ContractStatus.TERMINATED)
    numbers = risks_of(cast, "admin").ending.values()
    assert sum(number.contracts for number in numbers) == expected
    for number in numbers:
        assert list_contracts(number.view, exact=True).total.number == number.contracts


def test_contracts_to_debit_without_a_mandate(cast: Cast) -> None:
    make(cast, payment_method=PaymentMethod.SEPA, commercial_id=cast.sales_rep.id)
    make(cast, payment_method=PaymentMethod.SEPA)
    make(cast, payment_method=PaymentMethod.SEPA, status=ContractStatus.CANCELED)
    found = {who: risks_of(cast, who).without_mandate for who in ("commercial", "manager", "admin")}
    assert {who: number.contracts for who, number in found.items()} == {"commercial": 1, "manager": 1, "admin": 2}
    for number in found.values():
        assert list_contracts(number.view, exact=True).total.number == number.contracts


def test_clients_whom_nobody_can_reach(cast: Cast) -> None:
    ClientFactory(email=None, phone=None, commercial_id=cast.sales_rep.id)
    ClientFactory(email=None, phone=None, commercial_id=CommercialFactory().id)
    ClientFactory(email=None, phone="+33639981234", commercial_id=cast.sales_rep.id)
    for who, expected in (("commercial", 1), ("manager", 1), ("admin", 2)):
        (number,) = risks_of(cast, who).without_contact
        assert number.clients == list_clients(number.view, exact=True).total.number == expected


def test_clients_of_nobody_concern_only_those_who_see_all(cast: Cast) -> None:
    ClientFactory()
    assert risks_of(cast, "manager").without_commercial is None
    number = risks_of(cast, "admin").without_commercial
    assert number is not None
    assert number.clients == list_clients(number.view, exact=True).total.number == 1


def test_conflicts_are_those_that_the_last_real_run_left_open(cast: Cast) -> None:
    def run(minute: int, *resolved: bool, **values: Any) -> None:
        at = cast.organisation.created_at + timedelta(minutes=minute)
        made = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.PARTIAL, started_at=at, finished_at=at, **values)
        db.session.add(made)
        db.session.flush()
        for number, is_resolved in enumerate(resolved):
            ended = at if is_resolved else None
            db.session.add(SyncItem(run_id=made.id, external_id=str(number), kind=ItemKind.CONFLICT, resolved_at=ended))
        db.session.flush()

    assert risks_of(cast, "admin").conflicts is not None
    run(1, False, False, False)
    run(2, False, True, False)
    run(3, False, dry_run=True)
    conflicts = risks_of(cast, "admin").conflicts
    assert conflicts is not None
    assert conflicts.number == 2
    assert risks_of(cast, "manager").conflicts is None
