"""Covers (couvertures): what a plan promises, whom and where it holds for, and when it held."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, FetchedValue, Index, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.subscriptions import Subscription
from webapp.tenancy import OrganisationScoped


class Trade(StrEnum):
    """What a craftsman is called for."""

    PLUMBING = "plumbing"
    ELECTRICITY = "electricity"
    LOCKSMITH = "locksmith"
    HEATING = "heating"
    GLAZING = "glazing"
    APPLIANCES = "appliances"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "plumbing": "Plomberie",
            "electricity": "Électricité",
            "locksmith": "Serrurerie",
            "heating": "Chauffage",
            "glazing": "Vitrerie",
            "appliances": "Électroménager",
        }[self.value]


class CoverNature(StrEnum):
    """What the law sees in a plan: an insurance (article L113-3 when it is unpaid), or a service."""

    INSURANCE = "insurance"
    SERVICE = "service"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"insurance": "Assurance", "service": "Prestation de service"}[self.value]


class YearKind(StrEnum):
    """When counters start anew: on 1 January, or on the anniversary of the day from which the cover holds."""

    CIVIL = "civil"
    ANNIVERSARY = "anniversary"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"civil": "Année civile", "anniversary": "Année anniversaire"}[self.value]


class HomeKind(StrEnum):
    """What stands at a covered address."""

    HOUSE = "house"
    FLAT = "flat"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"house": "Maison", "flat": "Appartement"}[self.value]


class Occupancy(StrEnum):
    """By which right its occupant lives there."""

    OWNER = "owner"
    TENANT = "tenant"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"owner": "Propriétaire", "tenant": "Locataire"}[self.value]


class CoverKind(StrEnum):
    """How a cover stands. ``WAITING`` is in force, and covers nothing yet; it is derived from the waiting days."""

    WAITING = "waiting"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "waiting": "En carence",
            "active": "Active",
            "suspended": "Suspendue",
            "ended": "Terminée",
        }[self.value]


class CoverCause(StrEnum):
    """What happened to a cover."""

    ACTIVATION = "activation"
    UNPAID = "unpaid"
    PAYMENT = "payment"
    PAUSE = "pause"
    RESUMPTION = "resumption"
    TERMINATION = "termination"
    RENUNCIATION = "renunciation"
    CORRECTION = "correction"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "activation": "Prise d’effet",
            "unpaid": "Impayé",
            "payment": "Paiement",
            "pause": "Pause",
            "resumption": "Reprise",
            "termination": "Résiliation",
            "renunciation": "Renonciation",
            "correction": "Correction",
        }[self.value]


class TerminationChannel(StrEnum):
    """How a termination was asked for."""

    LETTER = "letter"
    REGISTERED_LETTER = "registered_letter"
    EMAIL = "email"
    PHONE = "phone"
    CLIENT_AREA = "client_area"
    IN_PERSON = "in_person"
    COMPANY = "company"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "letter": "Lettre",
            "registered_letter": "Lettre recommandée",
            "email": "E-mail",
            "phone": "Téléphone",
            "client_area": "Espace client",
            "in_person": "Sur place",
            "company": "Décision de la société",
        }[self.value]


class TerminationGround(StrEnum):
    """Why a cover is terminated; the ground says when it ends (see services/covers/ends.py)."""

    ANNIVERSARY = "anniversary"
    AFTER_A_YEAR = "after_a_year"
    MOVE = "move"
    LOSS = "loss"
    UNPAID = "unpaid"
    FRAUD = "fraud"
    AGREED = "agreed"

    @property
    def label(self) -> str:
        """The words on the screen. « Non-paiement » is not the word of dunning, which tells the client by itself."""
        return {
            "anniversary": "À l’échéance annuelle",
            "after_a_year": "À tout moment, après un an",
            "move": "Déménagement",
            "loss": "Perte du logement",
            "unpaid": "Non-paiement",
            "fraud": "Fraude",
            "agreed": "Accord entre les parties",
        }[self.value]


class CoverPlan(OrganisationScoped, Identified, Timestamped, Base):
    """What a company sells under one name (formule). What it promises stands in its versions."""

    __tablename__ = "cover_plans"
    __table_args__ = (
        UniqueConstraint("organisation_id", "code"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
    )

    company_id: Mapped[UUID]
    code: Mapped[str] = mapped_column(String(30))
    label: Mapped[str] = mapped_column(String(100))

    company: Mapped[Company] = relationship(primaryjoin=lambda: linked(Company, CoverPlan.company_id), viewonly=True)
    versions: Mapped[list["CoverPlanVersion"]] = relationship(
        primaryjoin=lambda: linked(CoverPlan, CoverPlanVersion.plan_id),
        order_by="CoverPlanVersion.version.desc()",
        viewonly=True,
    )

    @property
    def draft(self) -> "CoverPlanVersion | None":
        """The version that is being written, if there is one."""
        return next((version for version in self.versions if version.is_draft), None)

    @property
    def sold(self) -> "CoverPlanVersion | None":
        """The version that is sold today, if there is one."""
        return next((version for version in self.versions if version.is_sold), None)


class CoverPlanVersion(OrganisationScoped, Identified, Timestamped, Base):
    """What a plan promises to whoever takes it while the version is sold.

    A version is written as a draft, then published, and never changes afterwards: the database sees to it. Publishing
    the next one retires it (``retired_at``); covers that have it keep it.

    ``deductible``, ``cap_per_claim`` and ``cap_per_year`` are in euros; an empty cap or number of claims is no limit.
    ``price`` is per month, before tax, wherever no zone has a price of its own; without one it is sold nowhere else.
    ``commitment_months`` and ``notice_days`` are what a termination looks at.
    """

    __tablename__ = "cover_plan_versions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "plan_id", "version"),
        Index(
            "uq_cover_plan_versions_draft",
            "organisation_id",
            "plan_id",
            unique=True,
            postgresql_where=text("published_at IS NULL"),
        ),
        Index(
            "uq_cover_plan_versions_sold",
            "organisation_id",
            "plan_id",
            unique=True,
            postgresql_where=text("published_at IS NOT NULL AND retired_at IS NULL"),
        ),
        CheckConstraint("waiting_days BETWEEN 0 AND 365", name="waiting_days"),
        CheckConstraint("deductible >= 0 AND cap_per_claim > 0 AND cap_per_year > 0", name="amounts"),
        CheckConstraint("cap_per_claim <= cap_per_year", name="caps"),
        CheckConstraint("claims_per_year > 0", name="claims_per_year"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("published_at IS NOT NULL OR retired_at IS NULL", name="retired_after_published"),
        tenant_key("plan_id", "cover_plans"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    plan_id: Mapped[UUID]
    version: Mapped[int]
    nature: Mapped[CoverNature] = mapped_column(stored_enum(CoverNature))
    year: Mapped[YearKind] = mapped_column(stored_enum(YearKind))
    trades: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    waiting_days: Mapped[int]
    deductible: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    cap_per_claim: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    cap_per_year: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    claims_per_year: Mapped[int | None]
    home_kinds: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    price: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    vat_rate: Mapped[Decimal] = mapped_column(Numeric(4, 2))
    commitment_months: Mapped[int] = mapped_column(default=12, server_default="12")
    notice_days: Mapped[int] = mapped_column(default=30, server_default="30")
    created_by_id: Mapped[UUID | None]
    published_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    edits: Mapped[int] = mapped_column(default=1, server_default="1")
    """Moves with every change of a draft, so that two people cannot overwrite each other."""

    plan: Mapped[CoverPlan] = relationship(
        primaryjoin=lambda: linked(CoverPlan, CoverPlanVersion.plan_id), viewonly=True
    )
    options: Mapped[list["CoverPlanOption"]] = relationship(
        primaryjoin=lambda: linked(CoverPlanVersion, CoverPlanOption.version_id),
        order_by="CoverPlanOption.code",
        viewonly=True,
    )
    zones: Mapped[list["CoverPlanZone"]] = relationship(
        primaryjoin=lambda: linked(CoverPlanVersion, CoverPlanZone.version_id),
        order_by="CoverPlanZone.label, CoverPlanZone.code",
        viewonly=True,
    )
    documents: Mapped[list["CoverPlanDocument"]] = relationship(
        primaryjoin=lambda: linked(CoverPlanVersion, CoverPlanDocument.version_id),
        order_by="CoverPlanDocument.kind",
        viewonly=True,
    )

    @property
    def title(self) -> str:
        """« Confort, version 2 »."""
        return f"{self.plan.label}, version {self.version}"

    @property
    def missing_documents(self) -> list["PlanDocumentKind"]:
        """What a client must have received before signing, and this version does not have."""
        return [kind for kind in PlanDocumentKind if kind not in {document.kind for document in self.documents}]

    @property
    def is_draft(self) -> bool:
        """Whether it is still being written."""
        return self.published_at is None

    @property
    def is_sold(self) -> bool:
        """Whether new covers are sold with it."""
        return self.published_at is not None and self.retired_at is None

    @property
    def state_label(self) -> str:
        """Where it stands, on the screen."""
        return "Brouillon" if self.is_draft else "En vente" if self.is_sold else "Remplacée"

    @property
    def prices(self) -> list[Decimal]:
        """What it costs here or there, the least first."""
        priced = (self.price, *(zone.price for zone in self.zones))
        return sorted({price for price in priced if price is not None})

    def zone_of(self, postcode: str) -> "CoverPlanZone | None":
        """The zone that a postcode is in: the longest prefix wins."""
        places = ((len(prefix), zone) for zone in self.zones for prefix in zone.prefixes if postcode.startswith(prefix))
        return max(places, key=lambda place: place[0], default=(0, None))[1]

    def price_at(self, postcode: str) -> Decimal | None:
        """What it costs at a postcode: the price of its zone, else the general one; None where it is not sold."""
        zone = self.zone_of(postcode)
        return self.price if zone is None or zone.price is None else zone.price

    def price_for(self, postcode: str, kind: HomeKind | None) -> Decimal | None:
        """The same for a home of that kind; None too where such a home is not covered."""
        return self.price_at(postcode) if kind is not None and kind.value in self.home_kinds else None


class CoverPlanZone(OrganisationScoped, Base):
    """A zone as it was when a version of a plan was written, and what the version costs there; see ``CoverZone``.

    A version has a row for each zone of the table: the postcode of a home is in one of them whether the version is sold
    there or not. ``price`` is per month, before tax; empty is the version's own. Like the version, it never changes
    once that is published.
    """

    __tablename__ = "cover_plan_zones"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price"),
        tenant_key("version_id", "cover_plan_versions"),
    )

    version_id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(30), primary_key=True)
    label: Mapped[str] = mapped_column(String(100))
    prefixes: Mapped[list[str]] = mapped_column(ARRAY(String(5)))
    price: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))


class CoverPlanOption(OrganisationScoped, Identified, Base):
    """What a client may add to a version of a plan: trades with their own waiting, deductible and caps.

    With ``draws_on_main_cap``, what it covers is taken from the plan's yearly cap too. Its claims count among those of
    the plan. ``price`` is per month, before tax.
    """

    __tablename__ = "cover_plan_options"
    __table_args__ = (
        UniqueConstraint("organisation_id", "version_id", "code"),
        CheckConstraint("waiting_days BETWEEN 0 AND 365", name="waiting_days"),
        CheckConstraint("deductible >= 0 AND cap_per_claim > 0 AND cap_per_year > 0", name="amounts"),
        CheckConstraint("cap_per_claim <= cap_per_year", name="caps"),
        CheckConstraint("price >= 0", name="price"),
        tenant_key("version_id", "cover_plan_versions"),
    )

    version_id: Mapped[UUID]
    code: Mapped[str] = mapped_column(String(30))
    label: Mapped[str] = mapped_column(String(100))
    trades: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    waiting_days: Mapped[int]
    deductible: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    cap_per_claim: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    cap_per_year: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    draws_on_main_cap: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    price: Mapped[Decimal] = mapped_column(Numeric(14, 2))


class PlanDocumentKind(StrEnum):
    """What a client is given before signing."""

    INFORMATION = "information"
    TERMS = "terms"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"information": "Fiche d’information", "terms": "Conditions générales"}[self.value]


class CoverPlanDocument(OrganisationScoped, Identified, Timestamped, Base):
    """A document (PDF) of a version of a plan, which clients are given before they sign.

    ``edition`` is its own version, as printed on it; ``stored_as`` its random name in the store, which the next version
    of the plan may share; ``size`` in bytes. Like the version it never changes once that is published.
    """

    __tablename__ = "cover_plan_documents"
    __table_args__ = (
        UniqueConstraint("organisation_id", "version_id", "kind"),
        Index("ix_cover_plan_documents_stored_as", "organisation_id", "stored_as"),
        tenant_key("version_id", "cover_plan_versions"),
    )

    version_id: Mapped[UUID]
    kind: Mapped[PlanDocumentKind] = mapped_column(stored_enum(PlanDocumentKind))
    edition: Mapped[str] = mapped_column(String(50))
    name: Mapped[str] = mapped_column(String(200))
    size: Mapped[int]
    stored_as: Mapped[str] = mapped_column(String(64))


class CoveredHome(OrganisationScoped, Identified, Timestamped, Base):
    """A home of a client that a cover holds for, or held for (adresse du risque). What was said of it never changes: a
    correction is a further home.
    """

    __tablename__ = "covered_homes"
    __table_args__ = (
        Index("ix_covered_homes_client", "organisation_id", "client_id"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    kind: Mapped[HomeKind] = mapped_column(stored_enum(HomeKind))
    occupancy: Mapped[Occupancy] = mapped_column(stored_enum(Occupancy))
    occupied_since: Mapped[date | None]
    address_line1: Mapped[str] = mapped_column(String(200))
    address_line2: Mapped[str | None] = mapped_column(String(200))
    postcode: Mapped[str] = mapped_column(String(20))
    city: Mapped[str] = mapped_column(String(100))
    access_notes: Mapped[str | None] = mapped_column(String(500))

    @property
    def one_line(self) -> str:
        """The address in one line."""
        street = ", ".join(line for line in (self.address_line1, self.address_line2) if line)
        return f"{street}, {self.postcode} {self.city}"


class Cover(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """What a subscription gives its client: the promise of a plan for a home.

    ``concluded_on`` is the day of the agreement, ``effective_on`` the first day on which it holds, waiting included;
    both are local dates in Paris. What it promises, where, and whether it held at an instant stand in its periods,
    homes and facts, to which rows are only ever added. ``window_ends_on`` is the last day on which its client may
    renounce, until the timeline has told that it is over. Its figures count for ``commercial_id``, the client's
    commercial when it was sold: a trigger writes it.
    """

    LETTER = "V"

    __tablename__ = "covers"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        UniqueConstraint("organisation_id", "subscription_id"),
        Index("ix_covers_client", "organisation_id", "client_id"),
        Index(
            "ix_covers_window",
            "window_ends_on",
            "organisation_id",
            "id",
            postgresql_where=text("window_ends_on IS NOT NULL"),
        ),
        Index("ix_covers_commercial", "organisation_id", "commercial_id"),
        tenant_key("commercial_id", "commercials", ondelete="SET NULL"),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID]
    client_id: Mapped[UUID]
    commercial_id: Mapped[UUID | None] = mapped_column(server_default=FetchedValue())
    concluded_on: Mapped[date]
    effective_on: Mapped[date]
    window_ends_on: Mapped[date | None]
    created_by_id: Mapped[UUID | None]

    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, Cover.client_id), viewonly=True)
    subscription: Mapped[Subscription] = relationship(
        primaryjoin=lambda: linked(Subscription, Cover.subscription_id), viewonly=True
    )
    periods: Mapped[list["CoverPeriod"]] = relationship(
        primaryjoin=lambda: linked(Cover, CoverPeriod.cover_id), order_by="CoverPeriod.since", viewonly=True
    )
    homes: Mapped[list["CoverHome"]] = relationship(
        primaryjoin=lambda: linked(Cover, CoverHome.cover_id), order_by="CoverHome.since, CoverHome.at", viewonly=True
    )
    options: Mapped[list["CoverOption"]] = relationship(
        primaryjoin=lambda: linked(Cover, CoverOption.cover_id), order_by="CoverOption.since", viewonly=True
    )
    facts: Mapped[list["CoverFact"]] = relationship(
        primaryjoin=lambda: linked(Cover, CoverFact.cover_id), order_by="CoverFact.at, CoverFact.id", viewonly=True
    )
    terminations: Mapped[list["CoverTermination"]] = relationship(
        primaryjoin=lambda: linked(Cover, CoverTermination.cover_id),
        order_by="CoverTermination.at, CoverTermination.id",
        viewonly=True,
    )

    @property
    def lasting_homes(self) -> "list[CoverHome]":
        """Its homes, without those that were replaced before they held."""
        return list({each.since: each for each in self.homes}.values())

    @property
    def termination(self) -> "CoverTermination | None":
        """The termination that stands: not withdrawn, neither here nor by the subscription, which goes on then."""
        latest = self.terminations[-1] if self.terminations else None
        if latest is None or latest.withdrawal is not None:
            return None
        is_planned = self.subscription.cancels_on == latest.ends_on
        return latest if is_planned or self.subscription.status.is_final else None


class CoverPeriod(OrganisationScoped, Base):
    """The version of a plan that a cover has from a day on, until its next period."""

    __tablename__ = "cover_periods"
    __table_args__ = (
        tenant_key("cover_id", "covers"),
        tenant_key("version_id", "cover_plan_versions", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[date] = mapped_column(primary_key=True)
    version_id: Mapped[UUID]
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)

    version: Mapped[CoverPlanVersion] = relationship(
        primaryjoin=lambda: linked(CoverPlanVersion, CoverPeriod.version_id), viewonly=True
    )


class CoverWithdrawnPeriod(OrganisationScoped, Base):
    """A period of a cover that was taken back before its day, by ``user_id``: its row is here, and not among periods.

    The database lets a period go only once it stands here, and lets it stand here only before its day.
    """

    __tablename__ = "cover_withdrawn_periods"
    __table_args__ = (
        CheckConstraint("timezone('Europe/Paris', withdrawn_at)::date < since", name="before_its_day"),
        tenant_key("cover_id", "covers"),
        tenant_key("version_id", "cover_plan_versions", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[date] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    version_id: Mapped[UUID]
    user_id: Mapped[UUID | None]
    withdrawn_at: Mapped[datetime] = mapped_column(default=clock.now)


class CoverHome(OrganisationScoped, Base):
    """The home that a cover holds for from a day on, until its next one; of two for one day, the one written last."""

    __tablename__ = "cover_homes"
    __table_args__ = (
        Index("ix_cover_homes_home", "organisation_id", "home_id"),
        tenant_key("cover_id", "covers"),
        tenant_key("home_id", "covered_homes", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[date] = mapped_column(primary_key=True)
    home_id: Mapped[UUID]
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(primary_key=True, default=clock.now)

    home: Mapped[CoveredHome] = relationship(primaryjoin=lambda: linked(CoveredHome, CoverHome.home_id), viewonly=True)


class CoverOption(OrganisationScoped, Identified, Base):
    """An option that a cover has ``since`` a day, and ``until`` another, that day excluded; empty while it goes on."""

    __tablename__ = "cover_options"
    __table_args__ = (
        CheckConstraint("until > since", name="until"),
        Index("ix_cover_options_cover", "organisation_id", "cover_id"),
        tenant_key("cover_id", "covers"),
        tenant_key("option_id", "cover_plan_options", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID]
    option_id: Mapped[UUID]
    since: Mapped[date]
    until: Mapped[date | None]
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)

    option: Mapped[CoverPlanOption] = relationship(
        primaryjoin=lambda: linked(CoverPlanOption, CoverOption.option_id), viewonly=True
    )


class CoverFact(OrganisationScoped, Identified, Base):
    """Something that happened to a cover: what it was at an instant is reckoned from its facts, in the order of time.

    It has its effect from ``since`` to before ``until`` (empty: for good). ``kind`` is what a correction says that the
    cover was in that time. ``history_id`` is the change of the subscription that tells it: it is told once. Facts are
    only ever added; what turns out wrong is corrected by a further one.
    """

    __tablename__ = "cover_facts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "cover_id", "history_id"),
        Index("ix_cover_facts_cover", "organisation_id", "cover_id", "at", "id"),
        CheckConstraint("until > since", name="until"),
        CheckConstraint("(cause = 'correction') = (kind IS NOT NULL)", name="corrections_say_what"),
        tenant_key("cover_id", "covers"),
        tenant_key("history_id", "subscription_history"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID]
    cause: Mapped[CoverCause] = mapped_column(stored_enum(CoverCause))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    kind: Mapped[CoverKind | None] = mapped_column(stored_enum(CoverKind))
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    history_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, CoverFact.user_id), viewonly=True)


class CoverCapAlert(OrganisationScoped, Base):
    """A cover year, by its first day, of which somebody was told that most is used: of what the plan gives, or of the
    yearly cap of an option.
    """

    __tablename__ = "cover_cap_alerts"
    __table_args__ = (tenant_key("cover_id", "covers"),)

    cover_id: Mapped[UUID] = mapped_column(primary_key=True)
    year_since: Mapped[date] = mapped_column(primary_key=True)
    option_code: Mapped[str] = mapped_column(String(30), primary_key=True, default="", server_default="")
    at: Mapped[datetime] = mapped_column(default=clock.now)


class CoverTermination(OrganisationScoped, Identified, Base):
    """A termination (résiliation) that was asked for: by which channel, when, on which ground. Only ever added to.

    ``due_on`` is the first day without cover by the rule of the ground, ``ends_on`` the day on which the subscription
    ends for it: later where the rule's day had passed when it was written down. ``event_on`` is the day of the move or
    the loss, or the day that was agreed. ``explanation`` has a sentence a line.
    """

    __tablename__ = "cover_terminations"
    __table_args__ = (
        Index("ix_cover_terminations_cover", "organisation_id", "cover_id", "at", "id"),
        CheckConstraint("due_on <= ends_on", name="ends_when_due_or_later"),
        tenant_key("cover_id", "covers"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    cover_id: Mapped[UUID]
    channel: Mapped[TerminationChannel] = mapped_column(stored_enum(TerminationChannel))
    ground: Mapped[TerminationGround] = mapped_column(stored_enum(TerminationGround))
    received_on: Mapped[date]
    event_on: Mapped[date | None]
    due_on: Mapped[date]
    ends_on: Mapped[date]
    explanation: Mapped[str] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(String(500))
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, CoverTermination.user_id), viewonly=True)
    withdrawal: Mapped["CoverTerminationWithdrawal | None"] = relationship(
        primaryjoin=lambda: linked(CoverTermination, CoverTerminationWithdrawal.termination_id),
        viewonly=True,
        uselist=False,
    )


class CoverTerminationWithdrawal(OrganisationScoped, Base):
    """A termination was withdrawn before its day: by whom, when, why. Only ever added to."""

    __tablename__ = "cover_termination_withdrawals"
    __table_args__ = (
        tenant_key("termination_id", "cover_terminations"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    termination_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(String(500))
    user_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(default=clock.now)
