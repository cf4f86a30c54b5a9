"""Handling: what a shop said is kept if it is the latest word, and what is kept is brought to our rows.

Events of one resource that are claimed together are one transaction: the greatest word is kept and projected, the
others are passed over. Whatever it wakes is due at once. A worker that dies in between leaves a claim whose lease runs
out; doing it again changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceEvent, WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce import claiming, keeping, matching, projecting, pulls, reading, receiving
from webapp.services.woocommerce.claiming import LONG_WAIT, Claimed
from webapp.services.woocommerce.flags import STILL_WAITING
from webapp.services.woocommerce.keeping import Kept
from webapp.services.woocommerce.outcomes import Outcome
from webapp.services.woocommerce.reading import Deleted, Resource
from webapp.services.woocommerce.values import UnreadableError
from webapp.transactions import transaction

log = structlog.get_logger()

TURN = 1_000
"""Events that one job handles, about: what else waits in its queue gets a turn."""

OTHER_TOPIC = "Ce sujet n’est pas suivi."
PRUNED = "Son contenu a été effacé."
REPLACED = "Remplacée par une notification plus récente."
KNOWN = "Déjà connue\u202f: rien n’a changé."
OLDER = "Plus ancienne que ce qui est connu."
OF_ERASED = Outcome(EventState.IGNORED, matching.ERASED_HERE)
UNEXPECTED = "Erreur inattendue ({kind})\u202f: elle est dans le journal."
WAITS_LONG = "Attend depuis plus d’un jour\u202f: {sentence}"


def handle_due(organisation_id: UUID) -> int:
    """Handle the organisation's due events, and what they wake; returns how many were taken up."""
    queue.heard(receiving.JOB, organisation_id)
    taken = 0
    with tenancy.organisation(organisation_id):
        while taken < TURN and (claimed := claiming.claim(at=clock.now())):
            for group in _by_resource(claimed):
                handle(group, at=clock.now())
            taken += len(claimed)
        if taken >= TURN:
            claiming.ring(organisation_id)
    return taken


def _by_resource(claimed: Sequence[Claimed]) -> Iterator[list[Claimed]]:
    """What is about one resource, in the order in which the first of each was due; what names none, one by one."""
    places: dict[object, int] = {}
    for number, each in enumerate(claimed):
        places.setdefault(_resource_of(each), number)
    ordered = sorted(claimed, key=lambda each: places[_resource_of(each)])
    for _, group in groupby(ordered, key=_resource_of):
        yield list(group)


def _resource_of(claimed: Claimed) -> object:
    is_named = claimed.kind is not None and claimed.woo_id is not None
    return (claimed.shop_id, claimed.kind, claimed.woo_id) if is_named else claimed.id


def handle(claimed: Sequence[Claimed], *, at: datetime) -> None:
    """Handle claimed events of one resource; what fails unexpectedly is put off. Safe to repeat.

    Raises OperationalError or InterfaceError where the database is away: the sweep frees the claim.
    """
    try:
        with transaction():
            shop = _hold(claimed[0].shop_id)
            events = claiming.lock(claimed)
            _come_to_an_end(shop, [_Read(event, _read(shop, event)) for event in events], at=at)
    except Exception as error:
        if isinstance(error, InterfaceError) or (isinstance(error, OperationalError) and error.connection_invalidated):
            raise
        log.exception("shop_event_failed", event_id=str(claimed[0].id))
        claiming.put_off(claimed, UNEXPECTED.format(kind=type(error).__name__), at=clock.now())


def _hold(shop_id: UUID) -> WooCommerceShop:
    """The shop as it is set now, locked: whatever it says is handled by one at a time."""
    statement = select(WooCommerceShop).where(WooCommerceShop.id == shop_id).with_for_update(key_share=True)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


@dataclass(frozen=True, slots=True)
class _Read:
    """An event, and the word in it; or what becomes of it without one."""

    event: WooCommerceEvent
    said: Resource | Deleted | Outcome


def _read(shop: WooCommerceShop, event: WooCommerceEvent) -> Resource | Deleted | Outcome:
    body = event.body_in_clear()
    if event.kind is None:
        return Outcome(EventState.IGNORED, OTHER_TOPIC)
    if body is None:
        return Outcome(EventState.IGNORED, PRUNED)
    said = _word(shop, event.kind, body)
    if said == OF_ERASED:
        event.body = None
    return said


def _word(shop: WooCommerceShop, kind: ResourceKind, body: bytes) -> Resource | Deleted | Outcome:
    """What a body says, or what becomes of one that says nothing of use."""
    try:
        said = reading.read(kind, body, ZoneInfo(shop.timezone))
    except UnreadableError as error:
        return Outcome(EventState.FAILED, str(error))
    if isinstance(said, reading.Problem):
        return Outcome(EventState.FAILED if said.is_fault else EventState.IGNORED, said.sentence)
    if not isinstance(said, Deleted) and (reason := projecting.passed_over(said)):
        return Outcome(EventState.IGNORED, reason)
    return OF_ERASED if matching.is_of_erased(shop, said) else said


