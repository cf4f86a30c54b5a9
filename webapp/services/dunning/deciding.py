"""What a person decides on a case. Which action its state allows serves the buttons and the commands alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from webapp import french
from webapp.clock import PARIS
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.dunning import (
    CaseStatus,
    ClaimOutcome,
    DunningCase,
    PauseReason,
    StepOutcome,
)
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.charges import decisions
from webapp.services.dunning import cases, days, plans, steps, telling
from webapp.services.dunning.cases import CaseStateError
from webapp.transactions import transaction

FARTHEST_PROMISE = timedelta(days=180)
ALREADY = "Cette étape n’est plus la prochaine du dossier\u202f: quelqu’un l’a déjà faite ou passée."


class CaseAction(StrEnum):
    """What a person may do with a case."""

    PROMISE = "promise"
    PLAN = "plan"
    DISPUTE = "dispute"
    GO_ON = "go_on"
    SEND_NOW = "send_now"
    SKIP = "skip"
    WRITE_OFF = "write_off"
    HAND_OVER = "hand_over"

    @property
    def label(self) -> str:
        """The words on the button."""
        return {
            "promise": "Promesse",
            "plan": "Échéancier",
            "dispute": "Contester",
            "go_on": "Reprendre",
            "send_now": "Envoyer maintenant",
            "skip": "Passer l’étape",
            "write_off": "Passer en perte",
            "hand_over": "Remettre au contentieux",
        }[self.value]


def actions_of(case: DunningCase) -> list[CaseAction]:
    """What may be done with the case now, in the order of the buttons."""
    is_open = case.status is CaseStatus.OPEN
    is_planned = case.pause_reason is PauseReason.PLAN
    allowed = {
        CaseAction.PROMISE: is_open or case.pause_reason is PauseReason.PROMISE,
        CaseAction.PLAN: case.status.is_living and not is_planned,
        CaseAction.DISPUTE: is_open or case.pause_reason is PauseReason.PROMISE,
        CaseAction.GO_ON: case.status is CaseStatus.PAUSED,
        CaseAction.SEND_NOW: is_open and case.next_step_id is not None,
        CaseAction.SKIP: is_open and case.next_step_id is not None,
        CaseAction.WRITE_OFF: case.can_become(CaseStatus.WRITTEN_OFF),
        CaseAction.HAND_OVER: case.can_become(CaseStatus.HANDED_OVER) and not is_planned,
    }
    return [action for action in CaseAction if allowed[action]]


@contextmanager
def _deciding(case_id: UUID, action: CaseAction, *, at: datetime) -> Iterator[DunningCase]:
    """The case with its charges, locked and brought up to date, if its state allows the action.

    Raises NotFoundError, CaseStateError.
    """
    with transaction():
        case = cases.lock_case(case_id)
        cases.restate(case, at=at)
        if action not in actions_of(case):
            raise CaseStateError(f"Un dossier «\u00a0{case.status.label}\u00a0» ne permet pas cette action.")
        yield case


def promise(case_id: UUID, *, until: date, note: str, by: User, at: datetime) -> DunningCase:
    """The client promises to pay until a day: no step, and no retry, before it has passed.

    Raises NotFoundError, CaseStateError; InvalidInputError for a day in the past, or too far away.
    """
    today = days.local(at)
    if until < today:
        raise InvalidInputError("Une promesse ne peut pas être pour un jour passé.", field="until")
    if until > today + FARTHEST_PROMISE:
        raise InvalidInputError("Une promesse est pour les six mois qui viennent au plus.", field="until")
    note = decisions.checked_reason(note, is_needed=False)
    with _deciding(case_id, CaseAction.PROMISE, at=at) as case:
        _pause(case, PauseReason.PROMISE, note, until=until, at=at)
        for held in cases.list_held([case.id])[case.id]:
            retry = held.charge.next_attempt_at
            if held.charge.status is ChargeStatus.RETRYING and retry and days.local(retry) <= until:
                hour = retry.astimezone(PARIS).time()
                held.charge.next_attempt_at = datetime.combine(until + timedelta(days=1), hour, PARIS)
        _tell(case, CaseAction.PROMISE, {"until": until.isoformat(), "reason": note}, by=by, at=at)
    return case


def dispute(case_id: UUID, *, note: str, by: User, at: datetime) -> DunningCase:
    """The client contests what is asked: no step and no retry until a person goes on.

    Raises NotFoundError, CaseStateError; InvalidInputError without a reason.
    """
    note = decisions.checked_reason(note)
    with _deciding(case_id, CaseAction.DISPUTE, at=at) as case:
        _pause(case, PauseReason.DISPUTE, note, at=at)
        held = cases.list_held([case.id])[case.id]
        plans.hold_retries([each.charge for each in held], plans.DISPUTED, at=at)
        _tell(case, CaseAction.DISPUTE, {"reason": note}, by=by, at=at)
    return case


def _pause(case: DunningCase, reason: PauseReason, note: str, *, at: datetime, until: date | None = None) -> None:
    today = days.local(at)
    if case.paused_on is not None:
        case.paused_days += max((today - case.paused_on).days, 0)
    case.pause_reason, case.paused_on, case.pause_until, case.pause_note = reason, today, until, note or None
    cases.move(case, CaseStatus.PAUSED, at=at)
    cases.withdraw(case, at=at)


def make_plan(
    case_id: UUID, *, first_on: date, count: int, fortnightly: bool, note: str, by: User, at: datetime
) -> DunningCase:
    """Agree on ``count`` instalments from ``first_on`` on, in the place of all that the case holds.

    Raises NotFoundError; CaseStateError, also while money may be on its way; InvalidInputError naming the field.
    """
    if not 2 <= count <= plans.MOST_INSTALMENTS:
        raise InvalidInputError(f"Un échéancier a de 2 à {plans.MOST_INSTALMENTS} échéances.", field="count")
    dates = plans.dates_of(first_on, count, fortnightly=fortnightly)
    plans.check_dates(dates, at=at)
    note = decisions.checked_reason(note, is_needed=False)
    with _deciding(case_id, CaseAction.PLAN, at=at) as case:
        held = cases.list_held([case.id])[case.id]
        claims = [(each.charge, each.charge.owed) for each in held]
        instalments = plans.replace_by_instalments(case, held, dates, by=by, at=at)
        _pause(case, PauseReason.PLAN, note, at=at)
        plans.ask(case, until=days.local(at), at=at)
        cases.restate(case, at=at)
        telling.write_plan(case, claims, instalments, at=at, by=by.id)
        _tell(case, CaseAction.PLAN, {"reason": f"{count} échéances. {note}".strip()}, by=by, at=at)
    return case


def go_on(case_id: UUID, *, by: User, at: datetime) -> DunningCase:
    """End a pause by hand: steps go on, as many days later as it lasted. What a plan had still to ask is asked for now.

    Raises NotFoundError, CaseStateError.
    """
    with _deciding(case_id, CaseAction.GO_ON, at=at) as case:
        cases.go_on(case, at=at)
        plans.ask(case, until=date.max, at=at)
        cases.restate(case, at=at)
        _tell(case, CaseAction.GO_ON, {}, by=by, at=at)
    return case


def skip(case_id: UUID, *, step_id: UUID, reason: str, by: User, at: datetime) -> DunningCase:
    """Leave the next step of the case out. ``step_id`` is the one that was seen: sent twice, it is done once.

    Raises NotFoundError, CaseStateError; InvalidInputError without a reason.
    """
    reason = decisions.checked_reason(reason)
    with _deciding(case_id, CaseAction.SKIP, at=at) as case:
        turn = _next_turn(case, step_id)
        steps.note(turn, turn.next_step, StepOutcome.SKIPPED, at=at, reason=reason, by=by)
        _tell(case, CaseAction.SKIP, {"step": steps.label_of(turn.next_step), "reason": reason}, by=by, at=at)
        cases.restate(case, at=at)
    return case


def send_now(case_id: UUID, *, step_id: UUID, by: User, at: datetime) -> DunningCase:
    """Carry the next step of the case out before its day. What takes something away is not hurried.

    Raises NotFoundError; CaseStateError, also while money may be on its way.
    """
    with _deciding(case_id, CaseAction.SEND_NOW, at=at) as case:
        turn = _next_turn(case, step_id)
        steps.carry_out_now(turn, by=by, at=at)
    return case


def _next_turn(case: DunningCase, step_id: UUID) -> steps.Turn:
    if case.next_step_id != step_id:
        raise CaseStateError(ALREADY)
    [turn] = steps.turns([case], cases.list_held([case.id]))
    return turn


def write_off(case_id: UUID, *, reason: str, by: User, at: datetime) -> DunningCase:
    """Give up what the case holds: its charges are asked for no more.

    Raises NotFoundError; CaseStateError, also while money may be on its way; InvalidInputError without a reason.
    """
    reason = decisions.checked_reason(reason)
    with _deciding(case_id, CaseAction.WRITE_OFF, at=at) as case:
        held = cases.list_held([case.id])[case.id]
        plans.check_free(held)
        owed = case.amount
        for each in held:
            cases.release(each, ClaimOutcome.WRITTEN_OFF, case, at=at)
        db.session.flush()
        for each in held:
            decisions.give_up(each.charge.id, reason=reason, by=by, at=at)
        plans.cancel_pending(case, at=at)
        cases.move(case, CaseStatus.WRITTEN_OFF, at=at)
        telling.withdraw(case.id, at=at)
        amount = f"{french.amount(owed)} {case.currency}"
        _tell(case, CaseAction.WRITE_OFF, {"reason": f"{amount}. {reason}"}, by=by, at=at)
        case.amount = owed * 0
    return case


def hand_over(case_id: UUID, *, note: str, by: User, at: datetime) -> DunningCase:
    """Hand the case over to those who sue: no step and no retry follows; payments are still noted.

    Raises NotFoundError, CaseStateError.
    """
    note = decisions.checked_reason(note, is_needed=False)
    with _deciding(case_id, CaseAction.HAND_OVER, at=at) as case:
        held = cases.list_held([case.id])[case.id]
        plans.hold_retries([each.charge for each in held], plans.HANDED_OVER, at=at)
        cases.move(case, CaseStatus.HANDED_OVER, at=at)
        telling.withdraw(case.id, at=at)
        _tell(case, CaseAction.HAND_OVER, {"reason": note}, by=by, at=at)
    return case


def _tell(case: DunningCase, action: CaseAction, facts: dict[str, str], *, by: User, at: datetime) -> None:
    cases.tell(case, EventKind.DUNNING_DECIDED, {"case_action": action.label, **facts}, by=by, at=at)
