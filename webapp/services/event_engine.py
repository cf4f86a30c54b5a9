"""How events are worked on (models/events.py): claims with lease and fence, ends, retries, what was forgotten, pruning.

Whatever is claimed is tried until something comes of it: what fails is tried eight times, ever more seldom, then a
person decides. A worker that dies leaves a claim whose lease runs out; the sweep frees it. While the database is away
nothing is put off. Everything here is safe to repeat, in any number of workers.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    any_,
    bindparam,
    case,
    literal,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import InstrumentedAttribute, undefer

from webapp import clock, french, queue, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.events import Event, EventState, ReceivedEvent
from webapp.models.identity import User
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()

BATCH = 200
"""Events that are claimed at once."""
LEASE = timedelta(minutes=3)
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 180, 600, 1200, 2400, 3600))
"""How long after each failure in a row an event is tried again; after the last one, a person decides."""
PATIENCE = timedelta(seconds=10)
"""How long an event may be due before the sweep thinks that its bell was not heard."""
BODIES_KEPT = timedelta(days=90)
PRUNED_AT_ONCE = 2_000
LONG_WAIT = timedelta(days=1)
"""After so long, what waits for something that does not come is to be reviewed."""
BROKEN_OFF = "Le traitement s’est interrompu neuf fois de suite."
UNEXPECTED = "Erreur inattendue ({kind})\u202f: elle est dans le journal."
NO_EVENT = "Cet événement n’existe pas ou plus."
DECIDABLE = (EventState.WAITING, EventState.FAILED)
AFRESH = {"state": EventState.RECEIVED, "attempts": 0}
"""What an event is like that is taken up once more. Its reason stays: it tells that it has been looked at before."""

Row = TypeVar("Row", bound=Event)


class EventStateError(DomainError):
    """The event neither failed nor waits: nothing is to be decided."""


class Claimed(NamedTuple):
    """An event that is ours while its fence is ``fence``; ``about`` are the columns that the engine gives besides."""

    id: UUID
    fence: int
    attempts: int
    about: tuple[Any, ...] = ()


class IsClaimed(Protocol):
    """What is claimed, as its own domain names it."""

    @property
    def id(self) -> UUID:
        """The event's."""

    @property
    def fence(self) -> int:
        """That of the claim."""

    @property
    def attempts(self) -> int:
        """With this one."""


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


