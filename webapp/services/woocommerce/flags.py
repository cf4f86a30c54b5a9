"""What a person should look at: kept with each resource, so that « à revoir » is one query."""

from datetime import datetime
from typing import NamedTuple

from webapp import clock, french
from webapp.models.events import EventState
from webapp.models.subscriptions import Frequency, ShopPeriod
from webapp.models.woocommerce import ResourceKind, WooCommerceResource
from webapp.services.event_engine import Outcome
from webapp.services.woocommerce import cycles, rhythms, states
from webapp.services.woocommerce.reading import Customer, Order, Resource, Sale, Subscription

STILL_WAITING = "STILL_WAITING"
"""The code of what waits for more than a day; set by the engine of events, and left alone here."""


class Flag(NamedTuple):
    """Why: ``code`` for machines, ``sentence`` for people."""

    code: str
    sentence: str


DOUBLE = Flag(
    "MISMATCH", "L’e-mail de ce compte est déjà celui d’un autre client\u202f: deux fiches pour une personne."
)
REVIVED = Flag("MISMATCH", "La boutique l’a repris, alors qu’il est terminé ici\u202f: décidez ce qui vaut.")
ENDED_THERE = Flag("MISMATCH", "Il est terminé dans la boutique, alors que le CRM l’encaisse.")
PAID_THERE = Flag("MISMATCH", "Payé dans la boutique, alors que le CRM encaisse cet abonnement.")
OTHER_FREQUENCY = "{rhythm}\u202f: hors du revenu récurrent."
UNKNOWN_STATUS = "La boutique dit un état que nous ne connaissons pas\u202f: «\u00a0{status}\u00a0»."
MISSING = "Absent de la boutique depuis le {day}."
TRASHED = "À la corbeille de la boutique depuis le {day}."
ERASED = "Les données de cette personne ont été effacées dans la boutique."
PAID_THEN_CANCELED = "Annulée après paiement, sans remboursement."


def put(row: WooCommerceResource, word: Resource, more: list[Flag], *, at: datetime) -> None:
    """Set the row's flags as they stand: what holds no more is lifted, what a person has seen to stays so."""
    row.trashed_since = word.modified_at if word.status == states.TRASH else None
    is_erased = isinstance(word, Customer | Sale) and word.is_erased
    row.erased_at = (row.erased_at or at) if is_erased else None
    told = [each._asdict() for each in dict.fromkeys([*_of_row(row), *_of_word(word), *more])]
    closed = [each for each in row.review_closed or [] if each in told]
    kept = [each for each in row.review if each["code"] == STILL_WAITING]
    review = kept + [each for each in told if each not in closed]
    if row.review != review:
        row.review = review
    if (row.review_closed or []) != closed:
        row.review_closed = closed


def of_outcome(word: Resource, outcome: Outcome) -> list[Flag]:
    """Two candidates are to be told apart once: where the person is, not at all that hangs on it."""
    is_own = isinstance(word, Customer) or (isinstance(word, Sale) and not word.customer_id)
    is_undecided = outcome.state is EventState.WAITING and outcome.again_at is None
    if is_own and is_undecided and (outcome.waits_for or "").startswith("client:"):
        return [Flag("TWO_CANDIDATES", outcome.sentence or "")]
    return []


def _of_row(row: WooCommerceResource) -> list[Flag]:
    if row.missing_since is not None:
        return [Flag("MISSING", MISSING.format(day=_day(row.missing_since)))]
    if row.trashed_since is not None:
        return [Flag("MISSING", TRASHED.format(day=_day(row.trashed_since)))]
    return [Flag("ERASED", ERASED)] if row.erased_at is not None else []


def _day(instant: datetime) -> str:
    return french.day(instant.astimezone(clock.PARIS).date())


def _of_word(word: Resource) -> list[Flag]:
    told = []
    known = {ResourceKind.ORDER: states.KNOWN_ORDERS, ResourceKind.SUBSCRIPTION: states.KNOWN_SUBSCRIPTIONS}
    if word.status not in known.get(word.kind, {word.status}):
        told.append(Flag("UNKNOWN_STATUS", UNKNOWN_STATUS.format(status=word.status)))
    if isinstance(word, Order) and cycles.is_paid_then_canceled(word):
        told.append(Flag("PAID_THEN_CANCELED", PAID_THEN_CANCELED))
    if isinstance(word, Subscription) and _is_other(word):
        rhythm = ShopPeriod(word.period).every(word.interval)
        told.append(Flag("OTHER_FREQUENCY", OTHER_FREQUENCY.format(rhythm=rhythm)))
    return told


def _is_other(word: Subscription) -> bool:
    is_known = rhythms.is_known(word.period, word.interval)
    return is_known and rhythms.frequency_of(word.period, word.interval) is Frequency.OTHER
