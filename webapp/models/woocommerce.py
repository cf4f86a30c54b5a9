"""WooCommerce: shops (boutiques), what they tell us, the latest word on each resource, and what became of it here."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock, crypto, tenancy
from webapp.models.base import Base, Timestamped, linked, stored_enum, tenant_key
from webapp.models.events import ReceivedEvent, received_arguments
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.runs import Leased, RunStatus, RunTrigger
from webapp.models.sealing import SealedCredentials, Sealing
from webapp.models.subscriptions import Collector

LARGEST_ID = 2**63 - 1
"""What a bigint holds: no id of a shop is greater."""


class ResourceKind(StrEnum):
    """What a shop has that we keep (ressource)."""

    CUSTOMER = "customer"
    ORDER = "order"
    SUBSCRIPTION = "subscription"
    PRODUCT = "product"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "customer": "Client",
            "order": "Commande",
            "subscription": "Abonnement",
            "product": "Produit",
        }[self.value]


class Emailed(Sealing):
    """Mixin: an e-mail, sealed, and the blind index by which it is found."""

    email: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    email_index: Mapped[bytes | None] = mapped_column(LargeBinary)

    def keep_email(self, email: str | None) -> None:
        """Seal an e-mail as ``folded_email`` has it."""
        folded = folded_email(email or "")
        self.email = crypto.seal(folded, place=self.place_of("email")) if folded else None
        organisation_id = self.organisation_id or tenancy.current_organisation_id()
        self.email_index = crypto.blind_index(folded, purpose=email_purpose(organisation_id)) if folded else None


def folded_email(email: str) -> str:
    """An e-mail as it is compared: shops keep the case that somebody typed."""
    return email.strip().lower()


def email_purpose(organisation_id: UUID) -> str:
    """What the blind indexes of shops' e-mails are made under; ``crypto.blind_indexes`` are those they are found by."""
    return f"{organisation_id}|woocommerce.email"


class WooCommerceShop(SealedCredentials, Timestamped, Base):
    """A shop with WooCommerce whose clients, subscriptions and payments come to a company.

    ``source`` is ``url`` without scheme and last slash, its host in lower case: what the shop calls itself in
    X-WC-Webhook-Source. ``timezone`` is the one it writes its dates in. ``collected_by`` says who charges the
    subscriptions created from now on. What was paid before ``ships_from`` is put into no batch.

    ``secrets`` are those that its webhooks are signed with, the newest first, several while it is being changed;
    ``credentials`` are ``consumer_key`` and ``consumer_secret`` of its REST API, for pulls. ``attribute_codes`` maps
    an attribute's name to the code of a preference.

    ``topics`` is what the last pull read of its webhooks: topic → ``{"webhook_id", "status", "delivery_url"}``;
    ``abilities`` what « Tester » found out; ``cursors`` how far pulls have come, by kind of resource.
    """

    __tablename__ = "woocommerce_shops"
    __table_args__ = (
        UniqueConstraint("organisation_id", "source"),
        # Receivers look before they know whose shop it is.
        Index("ix_woocommerce_shops_source", "source"),
        Index("ix_woocommerce_shops_id", "id"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
    )

    company_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(200))
    url: Mapped[str] = mapped_column(String(500))
    source: Mapped[str] = mapped_column(String(500))
    timezone: Mapped[str] = mapped_column(String(64), default="Europe/Paris", server_default="Europe/Paris")
    collected_by: Mapped[Collector] = mapped_column(
        stored_enum(Collector), default=Collector.SHOP, server_default=Collector.SHOP.value
    )
    ships_from: Mapped[datetime] = mapped_column(default=clock.now)
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    secrets_changed_at: Mapped[datetime | None]
    attribute_codes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    topics: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    abilities: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    cursors: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")

    company: Mapped[Company] = relationship(
        primaryjoin=lambda: linked(Company, WooCommerceShop.company_id), viewonly=True
    )

    @property
    def has_keys(self) -> bool:
        """Whether its REST API can be asked. Needs ``credentials`` loaded, or loads them."""
        return self.credentials is not None

    def keep_secrets(self, secrets: list[str]) -> None:
        """Seal the webhooks' secrets, the newest first; the caller sets ``secrets_changed_at``."""
        self.secrets = crypto.seal(orjson.dumps(secrets).decode(), place=self.place_of("secrets"))

    def secrets_in_clear(self) -> list[str]:
        """The webhooks' secrets, the newest first."""
        if self.secrets is None:
            return []
        opened: list[str] = orjson.loads(crypto.unseal(self.secrets, place=self.place_of("secrets")))
        return opened


