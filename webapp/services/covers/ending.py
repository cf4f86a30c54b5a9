"""Termination (résiliation): by which channel, when and why it was asked for, when the cover ends, and the way back.

The subscription ends on that day by its own timetable, and the cover follows it. The client is told at once.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.covers import Cover, CoverTermination, CoverTerminationWithdrawal, TerminationGround
from webapp.models.identity import User
from webapp.models.messages import MessageKind
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind
from webapp.services.contact import clean_text
from webapp.services.covers import ends, following, loading, owed, recording
from webapp.services.covers.ends import End, Promise, Request
from webapp.services.covers.owed import OwedBack
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import cases as dunning
from webapp.services.dunning import days
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction

NOTE_LENGTH = 500


@dataclass(frozen=True)
class Termination:
    """What a termination comes to: when and why the cover ends, and what of the payments made is owed back then."""

    end: End
    owed: list[OwedBack]

    @property
    def total(self) -> Decimal:
        """All that is owed back, with tax."""
        return owed.total_of(self.owed)


def preview_termination(cover_id: UUID, request: Request, *, at: datetime) -> Termination:
    """What the termination comes to; nothing is written.

    Raises NotFoundError, CoverStateError; InvalidInputError (fields « channel », « ground », « received_on »,
    « event_on », « note »).
    """
    cover = loading.find_cover(cover_id)
    _check(cover)
    return _termination(cover, request, at=at)


def terminate(
    cover_id: UUID, request: Request, *, shown: date | None, termination_id: UUID, by: User, at: datetime
) -> CoverTermination:
    """Have the cover end. ``shown`` is the end that the preview told; ``termination_id`` is the form's: sent twice, it
    is done once. Raises as ``preview_termination``; InvalidInputError (field « end ») where the end is another by now.
    """
    with transaction():
        cover = loading.find_cover(cover_id)
        lifecycle.find_ours_for_update(cover.subscription_id)
        cover = loading.find_for_update(cover_id)
        made = next((each for each in cover.terminations if each.id == termination_id), None)
        if made is not None:
            return made
        _check(cover)
        found = _termination(cover, request, at=at)
        if shown != found.end.ends_on:
            raise InvalidInputError("Vérifiez la date de fin, puis enregistrez.", field="end")
        made = _record(cover, request, found.end, termination_id=termination_id, by=by, at=at)
        lifecycle.cancel_on(cover.subscription_id, made.ends_on, reason=made.ground.label, by=by, at=at)
        cover = loading.find_for_update(cover_id)
        following.catch_up(cover, at=at)
        told = f"{made.ground.label}, {made.channel.label.lower()} du {french.day(made.received_on)}"
        changes: dict[str, list[str | None]] = {
            "termination": [None, told],
            "cancels_on": [None, made.ends_on.isoformat()],
        }
        recording.tell(cover, EventKind.COVER_CHANGED, changes, by=by, at=at)
        _write(MessageKind.COVER_TERMINATED, cover, made, remboursement=_words_of(found), at=at, by=by)
    return made


def withdraw(cover_id: UUID, *, reason: str, by: User, at: datetime) -> Cover:
    """Take a termination back before its day: the subscription goes on. Raises NotFoundError, CoverStateError;
    InvalidInputError (field « reason »).
    """
    reason = clean_text(reason)
    if not reason or len(reason) > NOTE_LENGTH:
        raise InvalidInputError(f"Dites pourquoi, en {NOTE_LENGTH} caractères au plus.", field="reason")
    with transaction():
        cover = loading.find_cover(cover_id)
        lifecycle.find_ours_for_update(cover.subscription_id)
        cover = loading.find_for_update(cover_id)
        standing = cover.termination
        if standing is None or cover.subscription.status.is_final:
            raise CoverStateError("Aucune résiliation n’est à venir pour cette couverture.")
        db.session.add(CoverTerminationWithdrawal(termination_id=standing.id, reason=reason, user_id=by.id, at=at))
        lifecycle.withdraw_cancellation(cover.subscription_id, by=by, at=at)
        changes: dict[str, list[str | None]] = {
            "termination": [standing.ground.label, None],
            "reason": [None, reason],
        }
        recording.tell(cover, EventKind.COVER_CHANGED, changes, by=by, at=at)
        _write(MessageKind.COVER_KEPT, cover, standing, at=at, by=by)
    return loading.find_cover(cover_id)


def _list_owed(cover: Cover, ground: TerminationGround, due_on: date) -> list[OwedBack]:
    if ground is TerminationGround.FRAUD:
        return []
    return owed.list_owed(cover.subscription_id, unused_from=due_on)


def _check(cover: Cover) -> None:
    lifecycle.refuse_of_shop(cover.subscription)
    recording.check_living(cover)
    if cover.subscription.cancels_on is not None:
        raise CoverStateError(
            f"L’abonnement prend déjà fin le {french.day(cover.subscription.cancels_on)}\u202f: retirez d’abord cette"
            " résiliation."
        )


def _termination(cover: Cover, request: Request, *, at: datetime) -> Termination:
    today = days.local(at)
    if len(request.note) > NOTE_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {NOTE_LENGTH} caractères au plus.", field="note")
    end = ends.end_of(request, _promise(cover), today=today)
    ground = request.ground
    if ground in ends.NEEDS_NOTE and not clean_text(request.note):
        raise InvalidInputError("Dites en quelques mots ce qui s’est passé.", field="note")
    if cover.subscription.status is SubscriptionStatus.PENDING:
        end = End(today, today, ("Elle n’a pas encore pris effet\u202f: elle est abandonnée aujourd’hui.",))
    return Termination(end, _list_owed(cover, ground, end.due_on) if ground else [])


def _promise(cover: Cover) -> Promise:
    version = cover.periods[-1].version
    return Promise(
        nature=version.nature,
        concluded_on=cover.concluded_on,
        effective_on=cover.effective_on,
        commitment_months=version.commitment_months,
        notice_days=version.notice_days,
        noticed_on=dunning.find_noticed_on(cover.subscription_id),
    )


def _record(
    cover: Cover, request: Request, end: End, *, termination_id: UUID, by: User, at: datetime
) -> CoverTermination:
    made = CoverTermination(
        id=termination_id,
        cover_id=cover.id,
        channel=request.channel,
        ground=request.ground,
        received_on=request.received_on,
        event_on=request.event_on,
        due_on=end.due_on,
        ends_on=end.ends_on,
        explanation="\n".join(end.lines),
        note=clean_text(request.note) or None,
        user_id=by.id,
        at=at,
    )
    db.session.add(made)
    db.session.flush()
    return made


def _words_of(found: Termination) -> str | None:
    return french.money(found.total) if found.total else None


def _write(
    kind: MessageKind, cover: Cover, made: CoverTermination, *, at: datetime, by: User, **variables: object
) -> None:
    """What a pending subscription was to give, its client never had: there is nothing to confirm."""
    if cover.facts:
        draft = Draft(
            kind=kind,
            company_id=cover.subscription.company_id,
            client_id=cover.client_id,
            subject_id=made.id,
            occasion="",
            variables={
                "couverture": cover.code,
                "formule": cover.periods[-1].version.plan.label,
                "motif": made.ground.label,
                "date_fin": made.ends_on,
                "explication": made.explanation.replace("\n", " "),
                **variables,
            },
        )
        writing.write(draft, at=at, by=by.id)
