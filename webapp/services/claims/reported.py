"""What the operator reports of a claim: its file is opened, corrected and moved on, whatever came first.

Each report is the whole present state of a claim at the operator, with a revision that grows: the greatest is what
holds, and how it came to it does not matter. The decision stays ours: the rules decide anew with what is reported, as
long as no person has decided; what a person decided goes back to one where the rules do not accept it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ARRAY, Delete, FromClause, String, all_, bindparam, delete, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert

from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import (
    REOPENED_WITHIN,
    Claim,
    ClaimChange,
    ClaimChannel,
    ClaimDecision,
    ClaimIntervention,
    ClaimSatisfaction,
    ClaimStatus,
    ReportedState,
)
from webapp.models.covers import Cover, Trade
from webapp.models.timeline import EventKind
from webapp.services.claims import accounts, deciding, declaring, doubting, recording
from webapp.services.claims.declaring import ClaimFields
from webapp.services.claims.recording import ClaimStateError, Held
from webapp.services.covers import ledger
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Outcome
from webapp.services.covers.terms import NOTHING
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

BY_OPERATOR = "D’après l’opérateur"
OTHER_COVER = "Ce dossier est celui d’une autre couverture\u202f: une déclaration ne change pas de couverture."
STAYS_CANCELED = "Ce dossier est annulé\u202f: un dossier annulé ne se rouvre pas."
TAKEN = "Ce dossier porte déjà le numéro {external_id} chez l’opérateur."
MET = {
    ReportedState.IN_PROGRESS: (ClaimStatus.IN_PROGRESS,),
    ReportedState.CLOSED: (ClaimStatus.CLOSED,),
    ReportedState.CANCELED: (ClaimStatus.CANCELED,),
}
"""The states of ours that are what the operator says."""


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A visit of a craftsman."""

    external_id: str
    scheduled_at: datetime | None = None
    done_at: datetime | None = None
    craftsman: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Satisfaction:
    """What the client answered; ``score`` is from 0 to 10."""

    score: int
    answered_at: datetime
    comment: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A claim as it stands at the operator. ``reference`` is ours, where the operator heard of the file from us."""

    external_id: str
    revision: int
    state: ReportedState
    trade: Trade
    event_on: date
    declared_on: date
    event_time: time | None = None
    asked: Decimal | None = None
    words: str = ""
    reference: str | None = None
    interventions: tuple[Intervention, ...] = ()
    satisfaction: Satisfaction | None = None


def apply(operator_id: UUID, cover: Cover, told: Report, *, at: datetime) -> Claim | None:
    """Bring the file to what is told, in the caller's transaction, who has the cover locked, and whose client is not
    erased; None where as much or more was told before.

    Raises ClaimStateError and InvalidInputError for what no file can become.
    """
    with transaction():
        held = recording.hold_locked(cover, at=at)
        claim = _find(operator_id, told)
        if claim is not None and claim.cover_id != cover.id:
            raise ClaimStateError(OTHER_COVER)
        if claim is not None and claim.revision is not None and claim.revision >= told.revision:
            return None
        is_new, is_decided_anew = claim is None, False
        if claim is None:
            claim = declaring.open_file(held, _fields(told), by=None)
        else:
            is_decided_anew = _correct(claim, held, told)
        claim.operator_id, claim.external_id, claim.revision = operator_id, told.external_id, told.revision
        claim.reported_state, claim.reported_at = told.state, held.at
        _keep_answers(claim, told, is_new=is_new)
        uses_less = _follow(claim, held)
        recording.finish(claim, at=held.at)
        others_may_change = (is_decided_anew or uses_less) and held.files > 1
        if held.is_news or others_may_change:  # else no decision stands on anything else than before
            doubting.look_at(held)
    return claim


def catch_up(claim_id: UUID, *, at: datetime) -> None:
    """Bring a file to what the operator said last: a person may have accepted it only now. Raises NotFoundError."""
    claim = recording.find_claim(claim_id)
    if not lags(claim):
        return
    with transaction():
        claim, held = recording.hold(claim_id, version=None, at=at)
        if lags(claim):
            _follow(claim, held)
            recording.finish(claim, at=held.at)
            doubting.look_at(held)


def lags(claim: Claim) -> bool:
    """Whether an accepted file is not as far as the operator says that it is."""
    state = claim.reported_state
    return (
        claim.status is ClaimStatus.ACCEPTED
        and state is not None
        and claim.status not in MET.get(state, (claim.status,))
    )


def _find(operator_id: UUID, told: Report) -> Claim | None:
    """The file, locked; the caller holds the cover, so that two first reports open one."""
    is_it = Claim.external_id == told.external_id
    if told.reference:
        is_it = or_(is_it, Claim.reference == told.reference)
    statement = select(Claim).where(Claim.operator_id == operator_id, is_it).with_for_update()
    claims = db.session.scalars(statement.execution_options(populate_existing=True)).all()
    other = next((each for each in claims if each.external_id not in (None, told.external_id)), None)
    if other is not None or len(claims) > 1:
        named = other.external_id if other is not None else told.external_id
        raise ClaimStateError(TAKEN.format(external_id=named))
    return claims[0] if claims else None


def _fields(told: Report) -> ClaimFields:
    return ClaimFields(
        trade=told.trade,
        event_on=told.event_on,
        event_time=told.event_time,
        declared_on=told.declared_on,
        channel=ClaimChannel.OPERATOR,
        asked=told.asked,
        words=told.words,
    )


def _correct(claim: Claim, held: Held, told: Report) -> bool:
    """Let the file say what is told, and be decided anew where that matters. Returns whether it says something else."""
    if claim.status is ClaimStatus.CANCELED and told.state is not ReportedState.CANCELED:
        raise ClaimStateError(STAYS_CANCELED)
    if claim.channel is ClaimChannel.OPERATOR:  # else they are what the client said to us
        claim.words = declaring.checked_words(told.words)
    event_at = _event_at(claim, held, told)
    now = (told.trade, told.event_on, event_at, told.declared_on, told.asked)
    before = (claim.trade, claim.event_on, claim.event_at, claim.declared_on, claim.asked)
    if now == before:
        return False
    is_decided = claim.status not in (ClaimStatus.CANCELED, ClaimStatus.DECLARED)
    if is_decided and claim.status is ClaimStatus.CLOSED:
        _reopen(claim, held)
    if claim.event_on != told.event_on:  # what was used is given back in the year of the day that was told before
        accounts.set_covered(claim, None, by=None, at=held.at, of=None)
    claim.trade, claim.event_on, claim.event_at, claim.declared_on, claim.asked = now
    recording.as_declared(claim)  # what no claim can say is refused before anything is written
    if before[-1] != told.asked:
        changes = {"claim_asked": [recording.as_told(before[-1]), recording.as_told(told.asked)]}
        recording.tell(claim, EventKind.CLAIM_CHANGED, changes, by=None, at=held.at)
    if is_decided:
        _decide_anew(claim, held)
    return True


def _event_at(claim: Claim, held: Held, told: Report) -> datetime | None:
    """The instant of the event: an hour that the client said to us stays while the day does, and no other is told."""
    is_ours = claim.channel is not ClaimChannel.OPERATOR and claim.event_on == told.event_on
    if told.event_time is None and is_ours:
        return claim.event_at
    return declaring.instant_of(told.event_on, told.event_time, held)


def _decide_anew(claim: Claim, held: Held) -> None:
    """By the rules, also where they refuse now; but what a person looks at, decided or paid stays a person's."""
    with db.session.no_autoflush:  # nothing pending is read here: it is this file's own
        entries = ledger.list_entries(held.cover.id, besides=claim.id)
        rules = decide(held.life, recording.as_declared(claim), entries, held.at)
    is_to_be_seen = rules.outcome is not Outcome.ACCEPTED or claim.status is ClaimStatus.TO_REVIEW
    if is_to_be_seen and _is_of_person(claim):
        deciding.leave_to_person(claim, rules, by=None, at=held.at)
        return
    status = declaring.STATUS_OF[rules.outcome]
    stays = claim.status is status or (status is ClaimStatus.ACCEPTED and claim.status is ClaimStatus.IN_PROGRESS)
    if not stays and not claim.can_become(status):
        _move(claim, ClaimStatus.TO_REVIEW, held)  # the only way from one decision to another
    with db.session.no_autoflush:
        declaring.follow_rules(claim, rules, by=None, at=held.at)


