"""What is to be done about a prospect: decided by planning, told in full by differences, carried out by writing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import UUID

from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus.field_changes import Changes
from webapp.services.winleadplus.payload import Prospect, ProspectAccount, ProspectContract

CLIENT_FIELDS = (
    "last_name",
    "first_name",
    "email",
    "phone",
    "address_line1",
    "address_line2",
    "postcode",
    "city",
    "country",
    "status",
)
CONTRACT_FIELDS = tuple(column.name for column in fields(ProspectContract) if column.name not in ("reference", "lines"))
SNAPSHOT = "sync_mappings.snapshot"

Json = dict[str, Any]


@dataclass(slots=True)
class ContractPlan:
    """A contract to make (``id`` None) or to change. ``lines`` says whether its lines are to be replaced."""

    id: UUID | None
    contract: ProspectContract
    values: Json = field(default_factory=dict)
    replaces_lines: bool = False


@dataclass(slots=True)
class Plan:
    """What to do about one prospect. ``client_id`` None makes a new client; ``values`` are columns that change."""

    kind: ItemKind
    prospect: Prospect
    reason: str | None = None
    client_id: UUID | None = None
    is_first_link: bool = False
    candidates: list[UUID] = field(default_factory=list)
    values: Json = field(default_factory=dict)
    contracts: list[ContractPlan] = field(default_factory=list)
    accounts: list[ProspectAccount] = field(default_factory=list)
    bics: list[tuple[UUID, str]] = field(default_factory=list)
    mandates: list[UUID] = field(default_factory=list)
    vanished: list[tuple[UUID, str]] = field(default_factory=list)
    returned: list[UUID] = field(default_factory=list)
    changes: Changes = field(default_factory=dict)
    snapshot: Json | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the organisation and, for single prospects, a person have settled.

    ``decided`` says for an external id which client to link to, or None to create one whoever resembles it.
    """

    organisation_id: UUID
    imports_without_contracts: bool = False
    decided: Mapping[str, UUID | None] = field(default_factory=dict)


@dataclass(slots=True)
class Claims:
    """What earlier prospects have claimed and the database does not know yet: within a batch, or a dry run."""

    references: dict[str, object] = field(default_factory=dict)
    clients: set[UUID] = field(default_factory=set)
