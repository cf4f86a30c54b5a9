"""How much a run tries: a fifth of what is drawn by chance, one look of a journey; all with CRM_TESTS=thorough."""

import os
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

T = TypeVar("T")

IS_THOROUGH = os.environ.get("CRM_TESTS") == "thorough"
FEWEST = 3


def some(number: int) -> int:
    """How many of ``number`` examples, or rounds of processes that are killed, this run tries."""
    return number if IS_THOROUGH else max(number // 5, FEWEST)


def one_of(*looks: T) -> Sequence[T]:
    """In which looks (theme, and size of the screen) this run goes on a journey: the first, all in a thorough one."""
    return looks if IS_THOROUGH else looks[:1]


def run_in_any_order(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> None:
    """Do what a machine's rules say in some of ``examples`` orders, of at most ``steps`` rules each.

    The same orders in every run, but for thorough ones. Shrinking takes minutes: add Phase.shrink by hand where a
    failure is to be understood.
    """
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=some(examples),
            stateful_step_count=steps,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
