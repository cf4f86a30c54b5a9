"""What a claim (sinistre) says, and what earlier ones used: the inputs of a decision. Plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.models.covers import Trade
from webapp.services.covers.terms import GREATEST_AMOUNT, NOTHING

YEARS = range(2000, 2200)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is asked for: a trade, at a home, for something that happened on a day.

    ``claim_id`` is None for « Est-ce couvert ? », ``home_id`` where the covered home of that day is meant, ``asked``
    while nobody knows what it costs, ``event_at`` where the hour is not known. ``event_on`` and ``declared_on`` are
    local dates at the home.

    Raises InvalidInputError, with its field, for what no claim can say.
    """

    trade: Trade
    event_on: date
    declared_on: date
    asked: Decimal | None = None
    home_id: UUID | None = None
    event_at: datetime | None = None
    claim_id: UUID | None = None

    def __post_init__(self) -> None:
        for field in ("event_on", "declared_on"):
            if getattr(self, field).year not in YEARS:
                raise InvalidInputError("Cette date n’est pas vraisemblable.", field=field)
        if self.event_at is not None and self.event_at.astimezone(clock.PARIS).date() != self.event_on:
            raise InvalidInputError("L’heure de l’événement n’est pas celle de son jour.", field="event_at")
        if self.asked is not None and (fault := _fault_of(self.asked)):
            raise InvalidInputError(fault, field="asked")


def _fault_of(asked: Decimal) -> str:
    if not asked.is_finite():
        return "Ce n’est pas un montant."
    if asked < 0:
        return "Un montant demandé ne peut pas être négatif."
    if asked > GREATEST_AMOUNT:
        return f"Un montant demandé est de {french.short_money(GREATEST_AMOUNT)} au plus."
    return "" if asked == round(asked, 2) else "Un montant s’écrit avec deux décimales au plus."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a claim used of its cover, or a correction of that (``covered`` may be below zero).

    ``option`` is the code of the option by which it was covered. ``counts`` where it is one of the claims per year;
    ``draws_on_main`` where it is part of the plan's yearly cap. ``holds_place``: it was accepted before its amount was
    known, and is one of the claims already.
    """

    claim_id: UUID
    event_on: date
    covered: Decimal = NOTHING
    option: str | None = None
    draws_on_main: bool = True
    counts: bool = True
    holds_place: bool = False


@dataclass(frozen=True)
class Used:
    """Counters of a cover year: claims that were covered in part or whole, and what was covered."""

    claims: int
    amount: Decimal
    by_option: dict[str, Decimal]


def sum_up(entries: Iterable[Entry]) -> Used:
    """The counters that entries of one cover year come to; how a claim counts, its last entry says."""
    covered: dict[UUID, Decimal] = {}
    last: dict[UUID, Entry] = {}
    for entry in entries:
        covered[entry.claim_id] = covered.get(entry.claim_id, NOTHING) + entry.covered
        last[entry.claim_id] = entry
    claims, amount, by_option = 0, NOTHING, dict[str, Decimal]()
    for claim_id, entry in last.items():
        of_claim = max(covered[claim_id], NOTHING)
        claims += entry.counts and (of_claim > 0 or entry.holds_place)
        amount += of_claim if entry.draws_on_main else NOTHING
        if entry.option is not None:
            by_option[entry.option] = by_option.get(entry.option, NOTHING) + of_claim
    return Used(claims, amount, by_option)
