"""Merging: a plan is made from what a person chose, and applied at once, in one transaction."""
# ruff: noqa: S608  put together from names and expressions of ours

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.orm import undefer

from webapp import crypto, tenancy
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.french import whole
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.merging import MergeMove
from webapp.models.operations import (
    ItemAction,
    ItemTarget,
    Operation,
    OperationItem,
    OperationKind,
)
from webapp.models.providers import DefaultMeans
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.merging import moving, unmerging
from webapp.services.merging.preview import FIELDS, Preview, list_obstacles, preview, value_of
from webapp.services.merging.rights import check_right
from webapp.services.merging.tables import BELONGINGS
from webapp.services.operations import deciding, plans, runs
from webapp.services.operations.carry_out import carry_out
from webapp.services.operations.handlers import Handler
from webapp.services.operations.runs import Work
from webapp.services.operations.wording import told_of_client
from webapp.transactions import transaction

MOVED = "{name} a été modifié depuis l’aperçu\u202f: rien n’a été fusionné. Recommencez."


class StaleError(DomainError):
    """A client is not any more as the person saw it."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person chose: who is kept, whose value stands for each field, whose default means with each company.

    ``versions`` are the clients as they were shown.
    """

    kept_id: UUID
    values: Mapping[str, UUID] = field(default_factory=dict)
    defaults: Mapping[UUID, UUID] = field(default_factory=dict)
    versions: Mapping[UUID, int] = field(default_factory=dict)
    is_understood: bool = False


def merge(client_ids: Sequence[UUID], choices: Choices, *, by: User, at: datetime) -> Operation:
    """Merge the clients into the one that is kept. Returns the operation, at its end unless somebody else works on it.

    Raises as ``preview`` does; InvalidInputError, naming the field; StaleError; DomainError for what stands against it.
    """
    with transaction():
        operation_id = _plan(client_ids, choices, by=by, at=at)
        deciding.apply(operation_id, by=by, at=at)
    # Whoever asked is waiting. Should this process die, the sweep has another one do it.
    carry_out(tenancy.current_organisation_id(), operation_id)
    return runs.find(operation_id)


def _plan(client_ids: Sequence[UUID], choices: Choices, *, by: User, at: datetime) -> UUID:
    shown = preview(client_ids, by=by, kept_id=choices.kept_id)
    _check(shown, choices)
    clients, kept = {client.id: client for client in shown.clients}, shown.kept
    merged = shown.clients[1:]
    names = ", ".join(client.full_name for client in merged)
    settings = {
        "kept_id": str(kept.id),
        "merged_ids": [str(client.id) for client in merged],
        "defaults": {str(choice.company_id): str(choices.defaults[choice.company_id]) for choice in shown.defaults},
    }
    title = f"Fusion de {names} dans {kept.full_name}"
    operation = plans.start_at_once(OperationKind.MERGE, title, settings, by=by, at=at)
    chosen = {each.key: clients.get(choices.values.get(each.key, each.chosen), kept) for each in shown.fields}
    items = [_item_of_kept(kept, chosen), *(_item_of_merged(client) for client in merged)]
    items += _items_of_belongings(merged, shown.counts)
    for position, item in enumerate(items, start=1):
        item.operation_id, item.position = operation.id, position
    db.session.add_all(items)
    plans.count(operation)
    return operation.id


def _check(shown: Preview, choices: Choices) -> None:
    """Whether the clients can be merged as a person chose, seeing what is there now. Raises as ``merge`` does."""
    if shown.kept.id != choices.kept_id:
        raise InvalidInputError("Choisissez la fiche qui reste.", field="gardee")
    for client in shown.clients:
        if choices.versions.get(client.id, client.version) != client.version:
            raise StaleError(MOVED.format(name=client.full_name))
    if shown.obstacles:
        raise DomainError(" ".join(shown.obstacles))
    for choice in shown.defaults:
        if choices.defaults.get(choice.company_id) not in choice.means:
            sentence = f"Choisissez le moyen de paiement par défaut avec {choice.company}."
            raise InvalidInputError(sentence, field=f"moyen-{choice.company_id}")
    if shown.warnings and not choices.is_understood:
        raise InvalidInputError("Confirmez que vous avez lu ce qui suit la fusion.", field="compris")