def _is_of_person(claim: Claim) -> bool:
    """Whether a person has decided the file or moved it, or money was paid for it."""
    decided = select(ClaimDecision.id).where(ClaimDecision.claim_id == claim.id, ClaimDecision.user_id.is_not(None))
    moved = select(ClaimChange.id).where(
        ClaimChange.claim_id == claim.id, ClaimChange.user_id.is_not(None), ClaimChange.old_status.is_not(None)
    )
    if any(db.session.scalar(each.limit(1)) is not None for each in (decided, moved)):
        return True
    return bool(accounts.sum_up(accounts.list_entries(claim.id)).borne)


def _follow(claim: Claim, held: Held) -> bool:
    """Bring the file as far as the operator says that it is; what is refused, or waits for a person, stays so.

    Returns whether it was canceled, or decided anew.
    """
    if claim.reported_state is ReportedState.CANCELED:
        return _cancel(claim, held)
    if claim.reported_state is ReportedState.DECLARED:
        return False
    is_reopened = claim.reported_state is ReportedState.IN_PROGRESS and claim.status is ClaimStatus.CLOSED
    if is_reopened:
        _reopen(claim, held)
        _decide_anew(claim, held)
    if claim.status is ClaimStatus.ACCEPTED:
        _move(claim, ClaimStatus.IN_PROGRESS, held)
    if claim.reported_state is ReportedState.CLOSED and claim.status is ClaimStatus.IN_PROGRESS:
        claim.closed_at = held.at
        _move(claim, ClaimStatus.CLOSED, held)
        accounts.set_reserve(claim, NOTHING, by=None, at=held.at)
    return is_reopened


