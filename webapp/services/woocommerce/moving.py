"""A late arrival takes its place among the cycles: those after it move up, with their preferences and their boxes."""

from collections.abc import Mapping

from sqlalchemy import text

from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.subscriptions import Subscription
from webapp.services.preferences import settling

_MOVED = "unnest(CAST(:old AS integer[]), CAST(:new AS integer[])) moved(old, new)"
_THEIRS = "organisation_id = :organisation_id AND subscription_id = :subscription_id"
# By way of numbers below zero where they are unique: that is looked at row by row.
_STATEMENTS = tuple(
    text(statement)
    for statement in (
        f"""UPDATE charges SET cycle_no = -1 - moved.new FROM {_MOVED}
        WHERE {_THEIRS} AND cycle_no = moved.old AND moved.old <> moved.new""",  # noqa: S608
        f"UPDATE charges SET cycle_no = -1 - cycle_no WHERE {_THEIRS} AND cycle_no < 0",  # noqa: S608
        f"""UPDATE preference_values SET effective_from_cycle = -1 - moved.new FROM {_MOVED}
        WHERE {_THEIRS} AND effective_from_cycle = moved.old AND moved.old <> moved.new AND moved.old > 0""",  # noqa: S608
        f"""UPDATE preference_values SET effective_from_cycle = -1 - effective_from_cycle - :shift
        WHERE {_THEIRS} AND effective_from_cycle > :last""",  # noqa: S608
        f"""UPDATE preference_values SET effective_from_cycle = -1 - effective_from_cycle
        WHERE {_THEIRS} AND effective_from_cycle < 0""",  # noqa: S608
        f"""UPDATE fulfilment_batch_lines SET cycle_no = moved.new FROM {_MOVED}
        WHERE {_THEIRS} AND cycle_no = moved.old AND snapshot_at IS NULL""",  # noqa: S608
    )
)


def move_cycles(subscription: Subscription, numbers: Mapping[int, Charge]) -> None:
    """Give the locked charges of the locked subscription the cycles that they come to; their order stays.

    A preference moves with the cycle from which it holds, one from the first cycle on stays so. Lines of batches that
    are still open move too; what was locked keeps what was printed.
    """
    moves = {charge.cycle_no: number for number, charge in numbers.items() if charge.cycle_no is not None}
    if all(old == new for old, new in moves.items()):
        return
    last = max(moves)
    parameters = {
        "organisation_id": subscription.organisation_id,
        "subscription_id": subscription.id,
        "old": list(moves),
        "new": list(moves.values()),
        "last": last,
        "shift": moves[last] - last,
    }
    db.session.flush()
    settling.hold_batches(subscription)
    for statement in _STATEMENTS:
        db.session.execute(statement, parameters)
    for charge in numbers.values():
        db.session.refresh(charge)
