"""What a change of a cover does to its price: the lines of its subscription, and what is asked until the next cycle.

A line is found by its name: that of the plan, or of the option. Other lines stay as they are.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from webapp.errors import InvalidInputError
from webapp.models.covers import Cover, CoverPlanOption, CoverPlanVersion
from webapp.models.identity import User
from webapp.models.plan_changes import Settlement
from webapp.models.subscriptions import Frequency
from webapp.services.covers.recording import CoverStateError
from webapp.services.covers.terms import NOTHING
from webapp.services.dunning import days
from webapp.services.plan_changes import changing, prorating
from webapp.services.plan_changes.changing import ChangePreview
from webapp.services.subscriptions import lifecycle, planning
from webapp.services.subscriptions.fields import CheckedLine, SubscriptionLineFields

MONTHS = {Frequency.MONTHLY: 1, Frequency.QUARTERLY: 3, Frequency.ANNUAL: 12}
"""How often a cover can be paid, and the months of a cycle: prices are per month."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What the form that showed a price sends back.

    ``shown`` is the amount that it showed, ``version`` the subscription's. ``change_id`` is the form's: sent twice, it
    is done once.
    """

    shown: Decimal
    change_id: UUID
    version: int


@dataclass(frozen=True)
class Price:
    """What the subscription sells after a change of its cover.

    ``lines`` are None where no line bears the name of what changes: the price is changed by hand. ``preview`` is what
    the days until the next cycle cost more, where the change is made at once, or from ``day`` on.
    """

    lines: list[SubscriptionLineFields] | None
    preview: ChangePreview | None = None
    day: date | None = None

    @property
    def amount(self) -> Decimal:
        """What is asked for the days until the next cycle, with tax."""
        return self.preview.proration.amount if self.preview else NOTHING


def plan_line(version: CoverPlanVersion, price: Decimal, *, quantity: Decimal | None) -> SubscriptionLineFields:
    """The line of a plan at its price per month where the home is; its quantity is the months of a cycle."""
    return _line(version.plan.label, price, version.vat_rate, quantity)


def option_line(option: CoverPlanOption, *, vat_rate: Decimal, quantity: Decimal) -> SubscriptionLineFields:
    """The line of an option."""
    return _line(option_label(option), option.price, vat_rate, quantity)


def option_label(option: CoverPlanOption) -> str:
    """The name of an option's line."""
    return f"Option {option.label}"


def lines_now(cover: Cover) -> list[SubscriptionLineFields]:
    """What the subscription sells, to be changed at once.

    Raises CoverStateError where something else changes with the next cycle, since what is taken at once replaces that.
    """
    plan = planning.find_plan(cover.subscription_id)
    if plan is not None and plan.lines is not None:
        raise CoverStateError(
            "L’abonnement change déjà avec la prochaine échéance\u202f: attendez-la, ou annulez d’abord ce changement."
        )
    return list(map(SubscriptionLineFields.of, cover.subscription.lines))


def lines_of_next_cycle(cover: Cover) -> list[SubscriptionLineFields]:
    """What it will sell with the next cycle, to be changed with it."""
    plan = planning.find_plan(cover.subscription_id)
    if plan is not None and plan.lines is not None:
        return [SubscriptionLineFields.of(CheckedLine.from_json(line)) for line in plan.lines]
    return list(map(SubscriptionLineFields.of, cover.subscription.lines))


def find_place(lines: list[SubscriptionLineFields], label: str) -> int | None:
    """Where the line of that name stands."""
    return next((place for place, line in enumerate(lines) if line.label == label), None)


def price_now(cover: Cover, lines: list[SubscriptionLineFields], *, at: datetime) -> Price:
    """What selling ``lines`` from today on comes to; nothing is written."""
    return Price(lines, changing.preview_change(cover.subscription_id, lines, day=None, at=at))


def price_since(cover: Cover, lines: list[SubscriptionLineFields], day: date, *, at: datetime) -> Price:
    """What selling ``lines`` from a day of the present cycle on comes to; from today on where it was not charged.

    Nothing is written. Raises InvalidInputError (field « since ») for a day before an earlier change.
    """
    if prorating.find_base(cover.subscription_id, days.local(at)) is None:
        return price_now(cover, lines, at=at)
    try:
        return Price(lines, changing.preview_change(cover.subscription_id, lines, day=day, at=at), day)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="since") from error


def take(cover: Cover, price: Price, confirmed: Confirmed, *, by: User, at: datetime) -> None:
    """Let the subscription sell what the change comes to, in the caller's transaction; it is locked from then on.

    Raises OtherAmountError where the amount is another one by now, EditConflictError where somebody changed the
    subscription.
    """
    subscription_id = cover.subscription_id
    if price.lines is None:
        lifecycle.find_for_update(subscription_id)
    elif price.preview is None:
        planning.plan_lines(subscription_id, price.lines, version=confirmed.version, by=by, at=at)
    else:
        changing.change_now(
            subscription_id,
            price.lines,
            day=price.day,
            settlement=settlement_of(price.preview),
            shown=confirmed.shown,
            adjustment_id=confirmed.change_id,
            version=confirmed.version,
            by=by,
            at=at,
        )


def settlement_of(preview: ChangePreview) -> Settlement | None:
    """With the next cycle wherever there is one: nobody is debited for a few days of difference."""
    if Settlement.NEXT_CYCLE in preview.ways:
        return Settlement.NEXT_CYCLE
    return preview.ways[0] if preview.ways else None


def _line(label: str, price: Decimal, vat_rate: Decimal, quantity: Decimal | None) -> SubscriptionLineFields:
    return SubscriptionLineFields(label=label, unit_price=price, quantity=quantity, vat_rate=vat_rate, is_shipped=False)
