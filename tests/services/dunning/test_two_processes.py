"""A payment and a step at the same instant, a process that dies at any point: nobody is asked twice, or for nothing."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests import factories
from tests.concurrency import in_turn
from tests.forking import die_at, fork, was_killed
from tests.services.charges.ledger import Ledger
from tests.services.dunning.world import DunningWorld
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.charges import decisions
from webapp.services.dunning import steps

Dun = Callable[..., int]
REFUSED = date(2026, 1, 31)


@pytest.fixture
def world(committed: None, ledger: Ledger) -> Iterator[DunningWorld]:
    """An organisation whose rows are really committed, with three unpaid clients."""
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
    world = DunningWorld(organisation.id, ledger, account)
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    for _ in range(3):
        world.subscribe()
    ledger.behave("hard")
    world.run()
    world.deliver()
    yield world
    clock.start_at(None)


@pytest.fixture
def dun(world: DunningWorld) -> Dun:
    """Start a pass of dunning in a process of its own, which dies before its statement with the number it is given."""

    def start(fatal: int | None = None) -> int:
        def carry_out() -> None:
            if fatal is not None:
                die_at("before_cursor_execute", fatal)
            steps.carry_out(world.organisation_id, at=clock.now())

        return fork(carry_out)

    return start


def test_a_step_that_waited_for_a_payment_is_not_carried_out(app: Flask, world: DunningWorld) -> None:
    admin_id = factories.UserFactory(roles=["admin"]).id
    db.session.commit()
    world.to_day(REFUSED + timedelta(days=3))
    charge_id = world.charges()[0].id

    def pay() -> None:
        admin = db.session.get_one(User, (world.organisation_id, admin_id))
        decisions.mark_paid(charge_id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=admin, at=clock.now())

    # The engine has chosen its cases, and waits for ours.
    in_turn(app, world.organisation_id, pay, lambda: steps.carry_out(world.organisation_id, at=clock.now()))
    db.session.rollback()
    statuses = {claim.charge_id: claim.outcome for claim in world.claims()}
    assert statuses[charge_id] is not None
    assert len(world.steps()) == 2
    assert {message.subject_id for message in world.messages()} == {
        case.id for case in world.cases() if case.status is CaseStatus.OPEN
    }


def test_two_passes_at_once_carry_each_step_out_once(world: DunningWorld, dun: Dun) -> None:
    world.to_day(REFUSED + timedelta(days=3))
    processes = [dun(), dun(), dun()]
    assert [was_killed(each) for each in processes] == [False, False, False]
    assert len(world.steps(None)) == len(world.messages()) == 3


def test_a_pass_that_dies_anywhere_is_made_good_by_the_next(world: DunningWorld, dun: Dun) -> None:
    world.to_day(REFUSED + timedelta(days=3))
    killed = 0
    for first in (2, 7, 12, 17):
        processes = [dun(first + offset) for offset in (0, 2)]
        killed += sum([was_killed(each) for each in processes])
    assert killed >= 5
    world.dun()
    db.session.expire_all()
    assert len(world.steps(None)) == len(world.messages()) == 3
    assert all(case.next_on == REFUSED + timedelta(days=7) for case in world.cases())


def test_clients_of_one_case_are_never_in_two(world: DunningWorld, dun: Dun) -> None:
    """Charges of one client that are refused at once open one case."""
    client_id = db.session.scalars(select(Subscription.client_id).limit(1)).one()
    assert len(world.cases()) == 3
    later = [world.subscribe(anchor=REFUSED + timedelta(days=1)) for _ in range(4)]
    db.session.execute(
        update(Subscription).where(Subscription.id.in_([each.id for each in later])).values(client_id=client_id)
    )
    db.session.commit()
    world.to_day(REFUSED + timedelta(days=1))
    world.run()
    world.deliver()
    assert len(world.cases()) == 3
    assert sum(case.client_id == client_id for case in world.cases()) == 1
