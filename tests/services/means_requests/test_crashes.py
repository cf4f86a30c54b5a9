"""kill -9 of real processes at every point of a set-up: nothing is paid or kept twice, and nothing is forgotten."""

import random
from collections.abc import Iterator

import pytest

from demo.payment_bank import Bank
from tests import factories
from tests.gateways.providers.conftest import SECRET, bank
from tests.services.means_requests.setup_loop import (
    MortalSandbox,
    SetupToll,
    ask_clients,
    crash_setups,
    recover,
    toll,
)
from webapp import tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.providers import registry

__all__ = ["bank"]


@pytest.fixture
def collecting(committed: None, bank: Bank, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    """An organisation whose rows are really committed, and its provider."""
    monkeypatch.setattr(registry, "Sandbox", MortalSandbox)
    registry.use(settings.model_copy(update={"payment_sandbox_url": bank.url, "payment_sandbox_secret": SECRET}))
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    db.session.commit()
    yield bank
    registry.close()
    registry.use(settings)


def test_killed_processes_lose_and_double_nothing(collecting: Bank) -> None:
    organisation_id = tenancy.current_organisation_id()
    tokens = ask_clients(30)
    kills = crash_setups(organisation_id, collecting, tokens, random.Random(2026))
    recover(organisation_id, tokens)
    assert toll(organisation_id, collecting, kills) == SetupToll(kills, doubles=0, lost=0)
    assert kills >= 25, "most of the fatal points are reached"
