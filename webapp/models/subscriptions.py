"""Subscriptions (abonnements): recurring sales, their lines and their history."""

from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, Computed, Index, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client, Source
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.money import Totals, line_amount, totals
from webapp.tenancy import OrganisationScoped


class Frequency(StrEnum):
    """How often a subscription is charged. OTHER is none of the six: a shop's own, which only the raw pair tells."""

    WEEKLY = "weekly"
    BIWEEKLY = "biweekly"
    MONTHLY = "monthly"
    BIMONTHLY = "bimonthly"
    QUARTERLY = "quarterly"
    ANNUAL = "annual"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The words on the screen; of a subscription, ``rhythm_label`` is what to show."""
        return {
            "weekly": "Hebdomadaire",
            "biweekly": "Toutes les deux semaines",
            "monthly": "Mensuel",
            "bimonthly": "Tous les deux mois",
            "quarterly": "Trimestriel",
            "annual": "Annuel",
            "other": "Autre rythme",
        }[self.value]


Rhythm = Literal[
    Frequency.WEEKLY,
    Frequency.BIWEEKLY,
    Frequency.MONTHLY,
    Frequency.BIMONTHLY,
    Frequency.QUARTERLY,
    Frequency.ANNUAL,
]
"""The frequencies that are reckoned with: OTHER is left out, and the type checker sees to it."""
RHYTHMS: tuple[Rhythm, ...] = (
    Frequency.WEEKLY,
    Frequency.BIWEEKLY,
    Frequency.MONTHLY,
    Frequency.BIMONTHLY,
    Frequency.QUARTERLY,
    Frequency.ANNUAL,
)
"""What our own subscriptions can have."""
PER_YEAR: dict[Rhythm, int] = dict(zip(RHYTHMS, (52, 26, 12, 6, 4, 1), strict=True))
"""Charges in a year of 52 weeks or 12 months: what the monthly recurring revenue is normalised by."""


class Collector(StrEnum):
    """Who asks a client for the money: we, or the shop in which the subscription lives."""

    CRM = "crm"
    SHOP = "shop"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"crm": "CRM", "shop": "Boutique"}[self.value]


class ShopPeriod(StrEnum):
    """What a shop counts the time between two payments in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    def every(self, interval: int) -> str:
        """How often that is: « Toutes les 3 semaines »."""
        match self:
            case ShopPeriod.DAY:
                return "Tous les jours" if interval == 1 else f"Tous les {interval} jours"
            case ShopPeriod.WEEK:
                return "Toutes les semaines" if interval == 1 else f"Toutes les {interval} semaines"
            case ShopPeriod.MONTH:
                return "Tous les mois" if interval == 1 else f"Tous les {interval} mois"
            case ShopPeriod.YEAR:
                return "Tous les ans" if interval == 1 else f"Tous les {interval} ans"
            case _:
                assert_never(self)


def rhythm_label(frequency: Frequency, period: ShopPeriod | None, interval: int | None) -> str:
    """How often, in words: what none of the six tells is told from the shop's pair."""
    if frequency is Frequency.OTHER and period is not None and interval is not None:
        return period.every(interval)
    return frequency.label


class SubscriptionStatus(StrEnum):
    """Where a subscription stands; see TRANSITIONS."""

    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"
    PAST_DUE = "past_due"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "pending": "En attente",
            "active": "Actif",
            "paused": "Suspendu",
            "past_due": "Impayé",
            "canceled": "Résilié",
            "expired": "Échu",
        }[self.value]

    @property
    def is_final(self) -> bool:
        """Whether nothing leads out of this state."""
        return not TRANSITIONS[self]

    @property
    def counts_in_mrr(self) -> bool:
        """Whether its recurring amount is revenue: an unpaid subscription counts until it ends."""
        return self in RECURRING


TRANSITIONS: dict[SubscriptionStatus, frozenset[SubscriptionStatus]] = {
    SubscriptionStatus.PENDING: frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED}),
    SubscriptionStatus.ACTIVE: frozenset(
        {
            SubscriptionStatus.PAUSED,
            SubscriptionStatus.PAST_DUE,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.EXPIRED,
        }
    ),
    SubscriptionStatus.PAUSED: frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED}),
    # Dunning pauses what is unpaid; see ``lifecycle.suspend_unpaid``.
    SubscriptionStatus.PAST_DUE: frozenset(
        {SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELED}
    ),
    SubscriptionStatus.CANCELED: frozenset(),
    SubscriptionStatus.EXPIRED: frozenset(),
}

