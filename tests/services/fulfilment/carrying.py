"""The pretend carrier behind the sandbox's accounts."""

from collections.abc import Iterator

import pytest

from demo.carrier import Carrier
from tests import carrier
from webapp.config import Settings
from webapp.gateways.carriers import registry


@pytest.fixture
def pretend(settings: Settings) -> Iterator[Carrier]:
    """A carrier that carries nothing, and is called by whoever has an account with the sandbox."""
    with carrier.running() as (running, url):
        registry.use(settings.model_copy(update={"carrier_sandbox_url": url}))
        yield running
        registry.close()
        registry.use(settings)
