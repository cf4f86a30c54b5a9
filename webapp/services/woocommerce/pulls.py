"""The life of a pull (relevé): started once, owned by one process at a time, always brought to an end.

It is owned by a lease, renewed with every page; whoever takes it over goes on from the cursor, which every page
committed.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.french import counted
from webapp.models.base import new_id
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, WooCommercePull, WooCommerceShop
from webapp.queue import enqueue_after_commit, enqueue_once_after_commit
from webapp.services.leases import Leases
from webapp.services.schedule import take_tick
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.woocommerce.pull"
FETCH_JOB = "jobs.woocommerce.fetch"
LEASE = timedelta(seconds=90)
"""How long a silent process keeps a pull: an answer of the shop may take a minute."""
WAITING_LIMIT = timedelta(seconds=30)
"""How long a pull may wait for its first claim before the bell is rung again."""
MAX_ATTEMPTS = 4
"""A pull that ended this many processes is closed as failed."""
FETCHED = {"client": "customer", "order": "order", "subscription": "subscription"}
"""What something may wait for, as it is named there, and the kind of resource that it is."""
EVERY = timedelta(hours=1)
NIGHT = range(2, 6)
"""Hours of the shop in which the nightly pull takes the place of the hourly one."""
BETWEEN_NIGHTS = timedelta(hours=20)
KEPT = timedelta(days=90)
FURTHEST_BACK = timedelta(days=10 * 366)

INTERRUPTED = "Le relevé a été interrompu plusieurs fois et a été arrêté. Relancez-le."
_LEASES = Leases(
    WooCommercePull,
    JOB,
    "sync",
    lasting=LEASE,
    waiting=WAITING_LIMIT,
    attempts=MAX_ATTEMPTS,
    interrupted=INTERRUPTED,
    taken_over="Le relevé a été repris par un autre processus.",
)


class PullRefusedError(DomainError):
    """The shop cannot be read as it stands: switched off, or without a key."""


@dataclass(frozen=True)
class Lease:
    """The right to write for a pull: held as long as the pull's fence is still ``fence``."""

    organisation_id: UUID
    pull_id: UUID
    shop_id: UUID
    fence: int


def start(
    shop_id: UUID,
    *,
    scope: PullScope,
    trigger: RunTrigger,
    at: datetime,
    by: UUID | None = None,
    since: datetime | None = None,
    enqueue: bool = True,
) -> tuple[UUID, bool]:
    """Start a pull of a shop of the current organisation, or join the one that is running.

    ``by`` is the user's id, ``since`` where a FIRST one begins. Returns the pull's id and whether it is a new one. With
    ``enqueue=False`` the caller works on it in this process. Raises NotFoundError, PullRefusedError, InvalidInputError.
    """
    _check_since(scope, since, at=at)
    with transaction():
        check_can_be_read(shop_id)
        inserted = db.session.scalar(
            insert(WooCommercePull)
            .values(
                organisation_id=tenancy.current_organisation_id(),
                id=new_id(),
                shop_id=shop_id,
                scope=scope,
                trigger=trigger,
                status=RunStatus.RUNNING,
                since=since,
                started_at=at,
                requested_by_id=by,
            )
            # The index's own words: a bound parameter would not be recognised in a generic plan.
            .on_conflict_do_nothing(
                index_elements=["organisation_id", "shop_id"], index_where=text("status = 'running'")
            )
            .returning(WooCommercePull.id)
        )
        if inserted is not None:
            if enqueue:
                enqueue_after_commit(JOB, tenancy.current_organisation_id(), inserted, on="sync")
            return inserted, True
        running = db.session.scalar(_of_shop(shop_id).where(WooCommercePull.status == RunStatus.RUNNING))
    if running is None:  # it ended between the two statements: start anew
        return start(shop_id, scope=scope, trigger=trigger, at=at, by=by, since=since, enqueue=enqueue)
    return running.id, False


