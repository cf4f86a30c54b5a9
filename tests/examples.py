"""How much of what is drawn by chance a run of the tests tries: a third, or all of it with CRM_TESTS=thorough."""

import os

IS_THOROUGH = os.environ.get("CRM_TESTS") == "thorough"
FEWEST = 3


def some(number: int) -> int:
    """How many of ``number`` examples, or rounds of processes that are killed, this run tries."""
    return number if IS_THOROUGH else max(number // 3, FEWEST)
