"""Cycles that move: a shop's order that is heard of late takes its place among those that are there.

The number of a cycle says in which order it was sold. Charges, preferences and what is not frozen in batches name it,
and move together; what a lock has frozen, and the history of preferences, say what was true then, and stay.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import TextClause, delete, select, text

from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.preferences import PreferenceValue
from webapp.models.subscriptions import Subscription
from webapp.services.preferences import settling
from webapp.transactions import transaction

Place = tuple[Charge, int | None]
"""A charge, and the cycle that it comes to; None where its order pays for no cycle after all."""


def _moving(table: str, column: str) -> tuple[TextClause, TextClause]:
    """Numbers are unique at every instant, since those who claim cycles rely on that: they go by way of below zero."""
    return (
        text(
            f"""UPDATE {table} SET {column} = -1 - moved.cycle
            FROM unnest(CAST(:ids AS uuid[]), CAST(:cycles AS integer[])) moved(id, cycle)
            WHERE {table}.organisation_id = :organisation_id AND {table}.id = moved.id"""  # noqa: S608
        ),
        text(
            f"""UPDATE {table} SET {column} = -1 - {column}
            WHERE organisation_id = :organisation_id AND subscription_id = :subscription_id AND {column} < 0"""  # noqa: S608
        ),
    )


_CHARGES = _moving("charges", "cycle_no")
_VALUES = _moving("preference_values", "effective_from_cycle")
_LINES = text(
    """UPDATE fulfilment_batch_lines line SET cycle_no = charges.cycle_no FROM charges
    WHERE line.organisation_id = :organisation_id AND line.subscription_id = :subscription_id
    AND line.snapshot_at IS NULL AND charges.organisation_id = line.organisation_id AND charges.id = line.charge_id
    AND charges.cycle_no <> line.cycle_no"""
)


def move_cycles(subscription: Subscription, places: Sequence[Place]) -> None:
    """Give the charges of the subscription the cycles that they come to; ``places`` names all that have one.

    The caller has locked the charges, then the subscription, as whoever decides on a charge does. A preference moves
    with the cycle from which it holds; one from the first cycle on is one from the start, and stays. Raises ValueError
    for a subscription of ours: its cycles have dates, and never move.
    """
    if not subscription.is_of_shop:
        raise ValueError("only cycles that a shop counts move")
    moved = {charge.id: cycle for charge, cycle in places if charge.cycle_no != cycle}
    if not moved:
        return
    place_of = _place_of(places)
    with transaction():
        db.session.flush()
        settling.hold_batches(subscription)
        _move(subscription, _CHARGES, moved)
        _move_values(subscription, place_of)
        db.session.execute(_LINES, _of(subscription))
        for charge, _ in places:
            if charge.id in moved:
                db.session.refresh(charge)


def _place_of(places: Sequence[Place]) -> Callable[[int], int]:
    """Where a value goes that held from a cycle on: with that cycle, or with the first after it that is still there."""
    kept = sorted(
        (charge.cycle_no, cycle) for charge, cycle in places if charge.cycle_no is not None and cycle is not None
    )
    old, new = [before for before, _ in kept], [after for _, after in kept]
    was_next = 1 + max((charge.cycle_no for charge, _ in places if charge.cycle_no is not None), default=-1)
    is_next = 1 + max(new, default=-1)

    def place_of(start: int) -> int:
        if start == 0:
            return 0
        first = bisect_left(old, start)
        return new[first] if first < len(old) else is_next + max(0, start - was_next)

    return place_of


def _move_values(subscription: Subscription, place_of: Callable[[int], int]) -> None:
    """Where two come to hold from one cycle on, the one that held from the later cycle does."""
    statement = select(PreferenceValue.id, PreferenceValue.schema_id, PreferenceValue.effective_from_cycle).where(
        PreferenceValue.subscription_id == subscription.id
    )
    rows = db.session.execute(statement.order_by(PreferenceValue.effective_from_cycle)).all()
    holding = {(row.schema_id, place_of(row.effective_from_cycle)): row for row in rows}
    gone = {row.id for row in rows} - {row.id for row in holding.values()}
    if gone:
        db.session.execute(delete(PreferenceValue).where(PreferenceValue.id.in_(gone)))
    _move(
        subscription,
        _VALUES,
        {row.id: cycle for (_, cycle), row in holding.items() if cycle != row.effective_from_cycle},
    )


def _move(
    subscription: Subscription, statements: tuple[TextClause, TextClause], moved: Mapping[UUID, int | None]
) -> None:
    if not moved:
        return
    parameters = _of(subscription) | {"ids": list(moved), "cycles": list(moved.values())}
    away, back = statements
    db.session.execute(away, parameters)
    db.session.execute(back, _of(subscription))


def _of(subscription: Subscription) -> dict[str, object]:
    return {"organisation_id": subscription.organisation_id, "subscription_id": subscription.id}
