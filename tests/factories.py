"""One factory per model. Rows land in the current session, flushed."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import factory
from factory.alchemy import SQLAlchemyModelFactory

from webapp import crypto, tenancy
from webapp.extensions import db
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.clients import Client, Source
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.models.contracts import Contract, ContractLine, ContractStatus, PaymentMethod
from webapp.models.covers import CoverNature, CoverPlan, CoverPlanOption, CoverPlanVersion, CoverPlanZone, YearKind
from webapp.models.identity import User
from webapp.models.organisations import Company, Organisation
from webapp.models.preferences import PreferenceSchema, ValueType
from webapp.models.products import Product
from webapp.models.providers import Provider, ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import (
    Collector,
    Frequency,
    ShopPeriod,
    Subscription,
    SubscriptionLine,
    SubscriptionStatus,
)
from webapp.models.winleadplus import WinLeadPlusConfig

ISSUER = "http://127.0.0.1:9/realms/crm"


class _Factory(SQLAlchemyModelFactory):
    class Meta:
        abstract = True
        sqlalchemy_session_factory = lambda: db.session  # noqa: E731  the session of the moment
        sqlalchemy_session_persistence = "flush"


class OrganisationFactory(_Factory):
    class Meta:
        model = Organisation

    slug = factory.Sequence(lambda n: f"organisation-{n}")
    name = factory.Sequence(lambda n: f"Organisation {n}")


class CompanyFactory(_Factory):
    class Meta:
        model = Company

    name = "Société de test"


class UserFactory(_Factory):
    class Meta:
        model = User

    issuer = ISSUER
    subject = factory.LazyFunction(lambda: str(uuid4()))
    email = factory.Sequence(lambda n: f"user{n}@example.org")
    email_verified = True
    first_name = "Camille"
    last_name = factory.Sequence(lambda n: f"Utilisateur{n}")
    roles = factory.LazyFunction(lambda: ["commercial"])


class TeamFactory(_Factory):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"Équipe {n}")


class TeamLeaderFactory(_Factory):
    class Meta:
        model = TeamLeader


class CommercialFactory(_Factory):
    class Meta:
        model = Commercial

    first_name = "Dominique"
    last_name = factory.Sequence(lambda n: f"Vendeur{n}")
    email = factory.Sequence(lambda n: f"vendeur{n}@example.org")


class ClientFactory(_Factory):
    class Meta:
        model = Client

    last_name = factory.Sequence(lambda n: f"DUPONT{n}")
    first_name = "Élodie"
    email = factory.Sequence(lambda n: f"client{n}@example.org")
    city = "Lille"
    postcode = "59000"


class ContractFactory(_Factory):
    """Needs ``client_id``; the company defaults to the organisation's default one."""

    class Meta:
        model = Contract

    company_id = factory.LazyFunction(lambda: default_company().id)
    reference = factory.Sequence(lambda n: f"REF{n:06d}")
    status = ContractStatus.ACTIVE


class ContractLineFactory(_Factory):
    class Meta:
        model = ContractLine

    position = factory.Sequence(lambda n: n)
    label = "Électricité verte"


class ProviderAccountFactory(_Factory):
    class Meta:
        model = ProviderAccount

    company_id = factory.LazyFunction(lambda: default_company().id)
    provider = Provider.SANDBOX


class SavedPaymentMethodFactory(_Factory):
    """Needs ``client_id`` and ``provider_account_id``."""

    class Meta:
        model = SavedPaymentMethod

    method = PaymentMethod.CARD
    method_reference = factory.Sequence(lambda n: f"pm_{n}")
    label = "Visa •••• 4242"


class SubscriptionFactory(_Factory):
    """An active monthly subscription without lines, next charged on its anchor date; needs ``client_id``."""

    class Meta:
        model = Subscription

    company_id = factory.LazyFunction(lambda: default_company().id)
    status = SubscriptionStatus.ACTIVE
    frequency = Frequency.MONTHLY
    anchor_date = date(2026, 1, 31)


class ShopSubscriptionFactory(SubscriptionFactory):
    """An active one that a shop collects every three weeks; needs ``client_id``."""

    frequency = Frequency.OTHER
    collected_by = Collector.SHOP
    shop_period = ShopPeriod.WEEK
    shop_interval = 3
    expected_at = datetime(2026, 2, 21, 8, tzinfo=UTC)
    source = Source.WOOCOMMERCE


class SubscriptionLineFactory(_Factory):
    class Meta:
        model = SubscriptionLine

    position = factory.Sequence(lambda n: n)
    label = "Coffret découverte"
    unit_price = Decimal("20.00")
    vat_rate = Decimal(20)


class ChargeFactory(_Factory):
    """Needs ``subscription_id`` and ``client_id``; one of 24 € with tax for cycle 0 unless said otherwise."""

    class Meta:
        model = Charge

    company_id = factory.LazyFunction(lambda: default_company().id)
    cycle_no = 0
    reference = factory.Sequence(lambda n: f"charge-{n}")
    due_on = date(2026, 1, 31)
    period_start = date(2026, 1, 31)
    period_end = date(2026, 2, 28)
    amount_before_tax = Decimal("20.00")
    amount = Decimal("24.00")