class WooCommerceEvent(ReceivedEvent, Base):
    """A delivery (notification) of a shop that was kept (événement), or a resource of a pull that failed or waits.

    ``topic`` is the shop's (``order.updated``), of pulls ``pull.order``; ``kind`` is empty where it is none that we
    know, ``woo_id`` where the body names none. No single header tells deliveries apart: Woo gives one ``delivery_id``
    to all that a hook sends in a second. ``waits_for`` names the resource that must come first: ``subscription:282``.
    """

    __tablename__ = "woocommerce_events"
    __table_args__ = (
        UniqueConstraint(
            "organisation_id",
            "shop_id",
            "webhook_id",
            "topic",
            "delivery_id",
            "body_hash",
            name="uq_woocommerce_events_delivery",
        ),
        *received_arguments("woocommerce_events", "shop_id"),
        Index(
            "ix_woocommerce_events_open",
            "organisation_id",
            "shop_id",
            "kind",
            "woo_id",
            postgresql_where=text("state IN ('received', 'processing', 'waiting', 'failed')"),
        ),
        Index("ix_woocommerce_events_topic", "organisation_id", "shop_id", "topic", "received_at"),
        tenant_key("shop_id", "woocommerce_shops", ondelete="RESTRICT"),
    )

    shop_id: Mapped[UUID]
    topic: Mapped[str] = mapped_column(String(100))
    kind: Mapped[ResourceKind | None] = mapped_column(stored_enum(ResourceKind))
    woo_id: Mapped[int | None] = mapped_column(BigInteger)
    webhook_id: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    delivery_id: Mapped[str] = mapped_column(String(64), default="", server_default="")
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)

    shop: Mapped[WooCommerceShop] = relationship(
        primaryjoin=lambda: linked(WooCommerceShop, WooCommerceEvent.shop_id), viewonly=True
    )


