"""What a run would do now: how many charges, for how much, through whom; and what it would not ask for, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, Subquery, and_, case, exists, func, or_, select

from webapp import clock, keeping, tenancy
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.base import linked
from webapp.models.charges import Attention, Charge, ChargeRun, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.money import INSURANCE_TAX
from webapp.models.providers import Provider, ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services.charges import due
from webapp.services.charges.claiming import TAKEN_UP
from webapp.services.subscriptions.means import DEBITED, load_means
from webapp.services.subscriptions.terms import is_special


class Fate(StrEnum):
    """What a run would do with a due cycle."""

    ASKED = "asked"
    FREE = "free"
    BY_HAND = "by_hand"
    NO_MEANS = "no_means"
    SKIPPED = "skipped"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "asked": "À prélever",
            "free": "Sans montant",
            "by_hand": "Payé par le client (virement, chèque)",
            "no_means": "Sans moyen de paiement utilisable",
            "skipped": "Non prélevé (impayé, ou sauté à la demande du client)",
        }[self.value]


@dataclass(frozen=True)
class Group:
    """So many charges of one fate, through one provider, in one currency. ``amount`` is with tax."""

    fate: Fate
    provider: Provider | None
    currency: str
    count: int
    amount: Decimal
    is_retry: bool = False


@dataclass(frozen=True)
class Preview:
    """What a run would take up at ``at``."""

    at: datetime
    groups: list[Group] = field(default_factory=list)

    @property
    def asked(self) -> list[Group]:
        """What providers would be asked for, retries included."""
        return [group for group in self.groups if group.fate is Fate.ASKED]

    @property
    def not_asked(self) -> list[Group]:
        """What would be written down without asking anybody."""
        return [group for group in self.groups if group.fate is not Fate.ASKED]

    @property
    def count(self) -> int:
        """How many payments would be asked for."""
        return sum(group.count for group in self.asked)

    @property
    def amounts(self) -> dict[str, Decimal]:
        """For how much, by currency."""
        sums: dict[str, Decimal] = {}
        for group in self.asked:
            sums[group.currency] = sums.get(group.currency, Decimal(0)) + group.amount
        return sums


def find_preview(*, at: datetime) -> Preview:
    """As ``preview``; one that took long is kept for some minutes, and not beyond the next run. It says since when."""
    latest = select(ChargeRun.id, ChargeRun.status).order_by(ChargeRun.started_at.desc(), ChargeRun.id.desc()).limit(1)
    last_run = db.session.execute(latest).one_or_none() or ()
    return keeping.keep("charges-preview", last_run, Preview, partial(preview, at=at), at=at)[0]


def preview(*, at: datetime) -> Preview:
    """What a run of the current organisation would take up at ``at``, in three queries however much it is.

    Cycles that are more than the sum of their lines (coupon, trial, planned change, …) are few: the engine's own rules
    tell them one by one.
    """
    cycles: Sequence[Any] = db.session.execute(_due(at)).all()
    retries: Sequence[Any] = db.session.execute(_retries(at)).all()
    groups = [Group(Fate(row.fate), row.provider, row.currency, row.count, row.amount) for row in cycles]
    groups = _add(groups, _list_special(at))
    groups += [Group(Fate.ASKED, row.provider, row.currency, row.count, row.amount, is_retry=True) for row in retries]
    return Preview(at, sorted(groups, key=lambda group: (list(Fate).index(group.fate), group.provider or "")))


def _add(groups: list[Group], more: Iterable[Group]) -> list[Group]:
    """The groups with what ``more`` adds to each."""
    sums = {(group.fate, group.provider, group.currency): group for group in groups}
    for group in more:
        key = (group.fate, group.provider, group.currency)
        known = sums.get(key, Group(*key, 0, Decimal(0)))
        sums[key] = replace(known, count=known.count + group.count, amount=known.amount + group.amount)
    return list(sums.values())


def _list_special(at: datetime) -> list[Group]:
    due_now = (Subscription.next_charge_at <= at, due.is_free(), is_special())
    subscriptions = db.session.scalars(select(Subscription).where(*due_now)).all()
    if not subscriptions:
        return []
    paid_by = load_means(subscriptions)
    groups = []
    for each in due.prepare(subscriptions, paid_by, at=at):
        account, fate = paid_by[each.subscription.id].account, _FATES.get(each.row["status"])
        if fate is None:
            fate = _NOT_ASKED[each.row["attention"]]
        groups.append(Group(fate, account.provider if account else None, each.row["currency"], 1, each.row["amount"]))
    return groups


_FATES = {ChargeStatus.SENDING: Fate.ASKED, ChargeStatus.SKIPPED: Fate.SKIPPED}
_NOT_ASKED = {None: Fate.FREE, Attention.BY_HAND: Fate.BY_HAND, Attention.NO_PAYMENT_METHOD: Fate.NO_MEANS}


def _due(at: datetime) -> Select[Any]:
    """Counts and sums by fate, in the rules' own order (``due.charge_for`` decides one by one, by the same)."""
    due, today = _found(at), at.astimezone(clock.PARIS).date()
    totals = _totals(due)
    amount = func.coalesce(totals.c.amount, 0)
    has_saved = and_(
        SavedPaymentMethod.revoked_at.is_(None),
        or_(SavedPaymentMethod.expires_on.is_(None), SavedPaymentMethod.expires_on >= today),
    )
    has_mandate = and_(
        due.c.payment_method == PaymentMethod.SEPA,
        Mandate.usable_on(today),
    )
    has_means = and_(
        ProviderAccount.is_active,
        case((SavedPaymentMethod.id.is_not(None), has_saved), else_=has_mandate),
    )
    fate = case(
        (due.c.is_skipped, Fate.SKIPPED.value),
        (amount == 0, Fate.FREE.value),
        (due.c.payment_method.is_(None), Fate.NO_MEANS.value),
        (due.c.payment_method.not_in(DEBITED), Fate.BY_HAND.value),
        (has_means, Fate.ASKED.value),
        else_=Fate.NO_MEANS.value,
    ).label("fate")

    def same(model: Any, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(model.organisation_id == due.c.organisation_id, model.id == column)

    return (
        select(
            fate,
            ProviderAccount.provider,
            due.c.currency,
            func.count().label("count"),
            func.sum(amount).label("amount"),
        )
        .select_from(due)
        .outerjoin(totals, totals.c.subscription_id == due.c.id)
        .outerjoin(SavedPaymentMethod, same(SavedPaymentMethod, due.c.saved_method_id))
        .outerjoin(Mandate, same(Mandate, due.c.mandate_id))
        .outerjoin(ProviderAccount, same(ProviderAccount, due.c.provider_account_id))
        .group_by(fate, ProviderAccount.provider, due.c.currency)
    )


def _found(at: datetime) -> CTE:
    """The due subscriptions whose cycle is the sum of their lines, looked for once."""
    is_past_due = Subscription.status == SubscriptionStatus.PAST_DUE
    is_premium = exists().where(
        linked(Subscription, SubscriptionLine.subscription_id), SubscriptionLine.vat_rate == INSURANCE_TAX
    )
    return (
        select(
            Subscription.organisation_id,
            Subscription.id,
            Subscription.currency,
            Subscription.payment_method,
            Subscription.saved_method_id,
            Subscription.mandate_id,
            Subscription.provider_account_id,
            or_(and_(is_past_due, ~is_premium), due.is_not_begun()).label("is_skipped"),
        )
        .where(
            Subscription.organisation_id == tenancy.current_organisation_id(),
            Subscription.next_charge_at <= at,
            due.is_free(),
            ~is_special(),
        )
        .cte("due")
    )


def _totals(due: CTE) -> Subquery:
    """The amount with tax of each due subscription: VAT on each rate's sum, as ``models.money.totals`` has it."""
    line = func.round(SubscriptionLine.quantity * SubscriptionLine.unit_price, 2) - SubscriptionLine.discount
    base = func.sum(line)
    by_rate = (
        select(
            SubscriptionLine.subscription_id,
            (base + func.round(base * SubscriptionLine.vat_rate / 100, 2)).label("amount"),
        )
        .join(
            due,
            and_(
                due.c.organisation_id == SubscriptionLine.organisation_id,
                due.c.id == SubscriptionLine.subscription_id,
            ),
        )
        .group_by(SubscriptionLine.subscription_id, SubscriptionLine.vat_rate)
        .subquery()
    )
    return (
        select(by_rate.c.subscription_id, func.sum(by_rate.c.amount).label("amount"))
        .group_by(by_rate.c.subscription_id)
        .subquery()
    )


def _retries(at: datetime) -> Select[Any]:
    columns: list[Any] = [
        ProviderAccount.provider,
        Charge.currency,
        func.count().label("count"),
        func.sum(Charge.amount - Charge.waived).label("amount"),
    ]
    account = and_(linked(ProviderAccount, Charge.provider_account_id))
    return (
        select(*columns)
        .select_from(Charge)
        .outerjoin(ProviderAccount, account)
        .where(
            Charge.organisation_id == tenancy.current_organisation_id(),
            Charge.status.in_(TAKEN_UP),
            Charge.next_attempt_at <= at,
        )
        .group_by(ProviderAccount.provider, Charge.currency)
    )
