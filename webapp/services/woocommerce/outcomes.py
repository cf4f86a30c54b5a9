"""What came of a resource: the end of handling it, or what it waits for."""

from dataclasses import dataclass
from datetime import datetime

from webapp.models.woocommerce import EventState


@dataclass(frozen=True, slots=True)
class Outcome:
    """``state`` is DONE, IGNORED, WAITING or FAILED; ``sentence`` says why, in French, in all but the first.

    ``waits_for`` names what must come first (``subscription:282``, ``client:17``); ``again_at`` is when to look once
    more though nothing has come.
    """

    state: EventState
    sentence: str | None = None
    waits_for: str | None = None
    again_at: datetime | None = None


DONE = Outcome(EventState.DONE)
NO_CURRENCY = "devise inconnue"
"""Of a sale that names none, in sentences."""


class HeldUpError(Exception):
    """A report cannot go on, for a reason of the shop's: ``outcome`` says which. What was written until then stands."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.sentence)
        self.outcome = outcome


def ignored(sentence: str) -> HeldUpError:
    """Nothing is to be done."""
    return HeldUpError(Outcome(EventState.IGNORED, sentence))


def failed(sentence: str) -> HeldUpError:
    """A person must do something."""
    return HeldUpError(Outcome(EventState.FAILED, sentence))


def waiting(sentence: str, waits_for: str, *, again_at: datetime | None = None) -> HeldUpError:
    """Something must come first."""
    return HeldUpError(Outcome(EventState.WAITING, sentence, waits_for, again_at))
