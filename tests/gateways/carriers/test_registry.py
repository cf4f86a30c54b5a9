"""Which carriers there are, and what goes without one."""

from datetime import timedelta

import pytest

from demo.carrier import Carrier as Pretend
from tests.gateways.carriers.conftest import MakeRequest
from webapp.config import Settings
from webapp.gateways.carriers import registry
from webapp.gateways.carriers.protocol import CarrierRejectedError, LabelCarrier, LabelState, UnsupportedError
from webapp.models.carriers import Carrier


def open_carrier(kind: Carrier) -> LabelCarrier:
    return registry.carrier_for(kind, {}, service="standard", longest_delay=timedelta(seconds=5))


def test_the_sandbox_is_offered_where_the_environment_names_it(
    pretend: tuple[Pretend, str], settings: Settings, make_request: MakeRequest
) -> None:
    assert not registry.is_offered(Carrier.SANDBOX)
    with pytest.raises(CarrierRejectedError, match="CARRIER_SANDBOX_URL"):
        open_carrier(Carrier.SANDBOX)
    registry.use(settings.model_copy(update={"carrier_sandbox_url": pretend[1]}))
    try:
        assert registry.is_offered(Carrier.SANDBOX)
        carrier = open_carrier(Carrier.SANDBOX)
        assert carrier is open_carrier(Carrier.SANDBOX)
        assert carrier.capabilities.longest_delay == timedelta(seconds=5)
        assert carrier.create_label(make_request(), "key-1").state is LabelState.LABELLED
    finally:
        registry.close()
        registry.use(settings)


def test_what_goes_without_a_carrier_is_ready_at_once(make_request: MakeRequest) -> None:
    assert registry.is_offered(Carrier.NONE)
    carrier = open_carrier(Carrier.NONE)
    made = carrier.create_label(make_request(), "key-1")
    assert (made.state, made.tracking_number, made.label) == (LabelState.LABELLED, None, None)
    assert carrier.find_label("key-1") == made
    assert carrier.fault() is None
    carrier.cancel("")
    with pytest.raises(UnsupportedError):
        carrier.track(["A"])
    assert carrier.capabilities.tracked_at_once == 0
