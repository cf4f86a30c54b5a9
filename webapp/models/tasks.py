"""Tasks: what somebody means to do for a client, and by when."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Timestamped, linked, tenant_key
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class Task(OrganisationScoped, Identified, Timestamped, Base):
    """A task of ``user_id``, who does it; open while ``done_at`` is empty. ``due_on`` is a day in Paris.

    ``claim_id`` is the claim file that it is about, where it is about one. ``key`` names what the product made it for,
    so that it is done by itself once there is nothing left to do (``tasks.settle``).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "ix_tasks_open",
            "organisation_id",
            "client_id",
            "due_on",
            "id",
            postgresql_where=text("done_at IS NULL"),
        ),
        Index("ix_tasks_due", "organisation_id", "due_on", "id", postgresql_where=text("done_at IS NULL")),
        Index("ix_tasks_key", "organisation_id", "key", postgresql_where=text("key IS NOT NULL")),
        Index("ix_tasks_client", "organisation_id", "client_id", "done_at"),
        tenant_key("client_id", "clients"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    title: Mapped[str] = mapped_column(String(500))
    due_on: Mapped[date]
    user_id: Mapped[UUID | None]
    done_at: Mapped[datetime | None]
    claim_id: Mapped[UUID | None]
    key: Mapped[str | None] = mapped_column(String(100))

    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, Task.client_id), viewonly=True)
    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, Task.user_id),
        viewonly=True,
    )
