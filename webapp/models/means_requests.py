"""Requests to a client for a means of payment, and the provider's pages on which the client answers them."""

import hashlib
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import crypto
from webapp.models.base import Base, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.providers import ProviderAccount
from webapp.models.sealing import Sealing


class MeansRequestStatus(StrEnum):
    """Where a request stands; see TRANSITIONS."""

    DRAFT = "draft"
    SENT = "sent"
    OPENED = "opened"
    DONE = "done"
    EXPIRED = "expired"
    REFUSED = "refused"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "draft": "À transmettre",
            "sent": "Transmise",
            "opened": "Ouverte par le client",
            "done": "Moyen enregistré",
            "expired": "Expirée",
            "refused": "Refusée",
            "canceled": "Annulée",
        }[self.value]

    @property
    def is_open(self) -> bool:
        """Whether the client may still answer."""
        return self in OPEN


OPEN = frozenset({MeansRequestStatus.DRAFT, MeansRequestStatus.SENT, MeansRequestStatus.OPENED})
_ENDS = frozenset(
    {
        MeansRequestStatus.DONE,
        MeansRequestStatus.EXPIRED,
        MeansRequestStatus.REFUSED,
        MeansRequestStatus.CANCELED,
    }
)
# What the provider keeps is a fact, however late we hear of it: every end but DONE leads there.
TRANSITIONS: dict[MeansRequestStatus, frozenset[MeansRequestStatus]] = {
    MeansRequestStatus.DRAFT: _ENDS | {MeansRequestStatus.SENT, MeansRequestStatus.OPENED},
    MeansRequestStatus.SENT: _ENDS | {MeansRequestStatus.OPENED},
    MeansRequestStatus.OPENED: _ENDS,
    MeansRequestStatus.EXPIRED: frozenset({MeansRequestStatus.DONE}),
    MeansRequestStatus.REFUSED: frozenset({MeansRequestStatus.DONE}),
    MeansRequestStatus.CANCELED: frozenset({MeansRequestStatus.DONE}),
    MeansRequestStatus.DONE: frozenset(),
}


class MeansRequest(Sealing, Timestamped, Numbered, Base):
    """A request to a client for a card or a mandate, answered on the provider's own page.

    The client gets a link with a ``token``, which is sealed, and found again by ``token_hash``; it lives until
    ``expires_at``. ``subscription_id`` is what the means is for, empty where it is for the client as such.
    ``takes_payment`` has what is owed paid in the same visit: ``charge_id``, or the first cycle of the subscription.
    ``saved_method_id`` is what came of it; it comes in the place of ``replaces_id`` wherever that pays.
    """

    LETTER = "D"

    __tablename__ = "means_requests"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        UniqueConstraint("token_hash"),
        CheckConstraint("(ended_at IS NULL) = (status IN ('draft', 'sent', 'opened'))", name="ends_once"),
        CheckConstraint("(saved_method_id IS NOT NULL) = (status = 'done')", name="done_with_a_method"),
        Index("ix_means_requests_client", "organisation_id", "client_id", "id"),
        # Two colleagues who ask at once ask once.
        Index(
            "uq_means_requests_open",
            "organisation_id",
            "client_id",
            "provider_account_id",
            unique=True,
            postgresql_where=text("status IN ('draft', 'sent', 'opened')"),
        ),
        Index("ix_means_requests_expires", "expires_at", postgresql_where=text("ended_at IS NULL")),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
        tenant_key("subscription_id", "subscriptions", ondelete="SET NULL"),
        tenant_key("charge_id", "charges", ondelete="SET NULL"),
        tenant_key("saved_method_id", "saved_payment_methods", ondelete="RESTRICT"),
        tenant_key("replaces_id", "saved_payment_methods", ondelete="RESTRICT"),
        tenant_key("requested_by_id", "users", ondelete="SET NULL"),
    )

    client_id: Mapped[UUID]
    provider_account_id: Mapped[UUID]
    subscription_id: Mapped[UUID | None]
    charge_id: Mapped[UUID | None]
    takes_payment: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    status: Mapped[MeansRequestStatus] = mapped_column(stored_enum(MeansRequestStatus))
    token: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    saved_method_id: Mapped[UUID | None]
    replaces_id: Mapped[UUID | None]
    explanation: Mapped[str | None] = mapped_column(Text)
    requested_by_id: Mapped[UUID | None]

    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, MeansRequest.client_id), viewonly=True)
    account: Mapped[ProviderAccount] = relationship(
        primaryjoin=lambda: linked(ProviderAccount, MeansRequest.provider_account_id), viewonly=True
    )
    requested_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, MeansRequest.requested_by_id), viewonly=True
    )

    @staticmethod
    def hash_of(token: str) -> bytes:
        """By what a request is found: the token has 256 bits of chance, so that no key is needed."""
        return hashlib.sha256(token.encode()).digest()

    def keep_token(self, token: str) -> None:
        """Seal the token into the row."""
        self.token, self.token_hash = crypto.seal(token, place=self.place_of("token")), self.hash_of(token)

    def token_in_clear(self) -> str:
        """The token, for whoever hands the link on."""
        return crypto.unseal(self.token, place=self.place_of("token"))

    def can_become(self, status: MeansRequestStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]


