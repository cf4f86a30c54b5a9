"""Reserves as an organisation keeps them: the first one by trade, and when one is looked at again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.claims import ClaimSettings
from webapp.models.covers import Trade
from webapp.models.identity import User
from webapp.models.money import cents
from webapp.services.covers.terms import GREATEST_AMOUNT
from webapp.transactions import transaction

USUAL_COST: dict[Trade, Decimal] = {
    Trade.PLUMBING: Decimal(250),
    Trade.ELECTRICITY: Decimal(250),
    Trade.LOCKSMITH: Decimal(200),
    Trade.HEATING: Decimal(300),
    Trade.GLAZING: Decimal(350),
    Trade.APPLIANCES: Decimal(200),
}
"""What a claim of a trade is expected to cost us while nobody knows, in euros with tax, where nobody has set it."""
REVIEW_DAYS = 30
LONGEST = 365


@dataclass(frozen=True)
class ReserveSettings:
    """What a claim of each trade usually costs, and for how many days nobody need look at a reserve."""

    costs: Mapping[Trade, Decimal]
    review_days: int = REVIEW_DAYS

    def seen_before(self, today: date) -> date:
        """A reserve that nobody looked at since that day is to be looked at."""
        return today - timedelta(days=self.review_days)


def load() -> ReserveSettings:
    """Those of the current organisation."""
    row = db.session.scalar(select(ClaimSettings))
    if row is None:
        return ReserveSettings(USUAL_COST)
    costs = {trade: Decimal(row.usual_costs.get(trade.value, usual)) for trade, usual in USUAL_COST.items()}
    return ReserveSettings(costs, row.review_days)


def usual_cost(trade: Trade) -> Decimal:
    """The first reserve of a claim of the trade while nobody knows what it costs."""
    return load().costs[trade]


def change(
    costs: Mapping[Trade, Decimal | None], *, review_days: int | None, by: User, at: datetime
) -> ReserveSettings:
    """Set them, for files that are declared from now on.

    Raises InvalidInputError (field « review_days », or a trade's value).
    """
    if review_days is None or not 1 <= review_days <= LONGEST:
        raise InvalidInputError(f"Indiquez un nombre de jours, de 1 à {LONGEST}.", field="review_days")
    for trade in Trade:
        if not _is_cost(costs.get(trade)):
            raise InvalidInputError(f"{trade.label}\u202f: indiquez un montant en euros.", field=trade.value)
    values = {
        "organisation_id": tenancy.current_organisation_id(),
        "review_days": review_days,
        "usual_costs": {trade.value: str(costs[trade]) for trade in Trade},
        "changed_at": at,
        "changed_by_id": by.id,
    }
    with transaction():
        statement = insert(ClaimSettings).values(values)
        db.session.execute(statement.on_conflict_do_update(index_elements=[ClaimSettings.organisation_id], set_=values))
    return load()


def _is_cost(amount: Decimal | None) -> bool:
    """What is no number at all compares with nothing."""
    return amount is not None and amount.is_finite() and 0 <= amount <= GREATEST_AMOUNT and amount == cents(amount)
