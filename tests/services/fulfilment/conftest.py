"""The world of the charge engine, with fulfilment in it."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import pytest

from tests import factories
from tests.services.charges.conftest import ledger as ledger  # noqa: PLC0414  the fixture
from tests.services.charges.ledger import Ledger
from tests.services.fulfilment.world import FulfilmentWorld
from webapp import clock


@pytest.fixture
def world(organisation_id: UUID, ledger: Ledger) -> Iterator[FulfilmentWorld]:
    """An organisation with a provider account, in a transaction that is rolled back; a Saturday morning in Paris."""
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
    world = FulfilmentWorld(organisation_id, ledger, account)
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    yield world
    clock.start_at(None)


@pytest.fixture
def locked(filled: FulfilmentWorld) -> FulfilmentWorld:
    """A locked batch whose lines, those that the test filled it with, are to be prepared."""
    filled.to_cut_off()
    filled.lock()
    return filled
