"""What is to come: the charges of the next months, if nothing but what is planned changes."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from dateutil.relativedelta import relativedelta

from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions.scheduling import cycle_from, is_within_life, local_date
from webapp.services.subscriptions.terms import COUPON, NOTHING, TRIAL, Terms, find_terms


class Forecast(NamedTuple):
    """A charge to come: its cycle and local date, and the amount before tax as things stand.

    ``has_coupon`` and ``is_trial`` say what makes it less than the lines. One that is skipped asks for nothing.
    """

    cycle: int
    on: date
    amount: Decimal
    has_coupon: bool = False
    is_trial: bool = False
    is_skipped: bool = False


def forecast(
    subscription: Subscription, *, at: datetime, months: int = 12, terms: Terms | None = None
) -> list[Forecast]:
    """The charges of the next ``months``; those of a paused one from its date of resume on.

    Of what a shop collects, only the payment that it has announced.
    """
    if subscription.status.is_final:
        return []
    if subscription.is_of_shop:
        day = subscription.expected_on
        return [Forecast(subscription.cycle_no, day, subscription.recurring_amount)] if day else []
    cycle, today = subscription.cycle_no, local_date(at, subscription.timezone)
    if subscription.status is SubscriptionStatus.PAUSED:
        if subscription.resume_on is None:
            return []
        cycle = max(cycle, cycle_from(subscription, subscription.resume_on))
    terms = terms or find_terms(subscription)
    until, charges = today + relativedelta(months=months), []
    while (on := terms.due_on(cycle)) < until and is_within_life(subscription, on):
        is_skipped = cycle == subscription.skips_cycle
        asked, terms = terms.ask(cycle, is_skipped=is_skipped)
        kinds = {line.get("kind") for line in asked.lines}
        if is_skipped:
            charges.append(Forecast(cycle, on, NOTHING, is_skipped=True))
        else:
            charges.append(Forecast(cycle, on, asked.totals.before_tax, COUPON in kinds, TRIAL in kinds))
        cycle += 1
    return charges
