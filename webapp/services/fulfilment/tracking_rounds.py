"""Every two hours carriers are asked where the parcels are that they have got: ten numbers a call, several at once.

What they tell is kept once, however often they tell it; states move along the table, and never back.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways.carriers.protocol import CarrierError, CarrierRejectedError, LabelCarrier, Tracked
from webapp.gateways.carriers.registry import CAPABILITIES
from webapp.gateways.providers import pacing
from webapp.models.base import linked, new_id
from webapp.models.carriers import Carrier, CarrierAccount, TrackedStatus
from webapp.models.fulfilment import Parcel, ParcelStatus, Shipment, TrackingEvent
from webapp.services.carriers import accounts
from webapp.services.fulfilment import standing, tracking
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.fulfilment.track"
EVERY = timedelta(hours=2)
AT_ONCE = 8
"""Calls under way together."""
TURN = timedelta(minutes=3)
"""How long one job asks at most: what else waits in its queue gets a turn."""
PATIENCE = timedelta(days=60)
"""How long after its hand-over a parcel is asked about."""
ON_THE_WAY = (ParcelStatus.HANDED_OVER, ParcelStatus.IN_TRANSIT)
STATUS_OF = {
    TrackedStatus.IN_TRANSIT: ParcelStatus.IN_TRANSIT,
    TrackedStatus.DELIVERED: ParcelStatus.DELIVERED,
    TrackedStatus.RETURNED: ParcelStatus.RETURNED,
    TrackedStatus.LOST: ParcelStatus.LOST,
}


class _Asked(NamedTuple):
    """A parcel that is asked about."""

    parcel_id: UUID
    number: str


def ring(*, at: datetime) -> int:
    """Ring for every account, of any organisation, with parcels to ask about; returns how many."""
    tracking_carriers = [carrier for carrier in Carrier if carrier in CAPABILITIES and _at_once(carrier)]
    waiting = select(CarrierAccount.organisation_id, CarrierAccount.id).where(
        CarrierAccount.carrier.in_(tracking_carriers),
        exists().where(Parcel.organisation_id == CarrierAccount.organisation_id, *_due(CarrierAccount.id, at)),
    )
    with tenancy.across_organisations():
        found = db.session.execute(waiting).all()
    for organisation_id, account_id in found:
        queue.enqueue_once_after_commit(JOB, organisation_id, account_id, on="fulfilment")
    return len(found)


def _at_once(carrier: Carrier) -> int:
    return CAPABILITIES[carrier].tracked_at_once


def _due(account_id: UUID | InstrumentedAttribute[UUID], at: datetime) -> Sequence[ColumnElement[bool]]:
    return (
        Parcel.account_id == account_id,
        Parcel.status.in_(ON_THE_WAY),
        Parcel.tracking_number.is_not(None),
        Parcel.last_sent_at > at - PATIENCE,
        or_(Parcel.tracked_at.is_(None), Parcel.tracked_at <= at - EVERY),
    )


def carry_out(organisation_id: UUID, account_id: UUID) -> int:
    """Ask about the account's parcels that are due; returns about how many. Rings again where some are left."""
    queue.heard(JOB, organisation_id, account_id)
    with tenancy.organisation(organisation_id):
        with transaction():  # ended before the carrier is called
            account = accounts.find_account(account_id)
            pace, size = account.calls_per_second, _at_once(account.carrier)
            carrier = accounts.carrier_of(account)
        done, end = 0, clock.now() + TURN
        while asked := _list_due(account_id, size * AT_ONCE, at=clock.now()):
            told = _ask(carrier, account_id, asked, pace=pace, size=size)
            record(asked, told, at=clock.now())
            done += len(told)
            if len(told) < len(asked):  # it does not answer: at the next round
                return done
            if clock.now() >= end:
                queue.enqueue_once_after_commit(JOB, organisation_id, account_id, on="fulfilment")
                return done
    return done


def _list_due(account_id: UUID, limit: int, *, at: datetime) -> list[_Asked]:
    with transaction():
        statement = select(Parcel.id, Parcel.tracking_number).where(*_due(account_id, at))
        rows = db.session.execute(statement.order_by(Parcel.tracked_at.nulls_first(), Parcel.id).limit(limit))
        return [_Asked(row[0], row[1] or "") for row in rows]


def _ask(
    carrier: LabelCarrier, account_id: UUID, asked: Sequence[_Asked], *, pace: int, size: int
) -> Mapping[str, Tracked]:
    """What the carrier tells, by number; numbers that it could not be asked about are left out."""
    calls = [[each.number for each in asked[start : start + size]] for start in range(0, len(asked), size)]

    def call(numbers: Sequence[str]) -> Mapping[str, Tracked]:
        pacing.take_turn(f"carrier:{account_id}", per_second=pace)
        try:
            return carrier.track(numbers)
        except CarrierRejectedError as error:
            return {number: Tracked((), str(error)) for number in numbers}
        except CarrierError:
            log.warning("carrier_does_not_track", account_id=str(account_id))
        except Exception:
            log.exception("tracking_failed", account_id=str(account_id))
        return {}

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tracking") as threads:
        return {number: told for answer in threads.map(call, calls) for number, told in answer.items()}


def record(asked: Sequence[_Asked], told: Mapping[str, Tracked], *, at: datetime) -> None:
    """Keep what was told, and move what it moves. Safe to repeat."""
    heard = {each.parcel_id: told[each.number] for each in asked if each.number in told}
    with transaction():
        parcels = _lock(heard)
        _keep(parcels, heard, at=at)
        moved = [parcel for parcel in parcels if _move(parcel, heard[parcel.id])]
        standing.restate(parcel.shipment_id for parcel in moved)
        db.session.execute(
            update(Parcel)
            .where(Parcel.id.in_(heard))
            .values(tracked_at=at)
            .execution_options(synchronize_session=False)
        )


def _lock(heard: Mapping[UUID, Tracked]) -> Sequence[Parcel]:
    """With their shipments, which everybody locks first."""
    statement = (
        select(Parcel)
        .join(Shipment, linked(Shipment, Parcel.shipment_id))
        .where(Parcel.id.in_(heard))
        .order_by(Shipment.id, Parcel.id)
        .with_for_update(of=(Shipment, Parcel))
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(statement).all()


def _keep(parcels: Sequence[Parcel], heard: Mapping[UUID, Tracked], *, at: datetime) -> None:
    rows = [
        {
            "organisation_id": parcel.organisation_id,
            "id": new_id(),
            "parcel_id": parcel.id,
            "at": event.at,
            "code": event.code[:40],
            "words": event.words[:300],
            "status": STATUS_OF.get(event.status) if event.status else None,
            "heard_at": at,
        }
        for parcel in parcels
        for event in heard[parcel.id].events
    ]
    if rows:
        db.session.execute(insert(TrackingEvent).on_conflict_do_nothing(), rows)


def _move(parcel: Parcel, told: Tracked) -> bool:
    statuses = [STATUS_OF[event.status] for event in told.events if event.status in STATUS_OF]
    return sum(tracking.advance(parcel, status) for status in statuses) > 0
