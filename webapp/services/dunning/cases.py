"""Cases follow their charges: what is unpaid joins one, what is settled leaves it.

Events come in any order and say only which charge to look at again, under its lock. Locks are taken in one order:
charges, cases, subscriptions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from webapp import clock
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.dunning import (
    CaseStatus,
    ClaimOutcome,
    DunningCase,
    DunningClaim,
    DunningInstalment,
    DunningSequence,
    DunningSequenceStep,
    DunningStep,
    PauseReason,
    StepAction,
    StepOutcome,
)
from webapp.models.identity import User
from webapp.models.outbox import OutboxEvent
from webapp.models.payments import Payment, PaymentKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.dunning import days, planning, premiums, sequences, suspending, telling
from webapp.services.dunning.planning import Progress
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

OUTCOMES = {
    ChargeStatus.SUCCEEDED: ClaimOutcome.PAID,
    ChargeStatus.CANCELED: ClaimOutcome.CREDITED,
    ChargeStatus.SKIPPED: ClaimOutcome.CREDITED,
}
"""How a claim leaves, by the state of its charge; in any other state money is still owed."""
WITHDRAWN = "Retirée avant l’envoi\u202f: le dossier est en pause."
REFUSED_STATES = frozenset(ChargeStatus) - frozenset(OUTCOMES) - {ChargeStatus.SCHEDULED}


class CaseStateError(DomainError):
    """The case's state does not allow this."""


def _found(case: DunningCase | None) -> DunningCase:
    if case is None:
        raise NotFoundError("Ce dossier n’existe pas ou plus.")
    return case


def lock_case(case_id: UUID) -> DunningCase:
    """The case, with the charges that it holds, locked until the transaction ends. Raises NotFoundError."""
    held = select(DunningClaim.charge_id).where(DunningClaim.case_id == case_id, DunningClaim.left_at.is_(None))
    lock_charges(Charge.id.in_(held))
    statement = select(DunningCase).where(DunningCase.id == case_id).with_for_update()
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def lock_charges(condition: Any) -> dict[UUID, Charge]:
    """Charges by id, locked in order, as they stand now."""
    statement = select(Charge).where(condition).order_by(Charge.id).with_for_update()
    return {each.id: each for each in db.session.scalars(statement.execution_options(populate_existing=True))}


def move(case: DunningCase, status: CaseStatus, *, at: datetime) -> None:
    """Bring a locked case into ``status``. Raises CaseStateError where the table of transitions does not lead there."""
    if status is not case.status and not case.can_become(status):
        raise CaseStateError(f"Un dossier «\u00a0{case.status.label}\u00a0» ne permet pas cette action.")
    case.status = status
    if status is not CaseStatus.PAUSED:
        case.pause_reason = case.paused_on = case.pause_until = case.pause_note = None
    if status is not CaseStatus.OPEN:
        case.next_on = case.next_step_id = None
    case.closed_at = None if status.is_living else case.closed_at or at


# ---------------------------------------------------------------------------------------------- events


def review(event: OutboxEvent) -> None:
    """Hear that something happened to a charge, whatever it was, and look at it."""
    review_charge(UUID(event.payload["charge_id"]), at=clock.now())


def review_charge(charge_id: UUID, *, at: datetime) -> DunningCase | None:
    """Have the case of a charge follow it; returns the case that was touched. Safe to repeat."""
    with transaction():
        charge = lock_charges(Charge.id == charge_id).get(charge_id)
        if charge is None:
            return None
        held = select(DunningClaim.case_id).where(DunningClaim.charge_id == charge_id, DunningClaim.left_at.is_(None))
        case_id = db.session.scalar(held)
        if case_id is not None:
            case = _found(
                db.session.scalar(
                    select(DunningCase)
                    .where(DunningCase.id == case_id)
                    .with_for_update()
                    .execution_options(populate_existing=True)
                )
            )
        elif is_unpaid(charge, days.local(at)):
            case = join(charge, at=at)
        else:
            return _note_late_payment(charge, at=at)
        restate(case, at=at)
        return case


def _note_late_payment(charge: Charge, *, at: datetime) -> DunningCase | None:
    """What was written off was paid after all: the case is paid once all that it gave up is."""
    if charge.status is not ChargeStatus.SUCCEEDED:
        return None
    statement = select(DunningClaim).where(
        DunningClaim.charge_id == charge.id, DunningClaim.outcome == ClaimOutcome.WRITTEN_OFF
    )
    claim = db.session.scalar(statement.order_by(DunningClaim.id.desc()).limit(1))
    if claim is None:
        return None
    case = lock_case(claim.case_id)
    claim.outcome, claim.left_at = ClaimOutcome.PAID, at
    db.session.flush()
    left = exists().where(DunningClaim.case_id == case.id, DunningClaim.outcome == ClaimOutcome.WRITTEN_OFF)
    if case.status is CaseStatus.WRITTEN_OFF and not db.session.scalar(select(left)):
        _close(case, at=at)
    return case


