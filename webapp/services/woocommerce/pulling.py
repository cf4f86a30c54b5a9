"""A pull from its claim to its end: list after list, page after page, through the same path as deliveries.

A page commits with its cursor; one with much news in several parts, the cursor with the last, so that deliveries need
not wait for long. What is kept already, word for word, costs its reading and a share of one query. A resource that
cannot be reported is seen among the events, and stops nothing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import orjson
import psycopg
import structlog
from sqlalchemy import ARRAY, BigInteger, any_, cast, or_, select, update
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.french import counted
from webapp.gateways import woocommerce
from webapp.gateways.woocommerce import PER_PAGE, Connection
from webapp.models.events import EventState
from webapp.models.runs import RunStatus
from webapp.models.woocommerce import (
    LARGEST_ID,
    PullScope,
    ResourceKind,
    WooCommercePull,
    WooCommerceResource,
    WooCommerceShop,
)
from webapp.services import event_engine
from webapp.services.event_engine import Outcome
from webapp.services.leases import LeaseLostError
from webapp.services.woocommerce import claiming, handling, pulls, reading, stages, trying
from webapp.services.woocommerce.pulls import Lease
from webapp.services.woocommerce.stages import Cursor, How, Stage
from webapp.services.woocommerce.values import UnreadableError, read_instant
from webapp.transactions import let_go, transaction

log = structlog.get_logger()

Thing = TypeVar("Thing")

RENEWAL_SECONDS = 10.0
AT_ONCE = 25
"""Resources that are brought to our rows in one transaction: meanwhile the shop is held."""
PART_TRIES = 3
"""How often a part is written anew that stood in the way of somebody else's writing."""
COUNTED = {
    EventState.DONE: "applied",
    EventState.IGNORED: "unchanged",
    EventState.WAITING: "waiting",
    EventState.FAILED: "failed",
}


def carry_out(organisation_id: UUID, pull_id: UUID) -> None:
    """Work on the pull until its end, if nobody else does. Safe to call at any time, any number of times."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(run_id=str(pull_id)):
        lease = pulls.claim(pull_id, at=clock.now())
        if lease is None:
            return
        try:
            _work(lease)
        except LeaseLostError:
            log.warning("shop_pull_lease_lost", fence=lease.fence)


def _work(lease: Lease) -> None:
    try:
        _pull(lease)
    except LeaseLostError:
        raise
    except DomainError as error:
        _fail(lease, error.message)
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
        raise  # the database is away: the sweep resumes the pull once it is back
    except Exception:
        reference = uuid4().hex[:8]
        log.exception("shop_pull_failed", reference=reference)
        _fail(lease, f"Une erreur inattendue a arrêté le relevé (référence {reference}).")


def _fail(lease: Lease, reason: str) -> None:
    db.session.rollback()
    pulls.finish(lease, status=RunStatus.FAILED, error=reason, at=clock.now())


def _pull(lease: Lease) -> None:
    shop = pulls.check_can_be_read(lease.shop_id)
    keeper = _Keeper(lease)
    with woocommerce.connected(trying.access_of(shop), while_waiting=keeper.wait) as connection:
        abilities = trying.look(connection, lease.shop_id, at=clock.now())
        pull = pulls.find_pull(lease.pull_id)
        if pull is None:
            return
        zone = ZoneInfo(shop.timezone)
        reader = _Reader(lease, connection, zone, pull.scope, pull.started_at, pull.since)
        plan = stages.plan(pull.scope, abilities)
        cursor = Cursor.of(pull.cursor)
        names = [stage.name for stage in plan]
        begin = names.index(cursor.stage) if cursor.stage in names else 0
        for stage in plan[begin:]:
            reader.read(stage, cursor if stage.name == cursor.stage else None)
    _end(lease)


def _end(lease: Lease) -> None:
    with transaction():
        failed = db.session.scalar(select(WooCommercePull.failed).where(WooCommercePull.id == lease.pull_id)) or 0
        error = None
        if failed:
            what = counted(failed, "ressource n’a pas pu être reportée", "ressources n’ont pas pu être reportées")
            error = f"{what}\u202f: voyez les événements en échec."
        status = RunStatus.PARTIAL if failed else RunStatus.SUCCESS
        pulls.finish(lease, status=status, error=error, at=clock.now())


@dataclass
class _Keeper:
    """Holds the pull, and nothing else, while the shop takes its time."""

    lease: Lease
    renewed_at: float = field(default_factory=time.monotonic)

    def wait(self) -> None:
        """Let the database go, and prolong the lease if it is time."""
        let_go()
        if time.monotonic() - self.renewed_at >= RENEWAL_SECONDS:
            pulls.renew(self.lease, at=clock.now())
            self.renewed_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class _Shown:
    """A resource of a page; ``word`` is None where it cannot be read, which handling says better.

    ``content`` is parsed, but where its page was broken.
    """

    content: Any
    word: reading.Word | None

    @property
    def body(self) -> bytes:
        """As JSON, without what is never compared."""
        return self.content if isinstance(self.content, bytes) else orjson.dumps(self.content)


_Part = tuple[ResourceKind, Sequence[_Shown]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A page: when it was asked for, what it shows, how many there are in all, and whether more follow."""

    asked_at: datetime
    shown: Sequence[_Shown]
    total: int | None
    is_last: bool


