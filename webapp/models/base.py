"""What every table shares: the typed base, keys, and how enumerations are stored."""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, DateTime, Enum, ForeignKeyConstraint, Identity, MetaData, and_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, foreign, mapped_column
from uuid_utils import uuid7 as quick_uuid7
from uuid_utils.compat import uuid7

from webapp import clock

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> UUID:
    """A UUIDv7: unguessable enough for addresses, and arriving in index order."""
    return uuid7()


def new_id_text() -> str:
    """``new_id`` as text, in a quarter of the time: for rows that COPY writes by the thousand."""
    return str(quick_uuid7())


class Base(DeclarativeBase):
    """Base of all models; plain SQLAlchemy, so that mypy sees the types."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
    }


class Identified:
    """Mixin: primary key (organisation_id, id), so that every table can be partitioned by organisation."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-2)


class Timestamped:
    """Mixin: when the row was made."""

    created_at: Mapped[datetime] = mapped_column(default=clock.now, sort_order=100)


class Numbered:
    """Mixin: a short number that people say and search for, with a letter for its kind: P-1042.

    All organisations draw from one sequence, so that a number tells nothing of how many any of them has; it has gaps.
    """

    LETTER: ClassVar[str]

    number: Mapped[int] = mapped_column(BigInteger, Identity(), sort_order=101)

    @property
    def code(self) -> str:
        """As people say it."""
        return f"{self.LETTER}-{self.number}"


class Code(NamedTuple):
    """A short number that was read: the letter of its kind, and what follows."""

    letter: str
    number: int


def read_code(typed: str) -> Code | None:
    """The short number that somebody typed; None for anything else.

    « P-1042 », « p1042 », « P – 001 042 »: case, any dash or none, spaces and leading zeros do not matter.
    """
    match = _CODE.fullmatch(unicodedata.normalize("NFKC", typed).strip())
    number = int(re.sub(r"\s", "", match[2])) if match else 0
    return Code(match[1].upper(), number) if match and 0 < number <= LARGEST_NUMBER else None


_CODE = re.compile(r"([a-zA-Z])\s*[-\u2010-\u2015\u2212]?\s*([0-9](?:\s?[0-9]){0,39})")
LARGEST_NUMBER = 2**63 - 1
"""What a bigint holds."""


def tenant_key(column: str, table: str, *, ondelete: str = "CASCADE") -> ForeignKeyConstraint:
    """A composite foreign key within the organisation: a row cannot point into another one.

    ``ondelete="SET NULL"`` empties ``column`` alone, and leaves organisation_id in place.
    """
    if ondelete == "SET NULL":
        ondelete = f"SET NULL ({column})"
    return ForeignKeyConstraint(
        ["organisation_id", column], [f"{table}.organisation_id", f"{table}.id"], ondelete=ondelete
    )


def stored_enum(values: type[StrEnum]) -> Enum:
    """Store the enumeration's values as text: adding one later needs no lock on the table."""
    return Enum(
        values,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def linked(parent: Any, key: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """How rows meet along a composite key: in the same organisation, where ``key`` holds the id of ``parent``.

    For joins, conditions and relations alike; ``parent`` and the class of ``key`` may be aliases.
    """
    child = key.parent.entity
    return and_(parent.organisation_id == child.organisation_id, parent.id == foreign(key))
