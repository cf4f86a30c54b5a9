"""Preferences: fields that each organisation defines as data, their values per subscription, and the cut-off."""

from datetime import datetime, time
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped

Scalar = str | int | float | bool
"""What a preference can be; JSON in the database."""


class ValueType(StrEnum):
    """What a preference's values are."""

    STRING = "string"
    NUMBER = "number"
    ENUM = "enum"
    BOOLEAN = "boolean"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"string": "Texte", "number": "Nombre", "enum": "Liste de choix", "boolean": "Oui ou non"}[self.value]


class PreferenceSchema(OrganisationScoped, Identified, Timestamped, Base):
    """One field: nothing of a trade is in the code. ``allowed_values`` are the choices of an ENUM, in order.

    An inactive one is no longer asked for; its values stay.
    """

    __tablename__ = "preference_schemas"
    __table_args__ = (UniqueConstraint("organisation_id", "code"),)

    code: Mapped[str] = mapped_column(String(50))
    label: Mapped[str] = mapped_column(String(100))
    value_type: Mapped[ValueType] = mapped_column(stored_enum(ValueType))
    allowed_values: Mapped[list[str]] = mapped_column(JSONB, default=list, server_default="[]")
    required: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    default: Mapped[Scalar | None] = mapped_column(JSONB(none_as_null=True))
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))


class PreferenceValue(OrganisationScoped, Identified, Base):
    """A subscription's value from a cycle on, until one with a later cycle. ``value`` empty means none any more."""

    __tablename__ = "preference_values"
    __table_args__ = (
        UniqueConstraint("organisation_id", "subscription_id", "schema_id", "effective_from_cycle"),
        Index("ix_preference_values_schema", "organisation_id", "schema_id"),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("schema_id", "preference_schemas", ondelete="RESTRICT"),
    )

    subscription_id: Mapped[UUID]
    schema_id: Mapped[UUID]
    effective_from_cycle: Mapped[int]
    value: Mapped[Scalar | None] = mapped_column(JSONB(none_as_null=True))
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)


class PreferenceChange(OrganisationScoped, Identified, Base):
    """History: what a value was, what it became, from which cycle on, who changed it and when. Only ever added to."""

    __tablename__ = "preference_changes"
    __table_args__ = (
        Index("ix_preference_changes_subscription", "organisation_id", "subscription_id", "at", "id"),
        tenant_key("subscription_id", "subscriptions"),
        tenant_key("schema_id", "preference_schemas", ondelete="RESTRICT"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    subscription_id: Mapped[UUID]
    schema_id: Mapped[UUID]
    effective_from_cycle: Mapped[int]
    old_value: Mapped[Scalar | None] = mapped_column(JSONB(none_as_null=True))
    new_value: Mapped[Scalar | None] = mapped_column(JSONB(none_as_null=True))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]

    schema: Mapped[PreferenceSchema] = relationship(
        primaryjoin=lambda: linked(PreferenceSchema, PreferenceChange.schema_id),
        viewonly=True,
    )
    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, PreferenceChange.user_id),
        viewonly=True,
    )


class CutOff(OrganisationScoped, Base):
    """The weekly instant after which a company's cycle is settled: ``weekday`` (0 = Monday) at ``at`` in ``timezone``.

    With ``before_holidays``, one that falls on a public holiday of ``holiday_region`` comes on an earlier working day;
    the region is a part of France with holidays of its own (57, 6AE, 971 …), None for those of the whole country.
    A company whose cut-off is not ``is_active`` makes no batches. With ``locks_itself``, its open batch is locked at
    the cut-off; otherwise a person locks it. A company without a row has the defaults below.
    """

    __tablename__ = "cut_offs"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID] = mapped_column(primary_key=True)
    weekday: Mapped[int] = mapped_column(default=0, server_default="0")
    at: Mapped[time] = mapped_column(default=time(12), server_default="12:00")
    timezone: Mapped[str] = mapped_column(String(64), default="Europe/Paris", server_default="Europe/Paris")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    before_holidays: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    holiday_region: Mapped[str | None] = mapped_column(String(3))
    locks_itself: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
