"""A subscription's page: all that there is to show of it, in a number of queries that does not grow with its age."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.contracts import Contract
from webapp.models.money import Totals
from webapp.models.organisations import Company
from webapp.models.plan_changes import SubscriptionAdjustment
from webapp.models.preferences import PreferenceChange
from webapp.models.subscriptions import Subscription, SubscriptionHistory
from webapp.services.charges.listing import ChargesView, list_charges
from webapp.services.fulfilment.addresses import Destination, find_destination
from webapp.services.plan_changes import changing
from webapp.services.preferences import values
from webapp.services.preferences.cut_offs import find_cut_off, next_cut_off
from webapp.services.preferences.settling import first_cycle_for_change
from webapp.services.preferences.values import EffectiveValue
from webapp.services.subscriptions import forecasting, history, lifecycle, scheduling
from webapp.services.subscriptions.forecasting import Forecast
from webapp.services.subscriptions.means import Means, load_means
from webapp.services.subscriptions.terms import AskedCycle, Terms, find_terms

CHARGES_SHOWN = 24


@dataclass(frozen=True)
class PreferencesShown:
    """The values that hold now and those that will hold from ``next_cycle`` on, as things stand.

    A change made now holds from ``change_cycle`` on; that changes at ``cut_off_at``, None where the company has no
    cut-off.
    """

    current: list[EffectiveValue]
    upcoming: list[EffectiveValue]
    current_cycle: int
    next_cycle: int
    change_cycle: int
    cut_off_at: datetime | None
    changes: list[PreferenceChange]

    @property
    def rows(self) -> list[tuple[EffectiveValue, EffectiveValue]]:
        """Each field with what holds now and what will hold."""
        return list(zip(self.current, self.upcoming, strict=True))


@dataclass(frozen=True)
class OpenChange:
    """A change at once of which something is ``left`` to be settled with cycles to come.

    ``waits`` where a credit waits until the cycle that it is of was paid.
    """

    adjustment: SubscriptionAdjustment
    left: Totals
    waits: bool


@dataclass(frozen=True)
class SubscriptionProfile:
    """A subscription with what is around it. ``obstacle`` says why nothing can be collected today, where that is so.

    ``upcoming`` is what the next cycle asks for, where a change is planned for it. ``terms`` are None where a shop
    makes them.
    """

    subscription: Subscription
    company: Company
    contract: Contract | None
    means: Means
    obstacle: str | None
    charges: list[Charge]
    has_more_charges: bool
    forecast: list[Forecast]
    terms: Terms | None
    upcoming: AskedCycle | None
    open_changes: list[OpenChange]
    history: list[SubscriptionHistory]
    preferences: PreferencesShown
    destination: Destination


def find_profile(subscription_id: UUID, *, at: datetime) -> SubscriptionProfile:
    """The subscription as it stands at ``at``. Raises NotFoundError."""
    subscription = lifecycle.find_subscription(subscription_id)
    means = load_means([subscription])[subscription.id]
    company = db.session.scalars(select(Company).where(Company.id == subscription.company_id)).one()
    terms = None if subscription.is_of_shop else find_terms(subscription)
    charges = list_charges(ChargesView(subscription_id=subscription.id), size=CHARGES_SHOWN)
    return SubscriptionProfile(
        subscription=subscription,
        company=company,
        contract=_contract(subscription),
        means=means,
        obstacle=_obstacle(subscription, means, at),
        charges=charges.rows,
        has_more_charges=charges.next_cursor is not None,
        forecast=forecasting.forecast(subscription, at=at, terms=terms),
        terms=terms,
        upcoming=_upcoming(subscription, terms),
        open_changes=_list_open_changes(subscription),
        history=history.list_history(subscription.id),
        preferences=find_preferences(subscription, at=at),
        destination=find_destination(subscription.id),
    )


def _list_open_changes(subscription: Subscription) -> list[OpenChange]:
    found = []
    for each in changing.list_open(subscription.id):
        left = changing.left_of(each)
        found.append(
            OpenChange(each, left, left.with_tax < 0 and each.base_charge.status is not ChargeStatus.SUCCEEDED)
        )
    return found


def _contract(subscription: Subscription) -> Contract | None:
    if subscription.contract_id is None:
        return None
    return db.session.scalar(select(Contract).where(Contract.id == subscription.contract_id))


def _upcoming(subscription: Subscription, terms: Terms | None) -> AskedCycle | None:
    if terms is None or terms.planned is None or subscription.status.is_final:
        return None
    return terms.ask(subscription.cycle_no)[0]


def _obstacle(subscription: Subscription, means: Means, at: datetime) -> str | None:
    if subscription.is_of_shop or subscription.status.is_final:
        return None
    return means.obstacle(scheduling.local_date(at, subscription.timezone))


def find_preferences(subscription: Subscription, *, at: datetime) -> PreferencesShown:
    """Its preferences, for the cycle charged last and for the next one to be charged."""
    cut_off = find_cut_off(subscription.company_id)
    current = max(0, subscription.cycle_no - 1)
    return PreferencesShown(
        current=values.list_effective(subscription, cycle=current),
        upcoming=values.list_effective(subscription, cycle=subscription.cycle_no),
        current_cycle=current,
        next_cycle=subscription.cycle_no,
        change_cycle=first_cycle_for_change(subscription, cut_off, at=at),
        cut_off_at=next_cut_off(cut_off, at) if cut_off.is_active else None,
        changes=values.list_changes(subscription.id),
    )
