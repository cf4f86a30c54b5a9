"""Gathering: what was charged joins its company's open batch, and leaves it where the money goes back.

Events come in any order and as often as they like. Each says only which charge to look at again, under its lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Charge, ChargeAttempt, ChargeStatus
from webapp.models.fulfilment import FulfilmentBatch, FulfilmentBatchLine, LineFlag, LineStatus
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.products import Product
from webapp.models.providers import Milestone, ProviderAccount
from webapp.services.charges import effects
from webapp.services.fulfilment import batches
from webapp.services.preferences.cut_offs import find_cut_off
from webapp.transactions import transaction

MONEY_LEFT = {
    LineFlag.REJECTED: "Le prélèvement n’est plus payé.",
    LineFlag.REFUNDED: "Le prélèvement a été remboursé.",
}
PAID_ELSEWHERE = "Un autre abonnement paie cet article."
PAID_TWICE = "Deux renouvellements payés en moins d’une demi-période"
"""Why a line is held whose subscription's shop was paid twice, and not by an early renewal."""
FLAGGED = frozenset({LineStatus.TO_PREPARE, LineStatus.PREPARED, LineStatus.SET_ASIDE})
"""States of lines that a person decides about once their charge ships no more."""


class ShippedLine(NamedTuple):
    """What a charge ships, as it was frozen at ``position`` of its lines."""

    position: int
    product_id: UUID | None
    label: str
    quantity: Decimal


def gather(event: OutboxEvent) -> None:
    """Hear that something happened to a charge, whatever it was, and look at it.

    A payment that a shop tells of may come with ``held_reason``: its lines are held for a person.
    """
    review(
        [UUID(event.payload["charge_id"])],
        charged_at=event.occurred_at,
        at=clock.now(),
        of_shop_too=event.kind is OutboxKind.SUBSCRIPTION_CHARGED,
        held_reason=event.payload.get("held_reason"),
    )


def review(
    charge_ids: Sequence[UUID],
    *,
    charged_at: datetime | None,
    at: datetime,
    of_shop_too: bool = True,
    held_reason: str | None = None,
) -> int:
    """Have the lines of batches follow their charges; returns how many lines were added. Safe to repeat.

    ``charged_at`` is when it happened: a new line that is older than the latest lock came too late for it. None for
    what was charged before there were batches, which is late for nothing. Of what a shop collected, lines are added
    ``of_shop_too`` alone: it was paid, and the shop's parcels leave from here. Lines are held by ``held_reason``: new
    ones, and those that nothing was decided about.
    """
    with transaction():
        charges = _lock_charges(charge_ids)
        shipping = find_shipping(charges)
        lines = _lock_lines(charge_ids)
        for line in lines:
            charge = charges[line.charge_id]
            if line.charge_id in shipping and not _is_there(line, charge):
                _hand_over(line, at=at)
            else:
                _follow(line, charge, ships=line.charge_id in shipping, at=at)
            if held_reason is not None:
                _hold(line, held_reason)
        missing = [
            (charge, shipped)
            for charge in charges
            if charge in shipping and (of_shop_too or not charges[charge].is_of_shop)
            for shipped in _missing(charges[charge], [line for line in lines if line.charge_id == charge])
        ]
        found = [(charges[charge], shipped) for charge, shipped in missing]
        return _add(found, charged_at=charged_at, held_reason=held_reason, at=at)


def _lock_charges(charge_ids: Sequence[UUID]) -> dict[UUID, Charge]:
    statement = select(Charge).where(Charge.id.in_(charge_ids)).order_by(Charge.id).with_for_update()
    return {charge.id: charge for charge in db.session.scalars(statement.execution_options(populate_existing=True))}


def _lock_lines(charge_ids: Sequence[UUID]) -> list[FulfilmentBatchLine]:
    """The lines of locked charges, each with its batch held; a lock that came first may have moved them to the next."""
    theirs = FulfilmentBatchLine.charge_id.in_(charge_ids)
    while True:
        held = batches.share_batches(db.session.scalars(select(FulfilmentBatchLine.batch_id).where(theirs).distinct()))
        statement = select(FulfilmentBatchLine).where(theirs).order_by(FulfilmentBatchLine.id).with_for_update()
        lines = list(db.session.scalars(statement.execution_options(populate_existing=True)))
        if all(line.batch_id in held for line in lines):
            return lines


# ---------------------------------------------------------------------------------------------- what ships


def find_shipping(charges: Mapping[UUID, Charge]) -> set[UUID]:
    """Which of the locked charges ship: what is paid, and what is on its way at an account that ships then."""
    cycles = {each.id: each for each in charges.values() if not each.is_supplement}
    balances = effects.find_balances(cycles)
    paid = {
        each.id
        for each in cycles.values()
        if each.status is ChargeStatus.SUCCEEDED and (not each.owed or balances[each.id] > 0)
    }
    return paid | _find_shipping_early(
        [each for each in cycles.values() if each.status in (ChargeStatus.PROCESSING, ChargeStatus.UNKNOWN)]
    )


def _find_shipping_early(charges: Iterable[Charge]) -> set[UUID]:
    """Not confirmed yet, but told of as charged, by an account whose setting lets them ship."""
    waiting = {charge.id: charge for charge in charges}
    if not waiting:
        return set()
    early = (
        select(ChargeAttempt.charge_id)
        .join(ProviderAccount, linked(ProviderAccount, ChargeAttempt.provider_account_id))
        .where(ChargeAttempt.charge_id.in_(waiting), ProviderAccount.ship_at == Milestone.PROCESSING)
    )
    return effects.find_told(waiting[charge_id] for charge_id in set(db.session.scalars(early)))


