"""A pretend carrier, one that answers whatever a test wants, and a parcel for both."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from demo.carrier import Carrier
from tests import carrier
from tests.gateways.messaging.canned import Canned, running
from webapp.gateways.carriers.protocol import LabelRequest, Party

MakeRequest = Callable[..., LabelRequest]

SENDER = Party(
    name="Expéditions",
    company="Ventes du Nord",
    lines=("8 quai du Commerce",),
    postcode="59000",
    town="Lille",
    phone="+33320000000",
    email="colis@ventes.example",
)
RECIPIENT = Party(
    name="Léa Durand",
    lines=("12 bis rue de l’Église", "Bâtiment B"),
    postcode="69002",
    town="Lyon",
    phone="+33612345678",
    email="lea@example.com",
)


@pytest.fixture
def pretend() -> Iterator[tuple[Carrier, str]]:
    """The pretend carrier and its address."""
    with carrier.running() as running_carrier:
        yield running_carrier


@pytest.fixture
def canned() -> Iterator[Canned]:
    """A carrier that is spoken to by HTTP."""
    with running() as provider:
        yield provider


@pytest.fixture
def make_request() -> MakeRequest:
    """A parcel for Léa, with what the test says otherwise."""

    def make(**values: Any) -> LabelRequest:
        usual = {
            "reference": "L000012-0347",
            "sender": SENDER,
            "recipient": RECIPIENT,
            "weight_g": 850,
            "deposit_on": date(2026, 11, 20),
        }
        return LabelRequest(**usual | values)

    return make