class HostedPageStatus(StrEnum):
    """Where a page stands. OPENING: the provider is being asked for it, or was, and nobody knows."""

    OPENING = "opening"
    OPEN = "open"
    SUBMITTED = "submitted"
    COMPLETED = "completed"
    REFUSED = "refused"
    CLOSED = "closed"


class HostedPage(Sealing, Timestamped, Base):
    """One page of the provider's, made for a request; a client who comes back once it has ended gets another.

    ``reference`` is the provider's id of it, ``url`` its address, sealed. ``attempt_id`` is what is paid on it.
    ``next_look_at`` is when the provider is asked what became of it; empty once it has ended.
    """

    __tablename__ = "hosted_pages"
    __table_args__ = (
        CheckConstraint(
            "(next_look_at IS NULL) = (status IN ('completed', 'refused', 'closed'))", name="looked_at_until_ended"
        ),
        # One at a time: what is paid on a page is paid on no other.
        Index(
            "uq_hosted_pages_open",
            "organisation_id",
            "request_id",
            unique=True,
            postgresql_where=text("status IN ('opening', 'open', 'submitted')"),
        ),
        Index("ix_hosted_pages_request", "organisation_id", "request_id", "id"),
        Index("ix_hosted_pages_next_look", "next_look_at", postgresql_where=text("next_look_at IS NOT NULL")),
        tenant_key("request_id", "means_requests"),
        tenant_key("attempt_id", "charge_attempts", ondelete="RESTRICT"),
    )

    request_id: Mapped[UUID]
    status: Mapped[HostedPageStatus] = mapped_column(stored_enum(HostedPageStatus), default=HostedPageStatus.OPENING)
    reference: Mapped[str | None] = mapped_column(String(255))
    url: Mapped[bytes | None] = mapped_column(LargeBinary)
    closes_at: Mapped[datetime]
    attempt_id: Mapped[UUID | None]
    next_look_at: Mapped[datetime | None]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can come of it, as far as we know."""
        return self.status in (HostedPageStatus.COMPLETED, HostedPageStatus.REFUSED, HostedPageStatus.CLOSED)

    @property
    def idempotency_key(self) -> str:
        """The key that the provider sees: the same for every asking for this page, and for no other."""
        return f"crm-page-{self.id}"

    def keep_url(self, url: str) -> None:
        """Seal the address into the row."""
        self.url = crypto.seal(url, place=self.place_of("url"))

    def url_in_clear(self) -> str:
        """The address, for the client alone. Only of a page that is open."""
        if self.url is None:
            raise ValueError("a page that is not open has no address")
        return crypto.unseal(self.url, place=self.place_of("url"))
