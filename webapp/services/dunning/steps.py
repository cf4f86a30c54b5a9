"""The engine of dunning: which cases have a step due, and the step, carried out once.

A case is looked at under the locks of its charges and its own. Its step waits while money may be on its way: a retry of
the day that was not made yet, or an attempt whose result is awaited. What is settled by then gets no step. Each batch
is one transaction: whoever dies in it has done nothing, and who looks twice finds the step noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import literal_column, select, tuple_

from webapp import french, queue, tenancy
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.dunning import (
    CaseStatus,
    DunningCase,
    DunningClaim,
    DunningSequence,
    DunningSequenceStep,
    DunningStep,
    PauseReason,
    StepAction,
    StepOutcome,
)
from webapp.models.identity import User
from webapp.models.organisations import Organisation
from webapp.models.timeline import EventKind
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.dunning import cases, days, planning, plans, sequences, suspending, telling
from webapp.services.dunning.cases import CaseStateError, Held
from webapp.services.dunning.planning import Progress
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.dunning.carry_out"
BATCH = 200
"""Cases in one transaction."""
OVERDUE_LOOK = timedelta(days=30)
"""How far back the engine looks for charges that the client should have paid without us: older ones are for a
person.
"""
NOTHING = Decimal("0.00")
UNDER_WAY = frozenset({ChargeStatus.SENDING, ChargeStatus.UNKNOWN, ChargeStatus.PROCESSING})
TASK_TITLE = "Impayé de {amount}\u202f: {title}"
NOTHING_TO_SUSPEND = "Aucun abonnement en cours à suspendre."
NOTHING_TO_END = "Aucun abonnement en cours à résilier."
SWITCHED_OFF = "Ce message est désactivé pour la société."
TOO_EARLY = "Cette étape attend que la mise en demeure soit partie."
TOO_EARLY_UNTIL = "Cette étape ne peut pas venir avant le {day} : le client a ce temps pour payer."
NOTHING_CLAIMED = "Rien de ce dossier ne peut encore être réclamé par cette étape."

Place = tuple[date, UUID]
_CASES = DunningCase.__table__


def ring(*, at: datetime) -> int:
    """Ring for every organisation, within the hours of dunning; returns how many organisations."""
    if not days.is_within_hours(at):
        return 0
    return each_organisation.ring(JOB, select(Organisation.id), on="outbox")


def carry_out(organisation_id: UUID, *, at: datetime) -> int:
    """Do all that is due in the organisation at ``at``, within the hours; returns how many steps were carried out."""
    queue.heard(JOB, organisation_id)
    if not days.is_within_hours(at):
        return 0
    with tenancy.organisation(organisation_id):
        suspending.resume_due(at=at)
        plans.ask_due(at=at)
        join_overdue(at=at)
        end_promises(at=at)
        return carry_out_steps(at=at)


def join_overdue(*, at: datetime) -> int:
    """Look at every charge that its client should have paid without us by yesterday; returns how many were looked
    at.
    """
    today = days.local(at)
    held_in_plan = (
        select(DunningClaim.charge_id)
        .join(DunningCase, linked(DunningCase, DunningClaim.case_id))
        .where(DunningClaim.left_at.is_(None), DunningCase.pause_reason.is_distinct_from(PauseReason.PLAN))
    )
    overdue = db.session.scalars(
        select(Charge.id)
        .where(
            Charge.attention == Attention.BY_HAND,
            Charge.status == ChargeStatus.SCHEDULED,
            Charge.due_on < today,
            Charge.due_on >= today - OVERDUE_LOOK,
            Charge.id.not_in(held_in_plan),
        )
        .order_by(Charge.id)
    ).all()
    for charge_id in overdue:
        cases.review_charge(charge_id, at=at)
    return len(overdue)


def end_promises(*, at: datetime) -> int:
    """Cases whose promise has passed without money go on; returns how many."""
    ended = select(DunningCase.id).where(DunningCase.pause_until < days.local(at))
    ids = db.session.scalars(ended.order_by(DunningCase.id)).all()
    for case_id in ids:
        with transaction():
            case = cases.lock_case(case_id)
            if case.pause_until is not None and case.pause_until < days.local(at):
                cases.go_on(case, at=at)
                cases.restate(case, at=at)
    return len(ids)


# ----------------------------------------------------------------------------------------- the day's steps


def carry_out_steps(*, at: datetime) -> int:
    """Carry out the steps that are due in the current organisation; returns how many."""
    done, after = 0, None
    while due := choose_due(days.local(at), after=after):
        done += _carry_out_some([case_id for _, case_id in due], at=at)
        after = due[-1]
    return done


def _carry_out_some(case_ids: Sequence[UUID], *, at: datetime) -> int:
    """Carry out the steps of some cases at once; where that fails, one by one, so that one does not stop the others."""
    try:
        return _carry_out_batch(case_ids, at=at)
    except Exception:
        if len(case_ids) > 1:
            return sum(_carry_out_some([case_id], at=at) for case_id in case_ids)
        log.exception("dunning_step_failed", case_id=str(case_ids[0]))
        return 0


def choose_due(today: date, *, after: Place | None = None, limit: int = BATCH) -> Sequence[Place]:
    """The next open cases whose step is to be looked at by ``today``: the day and the id, the longest due first."""
    # Plain columns, since rows to read need no identity map; the number itself as limit, since a prepared statement
    # that does not know it would sort all that is due.
    on, case_id, organisation_id = _CASES.c.next_on, _CASES.c.id, _CASES.c.organisation_id
    statement = select(on, case_id).where(organisation_id == tenancy.current_organisation_id(), on <= today)
    if after is not None:
        statement = statement.where(tuple_(on, case_id) > after)
    page = statement.order_by(on, case_id).limit(literal_column(str(limit)))
    found: Sequence[Place] = db.session.execute(page).all()
    return found


@dataclass(frozen=True)
class Turn:
    """A locked case, what it holds, and the sequence that it follows."""

    case: DunningCase
    held: Sequence[Held]
    steps: Sequence[DunningSequenceStep]
    is_insurance: bool
    progress: Progress

    @property
    def next_step(self) -> DunningSequenceStep:
        """The step that comes next; the case has one."""
        return next(step for step in self.steps if step.id == self.case.next_step_id)


@dataclass(frozen=True)
class _Work:
    """A step that is to be carried out on a case, on some of what it holds."""

    turn: Turn
    step: DunningSequenceStep
    claimed: Sequence[Held]
    record: DunningStep


def preview(case_ids: Sequence[UUID], *, at: datetime) -> dict[UUID, planning.Choice]:
    """What would be done now with these cases, each locked with its charges in the caller's transaction."""
    return {turn.case.id: _choose(turn, days.local(at)) for turn in _lock(case_ids, at=at)}