def _reopen(claim: Claim, held: Held) -> None:
    if claim.closed_at is not None and held.at - claim.closed_at > REOPENED_WITHIN:
        raise ClaimStateError(
            f"Ce dossier est clos depuis plus de {REOPENED_WITHIN.days} jours\u202f: "
            "l’opérateur déclare un nouveau sinistre."
        )
    claim.closed_at = None
    _move(claim, ClaimStatus.IN_PROGRESS, held)


def _cancel(claim: Claim, held: Held) -> bool:
    if claim.status is ClaimStatus.CANCELED:
        return False
    accounts.check_nothing_paid(claim)
    if claim.status is ClaimStatus.CLOSED:
        _reopen(claim, held)
    if claim.status is ClaimStatus.REFUSED:
        _move(claim, ClaimStatus.TO_REVIEW, held)
    accounts.give_back(claim, by=None, at=held.at)
    accounts.set_reserve(claim, NOTHING, by=None, at=held.at)
    _move(claim, ClaimStatus.CANCELED, held)
    return True


def _move(claim: Claim, status: ClaimStatus, held: Held) -> None:
    recording.move_and_tell(claim, status, reason=BY_OPERATOR, by=None, at=held.at)


def _keep_answers(claim: Claim, told: Report, *, is_new: bool) -> None:
    """The visits that are told, and no others; the client's answer, if any. Nothing of a new file is there yet."""
    connection = db.session.connection()
    ids = {"organisation_id": current_organisation_id(), "claim_id": claim.id}
    if not is_new:
        named = {"its_organisation": ids["organisation_id"], "its_claim": claim.id}
        forgotten = _FORGET_VISITS if told.satisfaction is not None else _FORGET_VISITS_AND_ANSWER
        connection.execute(forgotten, {**named, "told": [each.external_id for each in told.interventions]})
    if told.interventions:
        connection.execute(_KEEP_VISITS, [{"id": new_id(), **ids, **vars(each)} for each in told.interventions])
    if told.satisfaction is not None:
        answer = {"id": new_id(), **ids, "client_id": claim.client_id, **vars(told.satisfaction)}
        connection.execute(_KEEP_ANSWER, answer)


def _keeping(table: FromClause, keys: Sequence[str], said: Sequence[str]) -> Insert:
    """What keeps rows of a claim: what is ``said`` replaces what was said before, by ``keys``."""
    statement = insert(table)  # type: ignore[arg-type]
    return statement.on_conflict_do_update(
        index_elements=["organisation_id", *keys], set_={name: statement.excluded[name] for name in said}
    )


def _forgetting(table: FromClause) -> Delete:
    """What forgets rows of a claim."""
    columns = table.c
    return delete(table).where(  # type: ignore[arg-type]
        columns.organisation_id == bindparam("its_organisation"), columns.claim_id == bindparam("its_claim")
    )


# Made once: to build them would take longer than all that they do.
_VISITS, _ANSWERS = ClaimIntervention.__table__, ClaimSatisfaction.__table__
_KEEP_VISITS = _keeping(_VISITS, ["claim_id", "external_id"], ["scheduled_at", "done_at", "craftsman", "note"])
_KEEP_ANSWER = _keeping(_ANSWERS, ["claim_id"], ["score", "comment", "answered_at"])
_FORGET_VISITS = _forgetting(_VISITS).where(_VISITS.c.external_id != all_(bindparam("told", type_=ARRAY(String))))
_FORGET_VISITS_AND_ANSWER = _FORGET_VISITS.add_cte(_forgetting(_ANSWERS).cte("answer"))
