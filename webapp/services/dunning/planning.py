"""Which step of a sequence comes next and on which day: pure rules, nothing is read or written.

- Days count from the first refusal or due date, and wait as long as the case was paused.
- What takes something away (suspension, termination) comes only so many days after the formal notice was really sent as
  the sequence has between the two, and never before it was.
- L113-3 of the insurance code: the notice ten days after the due date at the earliest; the suspension once thirty full
  days have passed since it was sent, the termination ten days later. The day of sending does not count, so that the
  suspension begins on the thirty-first.
- Steps that were missed are not made up for all at once: at most one a day, and of the messages that are due the latest
  alone. A formal notice is never passed over for one that comes later: what follows stands on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.models.dunning import DunningSequenceStep, StepAction
from webapp.services.dunning import days

FORMAL_NOTICE = "formal_notice"
TAKING_AWAY = (StepAction.SUSPEND, StepAction.TERMINATE)

TOO_SMALL = "Montant dû inférieur à {minimum}."
OVERTAKEN = "Une étape plus récente était due le même jour."
NO_NOTICE = "Aucune mise en demeure n’a été envoyée."


@dataclass(frozen=True)
class Progress:
    """How far a round of a case has come.

    ``settled`` are the ids of steps that were carried out, passed over or skipped; ``last_on`` is the day of the last
    one that was carried out. ``has_notice`` once a formal notice was written, ``noticed_on`` is the day on which it was
    sent; ``suspended_on`` is that of the suspension.
    """

    since: date
    paused_days: int = 0
    settled: frozenset[UUID] = frozenset()
    last_on: date | None = None
    has_notice: bool = False
    noticed_on: date | None = None
    suspended_on: date | None = None


@dataclass(frozen=True)
class Choice:
    """What is to be done with a case now: steps passed over, each with its reason, and the one to carry out, if any."""

    passed_over: tuple[tuple[DunningSequenceStep, str], ...] = ()
    step: DunningSequenceStep | None = None


def is_notice(step: DunningSequenceStep) -> bool:
    """Whether the step is a formal notice (mise en demeure)."""
    return step.message_kind == FORMAL_NOTICE and step.action.is_message


def planned_on(step: DunningSequenceStep, progress: Progress) -> date:
    """The day that the sequence has for the step, whatever was sent when."""
    day = days.after(progress.since, step.day, in_working_days=step.in_working_days)
    return day + timedelta(days=progress.paused_days)


def due_on(
    step: DunningSequenceStep, steps: Sequence[DunningSequenceStep], progress: Progress, *, is_insurance: bool
) -> date | None:
    """The day from which the step may be carried out; None while the formal notice that it stands on is not sent."""
    day = planned_on(step, progress)
    notice = notice_before(step, steps)
    if step.action not in TAKING_AWAY or notice is None:
        return day
    if progress.noticed_on is None:
        return None
    day = max(day, progress.noticed_on + timedelta(days=_gap(notice, step)))
    if is_insurance:
        legal = days.SUSPEND_AFTER_NOTICE
        legal += days.TERMINATE_AFTER_SUSPENSION if step.action is StepAction.TERMINATE else 0
        day = max(day, progress.noticed_on + timedelta(days=legal + 1))
    suspension = next((each for each in steps if each.action is StepAction.SUSPEND), None)
    if step.action is StepAction.TERMINATE and suspension and progress.suspended_on:
        day = max(day, progress.suspended_on + timedelta(days=_gap(suspension, step)))
    return day


def _gap(earlier: DunningSequenceStep, later: DunningSequenceStep) -> int:
    return max(later.day - earlier.day, 0)


def notice_before(step: DunningSequenceStep, steps: Iterable[DunningSequenceStep]) -> DunningSequenceStep | None:
    """The formal notice on which the step stands: the last one before it."""
    before = [each for each in steps if is_notice(each) and each.position < step.position]
    return before[-1] if before else None


def next_step(
    steps: Sequence[DunningSequenceStep], progress: Progress, *, is_insurance: bool, today: date
) -> tuple[DunningSequenceStep, date] | None:
    """The next step and the day on which to look at it: not before tomorrow where one was carried out today.

    One that waits for the formal notice to be sent is looked at every day. None where no step is left.
    """
    left = [step for step in steps if step.id not in progress.settled]
    if not left:
        return None
    step = left[0]
    day = due_on(step, steps, progress, is_insurance=is_insurance)
    if day is None:
        day = max(planned_on(step, progress), today + timedelta(days=1))
    if progress.last_on is not None:
        day = max(day, progress.last_on + timedelta(days=1))
    return step, day


def choose(
    steps: Sequence[DunningSequenceStep], progress: Progress, *, is_insurance: bool, today: date, amount: Decimal
) -> Choice:
    """What is to be done today with a case that owes ``amount``."""
    if progress.last_on is not None and progress.last_on >= today:
        return Choice()
    due = [
        step
        for step in steps
        if step.id not in progress.settled
        and (day := due_on(step, steps, progress, is_insurance=is_insurance)) is not None
        and day <= today
    ]
    passed_over = [
        (step, TOO_SMALL.format(minimum=french.money(step.minimum_amount)))
        for step in due
        if amount < step.minimum_amount
    ]
    left = [step for step in due if amount >= step.minimum_amount]
    messages = [step for step in left if step.action.is_message]
    chosen = next((step for step in messages if is_notice(step)), messages[-1] if messages else None)
    if chosen is not None:
        overtaken = [step for step in messages if step.position < chosen.position]
        passed_over += [(step, OVERTAKEN) for step in overtaken]
        left = [step for step in left if step is chosen or not step.action.is_message]
    passed_over += [(step, NO_NOTICE) for step in _without_notice(steps, progress, passed_over, today)]
    return Choice(tuple(passed_over), left[0] if left else None)


def _without_notice(
    steps: Sequence[DunningSequenceStep],
    progress: Progress,
    passed_over: Iterable[tuple[DunningSequenceStep, str]],
    today: date,
) -> list[DunningSequenceStep]:
    """What can never come, since its formal notice was passed over or skipped."""
    if progress.has_notice:
        return []
    gone = progress.settled | {step.id for step, _ in passed_over}
    return [
        step
        for step in steps
        if step.action in TAKING_AWAY
        and step.id not in progress.settled
        and (notice := notice_before(step, steps)) is not None
        and notice.id in gone
        and planned_on(step, progress) <= today
    ]
