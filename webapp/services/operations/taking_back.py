"""How a row goes back: what nobody changed since, and what somebody changed and keeps. For every kind of undo."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from webapp.errors import DomainError
from webapp.models.operations import ItemAction, ItemTarget
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.targets import TARGETS

CHANGED_SINCE = "Modifié depuis\u202f: la valeur d’aujourd’hui est conservée."
KEPT = "Modifié depuis\u202f: conservé."
GONE = "N’existe plus."
ARCHIVED_SINCE = "Archivé depuis\u202f: rien à faire."


class NotUndoableError(DomainError):
    """The operation changed nothing, has not ended, or ended too long ago."""


class Row(NamedTuple):
    """A row that is taken back: what it is called, and how it stands (``present``, None where it is gone)."""

    target: ItemTarget
    label: str
    row_id: UUID | None
    client_id: UUID | None
    seen: str | None
    present: dict[str, Any] | None

    def item(self, action: ItemAction, **more: Any) -> PlannedItem:
        """An item about it."""
        return PlannedItem(self.target, action, self.label, self.row_id, self.client_id, **more)


def unchange(row: Row, before: dict[str, Any], written: dict[str, Any]) -> Iterator[PlannedItem]:
    """Back from ``written`` to ``before``, column by column; what was changed since is listed with both values, and
    what stands as it was before is left out.

    What stands in a row of another table (the line of a contract) goes back whole, or not.
    """
    present = row.present
    if present is None:
        yield row.item(ItemAction.NOTHING, reason=GONE)
        return
    written = {name: value for name, value in written.items() if present[name] != before.get(name)}
    differing = {name for name in written if present[name] != written[name]}
    beside = TARGETS[row.target].beside if row.target in TARGETS else ()
    if differing.intersection(beside):
        differing.update(written.keys() & {*beside})
    untouched = [name for name in written if name not in differing]
    contested = [name for name in written if name in differing]
    if untouched:
        yield row.item(
            ItemAction.UPDATE,
            seen=row.seen,
            before={name: present[name] for name in untouched},
            after={name: before.get(name) for name in untouched},
        )
    if contested:
        yield row.item(
            ItemAction.NOTHING,
            reason=CHANGED_SINCE,
            before={name: before.get(name) for name in contested},
            after={name: present[name] for name in contested},
        )


def uncreate(row: Row, *, is_changed: bool, gained: Sequence[str], at: datetime, image: dict[str, Any]) -> PlannedItem:
    """A client is archived, anything else removed (``image`` is what it was); unless it changed or gained something."""
    if row.present is None:
        return row.item(ItemAction.NOTHING, reason=GONE)
    if row.present.get("archived_at"):
        return row.item(ItemAction.NOTHING, reason=ARCHIVED_SINCE)
    if is_changed:
        return row.item(ItemAction.NOTHING, reason=KEPT)
    if gained:
        return row.item(ItemAction.NOTHING, reason=f"A reçu depuis\u202f: {', '.join(gained)}. Conservé.")
    if row.target is ItemTarget.CLIENT:
        archived = {"archived_at": at.isoformat()}
        return row.item(ItemAction.UPDATE, seen=row.seen, before={"archived_at": None}, after=archived)
    return row.item(ItemAction.REMOVE, seen=row.seen, before=image)
