"""Renunciation (renonciation): within fourteen days of the agreement a client may give a cover up, without saying why.

The subscription ends at once, and what was paid is owed back: all of it, or, where a claim was covered, what is left of
the days (code des assurances, art. L112-2-1 and L112-10; code de la consommation, art. L221-18 and L221-25). The money
is given back by a person, charge by charge, as any refund.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select, update

from webapp import french
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.models.messages import MessageKind
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.covers import following, ledger, loading, owed, recording
from webapp.services.covers.owed import OwedBack
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction

DAYS = 14
REFUND_TITLE = "Rembourser {amount} TTC\u202f: renonciation à la couverture {code}"
AT_ONCE = 500


@dataclass(frozen=True)
class Renunciation:
    """What giving a cover up comes to. ``keeps_days``: a claim was covered, so that the days used are paid for."""

    until: date
    keeps_days: bool
    owed: list[OwedBack]

    @property
    def total(self) -> Decimal:
        """All that is owed back, with tax."""
        return owed.total_of(self.owed)


def last_day(cover: Cover) -> date:
    """The last day on which the cover can be given up."""
    return window_end(cover.concluded_on)


def window_end(concluded_on: date) -> date:
    """The last day on which what is concluded that day can be given up."""
    return concluded_on + timedelta(days=DAYS)


def tell_ended(*, at: datetime) -> int:
    """Tell the timelines, in every organisation, that a window of renunciation is over; returns how many ended."""
    today = days.local(at)
    over = select(Cover.organisation_id).where(Cover.window_ends_on < today)
    return each_organisation.work_in_batches(lambda: _tell_some(today, at=at), over)


def _tell_some(today: date, *, at: datetime) -> int:
    """Of some covers, once: the same transaction tells, and notes that nothing is left to tell.

    Nothing is told of a cover that has ended meanwhile, by renunciation or otherwise.
    """
    with transaction():
        over = (
            select(Cover.id, Cover.client_id, Cover.number, Cover.window_ends_on)
            .add_columns(Subscription.status, Client.erased_at)
            .join(Subscription, linked(Subscription, Cover.subscription_id))
            .join(Client, linked(Client, Cover.client_id))
            .where(Cover.window_ends_on < today)
            .order_by(Cover.window_ends_on, Cover.id)
            .limit(AT_ONCE)
            .with_for_update(of=Cover)
        )
        rows = db.session.execute(over).all()
        db.session.add_all(
            TimelineEvent(
                client_id=row.client_id,
                kind=EventKind.RENUNCIATION_ENDED,
                at=at,
                changes={
                    "cover": [None, f"{Cover.LETTER}-{row.number}"],
                    "until": [None, row.window_ends_on.isoformat()],
                },
            )
            for row in rows
            if not row.status.is_final and row.erased_at is None
        )
        told = update(Cover).where(Cover.id.in_([row.id for row in rows])).values(window_ends_on=None)
        db.session.execute(told.execution_options(synchronize_session=False))
    return len(rows)


def preview_renunciation(cover_id: UUID, *, at: datetime) -> Renunciation:
    """What giving the cover up today comes to; nothing is written. Raises NotFoundError, CoverStateError."""
    cover = loading.find_cover(cover_id)
    _check(cover, at=at)
    keeps_days = any(entry.covered > 0 for entry in ledger.list_entries(cover_id))
    tomorrow = days.local(at) + timedelta(days=1)
    found = owed.list_owed(cover.subscription_id, unused_from=tomorrow if keeps_days else None)
    return Renunciation(last_day(cover), keeps_days, found)


def renounce(cover_id: UUID, *, by: User, at: datetime) -> Cover:
    """End the cover and its subscription, now; what is owed back becomes a task.

    Raises NotFoundError, CoverStateError, TransitionRefusedError.
    """
    with transaction():
        cover = loading.find_cover(cover_id)
        lifecycle.find_ours_for_update(cover.subscription_id)
        _check(loading.find_for_update(cover_id), at=at)
        found = preview_renunciation(cover_id, at=at)
        total = found.total
        if total:
            title = REFUND_TITLE.format(amount=french.money(total), code=cover.code)
            tasks.add_and_tell([NewTask(cover.client_id, title, days.local(at))], at=at)
        lifecycle.cancel(cover.subscription_id, reason=lifecycle.RENOUNCED, by=by, at=at)
        cover = loading.find_for_update(cover_id)
        following.catch_up(cover, at=at)
        recording.tell(cover, EventKind.COVER_CHANGED, {"reason": [None, lifecycle.RENOUNCED]}, by=by, at=at)
        _write(cover, found, by=by, at=at)
    return loading.find_cover(cover_id)


def _write(cover: Cover, found: Renunciation, *, by: User, at: datetime) -> None:
    """Confirm it to the client, in the caller's transaction."""
    draft = Draft(
        kind=MessageKind.COVER_RENOUNCED,
        company_id=cover.subscription.company_id,
        client_id=cover.client_id,
        subject_id=cover.id,
        occasion="",
        variables={
            "couverture": cover.code,
            "formule": cover.periods[-1].version.plan.label,
            "date_fin": days.local(at),
            "explication": _words_of(found),
            "remboursement": found.total or None,
        },
    )
    writing.write(draft, at=at, by=by.id)


def _words_of(found: Renunciation) -> str:
    if not found.owed:
        return "Rien n’a été payé, et rien n’est à rembourser."
    if found.keeps_days:
        return "Un sinistre a été pris en charge\u202f: les jours passés restent dus, le reste vous est remboursé."
    return "Tout ce que vous avez payé vous est remboursé."


def _check(cover: Cover, *, at: datetime) -> None:
    lifecycle.refuse_of_shop(cover.subscription)
    recording.check_living(cover)
    until = last_day(cover)
    if days.local(at) > until:
        raise CoverStateError(f"On pouvait renoncer jusqu’au {french.day(until)}\u202f: résiliez l’abonnement.")
    recording.refuse_open_claims(cover.id, "on renonce")