@dataclass
class _Reader:
    """Reads the lists of one pull. ``customers`` are those that it has asked for already."""

    lease: Lease
    connection: Connection
    zone: ZoneInfo
    scope: PullScope
    started_at: datetime
    since: datetime | None
    customers: set[int] = field(default_factory=set)

    def read(self, stage: Stage, cursor: Cursor | None) -> None:
        """One list to its end, from ``cursor`` or from its beginning."""
        if stage.how is How.KNOWN:
            self._check_known(stage, cursor or Cursor(stage.name))
            return
        cursor = cursor or self._beginning(stage)
        is_last = False
        while not is_last:
            asked_at = clock.now()
            page = self.connection.list_page(stage.collection, stages.query(stage, cursor))
            shown = [self._shown(stage.kind, each) for each in page.elements]
            is_last = page.is_last
            cursor = self._behind(stage, cursor, shown)
            self._write_page(stage, _Answer(asked_at, shown, page.total, is_last), cursor)

    def _beginning(self, stage: Stage) -> Cursor:
        if stage.how not in stages.BY_DATE:
            return Cursor(stage.name)
        if self.since is not None:
            return Cursor(stage.name, after=self.since, seen=self.since)
        shop = _find_shop(self.lease.shop_id)
        kept = shop.cursors.get(stage.kind.value)
        reached = datetime.fromisoformat(kept) if kept else shop.created_at
        return Cursor(stage.name, after=reached - stages.OVERLAP, seen=reached)

    def _behind(self, stage: Stage, cursor: Cursor, shown: Sequence[_Shown]) -> Cursor:
        """Where the next page begins; and how far the shop's own dates have come, though never behind the present."""
        if stage.how not in stages.BY_DATE:
            return replace(cursor, page=cursor.page + 1)
        if stage.how is How.CHANGED:
            dates = [each.word.modified_at for each in shown if each.word]
        else:
            made = [_created_at(each.content, self.zone) for each in shown if each.word]
            dates = [at for at in made if at is not None]
        seen = max([*dates, *([cursor.seen] if cursor.seen else [])], default=None)
        return stages.further(replace(cursor, seen=min(seen, clock.now()) if seen else None), dates)

    def _shown(self, kind: ResourceKind, content: Any) -> _Shown:
        skim = reading.skim if isinstance(content, bytes) else reading.skim_parsed
        try:
            word = skim(kind, content, self.zone)
        except UnreadableError:
            return _Shown(content, None)
        return _Shown(content, word if isinstance(word, reading.Word) else None)

    # ---- Pages

    def _write_page(self, stage: Stage, answer: _Answer, after: Cursor) -> None:
        """What is new of a page, behind the customers that it names; its counts and the cursor with the last of it."""
        news = self._news(stage.kind, answer.shown)
        if stage.how is How.WALK:
            news = self._wanted(news)
        parts: list[_Part] = []
        if stage.kind is not ResourceKind.CUSTOMER:
            parts += [(ResourceKind.CUSTOMER, some) for some in _in_parts(self._customers_named(news), AT_ONCE)]
        parts += [(stage.kind, some) for some in _in_parts(news, AT_ONCE)]
        for part in parts[:-1]:
            self._write_part(part, answer.asked_at)

        def write() -> None:
            counts = self._apply(*parts[-1], answer.asked_at) if parts else Counter()
            self._mark_shown(stage.kind, answer.shown, answer.asked_at)
            counts["unchanged"] += len(answer.shown) - len(news)
            self._save(stage, after, counts, done=len(answer.shown), total=answer.total)
            if answer.is_last and stage.how in stages.BY_DATE:
                self._save_reached(stage, after)

        _in_transaction(write)

    def _write_part(self, part: _Part, asked_at: datetime) -> None:
        def write() -> None:
            counts = self._apply(*part, asked_at)
            pulls.renew(self.lease, at=clock.now(), **_added(counts))

        _in_transaction(write)

    def _news(self, kind: ResourceKind, shown: Sequence[_Shown]) -> list[_Shown]:
        """Those that we do not keep just so."""
        kept = self._hashes(kind, [each.word.woo_id for each in shown if each.word])
        return [each for each in shown if each.word is None or kept.get(each.word.woo_id) != each.word.hash]

    def _hashes(self, kind: ResourceKind, ids: Sequence[int]) -> dict[int, bytes]:
        """By id, of those that stand as they were shown: neither missing nor in the trash."""
        if not ids:
            return {}
        rows = db.session.execute(
            select(WooCommerceResource.woo_id, WooCommerceResource.hash).where(
                WooCommerceResource.shop_id == self.lease.shop_id,
                WooCommerceResource.kind == kind,
                WooCommerceResource.woo_id == any_(cast(ids, ARRAY(BigInteger))),
                WooCommerceResource.hash.is_not(None),
                WooCommerceResource.missing_since.is_(None),
                or_(WooCommerceResource.trashed_since.is_(None), WooCommerceResource.status == "trash"),
            )
        )
        return {woo_id: word_hash for woo_id, word_hash in rows if word_hash is not None}

    def _wanted(self, shown: Sequence[_Shown]) -> list[_Shown]:
        """Of all users of the shop, its customers: neither staff nor people who only have an account to read."""
        others = [each.word.woo_id for each in shown if each.word and each.word.status != "customer"]
        named = self._named(others)
        return [
            each for each in shown if each.word is None or each.word.status == "customer" or each.word.woo_id in named
        ]

    def _named(self, ids: Sequence[int]) -> set[int]:
        """Those of these users who are kept already, or named by a kept order or subscription."""
        if not ids:
            return set()
        kept = select(WooCommerceResource.woo_id).where(
            WooCommerceResource.shop_id == self.lease.shop_id,
            WooCommerceResource.kind == ResourceKind.CUSTOMER,
            WooCommerceResource.woo_id.in_(ids),
        )
        naming = select(WooCommerceResource.customer_id).where(
            WooCommerceResource.shop_id == self.lease.shop_id, WooCommerceResource.customer_id.in_(ids)
        )
        return {woo_id for woo_id in db.session.scalars(kept.union(naming)) if woo_id is not None}

    def _customers_named(self, news: Sequence[_Shown]) -> list[_Shown]:
        """The accounts that new orders and subscriptions name, as they are now: customers are told by no date."""
        ids = sorted({customer for each in news if (customer := _customer_of(each.content))} - self.customers)
        found: list[_Shown] = []
        for some in _in_parts(ids, PER_PAGE):
            page = self.connection.list_page("customers", stages.query_ids(ResourceKind.CUSTOMER, some))
            found += [self._shown(ResourceKind.CUSTOMER, each) for each in page.elements]
            self.customers.update(some)
        return self._news(ResourceKind.CUSTOMER, found)

    def _apply(self, kind: ResourceKind, shown: Sequence[_Shown], asked_at: datetime) -> Counter[str]:
        counts: Counter[str] = Counter()
        if not shown:
            return counts
        shop = _find_shop(self.lease.shop_id)
        for each in shown:
            counts[COUNTED[_apply_one(shop, kind, each, asked_at)]] += 1
        return counts

    def _mark_shown(self, kind: ResourceKind, shown: Sequence[_Shown], at: datetime) -> None:
        """Of a pull that asks afterwards for what it was not shown."""
        ids = [each.word.woo_id for each in shown if each.word]
        if ids and self.scope is PullScope.NIGHTLY:
            db.session.execute(
                update(WooCommerceResource)
                .where(
                    WooCommerceResource.shop_id == self.lease.shop_id,
                    WooCommerceResource.kind == kind,
                    WooCommerceResource.woo_id.in_(ids),
                )
                .values(seen_at=at)
                .execution_options(synchronize_session=False)
            )

    def _save(self, stage: Stage, after: Cursor, counts: Counter[str], *, done: int, total: int | None) -> None:
        added = _added(counts)
        if total is not None and after.page <= 2:  # what is left from this page on
            added["total"] = WooCommercePull.done + total
        pulls.renew(
            self.lease,
            at=clock.now(),
            phase=stage.label,
            cursor=after.as_json(),
            done=WooCommercePull.done + done,
            **added,
        )

    def _save_reached(self, stage: Stage, after: Cursor) -> None:
        """Where the next pull begins: by the shop's own clock, as far as it showed it.

        What was read by date of creation may have changed since, while the rest was read.
        """
        reached = after.seen
        if reached is not None and stage.how is How.CREATED:
            reached = min(reached, self.started_at)
        if reached is not None:
            shop = _find_shop(self.lease.shop_id, lock=True)
            shop.cursors = {**shop.cursors, stage.kind.value: reached.isoformat()}

    # ---- What the shop no longer has

    def _check_known(self, stage: Stage, cursor: Cursor) -> None:
        """Ask for what we keep and this pull was not shown, by its id: it may have gone, or changed without a date."""
        while ids := self._unseen(stage.kind, cursor.after_id):
            asked_at = clock.now()
            page = self.connection.list_page(stage.collection, stages.query_ids(stage.kind, ids))
            shown = [self._shown(stage.kind, each) for each in page.elements]
            absent = sorted(set(ids) - {each.word.woo_id for each in shown if each.word})
            found, gone = self._look_for(stage, absent)
            cursor = replace(cursor, after_id=ids[-1])
            self._write_known(stage, _Answer(asked_at, [*shown, *found], None, False), gone, cursor)

    def _unseen(self, kind: ResourceKind, after: int) -> Sequence[int]:
        return db.session.scalars(
            select(WooCommerceResource.woo_id)
            .where(
                WooCommerceResource.shop_id == self.lease.shop_id,
                WooCommerceResource.kind == kind,
                WooCommerceResource.woo_id > after,
                WooCommerceResource.missing_since.is_(None),
                or_(WooCommerceResource.seen_at.is_(None), WooCommerceResource.seen_at < self.started_at),
            )
            .order_by(WooCommerceResource.woo_id)
            .limit(PER_PAGE)
        ).all()

    def _look_for(self, stage: Stage, ids: Sequence[int]) -> tuple[list[_Shown], list[int]]:
        """Each by itself: lists leave out the trash, and a shop may leave out more. What is shown, and what is gone."""
        found, gone = [], []
        for woo_id in ids:
            body = self.connection.show(f"{stage.collection}/{woo_id}")
            if body is None:
                gone.append(woo_id)
            else:
                found.append(self._shown(stage.kind, body))
        return found, gone

    def _write_known(self, stage: Stage, answer: _Answer, gone: Sequence[int], after: Cursor) -> None:
        news = self._news(stage.kind, answer.shown)
        deleted = [_Shown({"id": woo_id}, None) for woo_id in gone]

        def write() -> None:
            counts = self._apply(stage.kind, news, answer.asked_at)
            counts["missing"] += sum(self._apply(stage.kind, deleted, answer.asked_at).values())
            self._mark_shown(stage.kind, answer.shown, answer.asked_at)
            counts["unchanged"] += len(answer.shown) - len(news)
            self._save(stage, after, counts, done=len(answer.shown) + len(gone), total=None)

        _in_transaction(write)