def _item_of_kept(kept: Client, chosen: Mapping[str, Client]) -> OperationItem:
    """The values of others that the kept client takes over."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for key, columns in FIELDS.items():
        other = chosen[key]
        if other is kept or value_of(other, key) == value_of(kept, key):
            continue
        before |= {name: _as_json(getattr(kept, name)) for name in columns}
        after |= {name: _as_json(getattr(other, name)) for name in columns}
    changed = [name for name in after if before[name] != after[name]]
    return OperationItem(
        target=ItemTarget.CLIENT,
        action=ItemAction.LINK,
        row_id=kept.id,
        client_id=kept.id,
        label=kept.full_name[:200],
        seen=str(kept.version),
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
        reason="Fiche qui reste.",
    )


def _item_of_merged(client: Client) -> OperationItem:
    return OperationItem(
        target=ItemTarget.CLIENT,
        action=ItemAction.LINK,
        row_id=client.id,
        client_id=client.id,
        label=client.full_name[:200],
        seen=str(client.version),
        reason="Fiche archivée\u202f: ses adresses mènent à celle qui reste.",
    )


def _items_of_belongings(merged: Sequence[Client], counts: Mapping[UUID, Mapping[str, int]]) -> list[OperationItem]:
    totals = {table: sum(counts[client.id].get(table, 0) for client in merged) for table in BELONGINGS}
    return [
        OperationItem(
            target=ItemTarget.BELONGINGS,
            action=ItemAction.LINK,
            label=f"{whole(number)} {belonging.many if number > 1 else belonging.one}",
        )
        for table, belonging in BELONGINGS.items()
        if (number := totals[table]) and belonging.one
    ]


def _as_json(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


# ---- Applying it


def _check_right(operation: Operation, user: User) -> None:
    settings = operation.settings
    check_right([UUID(each) for each in (settings["kept_id"], *settings["merged_ids"])], user)


def _apply(work: Work) -> None:
    """The merge, in the transaction of the operation's end. Raises DomainError for what stands against it by now."""
    operation, at = work.operation, work.at()
    kept_id = UUID(operation.settings["kept_id"])
    merged_ids = [UUID(each) for each in operation.settings["merged_ids"]]
    clients = _lock([kept_id, *merged_ids])
    items = _items_of_clients(operation.id)
    for client_id in (kept_id, *merged_ids):
        client = clients.get(client_id)
        if client is None or client.archived_at is not None or str(client.version) != items[client_id].seen:
            name = items[client_id].label if client is None else client.full_name
            raise StaleError(MOVED.format(name=name))
    if obstacles := list_obstacles([kept_id, *merged_ids]):
        raise DomainError(" ".join(obstacles))
    moving.announce()
    for merged_id in merged_ids:
        lost = _lost_defaults(operation, kept_id, merged_id)
        moving.move(operation.id, kept_id=kept_id, merged_id=merged_id, lost_default_ids=lost)
    merged = [clients[each] for each in merged_ids]
    _write_kept(operation.id, clients[kept_id], items[kept_id].after, merged, at=at)
    _archive(merged_ids, kept_id, at=at)
    _tell(operation, clients, items[kept_id], at=at)
    work.save(applied=operation.links)
    operation.applied = operation.links


def _lock(client_ids: Sequence[UUID]) -> dict[UUID, Client]:
    """In the order of their ids, as everybody locks them; rows that refer to them may still be added."""
    statement = select(Client).where(Client.id.in_(client_ids)).order_by(Client.id).with_for_update(key_share=True)
    statement = statement.options(undefer(Client.identity_card))
    return {each.id: each for each in db.session.scalars(statement.execution_options(populate_existing=True))}