class WooCommerceResource(Emailed, Base):
    """The latest word of a shop on one of its resources: the greatest by (``modified_at``, ``rank``, ``hash``).

    ``body`` is its canonical JSON, sealed. Until a body came, it and the three are empty: only then a deletion was
    heard of. ``seen_at`` is when the shop last showed it, ``missing_since`` when it said afterwards that it is gone.
    ``trashed_since`` and ``erased_at`` are set by the report (services/woocommerce/projecting.py), as ``client_id``,
    whose it is, and ``review``: ``[{"code", "sentence"}]`` for a person. ``review_closed`` are those of the same shape
    that a person has seen to and that still hold.

    ``customer_id`` (empty for guests), ``parent_id`` and ``related_ids`` (the subscriptions that an order renews,
    switches or takes up again) are the shop's ids; ``email`` is the sealed e-mail, in lower case, and ``email_index``
    what it is found by. ``number`` to ``currency`` are of orders: ``placed_at`` is when it was created, and
    ``paid_at`` is date_paid_gmt.
    """

    __tablename__ = "woocommerce_resources"
    __table_args__ = (
        UniqueConstraint("organisation_id", "shop_id", "kind", "woo_id", name="uq_woocommerce_resources_woo_id"),
        CheckConstraint(
            "num_nulls(modified_at, rank, hash) IN (0, 3) AND (hash IS NULL OR body IS NOT NULL)",
            name="word_is_whole",
        ),
        CheckConstraint("hash IS NOT NULL OR missing_since IS NOT NULL", name="heard_of"),
        Index(
            "ix_woocommerce_resources_customer",
            "organisation_id",
            "shop_id",
            "customer_id",
            postgresql_where=text("customer_id IS NOT NULL"),
        ),
        Index(
            "ix_woocommerce_resources_email",
            "organisation_id",
            "shop_id",
            "email_index",
            postgresql_where=text("email_index IS NOT NULL"),
        ),
        Index(
            "ix_woocommerce_resources_parent",
            "organisation_id",
            "shop_id",
            "parent_id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "ix_woocommerce_resources_related",
            "related_ids",
            postgresql_using="gin",
            postgresql_where=text("related_ids <> '{}'"),
        ),
        Index("ix_woocommerce_resources_client", "organisation_id", "client_id", "kind", "placed_at"),
        Index(
            "ix_woocommerce_resources_review",
            "organisation_id",
            "shop_id",
            "id",
            postgresql_where=text("review <> '[]'"),
        ),
        tenant_key("shop_id", "woocommerce_shops", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="SET NULL"),
    )

    shop_id: Mapped[UUID]
    kind: Mapped[ResourceKind] = mapped_column(stored_enum(ResourceKind))
    woo_id: Mapped[int] = mapped_column(BigInteger)
    modified_at: Mapped[datetime | None]
    rank: Mapped[int | None]
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    status: Mapped[str] = mapped_column(String(64), default="", server_default="")
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    parent_id: Mapped[int | None] = mapped_column(BigInteger)
    related_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list, server_default="{}")
    number: Mapped[str | None] = mapped_column(String(64))
    placed_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    total: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    currency: Mapped[str | None] = mapped_column(String(3))
    kept_at: Mapped[datetime] = mapped_column(default=clock.now)
    seen_at: Mapped[datetime | None]
    missing_since: Mapped[datetime | None]
    trashed_since: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    client_id: Mapped[UUID | None]
    review: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list, server_default="[]")
    review_closed: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list, server_default="[]")

    shop: Mapped[WooCommerceShop] = relationship(
        primaryjoin=lambda: linked(WooCommerceShop, WooCommerceResource.shop_id), viewonly=True
    )

    @staticmethod
    def body_place(organisation_id: UUID, resource_id: UUID) -> str:
        """Where a sealed body belongs, as ``place_of("body")`` says: for statements that make rows without objects."""
        return f"{organisation_id}|woocommerce_resources.body|{resource_id}"

    def body_in_clear(self) -> bytes | None:
        """Its canonical JSON; None where only a deletion was heard of."""
        return None if self.body is None else crypto.keyring().decrypt(self.body, place=self.place_of("body"))


class MappingKind(StrEnum):
    """Which row of ours a mapping leads to."""

    CLIENT = "client"
    SUBSCRIPTION = "subscription"
    ORDER = "order"
    PAYMENT = "payment"


