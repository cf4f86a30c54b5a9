"""Handling: what a shop said is kept if it is the latest word, and what is kept is brought to our rows.

Events of one shop that are claimed together are one transaction: of each resource the greatest word is kept, the
others are passed over; then all that is kept is projected, and what resources have in common only once. What fails
together is handled by halves, until what fails is alone. Whatever it wakes is due at once. A worker that dies in
between leaves a claim whose lease runs out; doing it again changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services import event_engine
from webapp.services.event_engine import LONG_WAIT, UNEXPECTED, Outcome
from webapp.services.woocommerce import claiming, keeping, projecting, pulls, reading, receiving
from webapp.services.woocommerce.claiming import Claimed
from webapp.services.woocommerce.erased import ERASED_HERE, find_erased
from webapp.services.woocommerce.flags import STILL_WAITING
from webapp.services.woocommerce.keeping import Kept
from webapp.services.woocommerce.kept import Name, Words
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
OF_ERASED = Outcome(EventState.IGNORED, ERASED_HERE)
WAITS_LONG = "Attend depuis plus d’un jour\u202f: {sentence}"


def handle_due(organisation_id: UUID) -> int:
    """Handle the organisation's due events, and what they wake; returns how many were taken up."""
    queue.heard(receiving.JOB, organisation_id)
    taken = 0
    with tenancy.organisation(organisation_id):
        while taken < TURN and (claimed := claiming.claim(at=clock.now())):
            for of_shop in _grouped(claimed, lambda each: each.shop_id):
                handle(of_shop, at=clock.now())
            taken += len(claimed)
        if taken >= TURN:
            claiming.ENGINE.ring(organisation_id)
    return taken


def _grouped(claimed: Sequence[Claimed], key: Callable[[Claimed], object]) -> list[list[Claimed]]:
    """What has one key, in the order in which the first of each was due."""
    groups: dict[object, list[Claimed]] = {}
    for each in claimed:
        groups.setdefault(key(each), []).append(each)
    return list(groups.values())


def _resource_of(claimed: Claimed) -> object:
    """What names none is by itself."""
    is_named = claimed.kind is not None and claimed.woo_id is not None
    return (claimed.shop_id, claimed.kind, claimed.woo_id) if is_named else claimed.id


def handle(claimed: Sequence[Claimed], *, at: datetime) -> None:
    """Handle claimed events of one shop: together, or, where that fails, one half of its resources after the other.

    Safe to repeat. A resource that fails unexpectedly by itself is put off. Raises OperationalError or InterfaceError
    where the database is away: the sweep frees the claim.
    """
    try:
        with transaction():
            shop = _hold(claimed[0].shop_id)
            told = [_Read(each, _read(shop, each)) for each in claiming.ENGINE.lock(claimed)]
            _come_to_an_end(shop, _but_erased(shop, told), at=at)
    except Exception as error:
        if event_engine.is_database_away(error):
            raise
        resources = _grouped(claimed, _resource_of)
        if len(resources) > 1:
            log.warning("shop_events_failed_together", count=len(claimed), exc_type=type(error).__name__)
            middle = len(resources) // 2
            for half in (resources[:middle], resources[middle:]):
                handle([each for of_resource in half for each in of_resource], at=clock.now())
            return
        log.exception("shop_event_failed", event_id=str(claimed[0].id))
        claiming.ENGINE.put_off(claimed, UNEXPECTED.format(kind=type(error).__name__), at=clock.now())


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
    return _word(shop, event.kind, body)


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
    return said


def _but_erased(shop: WooCommerceShop, told: Sequence[_Read]) -> list[_Read]:
    """The same, but nothing is said of whoever was erased here, and their events lose their bodies."""
    erased = find_erased(shop, (each.said for each in told))
    rest, forgotten = [], []
    for each in told:
        if not isinstance(each.said, Outcome) and (each.said.kind, each.said.woo_id) in erased:
            forgotten.append(each.event)
            rest.append(_Read(each.event, OF_ERASED))
        else:
            rest.append(each)
    claiming.ENGINE.forget(forgotten)
    return rest


