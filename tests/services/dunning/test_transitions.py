"""The table of transitions holds, whoever asks."""

from datetime import date
from itertools import product

import pytest

from tests.services.dunning.world import DunningWorld
from webapp import clock
from webapp.models.dunning import LIVING, TRANSITIONS, CaseStatus, DunningCase, PauseReason
from webapp.services.dunning import cases, deciding
from webapp.services.dunning.cases import CaseStateError
from webapp.services.dunning.deciding import CaseAction

LEADS_TO = {
    CaseAction.PROMISE: CaseStatus.PAUSED,
    CaseAction.PLAN: CaseStatus.PAUSED,
    CaseAction.DISPUTE: CaseStatus.PAUSED,
    CaseAction.GO_ON: CaseStatus.OPEN,
    CaseAction.WRITE_OFF: CaseStatus.WRITTEN_OFF,
    CaseAction.HAND_OVER: CaseStatus.HANDED_OVER,
}


def _case(status: CaseStatus) -> DunningCase:
    case = DunningCase(status=status, since=date(2026, 1, 31))
    if status is CaseStatus.PAUSED:
        case.pause_reason, case.paused_on = PauseReason.DISPUTE, date(2026, 2, 1)
    if status not in LIVING:
        case.closed_at = clock.now()
    return case


@pytest.mark.parametrize(("old", "new"), list(product(CaseStatus, CaseStatus)))
def test_a_case_goes_where_the_table_leads_and_nowhere_else(old: CaseStatus, new: CaseStatus) -> None:
    case = _case(old)
    if new is old or new in TRANSITIONS[old]:
        cases.move(case, new, at=clock.now())
        assert case.status is new
        assert (case.closed_at is None) == (new in LIVING)
        assert (case.pause_reason is None) == (new is not CaseStatus.PAUSED or old is not CaseStatus.PAUSED)
    else:
        with pytest.raises(CaseStateError):
            cases.move(case, new, at=clock.now())
        assert case.status is old


def test_a_paid_case_is_final_and_every_other_may_be_paid_after_all() -> None:
    assert TRANSITIONS[CaseStatus.PAID] == frozenset()
    assert all(CaseStatus.PAID in after for before, after in TRANSITIONS.items() if before is not CaseStatus.PAID)


@pytest.mark.parametrize("status", CaseStatus)
def test_no_button_leads_where_the_table_does_not(status: CaseStatus) -> None:
    case = _case(status)
    for action in deciding.actions_of(case):
        target = LEADS_TO.get(action, status)
        assert target is status or target in TRANSITIONS[status]


def test_every_button_does_what_it_says_or_refuses_in_a_sentence(world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    assert set(deciding.actions_of(world.case())) == set(CaseAction) - {CaseAction.GO_ON}
