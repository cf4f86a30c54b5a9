"""« Sans transporteur »: parcels that are brought or labelled by other means. They are ready at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from webapp.gateways.carriers.protocol import (
    Capabilities,
    LabelOutcome,
    LabelRequest,
    LabelState,
    Tracked,
    UnsupportedError,
)


class NoCarrier:
    """See LabelCarrier. It calls nobody, so asking twice makes nothing twice."""

    capabilities = Capabilities(
        honoured_key_age=timedelta(days=3650),
        longest_delay=timedelta(),
        calls_per_second=1000,
        finds=True,
        cancels=True,
    )

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        """See LabelCarrier."""
        return LabelOutcome(LabelState.LABELLED)

    def find_label(self, key: str) -> LabelOutcome:
        """See LabelCarrier."""
        return LabelOutcome(LabelState.LABELLED)

    def cancel(self, tracking_number: str) -> None:
        """See LabelCarrier. There is nothing to call off."""

    def track(self, tracking_numbers: Sequence[str]) -> Mapping[str, Tracked]:
        """See LabelCarrier."""
        raise UnsupportedError("without a carrier, tracking numbers are written by hand")

    def fault(self) -> None:
        """See LabelCarrier."""