def _choose(turn: Turn, today: date) -> planning.Choice:
    owed = sum((each.claim.amount for each in _unpaid(turn, today)), NOTHING)
    return planning.choose(turn.steps, turn.progress, is_insurance=turn.is_insurance, today=today, amount=owed)


def _carry_out_batch(case_ids: Sequence[UUID], *, at: datetime) -> int:
    today = days.local(at)
    with transaction():
        works = []
        for turn in _lock(case_ids, at=at):
            choice = _choose(turn, today)
            for step, reason in choice.passed_over:
                note(turn, step, StepOutcome.PASSED_OVER, at=at, reason=reason)
            settled = turn.progress.settled | {step.id for step, _ in choice.passed_over}
            turn = replace(turn, progress=replace(turn.progress, settled=settled))  # noqa: PLW2901
            claimed = _claimed_by(choice.step, turn, today) if choice.step else []
            if choice.step is not None and claimed:
                works.append(_begin(turn, choice.step, claimed, at=at))
            else:
                _note_next(turn, today)
        _perform(works, at=at, by=None)
    return len(works)


def _lock(case_ids: Sequence[UUID], *, at: datetime) -> list[Turn]:
    """The cases among these that are free and still have a step due, their charges locked first; settled ones are
    closed.
    """
    today = days.local(at)
    held_ids = select(DunningClaim.charge_id).where(DunningClaim.case_id.in_(case_ids), DunningClaim.left_at.is_(None))
    locking = select(Charge.id).where(Charge.id.in_(held_ids)).order_by(Charge.id).with_for_update()
    charges = set(db.session.scalars(locking))  # read once they are locked, with their claims
    statement = (
        select(DunningCase)
        .where(DunningCase.id.in_(case_ids), DunningCase.next_on <= today)
        .order_by(DunningCase.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    locked = list(db.session.scalars(statement))
    held = cases.list_held(case.id for case in locked)
    free = [case for case in locked if all(each.charge.id in charges for each in held[case.id])]
    moved = [case for case in free if any(_has_moved(each) for each in held[case.id])]
    for case in moved:
        cases.restate(case, at=at)
    held |= cases.list_held(case.id for case in moved)
    due = [
        case
        for case in free
        if case.next_on is not None and case.next_on <= today and not is_awaited(held[case.id], today)
    ]
    return turns(due, held)


def _has_moved(held: Held) -> bool:
    """Whether the charge says something else than its claim: its event is still to be delivered."""
    return held.charge.status in cases.OUTCOMES or held.charge.owed != held.claim.amount


def is_awaited(held: Sequence[Held], today: date) -> bool:
    """Whether money may come yet today: an attempt is under way, or a retry of this day was not made."""
    return any(_is_awaited(each.charge, today) for each in held)


def _is_awaited(charge: Charge, today: date) -> bool:
    if charge.status in UNDER_WAY or charge.lease_until is not None:
        return True
    if charge.status is ChargeStatus.AUTHENTICATING:
        return charge.next_attempt_at is None  # the client is on the provider's page
    return charge.next_attempt_at is not None and days.local(charge.next_attempt_at) <= today


def turns(found: Sequence[DunningCase], held: dict[UUID, list[Held]]) -> list[Turn]:
    """Cases with what they hold, the sequences that they follow, and how far they have come."""
    wanted = {case.sequence_id for case in found}
    known = {
        each.id: each for each in db.session.scalars(select(DunningSequence).where(DunningSequence.id.in_(wanted)))
    }
    steps, progress = sequences.steps_of(wanted), cases.find_progress(found)
    return [
        Turn(
            case,
            held[case.id],
            steps[case.sequence_id],
            cases.is_insurance(known[case.sequence_id], held[case.id]),
            progress[case.id],
        )
        for case in found
    ]


def _unpaid(turn: Turn, today: date) -> list[Held]:
    return [each for each in turn.held if each.is_unpaid(today)]


def _claimed_by(step: DunningSequenceStep, turn: Turn, today: date) -> list[Held]:
    """What of the case the step is about. What takes away stands on what a formal notice claimed; of an insurance, that
    claims nothing that is due for less than ten days.
    """
    unpaid = _unpaid(turn, today)
    if step.action in planning.TAKING_AWAY and planning.notice_before(step, turn.steps) is not None:
        return [each for each in unpaid if each.claim.is_noticed]
    if planning.is_notice(step) and turn.is_insurance:
        latest = today - timedelta(days=days.NOTICE_AFTER)
        return [each for each in unpaid if each.charge.due_on <= latest]
    return unpaid


def note(
    turn: Turn,
    step: DunningSequenceStep,
    outcome: StepOutcome,
    *,
    at: datetime,
    reason: str | None = None,
    by: User | None = None,
) -> DunningStep:
    """Write down what became of a step of a locked case: once a round, as a unique key sees to."""
    noted = DunningStep(
        id=new_id(),
        case_id=turn.case.id,
        round=turn.case.round,
        step_id=step.id,
        action=step.action,
        outcome=outcome,
        planned_on=planning.planned_on(step, turn.progress),
        at=at,
        reason=reason,
        user_id=by.id if by else None,
    )
    db.session.add(noted)
    return noted


def _begin(
    turn: Turn, step: DunningSequenceStep, claimed: Sequence[Held], *, at: datetime, by: User | None = None
) -> _Work:
    """Note the step and what it claims."""
    record = note(turn, step, StepOutcome.DONE, at=at, by=by)
    record.amount = sum((each.claim.amount for each in claimed), NOTHING)
    for each in claimed:
        each.claim.round = turn.case.round
        each.claim.is_noticed = each.claim.is_noticed or planning.is_notice(step)
    return _Work(turn, step, claimed, record)


def carry_out_now(turn: Turn, *, by: User, at: datetime) -> None:
    """Carry the next step of a locked case out, whatever its day. Raises CaseStateError."""
    step, today = turn.next_step, days.local(at)
    if is_awaited(turn.held, today):
        raise CaseStateError(plans.UNDER_WAY)
    day = planning.due_on(step, turn.steps, turn.progress, is_insurance=turn.is_insurance)
    if step.action in planning.TAKING_AWAY and (day is None or day > today):
        raise CaseStateError(TOO_EARLY if day is None else TOO_EARLY_UNTIL.format(day=french.day(day)))
    claimed = _claimed_by(step, turn, today)
    if not claimed:
        raise CaseStateError(NOTHING_CLAIMED)
    _perform([_begin(turn, step, claimed, at=at, by=by)], at=at, by=by)


def _perform(works: Sequence[_Work], *, at: datetime, by: User | None) -> None:
    """Do what the steps say: act first, so that a message is written only of what was done; then write, all at once."""
    today = days.local(at)
    tellings = {}
    for work in works:
        happened = _ACTIONS[work.step.action](work, at)
        claims = [(each.charge, each.claim.amount) for each in work.claimed]
        turn = work.turn
        message = (
            telling.of_step(turn.case, work.step, work.record, claims, is_insurance=turn.is_insurance)
            if happened
            else None
        )
        if message is not None:
            tellings[message.key] = (work, message)
        cases.tell(
            work.turn.case,
            EventKind.DUNNING_STEP,
            {"step": label_of(work.step), "reason": work.record.reason or ""},
            by=by,
            at=at,
        )
    _make_tasks([work for work in works if work.step.action is StepAction.TASK], at=at)
    db.session.flush()
    written = telling.write([message for _, message in tellings.values()], at=at, by=by.id if by else None)
    for key, (work, _) in tellings.items():
        work.record.message_id = written.get(key)
        if key not in written:
            work.record.reason = SWITCHED_OFF
    for work in works:
        turn = work.turn
        if turn.case.status is CaseStatus.OPEN:
            _note_next(replace(turn, progress=_after(work, today)), today)


def _make_tasks(works: Sequence[_Work], *, at: datetime) -> None:
    """For the commercials of the clients."""
    made = [NewTask(work.turn.case.client_id, _task_title(work), days.local(at)) for work in works]
    tasks.add_and_tell(made, at=at)


def _task_title(work: _Work) -> str:
    amount = french.money(work.record.amount, work.turn.case.currency)
    return TASK_TITLE.format(amount=amount, title=work.step.title)[: tasks.TITLE_LENGTH]


def _after(work: _Work, today: date) -> Progress:
    progress = work.turn.progress
    is_written = work.record.message_id is not None and planning.is_notice(work.step)
    return replace(
        progress,
        settled=progress.settled | {work.step.id},
        last_on=today,
        has_notice=progress.has_notice or is_written,
        suspended_on=today if work.step.action is StepAction.SUSPEND else progress.suspended_on,
    )


def _note_next(turn: Turn, today: date) -> None:
    following = planning.next_step(turn.steps, turn.progress, is_insurance=turn.is_insurance, today=today)
    if following is not None and following[1] <= today:  # it is due, and claims nothing yet: looked at again tomorrow
        following = following[0], today + timedelta(days=1)
    cases.note_next(turn.case, following)


def label_of(step: DunningSequenceStep) -> str:
    """How a step is called on the screen."""
    if planning.is_notice(step):
        return f"Mise en demeure ({step.action.label.lower()})"
    return step.title or step.action.label


def _write_only(work: _Work, at: datetime) -> bool:
    return True


def _suspend(work: _Work, at: datetime) -> bool:
    suspended = suspending.suspend(work.turn.case, _subscriptions(work), at=at)
    if not suspended:
        work.record.reason = NOTHING_TO_SUSPEND
    return bool(suspended)


def _terminate(work: _Work, at: datetime) -> bool:
    ended = suspending.terminate(_subscriptions(work), at=at)
    if not ended:
        work.record.reason = NOTHING_TO_END
    cases.move(work.turn.case, CaseStatus.TERMINATED, at=at)
    return bool(ended)


def _hand_over(work: _Work, at: datetime) -> bool:
    cases.move(work.turn.case, CaseStatus.HANDED_OVER, at=at)
    plans.hold_retries([each.charge for each in work.turn.held], plans.HANDED_OVER, at=at)
    return True


def _subscriptions(work: _Work) -> set[UUID]:
    return {each.charge.subscription_id for each in work.claimed}


_ACTIONS = {
    StepAction.EMAIL: _write_only,
    StepAction.SMS: _write_only,
    StepAction.LETTER: _write_only,
    StepAction.TASK: _write_only,
    StepAction.SUSPEND: _suspend,
    StepAction.TERMINATE: _terminate,
    StepAction.HANDOVER: _hand_over,
}