def _apply_one(shop: WooCommerceShop, kind: ResourceKind, shown: _Shown, at: datetime) -> EventState:
    """What a resource came to. One that fails unexpectedly is undone by itself, and seen among the events."""
    try:
        with db.session.begin_nested():
            return handling.apply(shop, kind, shown.body, at=at).state
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("shop_resource_failed")
        outcome = Outcome(EventState.FAILED, event_engine.UNEXPECTED.format(kind=type(error).__name__))
        woo_id = shown.word.woo_id if shown.word else None
        claiming.keep_of_pull(shop, kind, woo_id, shown.body, outcome, at=at)
        return outcome.state


def _in_transaction(write: Callable[[], None]) -> None:
    """Write a part; once more where that stood in the way of somebody who writes the same rows in another order."""
    for _ in range(PART_TRIES - 1):
        try:
            with transaction():
                write()
                return
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
                raise
    with transaction():
        write()


def _find_shop(shop_id: UUID, *, lock: bool = False) -> WooCommerceShop:
    statement = select(WooCommerceShop).where(WooCommerceShop.id == shop_id)
    if lock:
        statement = statement.with_for_update(key_share=True).execution_options(populate_existing=True)
    return db.session.scalars(statement).one()


def _customer_of(content: Any) -> int:
    """Whose an order or a subscription is: 0 of guests, and where it says nothing of use."""
    try:
        customer_id = int(content.get("customer_id") or 0)
    except (ValueError, TypeError, AttributeError):
        return 0
    return customer_id if 0 < customer_id <= LARGEST_ID else 0


def _created_at(content: Any, zone: ZoneInfo) -> datetime | None:
    try:
        return read_instant(content, "date_created", zone)
    except (TypeError, AttributeError, UnreadableError):
        return None


def _added(counts: Counter[str]) -> dict[str, Any]:
    """The counts of the pull's row, so many more."""
    return {name: getattr(WooCommercePull, name) + number for name, number in counts.items()}


def _in_parts(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    return (things[begin : begin + size] for begin in range(0, len(things), size))