def _come_to_an_end(shop: WooCommerceShop, told: Sequence[_Read], *, at: datetime) -> None:
    """End every event: those without a word at once, the others with what their resource comes to."""
    for each in told:
        if isinstance(each.said, Outcome):
            claiming.end(each.event, each.said, at=at)
        else:
            each.event.woo_id = each.said.woo_id
    deletions = [each for each in told if isinstance(each.said, Deleted)]
    words = [(each.event, each.said) for each in told if isinstance(each.said, reading.Word)]
    words.sort(key=lambda each: each[1].standing)
    for event, _ in words[:-1]:
        claiming.end(event, Outcome(EventState.IGNORED, REPLACED), at=at)
    live = [_keep(shop, each.event, each.said, each.event.received_at) for each in deletions]  # type: ignore[arg-type]
    if words:
        event, word = words[-1]
        live.append(_keep(shop, event, word, max(each.received_at for each, _ in words)))
    _bring(shop, [event for event, kept in live if _is_over(event, kept, at=at)], at=at)


def _keep(
    shop: WooCommerceShop, event: WooCommerceEvent, word: Resource | Deleted, seen_at: datetime
) -> tuple[WooCommerceEvent, Kept]:
    return event, keeping.keep(shop, word, at=seen_at)


def _is_over(event: WooCommerceEvent, kept: Kept, *, at: datetime) -> bool:
    """Whether the event is to be projected; else it is ended. One that has been here before was kept by itself."""
    if kept is Kept.OLDER or (kept is Kept.SAME and event.reason is None):
        claiming.end(event, Outcome(EventState.IGNORED, OLDER if kept is Kept.OLDER else KNOWN), at=at)
        return False
    return True


def _bring(shop: WooCommerceShop, events: Sequence[WooCommerceEvent], *, at: datetime) -> None:
    """Project the resource of these events, end them, and wake what waited for it."""
    if not events:
        return
    kind, woo_id = events[0].kind, events[0].woo_id
    assert kind is not None and woo_id is not None  # noqa: S101, PT018  for mypy: they have a word
    outcome = projecting.project(shop, kind, woo_id, at=at)
    for event in events:
        claiming.end(event, outcome, at=at)
    pulls.ask_for(shop, outcome.waits_for)
    first = min(event.received_at for event in events)
    _note_long_wait(shop, kind, woo_id, outcome, is_long=at >= first + LONG_WAIT)
    db.session.flush()
    if outcome.state is not EventState.WAITING:
        claiming.wake(shop, kind, woo_id, but=[event.id for event in events], at=at)


def _note_long_wait(shop: WooCommerceShop, kind: ResourceKind, woo_id: int, outcome: Outcome, *, is_long: bool) -> None:
    """What waits for more than a day is put on the list to review, and taken off it once it waits no more."""
    is_waiting = outcome.state is EventState.WAITING and outcome.again_at is None
    if is_waiting and not is_long:
        return
    row = db.session.scalar(
        select(WooCommerceResource).where(
            WooCommerceResource.shop_id == shop.id,
            WooCommerceResource.kind == kind,
            WooCommerceResource.woo_id == woo_id,
        )
    )
    if row is None:
        return
    review = [each for each in row.review if each["code"] != STILL_WAITING]
    if is_waiting:
        review.append({"code": STILL_WAITING, "sentence": WAITS_LONG.format(sentence=outcome.sentence)})
    if review != row.review:
        row.review = review


def apply(shop: WooCommerceShop, kind: ResourceKind, body: bytes, *, at: datetime) -> Outcome:
    """Keep and project a resource that a pull has just read at ``at``; in the caller's transaction, where there is one.

    It becomes an event only where it failed or waits, so that it is seen and tried again. Bugs are raised.
    """
    with transaction():
        shop = _hold(shop.id)
        said = _word(shop, kind, body)
        if isinstance(said, Outcome):
            outcome, woo_id = said, None
        else:
            outcome, woo_id = _apply_word(shop, kind, said, at=at), said.woo_id
        if outcome.state in (EventState.WAITING, EventState.FAILED):
            claiming.keep_of_pull(shop, kind, woo_id, body, outcome, at=at)
    return outcome


def _apply_word(shop: WooCommerceShop, kind: ResourceKind, word: Resource | Deleted, *, at: datetime) -> Outcome:
    told = keeping.keep(shop, word, at=at, is_shown=True)
    if told is Kept.OLDER:
        return Outcome(EventState.IGNORED, OLDER)
    outcome = projecting.project(shop, kind, word.woo_id, at=at)
    _note_long_wait(shop, kind, word.woo_id, outcome, is_long=False)
    db.session.flush()
    pulls.ask_for(shop, outcome.waits_for)
    if outcome.state is not EventState.WAITING and claiming.wake(shop, kind, word.woo_id, at=at):
        claiming.ring(shop.organisation_id)
    return outcome
