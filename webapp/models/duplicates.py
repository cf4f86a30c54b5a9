"""Duplicates: pairs of clients who may be one person, and the searches that find them."""

from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, tenant_key
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.runs import Leased
from webapp.tenancy import OrganisationScoped


class PairScore(IntEnum):
    """How sure it is that two clients are one person; the surest first."""

    CERTAIN = 1
    PROBABLE = 2
    POSSIBLE = 3

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {1: "Certain", 2: "Probable", 3: "Possible"}[self.value]


class Evidence(StrEnum):
    """What two clients have in common, and what tells them apart."""

    EMAIL = "email"
    PHONE = "phone"
    BIRTH_DATE = "birth_date"
    NAME = "name"
    CLOSE_NAME = "close_name"
    FIRST_NAME = "first_name"
    ADDRESS = "address"
    POSTCODE = "postcode"
    OTHER_BIRTH_DATE = "other_birth_date"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "email": "même e-mail",
            "phone": "même téléphone",
            "birth_date": "même date de naissance",
            "name": "même nom",
            "close_name": "nom proche",
            "first_name": "même prénom",
            "address": "même adresse",
            "postcode": "même code postal",
            "other_birth_date": "autre date de naissance",
        }[self.value]


class DuplicatePair(OrganisationScoped, Identified, Base):
    """Two clients who may be one person; the one with the lesser id is the first.

    ``evidence`` says why. ``search_id`` is the search that saw the pair last: one that is not seen any more goes,
    unless a person has said that these are two people (``dismissed_at``), which is kept for good.
    """

    __tablename__ = "duplicate_pairs"
    __table_args__ = (
        UniqueConstraint("organisation_id", "first_id", "second_id"),
        CheckConstraint("first_id < second_id", name="in_order"),
        Index(
            "ix_duplicate_pairs_open", "organisation_id", "score", "id", postgresql_where=text("dismissed_at IS NULL")
        ),
        Index("ix_duplicate_pairs_second", "organisation_id", "second_id"),
        tenant_key("first_id", "clients"),
        tenant_key("second_id", "clients"),
        tenant_key("dismissed_by_id", "users", ondelete="SET NULL"),
    )

    first_id: Mapped[UUID]
    second_id: Mapped[UUID]
    score: Mapped[int] = mapped_column(SmallInteger)
    evidence: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    found_at: Mapped[datetime] = mapped_column(default=clock.now)
    search_id: Mapped[UUID]
    dismissed_at: Mapped[datetime | None]
    dismissed_by_id: Mapped[UUID | None]

    first: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, DuplicatePair.first_id), foreign_keys="DuplicatePair.first_id", viewonly=True
    )
    second: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, DuplicatePair.second_id),
        foreign_keys="DuplicatePair.second_id",
        viewonly=True,
    )
    dismissed_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, DuplicatePair.dismissed_by_id), viewonly=True
    )

    @property
    def likeness(self) -> PairScore:
        """How sure it is."""
        return PairScore(self.score)

    @property
    def why(self) -> str:
        """What the two have in common, in words."""
        return ", ".join(Evidence(each).label for each in self.evidence)


class DuplicateSearch(Leased, Base):
    """A search for pairs: among all clients, or among those that a synchronisation or an operation touched.

    ``steps_done`` is where it has come of ``steps``, each a transaction. ``found`` counts the pairs that it saw.
    """

    __tablename__ = "duplicate_searches"
    __table_args__ = (
        Index(
            "uq_duplicate_searches_running", "organisation_id", unique=True, postgresql_where=text("status = 'running'")
        ),
        Index(
            "uq_duplicate_searches_sync_run",
            "organisation_id",
            "sync_run_id",
            unique=True,
            postgresql_where=text("sync_run_id IS NOT NULL"),
        ),
        Index(
            "uq_duplicate_searches_operation",
            "organisation_id",
            "operation_id",
            unique=True,
            postgresql_where=text("operation_id IS NOT NULL"),
        ),
        Index("ix_duplicate_searches_started", "organisation_id", "started_at"),
        Index("ix_duplicate_searches_lease", "lease_until", postgresql_where=text("status = 'running'")),
        tenant_key("sync_run_id", "sync_runs"),
        tenant_key("operation_id", "operations"),
    )

    sync_run_id: Mapped[UUID | None]
    operation_id: Mapped[UUID | None]
    steps: Mapped[int] = mapped_column(default=0, server_default="0")
    steps_done: Mapped[int] = mapped_column(default=0, server_default="0")
    found: Mapped[int] = mapped_column(default=0, server_default="0")

    @property
    def is_whole(self) -> bool:
        """Whether it looks at all clients."""
        return self.cause_id is None

    @property
    def cause_id(self) -> UUID | None:
        """The synchronisation or operation that touched those among whom it looks."""
        return self.operation_id or self.sync_run_id
