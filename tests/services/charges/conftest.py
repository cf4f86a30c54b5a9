"""A moved clock, a provider that keeps a ledger, and what tests of the engine look at."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests import factories
from tests.services.charges.ledger import Ledger
from tests.services.charges.world import World
from webapp import clock
from webapp.gateways.providers import protocol
from webapp.models.providers import Provider
from webapp.services.providers import accounts


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The provider behind every account."""
    found = Ledger(tmp_path / "provider.sqlite")

    def provider_for(
        kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta
    ) -> protocol.PaymentProvider:
        return found

    monkeypatch.setattr(accounts, "provider_for", provider_for)
    return found


@pytest.fixture
def world(organisation_id: UUID, ledger: Ledger) -> Iterator[World]:
    """An organisation with a provider account, in a transaction that is rolled back."""
    world = World(organisation_id, ledger, factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1))
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    yield world
    clock.start_at(None)