def _check_since(scope: PullScope, since: datetime | None, *, at: datetime) -> None:
    if scope is not PullScope.FIRST:
        return
    if since is None:
        raise InvalidInputError("Choisissez la date à partir de laquelle reprendre.", field="since")
    if since > at:
        raise InvalidInputError("La date de reprise est dans le futur.", field="since")
    if since < at - FURTHEST_BACK:
        raise InvalidInputError("La reprise remonte à dix ans au plus.", field="since")


def check_can_be_read(shop_id: UUID) -> WooCommerceShop:
    """The shop, if it can be asked. Raises NotFoundError, PullRefusedError."""
    shop = db.session.scalar(select(WooCommerceShop).where(WooCommerceShop.id == shop_id))
    if shop is None:
        raise NotFoundError
    if not shop.is_active:
        raise PullRefusedError("Cette boutique est désactivée\u202f: rien n’y est relevé.")
    if not shop.has_keys:
        raise PullRefusedError("Sans clé REST, la boutique ne peut pas être relevée. Enregistrez sa clé d’abord.")
    return shop


def can_be_read(shop: WooCommerceShop) -> bool:
    """Whether the shop is active and has a key."""
    return shop.is_active and shop.has_keys


def ask_for(shop: WooCommerceShop, awaited: str | None) -> None:
    """Have a resource fetched at once that something waits for (``subscription:282``), if the shop can be asked."""
    name, _, woo_id = (awaited or "").partition(":")
    if name in FETCHED and woo_id.isdigit() and can_be_read(shop):
        enqueue_once_after_commit(FETCH_JOB, shop.organisation_id, shop.id, FETCHED[name], woo_id, on="sync")


def claim(pull_id: UUID, *, at: datetime) -> Lease | None:
    """Take the pull, if nobody holds it: None where it has ended, is held, or was tried too often."""
    with transaction():
        pull = _LEASES.claim(pull_id, at=at)
        return Lease(pull.organisation_id, pull.id, pull.shop_id, pull.fence) if pull else None


def renew(lease: Lease, *, at: datetime, **progress: object) -> None:
    """Prolong the lease and write ``progress`` (columns of WooCommercePull). Raises LeaseLostError."""
    _LEASES.renew(lease.pull_id, lease.fence, at=at, **progress)


def finish(lease: Lease, *, status: RunStatus, at: datetime, error: str | None = None) -> None:
    """Bring the pull to its end. ``error`` is a French sentence. Raises LeaseLostError."""
    _LEASES.end(lease.pull_id, lease.fence, at=at, status=status, error=error, phase="")


# ---- The timetable


def sweep(*, at: datetime) -> int:
    """Ring again for every pull that nobody has in hand; returns how many."""
    return _LEASES.sweep(at=at)


def start_due(*, at: datetime) -> int:
    """Start the hourly pull, or at night the nightly one, of every active shop that has a key; returns how many."""
    with tenancy.across_organisations():
        shops = db.session.execute(
            select(WooCommerceShop.organisation_id, WooCommerceShop.id, WooCommerceShop.timezone)
            .where(WooCommerceShop.is_active, WooCommerceShop.credentials.is_not(None))
            .order_by(WooCommerceShop.id)
        ).all()
    started = 0
    for organisation_id, shop_id, zone in shops:
        # Somebody may have taken its key out just now.
        with tenancy.organisation(organisation_id), suppress(PullRefusedError), transaction():
            # One transaction: a crash leaves the tick to be taken again, or the pull to be found by the sweep.
            if take_tick(f"woocommerce:{shop_id}", every=EVERY, at=at):
                start(shop_id, scope=_scope_at(shop_id, zone, at=at), trigger=RunTrigger.SCHEDULED, at=at)
                started += 1
    return started