def shipped_lines(lines: Sequence[Mapping[str, Any]]) -> list[ShippedLine]:
    """What ships of a charge's frozen lines. Discounts, fees and the like carry a ``kind``, and are no thing."""
    return [
        ShippedLine(position, UUID(line["product_id"]) if line["product_id"] else None, line["label"], quantity)
        for position, line in enumerate(lines)
        if "kind" not in line and line.get("is_shipped", True) and (quantity := Decimal(line["quantity"])) > 0
    ]


# ---------------------------------------------------------------------------------------------- lines follow


def _follow(line: FulfilmentBatchLine, charge: Charge, *, ships: bool, at: datetime) -> None:
    if ships:
        if line.status.is_live:
            line.flag = line.ships_anyway_at = None
    elif line.ships_anyway_at is not None:
        return  # a person has decided
    elif line.status is LineStatus.PENDING:
        line.status, line.flag = LineStatus.WITHDRAWN, _flag_of(charge)
        line.reason, line.decided_at = MONEY_LEFT[line.flag], at
    elif line.status in FLAGGED:
        line.flag = _flag_of(charge)


def _hold(line: FulfilmentBatchLine, reason: str) -> None:
    if line.status is LineStatus.PENDING and line.decided_at is None:
        line.held_reason = line.held_reason or reason


def _is_there(line: FulfilmentBatchLine, charge: Charge) -> bool:
    """Whether the charge still ships what the line stands for."""
    return any(shipped.position == line.position for shipped in shipped_lines(charge.lines))


def _hand_over(line: FulfilmentBatchLine, *, at: datetime) -> None:
    """A shop's order was divided anew: another charge ships it, with a line of its own."""
    if line.status is LineStatus.PENDING:
        line.status, line.flag = LineStatus.WITHDRAWN, LineFlag.REFUNDED
        line.reason, line.decided_at = PAID_ELSEWHERE, at
    elif line.status in FLAGGED and line.ships_anyway_at is None:
        line.flag = LineFlag.REFUNDED


def _flag_of(charge: Charge) -> LineFlag:
    return LineFlag.REFUNDED if charge.status is ChargeStatus.SUCCEEDED else LineFlag.REJECTED


def _missing(charge: Charge, lines: Sequence[FulfilmentBatchLine]) -> list[ShippedLine]:
    """What the charge ships and no line stands for. What a person withdrew while it was paid stays withdrawn."""
    settled = {line.position for line in lines if line.status.is_live or is_withdrawn_for_good(line)}
    return [shipped for shipped in shipped_lines(charge.lines) if shipped.position not in settled]


def is_withdrawn_for_good(line: FulfilmentBatchLine) -> bool:
    """Whether it was withdrawn by a person although its charge was paid."""
    return line.status is LineStatus.WITHDRAWN and line.flag is None


def _add(
    missing: Sequence[tuple[Charge, ShippedLine]],
    *,
    charged_at: datetime | None,
    held_reason: str | None,
    at: datetime,
) -> int:
    """New lines in the open batches. A company whose cut-off is inactive makes none."""
    companies = sorted({charge.company_id for charge, _ in missing})
    joined = {each: batches.join_open(each, at=at) for each in companies if find_cut_off(each).is_active}
    late = {each for each, batch in joined.items() if charged_at is not None and _is_late(batch, charged_at)}
    products = _existing_products(shipped for _, shipped in missing)
    added = [
        FulfilmentBatchLine(
            id=new_id(),
            batch_id=joined[charge.company_id].id,
            charge_id=charge.id,
            position=shipped.position,
            subscription_id=charge.subscription_id,
            cycle_no=charge.cycle_no,
            client_id=charge.client_id,
            product_id=shipped.product_id if shipped.product_id in products else None,
            label=shipped.label,
            quantity=shipped.quantity,
            status=LineStatus.PENDING,
            charged_at=charged_at or at,
            is_late=charge.company_id in late,
            held_reason=held_reason,
            created_at=at,
        )
        for charge, shipped in missing
        if charge.company_id in joined
    ]
    db.session.add_all(added)
    db.session.flush()
    return len(added)


def _is_late(batch: FulfilmentBatch, charged_at: datetime) -> bool:
    """Whether what was charged then should have gone with the batch before."""
    before = db.session.scalar(
        select(FulfilmentBatch).where(
            FulfilmentBatch.company_id == batch.company_id, FulfilmentBatch.number == batch.number - 1
        )
    )
    return before is not None and charged_at < frozen_from(before)


def frozen_from(batch: FulfilmentBatch) -> datetime:
    """From when on what is charged is for the batch after this locked one: its cut-off, or the lock before it."""
    if batch.locked_at is None:
        raise RuntimeError("an open batch is not frozen")
    return min(batch.locked_at, batch.cutoff_at or batch.locked_at)


def _existing_products(lines: Iterable[ShippedLine]) -> set[UUID]:
    named = {line.product_id for line in lines if line.product_id is not None}
    return set(db.session.scalars(select(Product.id).where(Product.id.in_(named)))) if named else set()