def _come_to_an_end(shop: WooCommerceShop, told: Sequence[_Read], *, at: datetime) -> None:
    """End every event: those without a word at once, the others with what their resource comes to."""
    named: dict[Name, list[_Read]] = {}
    for each in told:
        if isinstance(each.said, Outcome):
            event_engine.end(each.event, each.said, at=at)
        else:
            each.event.woo_id = each.said.woo_id
            named.setdefault((each.said.kind, each.said.woo_id), []).append(each)
    words = Words.load(shop, told=[each.said for each in told if not isinstance(each.said, Outcome)])
    kept = {name: _keep(words, of_resource, at=at) for name, of_resource in named.items()}
    awake = _bring(words, {name: events for name, events in kept.items() if events}, at=at)
    events = [each.event for each in told]
    if events:
        claiming.ENGINE.write_ends(events)
    if awake:
        claiming.wake(shop, awake, but=[event.id for event in events], at=at)


def _keep(words: Words, told: Sequence[_Read], *, at: datetime) -> list[WooCommerceEvent]:
    """Keep what is said of a resource; the events to be projected, since the others are ended."""
    said = [(each.event, each.said) for each in told if isinstance(each.said, reading.Word)]
    said.sort(key=lambda each: each[1].standing)
    for event, _ in said[:-1]:
        event_engine.end(event, Outcome(EventState.IGNORED, REPLACED), at=at)
    seen_at = max((event.received_at for event, _ in said), default=at)
    greatest = [(event, word, seen_at) for event, word in said[-1:]]
    deletions = [(each.event, each.said, each.event.received_at) for each in told if isinstance(each.said, Deleted)]
    return [
        event
        for event, word, seen in [*deletions, *greatest]
        if _is_over(event, keeping.keep(words, word, at=seen), at=at)
    ]


def _is_over(event: WooCommerceEvent, kept: Kept, *, at: datetime) -> bool:
    """Whether the event is to be projected; else it is ended. One that has been here before was kept by itself."""
    if kept is Kept.OLDER or (kept is Kept.SAME and event.reason is None):
        event_engine.end(event, Outcome(EventState.IGNORED, OLDER if kept is Kept.OLDER else KNOWN), at=at)
        return False
    return True


def _bring(words: Words, events: Mapping[Name, Sequence[WooCommerceEvent]], *, at: datetime) -> list[Name]:
    """Project the resources of these events, and end them; those resources that wait for nothing."""
    if not events:
        return []
    outcomes = projecting.project_all(words, events, at=at)
    for name, of_resource in events.items():
        for event in of_resource:
            event_engine.end(event, outcomes[name], at=at)
        first = min(event.received_at for event in of_resource)
        _note_long_wait(words, name, outcomes[name], is_long=at >= first + LONG_WAIT)
        pulls.ask_for(words.shop, outcomes[name].waits_for)
    db.session.flush()
    return [name for name, outcome in outcomes.items() if outcome.state is not EventState.WAITING]


def _note_long_wait(words: Words, name: Name, outcome: Outcome, *, is_long: bool) -> None:
    """What waits for more than a day is put on the list to review, and taken off it once it waits no more."""
    is_waiting = outcome.state is EventState.WAITING and outcome.again_at is None
    row = words.row(name)
    if row is None or (is_waiting and not is_long):
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
        elif find_erased(shop, [said]):
            outcome, woo_id = OF_ERASED, None
        else:
            outcome, woo_id = _apply_word(shop, kind, said, at=at), said.woo_id
        if outcome.state in (EventState.WAITING, EventState.FAILED):
            claiming.keep_of_pull(shop, kind, woo_id, body, outcome, at=at)
    return outcome


def _apply_word(shop: WooCommerceShop, kind: ResourceKind, word: Resource | Deleted, *, at: datetime) -> Outcome:
    words, name = Words.load(shop, told=[word]), (kind, word.woo_id)
    if keeping.keep(words, word, at=at, is_shown=True) is Kept.OLDER:
        return Outcome(EventState.IGNORED, OLDER)
    outcome = projecting.project_all(words, [name], at=at)[name]
    _note_long_wait(words, name, outcome, is_long=False)
    db.session.flush()
    pulls.ask_for(shop, outcome.waits_for)
    if outcome.state is not EventState.WAITING and claiming.wake(shop, [name], at=at):
        claiming.ENGINE.ring(shop.organisation_id)
    return outcome
