"""Which step comes when: the rules alone."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.models.base import new_id
from webapp.models.dunning import DunningSequenceStep, StepAction
from webapp.services.dunning import days, planning
from webapp.services.dunning.planning import Progress
from webapp.services.dunning.sequences import DEFAULT_STEPS, StepFields

SINCE = date(2026, 1, 31)
A_LOT = Decimal(1000)


def _steps(fields: Iterable[StepFields] = DEFAULT_STEPS) -> list[DunningSequenceStep]:
    return [
        DunningSequenceStep(
            id=new_id(),
            position=position,
            day=each.day,
            action=each.action,
            message_kind=each.message_kind,
            in_working_days=each.in_working_days,
            minimum_amount=each.minimum_amount,
            title=each.title,
        )
        for position, each in enumerate(fields)
    ]


@pytest.mark.parametrize(
    ("start", "number", "expected"),
    [
        (date(2026, 4, 30), 1, date(2026, 5, 4)),  # over the first of May and a week-end
        (date(2026, 5, 7), 1, date(2026, 5, 11)),  # over the eighth of May
        (date(2026, 4, 3), 1, date(2026, 4, 7)),  # over Easter Monday
        (date(2026, 12, 24), 3, date(2026, 12, 30)),
        (date(2026, 1, 31), 0, date(2026, 1, 31)),
    ],
)
def test_working_days_pass_over_week_ends_and_holidays(start: date, number: int, expected: date) -> None:
    assert days.after(start, number, in_working_days=True) == expected


def test_a_step_below_its_amount_is_passed_over_with_its_reason() -> None:
    fields = [replace(DEFAULT_STEPS[0], minimum_amount=Decimal(15)), *DEFAULT_STEPS[1:]]
    steps, today = _steps(fields), SINCE + timedelta(days=3)
    choice = planning.choose(steps, Progress(SINCE), is_insurance=False, today=today, amount=Decimal("14.99"))
    assert choice.step is None
    assert [(step.position, "15,00" in reason) for step, reason in choice.passed_over] == [(0, True)]
    choice = planning.choose(steps, Progress(SINCE), is_insurance=False, today=today, amount=Decimal(15))
    assert (choice.step, choice.passed_over) == (steps[0], ())


def test_a_formal_notice_is_never_passed_over_for_a_later_message() -> None:
    fields = [*DEFAULT_STEPS[:3], StepFields(20, StepAction.EMAIL, "dunning_reminder"), *DEFAULT_STEPS[3:]]
    steps = _steps(fields)
    late = SINCE + timedelta(days=90)
    choice = planning.choose(steps, Progress(SINCE), is_insurance=False, today=late, amount=A_LOT)
    assert choice.step is steps[2]
    assert [step.position for step, _ in choice.passed_over] == [0, 1]


def test_what_stands_on_a_notice_that_was_skipped_never_comes() -> None:
    steps = _steps()
    progress = Progress(SINCE, settled=frozenset(step.id for step in steps[:3]))
    choice = planning.choose(steps, progress, is_insurance=False, today=SINCE + timedelta(days=60), amount=A_LOT)
    assert choice.step is None
    assert [step.position for step, _ in choice.passed_over] == [3, 4]


@given(
    posted=st.integers(0, 200),
    paused=st.integers(0, 100),
    today=st.integers(0, 400),
    is_insurance=st.booleans(),
)
def test_nothing_is_taken_away_before_its_days_are_over(
    posted: int, paused: int, today: int, is_insurance: bool
) -> None:
    """Thirty days lie between the sending of the notice and the suspension, forty before the termination."""
    steps = _steps()
    noticed_on = SINCE + timedelta(days=10 + posted)
    progress = Progress(
        SINCE, paused, has_notice=True, noticed_on=noticed_on, settled=frozenset(s.id for s in steps[:3])
    )
    on = SINCE + timedelta(days=today)
    choice = planning.choose(steps, progress, is_insurance=is_insurance, today=on, amount=A_LOT)
    if choice.step is not None:
        assert choice.step.action is StepAction.SUSPEND
        assert (on - noticed_on).days >= 30 + is_insurance
        assert on >= SINCE + timedelta(days=40 + paused)
        after = replace(progress, settled=progress.settled | {choice.step.id}, last_on=on, suspended_on=on)
        following = planning.next_step(steps, after, is_insurance=is_insurance, today=on)
        assert following is not None
        assert following[0].action is StepAction.TERMINATE
        assert (following[1] - on).days >= 10


@given(done=st.sets(st.integers(0, 4)), today=st.integers(-5, 200), posted=st.none() | st.integers(0, 100))
def test_at_most_one_step_is_carried_out_and_none_twice(done: set[int], today: int, posted: int | None) -> None:
    steps = _steps()
    settled = frozenset(steps[position].id for position in done)
    noticed_on = SINCE + timedelta(days=10 + posted) if posted is not None and 2 in done else None
    progress = Progress(SINCE, settled=settled, has_notice=noticed_on is not None, noticed_on=noticed_on)
    on = SINCE + timedelta(days=today)
    choice = planning.choose(steps, progress, is_insurance=False, today=on, amount=A_LOT)
    touched = [step.id for step, _ in choice.passed_over] + ([choice.step.id] if choice.step else [])
    assert len(touched) == len(set(touched))
    assert not settled & set(touched)
    if choice.step is not None:
        assert planning.planned_on(choice.step, progress) <= on