SCHEDULED = frozenset({SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})
"""States in which cycles fall due. Those of an unpaid subscription are skipped, and said so, by the charge engine; but
not premiums of an insurance.
"""
RECURRING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})
"""States whose recurring amounts are monthly recurring revenue."""


def _of_delivery(length: int) -> MappedColumn[str | None]:
    """A text about where it goes: those who charge, who read subscriptions by thousands, never ask for it."""
    return mapped_column(String(length), deferred=True, deferred_group="delivery")


class Subscription(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """A recurring sale to a client.

    Schedule: cycle n falls due at ``charge_time`` in ``timezone`` on ``anchor_date`` + (n − ``anchor_cycle``) × period,
    always computed from the anchor: a change of rhythm gives a new anchor, and cycles are counted on. ``cycle_no`` is
    the next cycle to charge; ``next_charge_on`` (local date) and ``next_charge_at`` (instant) are when. Both are empty
    where nothing falls due by itself: paused, ended, or at the end of its life. Retries of a refused charge live on the
    charge, apart from the schedule.

    ``current_period_start`` and ``current_period_end`` are those of the last charged cycle, the end excluded.
    ``ends_on`` is the last day of its life, where it has one: no cycle falls due later. ``cancels_on`` is set while it
    is to be canceled at the end of its period, on that day; ``resume_on`` while it is paused until that day.

    Money is collected by ``provider_account_id`` from ``saved_method_id`` (what the provider keeps: card, its own
    mandate) or from ``mandate_id`` (our mandate, for bank files); with ``means_inherited``, all three follow the
    client's default means. ``recurring_amount`` is the sum of the lines, before tax, per cycle, net of its coupon and
    of its trial, as of the last charged cycle (of the next while there is none); ``annual_amount`` is it times the
    cycles of a year, so that no figure needs a rounding of its own.

    ``trial_days`` lie between its start and its anchor; ``trial_cycles_left`` are charged at nothing. ``setup_fee``
    (before tax) goes with the first cycle that costs something, and is empty afterwards. ``coupon_cycles_left`` is how
    many charged cycles its coupon still has, empty for ever; at 0 the coupon holds until the next cycle is charged.

    ``skips_cycle`` is the cycle that its client asked to skip; one before ``cycle_no`` has passed.

    ``delivery_…`` is an address of its own, for a gift: all empty where it goes to its client's. ``delivery_name``
    and ``delivery_phone`` are empty where they are the client's. They and ``gift_message``, which is put with every
    delivery, are loaded only where they are asked for.

    What a shop collects (``collected_by``) follows the shop's word: nothing falls due here, ``expected_at`` is when the
    shop will ask for the next payment, and ``shop_period`` and ``shop_interval`` are its rhythm as the shop has it
    (week, 3). ``annual_amount`` is empty where that is none of ours (OTHER): nobody says what a year brings.

    ``version`` moves with every change in the history, so that two people cannot overwrite each other.
    Triggers keep ``commercial_id``, the client's present commercial, so that figures of a team need no join.
    """

    LETTER = "S"

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("contract_id", "contracts", ondelete="SET NULL"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="SET NULL"),
        tenant_key("saved_method_id", "saved_payment_methods", ondelete="SET NULL"),
        tenant_key("mandate_id", "mandates", ondelete="SET NULL"),
        tenant_key("coupon_id", "coupons", ondelete="RESTRICT"),
        CheckConstraint(
            "next_charge_at IS NULL OR status IN ('pending', 'active', 'past_due')", name="only_scheduled_fall_due"
        ),
        CheckConstraint("(next_charge_at IS NULL) = (next_charge_on IS NULL)", name="next_charge_is_whole"),
        CheckConstraint("recurring_amount >= 0", name="amount_is_positive"),
        CheckConstraint(
            "collected_by = 'crm' OR (num_nonnulls(next_charge_at, provider_account_id, saved_method_id, mandate_id,"
            " coupon_id, skips_cycle, resume_on) = 0 AND NOT means_inherited)",
            name="shop_collects_by_itself",
        ),
        CheckConstraint(
            "(collected_by = 'shop' AND num_nulls(shop_period, shop_interval) = 0)"
            " OR (collected_by = 'crm' AND num_nonnulls(shop_period, shop_interval, expected_at) = 0)",
            name="shop_fields",
        ),
        CheckConstraint("shop_interval > 0", name="shop_interval"),
        CheckConstraint("frequency <> 'other' OR collected_by = 'shop'", name="other_rhythms_are_of_shops"),
        # What is paid leaves the index's front: finding the next due ones costs the same however many there are.
        Index(
            "ix_subscriptions_due",
            "organisation_id",
            "next_charge_at",
            "id",
            postgresql_where=text("next_charge_at IS NOT NULL"),
        ),
        Index("ix_subscriptions_status", "organisation_id", "status", "id"),
        Index("ix_subscriptions_client", "organisation_id", "client_id", "id"),
        Index(
            "ix_subscriptions_commercial",
            "organisation_id",
            "commercial_id",
            "status",
            postgresql_include=["currency", "annual_amount"],
        ),
        Index("ix_subscriptions_contract", "organisation_id", "contract_id"),
        Index("ix_subscriptions_resume", "resume_on", postgresql_where=text("resume_on IS NOT NULL")),
        Index("ix_subscriptions_cancel", "cancels_on", postgresql_where=text("cancels_on IS NOT NULL")),
        Index(
            "ix_subscriptions_end",
            "ends_on",
            postgresql_where=text("ends_on IS NOT NULL AND status = 'active'"),
        ),
    )

    company_id: Mapped[UUID]
    client_id: Mapped[UUID]
    commercial_id: Mapped[UUID | None]
    contract_id: Mapped[UUID | None]
    status: Mapped[SubscriptionStatus] = mapped_column(
        stored_enum(SubscriptionStatus), default=SubscriptionStatus.PENDING
    )
    frequency: Mapped[Frequency] = mapped_column(stored_enum(Frequency))
    anchor_date: Mapped[date]
    anchor_cycle: Mapped[int] = mapped_column(default=0, server_default="0")
    charge_time: Mapped[time] = mapped_column(default=time(0), server_default="00:00")
    timezone: Mapped[str] = mapped_column(String(64), default="Europe/Paris", server_default="Europe/Paris")
    cycle_no: Mapped[int] = mapped_column(default=0, server_default="0")
    next_charge_on: Mapped[date | None]
    next_charge_at: Mapped[datetime | None]
    current_period_start: Mapped[date | None]
    current_period_end: Mapped[date | None]
    cancels_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    resume_on: Mapped[date | None]
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    recurring_amount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    payment_method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    provider_account_id: Mapped[UUID | None]
    saved_method_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]
    means_inherited: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    trial_days: Mapped[int] = mapped_column(default=0, server_default="0")
    trial_cycles_left: Mapped[int] = mapped_column(default=0, server_default="0")
    setup_fee: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    setup_vat_rate: Mapped[Decimal | None] = mapped_column(Numeric(4, 2))
    coupon_id: Mapped[UUID | None]
    coupon_cycles_left: Mapped[int | None]
    skips_cycle: Mapped[int | None]
    delivery_name: Mapped[str | None] = _of_delivery(200)
    delivery_company: Mapped[str | None] = _of_delivery(200)
    delivery_line1: Mapped[str | None] = _of_delivery(200)
    delivery_line2: Mapped[str | None] = _of_delivery(200)
    delivery_postcode: Mapped[str | None] = _of_delivery(20)
    delivery_city: Mapped[str | None] = _of_delivery(100)
    delivery_country: Mapped[str | None] = _of_delivery(2)
    delivery_phone: Mapped[str | None] = _of_delivery(20)
    delivery_instructions: Mapped[str | None] = _of_delivery(200)
    gift_message: Mapped[str | None] = _of_delivery(300)
    source: Mapped[Source | None] = mapped_column(stored_enum(Source))
    collected_by: Mapped[Collector] = mapped_column(
        stored_enum(Collector), default=Collector.CRM, server_default=Collector.CRM.value
    )
    expected_at: Mapped[datetime | None]
    shop_period: Mapped[ShopPeriod | None] = mapped_column(stored_enum(ShopPeriod))
    shop_interval: Mapped[int | None]
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    annual_amount: Mapped[Decimal | None] = mapped_column(
        Numeric(16, 2),
        Computed(
            "recurring_amount * CASE frequency WHEN 'weekly' THEN 52 WHEN 'biweekly' THEN 26 WHEN 'monthly' THEN 12"
            " WHEN 'bimonthly' THEN 6 WHEN 'quarterly' THEN 4 WHEN 'annual' THEN 1 END",
            persisted=True,
        ),
    )

    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, Subscription.client_id),
        viewonly=True,
    )
    lines: Mapped[list["SubscriptionLine"]] = relationship(
        primaryjoin=lambda: linked(Subscription, SubscriptionLine.subscription_id),
        order_by="SubscriptionLine.position",
        viewonly=True,
    )

    def can_become(self, status: SubscriptionStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]

    @property
    def revenue_per_year(self) -> Decimal:
        """What it brings in a year, before tax, in its present state: twelve times its part in the MRR.

        Nothing where its rhythm is none of ours: such ones are counted beside the MRR.
        """
        if self.frequency is Frequency.OTHER or not self.status.counts_in_mrr:
            return Decimal(0)
        return self.recurring_amount * PER_YEAR[self.frequency]

    @property
    def rhythm(self) -> Rhythm:
        """Its frequency, to reckon with. A subscription of another rhythm must not come here: ValueError."""
        if self.frequency is Frequency.OTHER:
            raise ValueError("a rhythm that is none of the six is never reckoned with")
        return self.frequency

    @property
    def rhythm_label(self) -> str:
        """How often it is paid, in words."""
        return rhythm_label(self.frequency, self.shop_period, self.shop_interval)

    @property
    def expected_on(self) -> date | None:
        """The local date on which its shop will ask for the next payment."""
        return self.expected_at.astimezone(ZoneInfo(self.timezone)).date() if self.expected_at else None

    @property
    def is_of_shop(self) -> bool:
        """Whether a shop collects its money: it is changed there, and follows from there."""
        return self.collected_by is Collector.SHOP

    @property
    def per_cycle(self) -> Totals:
        """What is asked for each cycle, of its lines as they stand."""
        return totals((line.vat_rate, line.amount) for line in self.lines)

    @property
    def skips_next(self) -> bool:
        """Whether its next cycle is one that its client asked to skip."""
        return self.skips_cycle is not None and self.skips_cycle == self.cycle_no

    @property
    def cancel_at_period_end(self) -> bool:
        """Whether it lives on only until the end of its period."""
        return self.cancels_on is not None