def is_unpaid(charge: Charge, today: date) -> bool:
    """Whether the client was asked for it and has not paid: refused at least once, returned, or awaited for too long.

    A new attempt that is under way does not make it paid. What a shop collects, it asks for by itself.
    """
    if charge.is_of_shop or charge.owed <= 0:
        return False
    if charge.status is ChargeStatus.SCHEDULED:
        return charge.first_refused_at is not None or is_overdue(charge, today)
    return charge.status is ChargeStatus.REVERSED or (
        charge.status in REFUSED_STATES and charge.first_refused_at is not None
    )


def is_overdue(charge: Charge, today: date) -> bool:
    """Whether the client pays it without us, and its day is past."""
    return charge.attention is Attention.BY_HAND and charge.due_on < today


def unpaid_since(charge: Charge) -> date:
    """The day from which its steps count: when it came back, else of the first refusal, else when it was due."""
    returned = db.session.scalar(
        select(func.max(Payment.recorded_at)).where(
            Payment.charge_id == charge.id, Payment.kind == PaymentKind.REVERSAL
        )
    )
    since = returned or charge.first_refused_at
    return days.local(since) if since else charge.due_on


def join(charge: Charge, *, at: datetime) -> DunningCase:
    """Have the client's living case hold a locked charge that is unpaid; a new case where there is none."""
    since = unpaid_since(charge)
    case = _lock_living(charge.client_id, charge.company_id) or _open(charge, since, at=at)
    if charge.status is ChargeStatus.REVERSED:
        suspending.take_over(case, charge.subscription_id)
    hold(case, charge, since=since, at=at)
    return case


def hold(case: DunningCase, charge: Charge, *, since: date, at: datetime) -> None:
    """Have a locked case hold a charge from now on."""
    db.session.add(
        DunningClaim(id=new_id(), case_id=case.id, charge_id=charge.id, since=since, amount=charge.owed, joined_at=at)
    )
    db.session.flush()


def _lock_living(client_id: UUID, company_id: UUID) -> DunningCase | None:
    statement = select(DunningCase).where(
        DunningCase.client_id == client_id,
        DunningCase.company_id == company_id,
        DunningCase.closed_at.is_(None),
    )
    return db.session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def _open(charge: Charge, since: date, *, at: datetime) -> DunningCase:
    """Open a case, or find the one that somebody opened at the same instant."""
    sequence = sequences.choose_for(charge, at=at)
    case_id = db.session.scalar(
        insert(DunningCase)
        .values(
            organisation_id=current_organisation_id(),
            id=new_id(),
            client_id=charge.client_id,
            company_id=charge.company_id,
            sequence_id=sequence.id,
            status=CaseStatus.OPEN,
            since=since,
            currency=charge.currency,
            created_at=at,
        )
        .on_conflict_do_nothing(
            index_elements=["organisation_id", "client_id", "company_id"],
            index_where=text("status IN ('open', 'paused')"),
        )
        .returning(DunningCase.id)
    )
    case = _lock_living(charge.client_id, charge.company_id)
    if case is None:
        raise AssertionError("a case that somebody else opened is there once our insertion has waited for it")
    if case_id is not None:
        tell(
            case,
            EventKind.DUNNING_OPENED,
            {"charge": charge.code, "case_amount": f"{charge.owed} {charge.currency}"},
            by=None,
            at=at,
        )
    return case


# ------------------------------------------------------------------------------------- what a case holds


@dataclass(frozen=True)
class Held:
    """A claim that a case holds, and its charge."""

    claim: DunningClaim
    charge: Charge

    def is_unpaid(self, today: date) -> bool:
        """Whether steps may claim it: the next instalment, not yet refused, is awaited and no more."""
        return is_unpaid(self.charge, today)


def is_insurance(sequence: DunningSequence, held: Iterable[Held]) -> bool:
    """Whether a case keeps the days of L113-3: its sequence says so, or it holds a premium."""
    return sequence.is_insurance or any(premiums.is_premium(each.charge) for each in held)


def list_held(case_ids: Iterable[UUID]) -> dict[UUID, list[Held]]:
    """What some cases hold now, the longest unpaid first."""
    held: dict[UUID, list[Held]] = {case_id: [] for case_id in case_ids}
    if not held:
        return held
    statement = (
        select(DunningClaim, Charge)
        .join(Charge, linked(Charge, DunningClaim.charge_id))
        .where(DunningClaim.case_id.in_(held), DunningClaim.left_at.is_(None))
        .order_by(DunningClaim.since, DunningClaim.id)
        .execution_options(populate_existing=True)
    )
    for claim, charge in db.session.execute(statement):
        held[claim.case_id].append(Held(claim, charge))
    return held


