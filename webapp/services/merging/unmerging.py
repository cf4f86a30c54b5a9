"""Taking a merge back: rows go where they were, values where nobody changed them since, and what came since stays.

What WinLeadPlus and shops said since of a client who goes back goes along (``said_since``).
"""
# ruff: noqa: S608  put together from names and expressions of ours

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text, update

from webapp import crypto
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.french import whole
from webapp.models.clients import Client
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.merging import moving, said_since
from webapp.services.merging.said_since import CARD, Said, Word
from webapp.services.merging.tables import BELONGINGS
from webapp.services.operations import plans
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.services.operations.wording import told_of_client
from webapp.transactions import transaction

CHANGED_SINCE = "Modifié depuis la fusion\u202f: la valeur d’aujourd’hui est conservée."
KEPT = "Fiche qui reste."
TAKES_BACK = "Fiche qui reste\u202f: retrouve ses valeurs d’avant la fusion."
TAKES_BACK_SAID = "Fiche qui reste\u202f: ce qui venait de l’autre, avec la fusion ou depuis, s’en va."
COMES_BACK = "Redevient une fiche."
COMES_BACK_WITH = "Redevient une fiche, avec ce que WinLeadPlus ou sa boutique en ont dit depuis la fusion."
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
    said = said_since.find(undone, kept.id)
    moved = Counter(moving.count_moved(undone.id)) + Counter((row.client_id, row.table) for row in said.rows)
    yield from _values(undone, kept, said)
    for client in merged:
        yield _comes_back(client, said)
        for table, belonging in BELONGINGS.items():
            if belonging.one and (number := moved[client.id, table]):
                yield _belongings(table, number, GOES_BACK.format(name=client.full_name))
    added = Counter(moving.count_added(undone.id, kept_id=kept.id, since=undone.finished_at))
    for table, number in (added - Counter(row.table for row in said.rows)).items():
        yield _belongings(table, number, STAYS.format(name=kept.full_name), ItemAction.NOTHING)


def _belongings(table: str, number: int, reason: str, action: ItemAction = ItemAction.LINK) -> PlannedItem:
    words = f"{whole(number)} {BELONGINGS[table].many if number > 1 else BELONGINGS[table].one}"
    return PlannedItem(ItemTarget.BELONGINGS, action, words, reason=reason)


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


