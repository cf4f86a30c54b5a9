"""Reports of a shop that cannot go on, with what came of them."""

from datetime import datetime

from webapp.models.events import EventState
from webapp.services.event_engine import Outcome

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