def release(held: Held, outcome: ClaimOutcome, case: DunningCase, *, at: datetime) -> None:
    """A claim is settled: it leaves its case, and is put down to the last step before whose words had left, if any."""
    held.claim.left_at, held.claim.outcome = at, outcome
    held.claim.after_step_id = db.session.scalar(
        select(DunningStep.id)
        .where(
            DunningStep.case_id == case.id,
            DunningStep.outcome == StepOutcome.DONE,
            DunningStep.action != StepAction.RESUME,
            or_(DunningStep.message_id.is_(None), telling.has_left(DunningStep.message_id)),
        )
        .order_by(DunningStep.at.desc(), DunningStep.id.desc())
        .limit(1)
    )


def restate(case: DunningCase, *, at: datetime) -> None:
    """Bring a locked case to what its charges say: who leaves it, what is owed, which round, which step is next."""
    db.session.flush()
    left, settled = [], []
    for held in list_held([case.id])[case.id]:
        outcome = OUTCOMES.get(held.charge.status) or (ClaimOutcome.CREDITED if held.charge.owed <= 0 else None)
        if outcome is None:
            held.claim.amount = held.charge.owed
            left.append(held)
        else:
            release(held, outcome, case, at=at)
            settled.append(held)
    pending = find_pending(case.id)
    case.amount = sum((held.claim.amount for held in left), pending)
    db.session.flush()
    if not left and not pending:
        _close(case, at=at)
    elif case.status.is_living:
        _break_plan(case, left, at=at)
        _turn_round(case, left, at=at)
        plan(case, left, at=at)


def find_pending(case_id: UUID) -> Decimal:
    """What a case's plan will still ask for."""
    statement = select(func.coalesce(func.sum(DunningInstalment.amount), 0)).where(
        DunningInstalment.case_id == case_id,
        DunningInstalment.charge_id.is_(None),
        DunningInstalment.canceled_at.is_(None),
    )
    return Decimal(db.session.execute(statement).scalar_one())


def _close(case: DunningCase, *, at: datetime) -> None:
    if not case.can_become(CaseStatus.PAID):
        return
    move(case, CaseStatus.PAID, at=at)
    telling.withdraw(case.id, is_settled=True, at=at)
    suspending.release(case, at=at)
    tell(case, EventKind.DUNNING_CLOSED, {"case_status": case.status.label}, by=None, at=at)


def _break_plan(case: DunningCase, held: Sequence[Held], *, at: datetime) -> None:
    """A plan whose instalment was refused for good does not hold steps up any longer."""
    if case.pause_reason is not PauseReason.PLAN:
        return
    today = days.local(at)
    if any(each.charge.status in (ChargeStatus.FAILED, ChargeStatus.REVERSED) for each in held) or any(
        is_overdue(each.charge, today) for each in held
    ):
        go_on(case, at=at)


def withdraw(case: DunningCase, *, at: datetime) -> None:
    """Cancel what was written about a locked case that is paused, and has not left: these steps come again
    afterwards.
    """
    withdrawn = telling.withdraw(case.id, at=at)
    if not withdrawn:
        return
    statement = (
        select(DunningStep, DunningSequenceStep)
        .join(DunningSequenceStep, linked(DunningSequenceStep, DunningStep.step_id))
        .where(DunningStep.message_id.in_(withdrawn))
    )
    for noted, step in db.session.execute(statement).all():
        noted.step_id, noted.outcome, noted.reason = None, StepOutcome.PASSED_OVER, WITHDRAWN
        if noted.round == case.round and planning.is_notice(step):
            _forget_notice(case)


def _forget_notice(case: DunningCase) -> None:
    """The letter that claimed it never left: what is held stands on no notice."""
    db.session.execute(
        update(DunningClaim)
        .where(DunningClaim.case_id == case.id, DunningClaim.left_at.is_(None))
        .values(is_noticed=False)
        .execution_options(synchronize_session="fetch")
    )


def go_on(case: DunningCase, *, at: datetime) -> None:
    """End the pause of a locked case: its steps come so many days later, however late a promise is seen to have
    passed.
    """
    if case.paused_on is not None:
        last = days.local(at)
        if case.pause_until is not None:
            last = min(last, case.pause_until + timedelta(days=1))
        case.paused_days += max((last - case.paused_on).days, 0)
    move(case, CaseStatus.OPEN, at=at)


def _turn_round(case: DunningCase, held: Sequence[Held], *, at: datetime) -> None:
    """What is left once all that the round's steps claimed is settled begins a round of its own, from its own day."""
    unpaid = [each for each in held if each.is_unpaid(days.local(at))]
    if not unpaid:
        return
    oldest = min(each.claim.since for each in unpaid)
    if not _has_claimed(case):
        case.since = oldest
    elif not any(each.claim.round == case.round for each in held) or _outlived_notice(case, held):
        is_paid = _was_settled_by_payment(case)
        if is_paid:
            suspending.release(case, at=at)
        telling.withdraw(case.id, is_settled=is_paid, at=at)
        case.round += 1
        case.since, case.paused_days = oldest, 0