class Engine(Generic[Row]):
    """Works on the events of ``table``: ``job`` is rung on ``queue`` with the id of the organisation.

    ``about`` are columns that a claim gives besides; ``told`` those that handling may set besides what came of it;
    ``batch`` how many are claimed at once, which all have to be handled while the lease lasts.
    """

    def __init__(
        self,
        table: type[Row],
        *,
        job: str,
        on: str = "webhooks",
        about: tuple[str, ...] = (),
        told: tuple[str, ...] = (),
        batch: int = BATCH,
    ) -> None:
        self.table, self.job, self.queue, self.batch = table, job, on, batch
        self._about = [getattr(table, name) for name in about]
        columns = table.__table__.c  # type: ignore[attr-defined]
        self._ended = (
            "state",
            "reason",
            "lease_until",
            "waits_for",
            "next_attempt_at",
            "attempts",
            "handled_at",
            *told,
        )
        self._end = (
            update(table.__table__)  # type: ignore[attr-defined]
            .where(columns.organisation_id == bindparam("its_organisation"), columns.id == bindparam("its_id"))
            .values({name: bindparam(name) for name in self._ended})
        )

    def claim(self, *, at: datetime) -> Sequence[Claimed]:
        """Take the organisation's events that are due, the longest due first; what waits until now is received again.

        One that was tried before is taken alone: it may be what ends its worker, and would take others with it.
        """
        table = self.table
        with transaction():
            due = (
                select(table.id, table.attempts, table.state)
                .where(
                    table.next_attempt_at <= at,
                    table.state.in_((EventState.RECEIVED, EventState.WAITING)),
                )
                .order_by(table.next_attempt_at, table.id)
                .limit(self.batch)
                .with_for_update(skip_locked=True)
            )
            found = db.session.execute(due).all()
            if not found:
                return []
            taking = found[:1] if found[0].attempts else [each for each in found if not each.attempts]
            ids = [each.id for each in taking]
            if any(each.state is EventState.WAITING for each in taking):
                self.set(self._is_one_of(ids), table.state == EventState.WAITING, state=EventState.RECEIVED)
            taken = db.session.execute(
                update(table)
                .where(self._is_one_of(ids), table.state == EventState.RECEIVED)
                .values(
                    state=EventState.PROCESSING,
                    lease_until=at + LEASE,
                    fence=table.fence + 1,
                    attempts=table.attempts + 1,
                )
                .returning(table.id, table.fence, table.attempts, *self._about)
                .execution_options(synchronize_session=False)
            ).all()
        place = {event_id: number for number, event_id in enumerate(ids)}
        claimed = [Claimed(row[0], row[1], row[2], tuple(row[3:])) for row in taken]
        return sorted(claimed, key=lambda each: place[each.id])

    def _is_one_of(self, ids: Iterable[UUID]) -> ColumnElement[bool]:
        """As ``in_``, by one parameter: the statement is the same however many there are."""
        return self.table.id == any_(literal(list(ids), ARRAY(Uuid)))

    def lock(self, claimed: Sequence[IsClaimed]) -> list[Row]:
        """Those of the claimed events that are still ours, with their bodies, the oldest first.

        They belong to no session: ``write_ends`` writes what came of them.
        """
        fences = {each.id: each.fence for each in claimed}
        statement = (
            select(self.table)
            .where(self._is_one_of(fences), self.table.state == EventState.PROCESSING)
            .order_by(self.table.received_at, self.table.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if issubclass(self.table, ReceivedEvent):
            statement = statement.options(undefer(self.table.body))
        rows = db.session.scalars(statement).all()
        for row in rows:
            db.session.expunge(row)
        return [row for row in rows if row.fence == fences[row.id]]

    def write_ends(self, events: Sequence[Row]) -> None:
        """Write what came of locked events, all at once."""
        rows = [
            {"its_organisation": event.organisation_id, "its_id": event.id}
            | {name: getattr(event, name) for name in self._ended}
            for event in events
        ]
        db.session.connection().execute(self._end, rows)

    def forget(self, events: Sequence[Row]) -> None:
        """Drop the bodies of locked events."""
        if events:
            self.set(self._is_one_of([event.id for event in events]), body=None)

    def put_off(self, claimed: Sequence[IsClaimed], reason: str, *, at: datetime) -> None:
        """Something failed that may pass: try again later, the more seldom the more often it failed."""
        with transaction():
            for each in claimed:
                may_retry = each.attempts <= len(RETRIES)
                self.set(
                    self.table.id == each.id,
                    self.table.fence == each.fence,
                    self.table.state == EventState.PROCESSING,
                    state=EventState.RECEIVED if may_retry else EventState.FAILED,
                    next_attempt_at=at + RETRIES[each.attempts - 1] if may_retry else None,
                    reason=reason,
                    lease_until=None,
                )

    def attempt(
        self,
        claimed: IsClaimed,
        work: Callable[[], Outcome | None],
        *,
        passing: tuple[type[DomainError], ...] = (),
        name: Callable[[Row], None] | None = None,
    ) -> None:
        """Do what a claimed event asks for; ``work`` says what came of it, or None where it has ended it itself.

        A refusal is final, and ``name`` says in the event what it was about; what is ``passing``, and bugs, are put
        off. Raises OperationalError or InterfaceError where the database is away.
        """
        try:
            outcome = work()
        except passing as error:
            db.session.rollback()
            self.put_off([claimed], error.message, at=clock.now())
            return
        except DomainError as error:
            db.session.rollback()
            outcome = Outcome(EventState.FAILED, error.message)
        except Exception as error:
            db.session.rollback()
            if is_database_away(error):
                raise
            log.exception("event_failed", event_id=str(claimed.id), job=self.job)
            self.put_off([claimed], UNEXPECTED.format(kind=type(error).__name__), at=clock.now())
            return
        if outcome is not None:
            self.conclude(claimed, partial(_told, outcome, name))

    def conclude(self, claimed: IsClaimed, work: Callable[[Row], Outcome]) -> None:
        """Do what changes rows of ours, and say what came of it, in one transaction; else nothing."""
        with transaction():
            for event in self.lock([claimed]):
                at = clock.now()
                end(event, work(event), at=at)
                self.write_ends([event])

    def wake(self, *which: ColumnElement[bool], at: datetime) -> int:
        """Take up what waits or failed; in the transaction in which what it waited for came. Returns how many."""
        return self.set(
            *which, self.table.state.in_(DECIDABLE), state=EventState.RECEIVED, next_attempt_at=at, attempts=0
        )

    def ring(self, organisation_id: UUID) -> None:
        """Have due events handled once the transaction has committed."""
        queue.enqueue_once_after_commit(self.job, organisation_id, on=self.queue)

    def sweep(self, *, at: datetime) -> int:
        """Free what somebody claimed and never ended, and ring where events are due; returns how many organisations."""
        table = self.table
        gives_up = table.attempts > len(RETRIES)
        with tenancy.across_organisations(), transaction():
            self.set(
                table.state == EventState.PROCESSING,
                table.lease_until < at,
                state=case((gives_up, EventState.FAILED), else_=EventState.RECEIVED),
                next_attempt_at=case((gives_up, null()), else_=at),
                reason=case((gives_up, BROKEN_OFF), else_=table.reason),
                lease_until=None,
            )
            waiting = db.session.scalars(
                select(table.organisation_id)
                .where(
                    table.state.in_((EventState.RECEIVED, EventState.WAITING)),
                    table.next_attempt_at <= at - PATIENCE,
                )
                .distinct()
            ).all()
        for organisation_id in waiting:
            self.ring(organisation_id)
        return len(waiting)

    def prune(self, *, at: datetime) -> int:
        """Empty some bodies that were handled long ago; returns how many. The rest goes with the next ticks."""
        table: Any = self.table
        with tenancy.across_organisations(), transaction():
            old = (
                select(table.organisation_id, table.id)
                .where(table.handled_at < at - BODIES_KEPT, table.body.is_not(None))
                .order_by(table.handled_at)
                .limit(PRUNED_AT_ONCE)
                .with_for_update(skip_locked=True)
            )
            keys = [(row.organisation_id, row.id) for row in db.session.execute(old)]
            return self.set(tuple_(table.organisation_id, table.id).in_(keys), body=None)

    def retry(self, event_id: UUID, *, at: datetime) -> None:
        """Have an event handled once more, now. Raises NotFoundError, EventStateError."""
        with transaction():
            event = self.find_decidable(event_id)
            for name, value in AFRESH.items():
                setattr(event, name, value)
            event.next_attempt_at = at
            self.ring(event.organisation_id)

    def retry_all(self, *which: ColumnElement[bool], at: datetime) -> int:
        """Have every event that failed or waits handled once more; returns how many."""
        with transaction():
            number = self.set(*which, self.table.state.in_(DECIDABLE), **AFRESH, next_attempt_at=at)
            self.ring(current_organisation_id())
            return number

    def find_decidable(self, event_id: UUID) -> Row:
        """The event, locked. Raises NotFoundError, EventStateError."""
        event = db.session.scalar(
            select(self.table)
            .where(self.table.id == event_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if event is None:
            raise NotFoundError(NO_EVENT)
        if event.state not in DECIDABLE:
            raise EventStateError("Cet événement n’est ni en échec ni en attente\u202f: il n’y a rien à décider.")
        return event

    def set(self, *which: ColumnElement[bool], **values: Any) -> int:
        """Update events set-based; returns how many."""
        statement = update(self.table).where(*which).values(values)
        result = db.session.execute(statement.execution_options(synchronize_session=False))
        return int(result.rowcount)  # type: ignore[attr-defined]


def _told(outcome: Outcome, name: Callable[[Row], None] | None, event: Row) -> Outcome:
    if name is not None:
        name(event)
    return outcome


def end(event: Event, outcome: Outcome, *, at: datetime) -> None:
    """Say in an event that we hold what came of it, at ``at``."""
    event.state, event.reason, event.lease_until = outcome.state, outcome.sentence, None
    event.waits_for, event.next_attempt_at = None, None
    if outcome.state is EventState.WAITING:
        event.attempts = 0
        event.waits_for = outcome.waits_for
        late_at = event.received_at + LONG_WAIT
        event.next_attempt_at = outcome.again_at or (late_at if at < late_at else None)
    elif outcome.state is not EventState.FAILED:
        event.handled_at = at


def close(events: Collection[Event], *, by: User, at: datetime) -> None:
    """A person has seen to events that failed or wait: they are IGNORED, and say by whom."""
    for event in events:
        event.state, event.waits_for, event.next_attempt_at, event.handled_at = EventState.IGNORED, None, None, at
        event.reason = f"Classé par {by.full_name} le {french.moment(at)}. Avant\u202f: {event.reason}"


def is_database_away(error: Exception) -> bool:
    """Whether nothing is to be put off: the claim's lease runs out, and the sweep frees it."""
    return isinstance(error, InterfaceError) or (isinstance(error, OperationalError) and error.connection_invalidated)


def state_is(column: InstrumentedAttribute[EventState], state: EventState | None) -> list[ColumnElement[bool]]:
    """What narrows a list of events to a state, where one is asked for."""
    # The value itself: a bound parameter would not be recognised as the partial index's in a generic plan.
    return [] if state is None else [column == literal_column(f"'{state.value}'")]
