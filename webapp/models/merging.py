"""What a merge of clients did to rows that belonged to them, so that it can be taken back."""

from typing import Any
from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, tenant_key
from webapp.tenancy import OrganisationScoped


class MergeMove(OrganisationScoped, Base):
    """A row that a merge touched. ``row_key`` is its id, or what else tells it within its table and organisation.

    ``before`` and ``after`` are the columns that changed; without ``after`` the row was taken away, and ``before`` is
    all of it.
    """

    __tablename__ = "merge_moves"
    __table_args__ = (tenant_key("operation_id", "operations"),)

    operation_id: Mapped[UUID] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(String(64), primary_key=True)
    row_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any] | None]