class SubscriptionLine(OrganisationScoped, Identified, Base):
    """What is sold each cycle. ``unit_price`` is before tax; ``vat_rate`` in percent.

    ``discount`` is the recurring discount of the whole line, before tax, per cycle. ``is_shipped`` was its product's
    when the line was made, unless somebody said otherwise.
    """

    __tablename__ = "subscription_lines"
    __table_args__ = (
        UniqueConstraint("organisation_id", "subscription_id", "position"),
        CheckConstraint("quantity > 0 AND unit_price >= 0 AND discount >= 0", name="amounts_are_positive"),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("product_id", "products", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None]
    label: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3), default=Decimal(1), server_default="1")
    unit_price: Mapped[Decimal] = mapped_column(Numeric(14, 4))
    vat_rate: Mapped[Decimal] = mapped_column(Numeric(4, 2), default=Decimal(20), server_default="20")
    discount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    is_shipped: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    @property
    def amount(self) -> Decimal:
        """What the line costs per cycle, before tax, net of its discount."""
        return line_amount(self.quantity, self.unit_price, self.discount)


class SubscriptionHistory(OrganisationScoped, Identified, Base):
    """One change of a subscription: old → new, when, who, why. Only ever added to.

    ``old_status`` is empty for the creation, and equals ``new_status`` where something else changed, which ``changes``
    tells (field → ``[old, new]``). ``annual_before`` and ``annual_after`` are the recurring revenue of a year before
    and after (0 in a state that does not count): movements of the MRR are sums over these rows. ``client_id`` and
    ``currency`` are the subscription's own, which never change: with them such sums need no join.
    """

    __tablename__ = "subscription_history"
    __table_args__ = (
        Index("ix_subscription_history_subscription", "organisation_id", "subscription_id", "at", "id"),
        Index(
            "ix_subscription_history_revenue",
            "organisation_id",
            "currency",
            "at",
            postgresql_include=["client_id", "annual_before", "annual_after"],
            postgresql_where=text("annual_before <> annual_after"),
        ),
        Index(
            "ix_subscription_history_client",
            "organisation_id",
            "currency",
            "client_id",
            "at",
            postgresql_include=["annual_before", "annual_after"],
            postgresql_where=text("annual_before <> annual_after"),
        ),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID]
    client_id: Mapped[UUID]
    currency: Mapped[str] = mapped_column(String(3))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]
    old_status: Mapped[SubscriptionStatus | None] = mapped_column(stored_enum(SubscriptionStatus))
    new_status: Mapped[SubscriptionStatus] = mapped_column(stored_enum(SubscriptionStatus))
    reason: Mapped[str | None] = mapped_column(Text)
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    annual_before: Mapped[Decimal] = mapped_column(Numeric(16, 2), default=Decimal(0), server_default="0")
    annual_after: Mapped[Decimal] = mapped_column(Numeric(16, 2), default=Decimal(0), server_default="0")

    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, SubscriptionHistory.user_id),
        viewonly=True,
    )