class WooCommerceMapping(Emailed, Base):
    """Which row of ours a resource of a shop became (lien), and what it looked like when last applied.

    CLIENT leads to ``client_id`` from an account (``woo_id``), or from an e-mail that the person uses or has used
    (``email`` and ``email_index``, as of resources): a client has one for each. SUBSCRIPTION leads to
    ``subscription_id``. ORDER leads to ``charge_id``, PAYMENT to ``payment_id``, from an order or a refund; where an
    order is divided between subscriptions, ``part`` is the subscription's id in the shop, else 0. Only of clients do
    several lead to one row. ``snapshot`` is sealed JSON.
    """

    __tablename__ = "woocommerce_mappings"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(woo_id, email_index) = 1 AND (email_index IS NULL OR kind = 'client')",
            name="leads_from_one",
        ),
        CheckConstraint(
            "num_nonnulls(client_id, subscription_id, charge_id, payment_id) = 1 AND CASE kind"
            " WHEN 'client' THEN client_id WHEN 'subscription' THEN subscription_id"
            " WHEN 'order' THEN charge_id ELSE payment_id END IS NOT NULL",
            name="leads_to_one",
        ),
        Index(
            "uq_woocommerce_mappings_woo_id",
            "organisation_id",
            "shop_id",
            "kind",
            "woo_id",
            "part",
            unique=True,
            postgresql_where=text("woo_id IS NOT NULL"),
        ),
        Index(
            "uq_woocommerce_mappings_email",
            "organisation_id",
            "shop_id",
            "email_index",
            unique=True,
            postgresql_where=text("email_index IS NOT NULL"),
        ),
        Index(
            "ix_woocommerce_mappings_client",
            "organisation_id",
            "client_id",
            postgresql_where=text("client_id IS NOT NULL"),
        ),
        *(
            Index(
                f"uq_woocommerce_mappings_{ours}",
                "organisation_id",
                f"{ours}_id",
                unique=True,
                postgresql_where=text(f"{ours}_id IS NOT NULL"),
            )
            for ours in ("subscription", "charge", "payment")
        ),
        tenant_key("shop_id", "woocommerce_shops", ondelete="RESTRICT"),
        tenant_key("client_id", "clients"),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("charge_id", "charges"),
        tenant_key("payment_id", "payments"),
    )

    shop_id: Mapped[UUID]
    kind: Mapped[MappingKind] = mapped_column(stored_enum(MappingKind))
    woo_id: Mapped[int | None] = mapped_column(BigInteger)
    part: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    client_id: Mapped[UUID | None]
    subscription_id: Mapped[UUID | None]
    charge_id: Mapped[UUID | None]
    payment_id: Mapped[UUID | None]
    snapshot: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    last_synced_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def our_id(self) -> UUID:
        """The id of our row."""
        ours = self.client_id or self.subscription_id or self.charge_id or self.payment_id
        assert ours is not None, "a check of the table"  # noqa: S101
        return ours

    def keep_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Seal what was applied."""
        self.snapshot = crypto.keyring().encrypt(orjson.dumps(snapshot), place=self.place_of("snapshot"))

    def snapshot_in_clear(self) -> dict[str, Any]:
        """What was last applied; empty where nothing was."""
        if self.snapshot is None:
            return {}
        opened: dict[str, Any] = orjson.loads(crypto.keyring().decrypt(self.snapshot, place=self.place_of("snapshot")))
        return opened


class PullScope(StrEnum):
    """How much a pull reads."""

    FIRST = "first"
    RECENT = "recent"
    NIGHTLY = "nightly"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"first": "Reprise", "recent": "Nouveautés", "nightly": "Vérification de la nuit"}[self.value]


class WooCommercePull(Leased, Base):
    """One reading of a shop by its REST API (relevé), kept as history. At most one runs per shop.

    ``since`` is where a FIRST one begins (« Reprendre depuis le … »). ``cursor`` is how far it has come, committed
    with every page; ``done`` of about ``total`` resources.
    """

    __tablename__ = "woocommerce_pulls"
    __table_args__ = (
        Index(
            "uq_woocommerce_pulls_running",
            "organisation_id",
            "shop_id",
            unique=True,
            postgresql_where=text("status = 'running'"),
        ),
        Index("ix_woocommerce_pulls_started", "organisation_id", "shop_id", "started_at", "id"),
        Index("ix_woocommerce_pulls_lease", "lease_until", postgresql_where=text("status = 'running'")),
        tenant_key("shop_id", "woocommerce_shops", ondelete="RESTRICT"),
        tenant_key("requested_by_id", "users", ondelete="SET NULL"),
    )

    shop_id: Mapped[UUID]
    scope: Mapped[PullScope] = mapped_column(stored_enum(PullScope))
    trigger: Mapped[RunTrigger] = mapped_column(stored_enum(RunTrigger))
    phase: Mapped[str] = mapped_column(String(32), default="", server_default="")
    since: Mapped[datetime | None]
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    applied: Mapped[int] = mapped_column(default=0, server_default="0")
    unchanged: Mapped[int] = mapped_column(default=0, server_default="0")
    waiting: Mapped[int] = mapped_column(default=0, server_default="0")
    failed: Mapped[int] = mapped_column(default=0, server_default="0")
    missing: Mapped[int] = mapped_column(default=0, server_default="0")
    requested_by_id: Mapped[UUID | None]

    shop: Mapped[WooCommerceShop] = relationship(
        primaryjoin=lambda: linked(WooCommerceShop, WooCommercePull.shop_id), viewonly=True
    )
    requested_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, WooCommercePull.requested_by_id), viewonly=True
    )

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.status is not RunStatus.RUNNING

    @property
    def status_label(self) -> str:
        """The word on the screen: « un relevé » is masculine, other runs are not."""
        return {"running": "En cours", "success": "Réussi", "partial": "Partiel", "failed": "Échoué"}[self.status.value]

    @property
    def asked_by(self) -> str:
        """Who or what set it off."""
        if self.requested_by is not None:
            return self.requested_by.full_name
        triggers = {"manual": "Manuel", "scheduled": "Planifié", "command": "Ligne de commande"}
        return triggers[self.trigger.value]
