"""Counts of lists that stop at a cap: beyond it nobody reads the number, and counting costs more than the page."""

from typing import NamedTuple

COUNT_CAP = 10_000


class Count(NamedTuple):
    """How many rows match; at least ``number`` when it ``is_capped``."""

    number: int
    is_capped: bool


def capped(number: int, *, exact: bool = False) -> Count:
    """The count of a statement that looked for one row more than COUNT_CAP, or for all of them where ``exact``."""
    is_capped = number > COUNT_CAP and not exact
    return Count(COUNT_CAP if is_capped else number, is_capped)