def _values(undone: Operation, kept: Client, said: Said) -> Iterator[PlannedItem]:
    """What the kept client had taken over: back to what it was, or listed with both values."""
    item = db.session.scalars(
        select(OperationItem).where(OperationItem.operation_id == undone.id, OperationItem.row_id == kept.id)
    ).one()
    present = _present(kept, {*item.after, *said.columns()} - {CARD})
    merge = {name: Word(item.before[name], item.after[name]) for name in item.after}
    back = said.put_back(present, merge)
    others = [name for name in item.after if name not in back]
    back |= {name: item.before[name] for name in others if present[name] == item.after[name]}
    contested = [name for name in others if present[name] not in (item.after[name], item.before[name])]
    common = (kept.full_name, kept.id, kept.id, str(kept.version))
    yield PlannedItem(
        ItemTarget.CLIENT,
        ItemAction.LINK,
        *common,
        before={name: present[name] for name in back},
        after=back,
        reason=_reason_of_kept(kept, back, said),
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


def _reason_of_kept(kept: Client, back: Mapping[str, Any], said: Said) -> str:
    """An identity card goes without a value to show."""
    if said.columns() and (back or _card_put_back(kept, said)):
        return TAKES_BACK_SAID
    return TAKES_BACK if back else KEPT


def _comes_back(client: Client, said: Said) -> PlannedItem:
    """What it gets of its prospect: as it would have, had there been no merge."""
    last = {name: value for name, value in said.last_of(client.id).items() if name != CARD}
    present = _present(client, last)
    new = {name: value for name, value in last.items() if value != present[name]}
    return PlannedItem(
        ItemTarget.CLIENT,
        ItemAction.LINK,
        client.full_name,
        client.id,
        client.id,
        before={name: present[name] for name in new},
        after=new,
        reason=COMES_BACK_WITH if new else COMES_BACK,
    )


def _present(client: Client, columns: Iterable[str]) -> dict[str, Any]:
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
    items = _items_of_clients(operation.id)
    if items[kept.id].seen != str(kept.version):
        raise DomainError(EDITED.format(name=kept.full_name))
    said = said_since.find(undone, kept.id)
    moving.announce()
    said_since.note(said, undone, kept.id)
    moving.move_back(undone.id, kept_id=kept.id)
    _restore(kept, items[kept.id].after, undone, at=at)
    for client in merged:
        _revive(client, items[client.id].after, at=at)
    _part_cards(kept, merged, said)
    for client in (kept, *merged):
        others = [kept.full_name] if client is not kept else [each.full_name for each in merged]
        item = items[client.id]
        changes = {"merged": [", ".join(others), None], **told_of_client(item.before, item.after)}
        _tell(operation, client.id, changes, at=at)
    work.save(applied=operation.links)
    operation.applied = operation.links


def _items_of_clients(operation_id: UUID) -> dict[UUID | None, OperationItem]:
    wanted = select(OperationItem).where(
        OperationItem.operation_id == operation_id,
        OperationItem.target == ItemTarget.CLIENT,
        OperationItem.action == ItemAction.LINK,
    )
    return {item.row_id: item for item in db.session.scalars(wanted)}


def _restore(kept: Client, after: Mapping[str, Any], undone: Operation, *, at: datetime) -> None:
    """The values of before; the identity card that came with the merge goes, unless another came since."""
    card = """CASE WHEN NOT EXISTS (SELECT FROM merge_moves m WHERE m.organisation_id = t.organisation_id
      AND m.operation_id = :undone_id AND m.table_name = 'clients' AND m.row_key = t.id::text
      AND m.after ->> 'identity_card' = md5(t.identity_card)) THEN t.identity_card END"""
    _write(kept, after, f"identity_card = {card}", at=at, undone_id=undone.id)


def _revive(client: Client, after: Mapping[str, Any], *, at: datetime) -> None:
    _write(client, after, "archived_at = NULL, merged_into_id = NULL", at=at)


def _write(client: Client, after: Mapping[str, Any], sets: str, *, at: datetime, **given: Any) -> None:
    values = "".join(f", {name} = r.{name}" for name in sorted(after))
    db.session.execute(
        text(
            f"""UPDATE clients t SET version = t.version + 1, changed_at = :at{values}, {sets}
            FROM jsonb_populate_record(NULL::clients, CAST(:after AS jsonb)) r
            WHERE t.organisation_id = :organisation_id AND t.id = :id"""
        ),
        {
            "at": at,
            "after": orjson.dumps(after).decode(),
            "organisation_id": client.organisation_id,
            "id": client.id,
            **given,
        },
    )


def _part_cards(kept: Client, merged: Sequence[Client], said: Said) -> None:
    """An identity card that WinLeadPlus sent since goes to whom it is of, sealed anew for where it stands."""
    if back := _card_put_back(kept, said):
        _write_card(kept, back[CARD])
    for client in merged:
        if CARD in (last := said.last_of(client.id)):
            _write_card(client, last[CARD])


def _card_put_back(kept: Client, said: Said) -> Mapping[str, str | None]:
    """The card that belongs to the client who stays, where it has another's; empty where it has its own."""
    return said.put_back({CARD: _card_of(kept)}, {}) if CARD in said.columns() else {}


def _card_of(client: Client) -> str | None:
    sealed = db.session.scalars(select(Client.identity_card).where(Client.id == client.id)).one()
    return crypto.unseal(sealed, place=client.place(CARD)) if sealed else None


def _write_card(client: Client, words: str | None) -> None:
    sealed = crypto.seal(words, place=client.place(CARD)) if words else None
    statement = update(Client).where(Client.id == client.id).values(identity_card=sealed)
    db.session.execute(statement.execution_options(synchronize_session=False))


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