def _items_of_clients(operation_id: UUID) -> dict[UUID, OperationItem]:
    wanted = select(OperationItem).where(
        OperationItem.operation_id == operation_id, OperationItem.target == ItemTarget.CLIENT
    )
    return {item.row_id: item for item in db.session.scalars(wanted) if item.row_id}


def _lost_defaults(operation: Operation, kept_id: UUID, merged_id: UUID) -> list[UUID]:
    """Of the default means that both have with a company, those that were not chosen."""
    chosen = operation.settings["defaults"]
    wanted = select(DefaultMeans).where(DefaultMeans.client_id.in_((kept_id, merged_id)))
    by_company: dict[UUID, list[DefaultMeans]] = {}
    for default in db.session.scalars(wanted.execution_options(populate_existing=True)):
        by_company.setdefault(default.company_id, []).append(default)
    lost = []
    for company_id, defaults in by_company.items():
        if len(defaults) > 1:
            stays = chosen.get(str(company_id))
            if stays is None:
                raise StaleError("Un moyen de paiement par défaut a changé depuis l’aperçu\u202f: recommencez.")
            # Of several merged ones, the chosen default may be one that comes later, or has come before.
            keeps_merged = stays == str(merged_id)
            lost += [each.id for each in defaults if (each.client_id == merged_id) != keeps_merged]
    return lost


def _write_kept(
    operation_id: UUID, kept: Client, after: Mapping[str, Any], merged: Sequence[Client], *, at: datetime
) -> None:
    """The chosen values; and an identity card, where the kept client has none."""
    if after:
        names = sorted(after)
        db.session.execute(
            text(
                f"""UPDATE clients t SET {", ".join(f"{name} = r.{name}" for name in names)}
                FROM jsonb_populate_record(NULL::clients, CAST(:after AS jsonb)) r
                WHERE t.organisation_id = :organisation_id AND t.id = :id"""
            ),
            {"after": orjson.dumps(after).decode(), "organisation_id": kept.organisation_id, "id": kept.id},
        )
    values: dict[str, Any] = {"version": Client.version + 1, "changed_at": at}
    card = next((client for client in merged if client.identity_card is not None), None)
    if kept.identity_card is None and card is not None and card.identity_card is not None:
        # Sealed anew, for the place where it stands now.
        words = crypto.unseal(card.identity_card, place=card.place("identity_card"))
        values["identity_card"] = sealed = crypto.seal(words, place=kept.place("identity_card"))
        mark = hashlib.md5(sealed, usedforsecurity=False).hexdigest()
        db.session.add(
            MergeMove(
                operation_id=operation_id,
                table_name="clients",
                row_key=str(kept.id),
                before={"identity_card": None},
                after={"identity_card": mark},
            )
        )
    db.session.execute(
        update(Client).where(Client.id == kept.id).values(**values).execution_options(synchronize_session=False)
    )


def _archive(merged_ids: Sequence[UUID], kept_id: UUID, *, at: datetime) -> None:
    db.session.execute(
        update(Client)
        .where(Client.id.in_(merged_ids))
        .values(archived_at=at, merged_into_id=kept_id, version=Client.version + 1, changed_at=at)
        .execution_options(synchronize_session=False)
    )


def _tell(operation: Operation, clients: Mapping[UUID, Client], item: OperationItem, *, at: datetime) -> None:
    names = ", ".join(clients[UUID(each)].full_name for each in operation.settings["merged_ids"])
    db.session.add(
        TimelineEvent(
            client_id=item.client_id,
            kind=EventKind.CLIENT_MERGED,
            at=at,
            user_id=operation.by_id,
            operation_id=operation.id,
            changes={"merged": [None, names], **told_of_client(item.before, item.after)},
        )
    )


HANDLER = Handler(
    check_right=_check_right,
    finish=_apply,
    prepare_undo=unmerging.prepare,
    finish_undo=unmerging.apply,
)