def _scope_at(shop_id: UUID, zone: str, *, at: datetime) -> PullScope:
    if at.astimezone(ZoneInfo(zone)).hour not in NIGHT:
        return PullScope.RECENT
    last = db.session.scalar(
        select(func.max(WooCommercePull.started_at)).where(
            WooCommercePull.shop_id == shop_id,
            WooCommercePull.scope == PullScope.NIGHTLY,
            WooCommercePull.status != RunStatus.FAILED,
        )
    )
    return PullScope.RECENT if last is not None and last > at - BETWEEN_NIGHTS else PullScope.NIGHTLY


def prune(*, at: datetime) -> int:
    """Delete the pulls that ended long ago; returns how many."""
    with tenancy.across_organisations(), transaction():
        deleted = db.session.execute(delete(WooCommercePull).where(WooCommercePull.finished_at < at - KEPT))
        return int(deleted.rowcount)  # type: ignore[attr-defined]


# ---- Reading


def _of_shop(shop_id: UUID) -> Select[WooCommercePull]:
    return select(WooCommercePull).where(WooCommercePull.shop_id == shop_id)


def find_pull(pull_id: UUID) -> WooCommercePull | None:
    """A pull of the current organisation."""
    statement = select(WooCommercePull).where(WooCommercePull.id == pull_id)
    return db.session.scalar(statement.execution_options(populate_existing=True))


def find_running(shop_id: UUID) -> WooCommercePull | None:
    """The pull of the shop that is under way."""
    return db.session.scalar(_of_shop(shop_id).where(WooCommercePull.status == RunStatus.RUNNING))


def list_pulls(shop_id: UUID, *, limit: int = 6) -> Sequence[WooCommercePull]:
    """The last pulls of the shop, the newest first, with who asked for them."""
    return db.session.scalars(
        _of_shop(shop_id)
        .options(joinedload(WooCommercePull.requested_by))
        .order_by(WooCommercePull.started_at.desc(), WooCommercePull.id.desc())
        .limit(limit)
    ).all()


def has_been_taken_over(shop_id: UUID) -> bool:
    """Whether a first pull came to its end: until then « Reprendre depuis le … » is offered first."""
    first = _of_shop(shop_id).where(
        WooCommercePull.scope == PullScope.FIRST,
        WooCommercePull.status.in_((RunStatus.SUCCESS, RunStatus.PARTIAL)),
    )
    return db.session.scalar(first.limit(1)) is not None


def sentence(pull: WooCommercePull) -> str:
    """How far a pull has come, or what came of it, in French."""
    if not pull.is_finished:
        return _progress(pull)
    if pull.error:
        return pull.error
    if pull.applied + pull.missing == 0:
        return f"Rien de nouveau\u202f: {counted(pull.unchanged, 'ressource inchangée', 'ressources inchangées')}."
    parts = [counted(pull.applied, "ressource mise à jour", "ressources mises à jour")]
    if pull.missing:
        parts.append(counted(pull.missing, "disparue", "disparues"))
    if pull.waiting:
        parts.append(counted(pull.waiting, "en attente", "en attente"))
    return f"{', '.join(parts)}."


def _progress(pull: WooCommercePull) -> str:
    if pull.attempts == 0:
        return "Le relevé va commencer…"
    if not pull.total:
        return f"{pull.phase or 'Relevé'} en cours…"
    return f"{pull.phase}\u202f: {pull.done} sur {max(pull.total, pull.done)}…"


def find_shop_named(name: str | None) -> WooCommerceShop:
    """The shop of the current organisation with that name or address; without one, its only shop.

    Raises NotFoundError, and InvalidInputError where there are several.
    """
    shops = db.session.scalars(select(WooCommerceShop).order_by(WooCommerceShop.name)).all()
    found = [
        shop for shop in shops if name is None or name.rstrip("/") in (shop.name, shop.url.rstrip("/"), shop.source)
    ]
    if not found:
        raise NotFoundError("Cette boutique n’existe pas.")
    if len(found) > 1:
        names = ", ".join(shop.source for shop in found)
        raise InvalidInputError(f"Plusieurs boutiques conviennent\u202f: choisissez parmi {names}.", field="shop")
    return found[0]