def _has_claimed(case: DunningCase) -> bool:
    statement = exists().where(DunningClaim.case_id == case.id, DunningClaim.round == case.round)
    return bool(db.session.scalar(select(statement)))


def _outlived_notice(case: DunningCase, held: Sequence[Held]) -> bool:
    """Whether all that the round's formal notice claimed is settled: what is left needs a notice of its own."""
    if any(each.claim.is_noticed for each in held):
        return False
    noticed = exists().where(DunningClaim.case_id == case.id, DunningClaim.round == case.round, DunningClaim.is_noticed)
    return bool(db.session.scalar(select(noticed)))


def _was_settled_by_payment(case: DunningCase) -> bool:
    """Whether all that the round claimed was paid or credited: a plan that took its place is no payment."""
    others = exists().where(
        DunningClaim.case_id == case.id,
        DunningClaim.round == case.round,
        DunningClaim.outcome.not_in((ClaimOutcome.PAID, ClaimOutcome.CREDITED)),
    )
    return not db.session.scalar(select(others))


def plan(case: DunningCase, held: Sequence[Held], *, at: datetime) -> None:
    """Note which step of an open case comes next, and on which day it is looked at."""
    case.next_on = case.next_step_id = None
    today = days.local(at)
    if case.status is not CaseStatus.OPEN or not any(each.is_unpaid(today) for each in held):
        return
    sequence = db.session.get_one(DunningSequence, (case.organisation_id, case.sequence_id))
    steps = sequences.steps_of([sequence.id])[sequence.id]
    progress = find_progress([case])[case.id]
    following = planning.next_step(steps, progress, is_insurance=is_insurance(sequence, held), today=today)
    note_next(case, following)


def note_next(case: DunningCase, following: tuple[DunningSequenceStep, date] | None) -> None:
    """Keep what comes next with the case."""
    case.next_step_id, case.next_on = (following[0].id, following[1]) if following else (None, None)


def find_progress(cases: Sequence[DunningCase]) -> dict[UUID, Progress]:
    """How far the present round of each case has come."""
    by_id = {case.id: case for case in cases}
    done: dict[UUID, list[DunningStep]] = {case_id: [] for case_id in by_id}
    if by_id:
        for step in db.session.scalars(select(DunningStep).where(DunningStep.case_id.in_(by_id))):
            if step.round == by_id[step.case_id].round and step.step_id is not None:
                done[step.case_id].append(step)
    written = {step.message_id: step.case_id for steps in done.values() for step in steps if step.message_id}
    noticed = telling.find_notices(written)
    return {case.id: _progress(case, done[case.id], noticed.get(case.id)) for case in cases}


def find_noticed_on(subscription_id: UUID) -> date | None:
    """The day on which the formal notice was sent of what the subscription owes now; None where none has left."""
    holding = (
        select(DunningCase)
        .join(DunningClaim, linked(DunningCase, DunningClaim.case_id))
        .join(Charge, linked(Charge, DunningClaim.charge_id))
        .where(
            Charge.subscription_id == subscription_id, DunningClaim.left_at.is_(None), DunningClaim.is_noticed.is_(True)
        )
    )
    progress = find_progress(db.session.scalars(holding).unique().all())
    return min((each.noticed_on for each in progress.values() if each.noticed_on), default=None)


def _progress(case: DunningCase, done: Sequence[DunningStep], notice: telling.Notice | None) -> Progress:
    carried_out = [step for step in done if step.outcome is StepOutcome.DONE]
    suspended = [step.at for step in carried_out if step.action is StepAction.SUSPEND]
    return Progress(
        since=case.since,
        paused_days=case.paused_days,
        settled=frozenset(step.step_id for step in done if step.step_id),
        last_on=max((days.local(step.at) for step in carried_out), default=None),
        has_notice=notice is not None,
        noticed_on=days.local(notice.sent_at) if notice and notice.sent_at else None,
        suspended_on=days.local(max(suspended)) if suspended else None,
    )


def tell(case: DunningCase, kind: EventKind, facts: dict[str, str], *, by: User | None, at: datetime) -> None:
    """Write into the client's timeline what happened to a case."""
    changes: dict[str, Any] = {"case": [None, case.code], "case_amount": [None, f"{case.amount} {case.currency}"]}
    changes |= {name: [None, value] for name, value in facts.items() if value}
    db.session.add(
        TimelineEvent(client_id=case.client_id, kind=kind, at=at, user_id=by.id if by else None, changes=changes)
    )