class ShopChargeFactory(ChargeFactory):
    """One that mirrors a paid order of a shop; needs ``subscription_id`` and ``client_id``."""

    collected_by = Collector.SHOP
    status = ChargeStatus.SUCCEEDED
    lines = factory.LazyFunction(lambda: [{"label": "Coffret", "product_id": None, "quantity": "1"}])


class PreferenceSchemaFactory(_Factory):
    class Meta:
        model = PreferenceSchema

    code = factory.Sequence(lambda n: f"champ-{n}")
    label = "Un champ"
    value_type = ValueType.STRING


class ProductFactory(_Factory):
    class Meta:
        model = Product

    name = factory.Sequence(lambda n: f"Produit {n}")


class WinLeadPlusConfigFactory(_Factory):
    class Meta:
        model = WinLeadPlusConfig


def make_bank_account(client: Client, iban: str = "FR1420041010050500013M02606", **values: Any) -> BankAccount:
    """A bank account with its IBAN sealed as the application does it."""
    account_id = new_id()
    account = BankAccount(
        id=account_id,
        organisation_id=client.organisation_id,
        client_id=client.id,
        iban=crypto.seal(iban, place=BankAccount.place(client.organisation_id, account_id, "iban")),
        iban_index=crypto.blind_index(iban, purpose=iban_purpose(client.organisation_id)),
        iban_masked=mask_iban(iban),
        **values,
    )
    db.session.add(account)
    db.session.flush()
    return account


def default_company() -> Company:
    """The default company of the current organisation."""
    return db.session.query(Company).filter_by(is_default=True).one()


def make_cast(cast: type[Any]) -> Any:
    """Two organisations with their people; the first becomes the current one."""
    other = OrganisationFactory()
    with tenancy.organisation(other.id):
        CompanyFactory(is_default=True)
        outsider = UserFactory(roles=["admin"])
    organisation = OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    CompanyFactory(is_default=True)
    commercial, colleague = UserFactory(), UserFactory()
    manager = UserFactory(roles=["manager"])
    admin = UserFactory(roles=["admin"])
    team = TeamFactory(name="Nord")
    TeamLeaderFactory(team_id=team.id, user_id=manager.id)
    sales_rep = CommercialFactory(user_id=commercial.id, team_id=team.id, external_id=commercial.subject)
    CommercialFactory(user_id=colleague.id, external_id=colleague.subject)
    WinLeadPlusConfigFactory()
    db.session.commit()
    return cast(
        organisation=organisation,
        commercial=commercial,
        sales_rep=sales_rep,
        colleague=colleague,
        manager=manager,
        admin=admin,
        outsider=outsider,
        other_organisation=other,
    )


class CoverPlanFactory(_Factory):
    """A plan; its versions come from CoverPlanVersionFactory."""

    class Meta:
        model = CoverPlan

    company_id = factory.LazyFunction(lambda: default_company().id)
    code = factory.Sequence(lambda n: f"CONFORT-{n}")
    label = "Confort"


class CoverPlanVersionFactory(_Factory):
    """A version as in the worked example, on sale: plumbing and electricity, waiting 30 days, deductible 50 €, 500 €
    per claim, 1,200 € and three claims per anniversary year. ``zones`` are prices by the beginnings of postcodes:
    ``{"75 92": "15.90", "13": None}``.
    """

    class Meta:
        model = CoverPlanVersion

    plan_id = factory.LazyFunction(lambda: CoverPlanFactory().id)
    version = 1
    nature = CoverNature.INSURANCE
    year = YearKind.ANNIVERSARY
    trades = ("electricity", "plumbing")
    waiting_days = 30
    deductible = Decimal(50)
    cap_per_claim = Decimal(500)
    cap_per_year = Decimal(1200)
    claims_per_year = 3
    home_kinds = ("flat", "house")
    price = Decimal("9.90")
    vat_rate = Decimal(9)
    published_at = datetime(2025, 1, 1, tzinfo=UTC)

    @classmethod
    def _create(
        cls,
        model_class: type[CoverPlanVersion],
        *args: Any,
        zones: Mapping[str, str | None] | None = None,
        published_at: datetime | None,
        **values: Any,
    ) -> CoverPlanVersion:
        if not zones:
            return super()._create(model_class, *args, published_at=published_at, **values)  # type: ignore[no-any-return]
        version: CoverPlanVersion = super()._create(model_class, *args, published_at=None, **values)
        for number, (prefixes, price) in enumerate(zones.items(), start=1):
            zone = CoverPlanZone(code=f"ZONE-{number}", label=f"Zone {number}", prefixes=prefixes.split())
            zone.version_id, zone.price = version.id, None if price is None else Decimal(price)
            db.session.add(zone)
        db.session.flush()  # a version that is published gets no further zone
        version.published_at = published_at
        db.session.flush()
        return version


class CoverPlanOptionFactory(_Factory):
    """« Serrurerie » of the worked example; needs ``version_id`` of a draft: a published version never changes."""

    class Meta:
        model = CoverPlanOption

    code = "SERRURERIE"
    label = "Serrurerie"
    trades = ("locksmith",)
    waiting_days = 15
    deductible = Decimal(50)
    cap_per_claim = Decimal(300)
    cap_per_year = Decimal(300)
    price = Decimal(3)
