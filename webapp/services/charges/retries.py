"""When a refused charge is tried again, and when a result that nobody knows is looked up again."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from webapp.models.charges import Charge, ChargeAttempt, ChargeStatus, Refund, RefusalClass
from webapp.services.subscriptions import scheduling

SOFT_DAYS = (3, 5, 7)
"""Days after the first refusal, by the calendar where the subscription lives."""
TECHNICAL_WAITS = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""After the first, second and third attempt; a fault that lasts longer waits like a soft refusal."""

UNKNOWN_PATIENCE = timedelta(hours=1)
AUTHENTICATION_PATIENCE = timedelta(days=7)
PROCESSING_PATIENCE = timedelta(days=15)
"""How long each may last before it is on the list for a person."""

LOOKED_UP_FOR = timedelta(days=60)
"""After that only a person, or the provider's word, moves it: a SEPA return comes within eight weeks."""
_LOOKS = (  # while the last sending is younger than the first, look again after the second
    (timedelta(minutes=5), timedelta(seconds=30)),
    (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(days=1), timedelta(hours=1)),
    (LOOKED_UP_FOR, timedelta(days=1)),
)


def next_attempt(charge: Charge, refusal: RefusalClass, *, timezone: str, at: datetime) -> datetime | None:
    """When a refused charge is tried again; None where only a person may. ``first_refused_at`` is set."""
    if refusal in (RefusalClass.HARD, RefusalClass.AUTHENTICATION):
        return None
    if refusal is RefusalClass.TECHNICAL and charge.attempts_count <= len(TECHNICAL_WAITS):
        return at + TECHNICAL_WAITS[charge.attempts_count - 1]
    first = (charge.first_refused_at or at).astimezone(ZoneInfo(timezone))
    days = (scheduling.instant_of(first.date() + timedelta(days=day), first.time(), timezone) for day in SOFT_DAYS)
    return next((day for day in days if day > at), None)


def next_look(attempt: ChargeAttempt | Refund, *, at: datetime) -> datetime | None:
    """When a payment or refund under way is looked up again: soon at first, daily in the end, and at last no more."""
    age = at - (attempt.last_sent_at or at)
    return next((at + wait for limit, wait in _LOOKS if age < limit), None)


def is_overdue(charge: Charge, attempt: ChargeAttempt, *, at: datetime) -> bool:
    """Whether it has stood where it stands for so long that a person should know."""
    patience = {
        ChargeStatus.UNKNOWN: UNKNOWN_PATIENCE,
        ChargeStatus.AUTHENTICATING: AUTHENTICATION_PATIENCE,
        ChargeStatus.PROCESSING: PROCESSING_PATIENCE,
    }[charge.status]
    return at - (attempt.first_sent_at or at) >= patience
