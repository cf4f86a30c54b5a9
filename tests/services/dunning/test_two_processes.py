"""A payment and a step at the same instant, a process that dies at any point: nobody is asked twice, or for nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import TextClause, select, text, update

from tests import factories
from tests.services.charges.ledger import Ledger
from tests.services.dunning.world import DunningWorld
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.charges import decisions
from webapp.transactions import transaction

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
def dun(world: DunningWorld, settings: Settings) -> "Dun":
    """Start a pass of dunning in a process of its own."""
    return Dun(settings, world.organisation_id)


class Dun:
    """Passes of dunning in processes of their own."""

    def __init__(self, settings: Settings, organisation_id: UUID) -> None:
        self._settings, self._organisation_id = settings, organisation_id

    def __call__(self, fatal: int = -1) -> "subprocess.Popen[bytes]":
        """Start one that dies before its statement numbered ``fatal``."""
        settings = self._settings
        environment = {
            **os.environ,
            "CRM_ENV": "test",
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": settings.secret_key,
            "CRM_DATA_KEYS": settings.crm_data_keys,
            "OIDC_ISSUER": settings.oidc_issuer,
            "OIDC_CLIENT_SECRET": settings.oidc_client_secret,
            "WINLEADPLUS_CLIENT_SECRET": settings.winleadplus_client_secret,
            "EXTERNAL_API_URL": settings.external_api_url,
        }
        command = [sys.executable, "-m", "tests.services.dunning.dying"]
        values = [str(self._organisation_id), clock.now().isoformat(), str(fatal)]
        return subprocess.Popen([*command, *values], env=environment)


def _wait_for_lock() -> None:
    """Until another connection waits for a row that ours holds."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 60
    while not _ask(waiting):
        if time.monotonic() > deadline:
            raise AssertionError("nobody waits for the payment")
        time.sleep(0.05)


def _ask(statement: TextClause) -> int:
    """On a connection of its own: within a transaction what others do stands still."""
    with db.engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


def test_a_step_that_waited_for_a_payment_is_not_carried_out(world: DunningWorld, dun: Dun) -> None:
    admin: User = factories.UserFactory(roles=["admin"])
    db.session.commit()
    world.to_day(REFUSED + timedelta(days=3))
    charge_id = world.charges()[0].id
    with transaction():
        decisions.mark_paid(charge_id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=admin, at=clock.now())
        process = dun()
        _wait_for_lock()  # the engine has chosen its cases, and waits for ours
    assert process.wait(60) == 0
    db.session.expire_all()
    statuses = {claim.charge_id: claim.outcome for claim in world.claims()}
    assert statuses[charge_id] is not None
    assert len(world.steps()) == 2
    assert {message.subject_id for message in world.messages()} == {
        case.id for case in world.cases() if case.status is CaseStatus.OPEN
    }


def test_two_passes_at_once_carry_each_step_out_once(world: DunningWorld, dun: Dun) -> None:
    world.to_day(REFUSED + timedelta(days=3))
    processes = [dun(), dun(), dun()]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(world.steps(None)) == len(world.messages()) == 3


def test_a_pass_that_dies_anywhere_is_made_good_by_the_next(world: DunningWorld, dun: Dun) -> None:
    world.to_day(REFUSED + timedelta(days=3))
    killed = 0
    for first in (2, 7, 12, 17):
        processes = [dun(first + offset) for offset in (0, 2)]
        killed += sum(process.wait(60) == -9 for process in processes)
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
