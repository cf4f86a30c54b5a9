"""Taking a merge back: rows go where they were, values where nobody changed them since, and what came since stays."""
# ruff: noqa: S608  put together from names and expressions of ours

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text, update

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.french import whole
from webapp.models.clients import Client
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.merging import moving
from webapp.services.merging.tables import BELONGINGS
from webapp.services.operations import plans
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.services.operations.wording import told_of_client
from webapp.transactions import transaction

CHANGED_SINCE = "Modifié depuis la fusion\u202f: la valeur d’aujourd’hui est conservée."
KEPT = "Fiche qui reste."
TAKES_BACK = "Fiche qui reste\u202f: retrouve ses valeurs d’avant la fusion."
COMES_BACK = "Redevient une fiche."
GOES_BACK = "Retourne à {name}."
STAYS = "Ajouté depuis la fusion\u202f: reste avec {name}."
MERGED_SINCE = "{name} a été fusionné à son tour\u202f: annulez cette fusion-là d’abord."
ERASED = "Ces fiches ont été effacées\u202f: ce que la fusion avait pris n’existe plus."
GONE = "Une des fiches n’existe plus, ou a été séparée depuis."
EDITED = "{name} a été modifié depuis le plan\u202f: rien n’a été défait. Recommencez."


def prepare(work: Work, undone: Operation) -> None:
    """Write the plan of taking ``undone`` back."""
    plans.begin(work)
    with transaction():
        plans.add(work, list(_plan(undone)))
    plans.end(work)


def _plan(undone: Operation) -> Iterator[PlannedItem]:
    kept, merged = _find(undone)
    moved = moving.count_moved(undone.id)
    yield from _values(undone, kept)
    for client in merged:
        yield PlannedItem(ItemTarget.CLIENT, ItemAction.LINK, client.full_name, client.id, client.id, reason=COMES_BACK)
        for table, belonging in BELONGINGS.items():
            if belonging.one and (number := moved.get((client.id, table), 0)):
                words = f"{whole(number)} {belonging.many if number > 1 else belonging.one}"
                reason = GOES_BACK.format(name=client.full_name)
                yield PlannedItem(ItemTarget.BELONGINGS, ItemAction.LINK, words, reason=reason)
    for table, number in moving.count_added(undone.id, kept_id=kept.id, since=undone.finished_at).items():
        belonging = BELONGINGS[table]
        words = f"{whole(number)} {belonging.many if number > 1 else belonging.one}"
        reason = STAYS.format(name=kept.full_name)
        yield PlannedItem(ItemTarget.BELONGINGS, ItemAction.NOTHING, words, reason=reason)


def _find(undone: Operation) -> tuple[Client, list[Client]]:
    """The client that was kept and those that were merged into it. Raises DomainError where they are so no more."""
    kept_id = UUID(undone.settings["kept_id"])
    merged_ids = [UUID(each) for each in undone.settings["merged_ids"]]
    statement = select(Client).where(Client.id.in_([kept_id, *merged_ids])).order_by(Client.id)
    locked = statement.with_for_update(key_share=True).execution_options(populate_existing=True)
    clients = {client.id: client for client in db.session.scalars(locked)}
    kept = clients.get(kept_id)
    if kept is None or any(each not in clients or clients[each].merged_into_id != kept_id for each in merged_ids):
        raise DomainError(GONE)
    if kept.erased_at is not None:
        raise DomainError(ERASED)
    if kept.merged_into_id is not None:
        raise DomainError(MERGED_SINCE.format(name=kept.full_name))
    return kept, [clients[each] for each in merged_ids]


def _values(undone: Operation, kept: Client) -> Iterator[PlannedItem]:
    """What the kept client had taken over: back to what it was, or listed with both values."""
    item = db.session.scalars(
        select(OperationItem).where(OperationItem.operation_id == undone.id, OperationItem.row_id == kept.id)
    ).one()
    present = _present(kept, item.after)
    untouched = [name for name in item.after if present[name] == item.after[name]]
    contested = [name for name in item.after if present[name] != item.after[name]]
    common = (kept.full_name, kept.id, kept.id, str(kept.version))
    yield PlannedItem(
        ItemTarget.CLIENT,
        ItemAction.LINK,
        *common,
        before={name: item.after[name] for name in untouched},
        after={name: item.before[name] for name in untouched},
        reason=TAKES_BACK if untouched else KEPT,
    )
    if contested:
        yield PlannedItem(
            ItemTarget.CLIENT,
            ItemAction.NOTHING,
            *common,
            before={name: item.before[name] for name in contested},
            after={name: present[name] for name in contested},
            reason=CHANGED_SINCE,
        )


def _present(client: Client, columns: Mapping[str, Any]) -> dict[str, Any]:
    row = db.session.execute(
        text("SELECT to_jsonb(c) FROM clients c WHERE organisation_id = :organisation_id AND id = :id"),
        {"organisation_id": client.organisation_id, "id": client.id},
    ).scalar_one()
    return {name: row[name] for name in columns}


# ---- Applying it


def apply(work: Work, undone: Operation) -> None:
    """Take the merge back, in the transaction of the operation's end. Raises DomainError."""
    operation, at = work.operation, work.at()
    kept, merged = _find(undone)
    item = db.session.scalars(
        select(OperationItem).where(
            OperationItem.operation_id == operation.id,
            OperationItem.row_id == kept.id,
            OperationItem.action == ItemAction.LINK,
        )
    ).one()
    if item.seen != str(kept.version):
        raise DomainError(EDITED.format(name=kept.full_name))
    moving.announce()
    moving.move_back(undone.id, kept_id=kept.id)
    _restore(kept, item.after, undone, at=at)
    db.session.execute(
        update(Client)
        .where(Client.id.in_([client.id for client in merged]))
        .values(archived_at=None, merged_into_id=None, version=Client.version + 1, changed_at=at)
        .execution_options(synchronize_session=False)
    )
    for client in (kept, *merged):
        others = [kept.full_name] if client is not kept else [each.full_name for each in merged]
        values = told_of_client(item.before, item.after) if client is kept else {}
        _tell(operation, client.id, {"merged": [", ".join(others), None], **values}, at=at)
    work.save(applied=operation.links)
    operation.applied = operation.links


def _restore(kept: Client, after: Mapping[str, Any], undone: Operation, *, at: datetime) -> None:
    """The values of before; the identity card that came with the merge goes, unless another came since."""
    sets = "".join(f", {name} = r.{name}" for name in sorted(after))
    db.session.execute(
        text(
            f"""UPDATE clients t SET version = t.version + 1, changed_at = :at{sets}, identity_card =
              CASE WHEN NOT EXISTS (SELECT FROM merge_moves m WHERE m.organisation_id = t.organisation_id
                AND m.operation_id = :undone_id AND m.table_name = 'clients' AND m.row_key = t.id::text
                AND m.after ->> 'identity_card' = md5(t.identity_card)) THEN t.identity_card END
            FROM jsonb_populate_record(NULL::clients, CAST(:after AS jsonb)) r
            WHERE t.organisation_id = :organisation_id AND t.id = :id"""
        ),
        {
            "at": at,
            "after": orjson.dumps(after).decode(),
            "organisation_id": kept.organisation_id,
            "undone_id": undone.id,
            "id": kept.id,
        },
    )


def _tell(operation: Operation, client_id: UUID, changes: dict[str, Any], *, at: datetime) -> None:
    db.session.add(
        TimelineEvent(
            client_id=client_id,
            kind=EventKind.CLIENT_UNMERGED,
            at=at,
            user_id=operation.by_id,
            operation_id=operation.id,
            changes=changes,
        )
    )
