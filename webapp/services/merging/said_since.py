"""What WinLeadPlus and shops said, while clients were one, of the one who goes back: it goes along.

Else the client who stays would keep the telephone of the other, who would not get it before WinLeadPlus said another.
Read from the items of the synchronisations since the merge, which hold what each prospect changed. They, and the
history, stay with the client who stays: it is of that card that they tell.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, cast, or_, select
from sqlalchemy.orm import undefer

from webapp import crypto
from webapp.extensions import db
from webapp.iban import iban_purpose
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import linked
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract
from webapp.models.merging import MergeMove
from webapp.models.operations import Operation
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import ItemKind, SyncItem, SyncMapping, SyncRun
from webapp.models.woocommerce import WooCommerceMapping, WooCommerceShop
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.plans import CLIENT_FIELDS
from webapp.services.winleadplus.writing import DEFAULTS

CARD = "identity_card"
"""In clear: the only column among ``Words`` that stands sealed on a client."""


class Word(NamedTuple):
    """What one synchronisation wrote into a column: the value that stood there, and the new one.

    They are equal where it was written on another card, as long as this one was merged in its turn.
    """

    before: Any
    after: Any


Words = Mapping[str, list[Word]]
"""By column of clients, the oldest first."""


class Row(NamedTuple):
    """A row that came to the client who stays with what was said of another's prospect."""

    table: str
    key: str
    client_id: UUID


@dataclass(frozen=True)
class Said:
    """``returning``: of the clients who go back, ``together`` of all of them; ``own``: of the one who stays."""

    own: Words = field(default_factory=dict)
    together: Words = field(default_factory=dict)
    returning: Mapping[UUID, Words] = field(default_factory=dict)
    rows: Sequence[Row] = ()

    def last_of(self, client_id: UUID) -> dict[str, Any]:
        """What was said last of a client who goes back, by column."""
        return {column: words[-1].after for column, words in self.returning.get(client_id, {}).items()}

    def put_back(self, present: Mapping[str, Any], merge: Mapping[str, Word]) -> dict[str, Any]:
        """The columns of the client who stays that hold what was said of another, and what belongs there.

        ``present`` is what the columns hold, ``merge`` what the merge itself changed.
        """
        back: dict[str, Any] = {}
        for column, words in self.together.items():
            last = [said[column][-1].after for said in self.returning.values() if column in said]
            if column in present and present[column] in last:
                value = self._belongs(column, words, merge.get(column))
                back |= {column: value} if value != present[column] else {}
        return back

    def columns(self) -> set[str]:
        """Those in which anything was written of a client who goes back."""
        return set(self.together)

    def _belongs(self, column: str, words: Sequence[Word], merged: Word | None) -> Any:
        """What was said of itself last; else what somebody wrote since the merge; else what stood before it."""
        if own := self.own.get(column):
            return own[-1].after
        here = [word for word in words if word.before != word.after]
        belongs = merged.before if merged else (here or words)[0].before
        known = {belongs, *(merged or ())}
        for word in here:
            belongs = belongs if word.before in known else word.before
            known |= set(word)
        return belongs


class Written(NamedTuple):
    """A word, when it was written, and of whom: a client who goes back, or None for the one who stays."""

    at: datetime
    owner: UUID | None
    column: str
    word: Word


def find(undone: Operation, kept_id: UUID) -> Said:
    """What was said since the merge ``undone`` of prospects and accounts that the client who stays has still."""
    owners, shops = _owners(undone.id, kept_id), _shops(undone.id, kept_id)
    items = _items_since(undone, kept_id) if owners else []
    written = list(_by_winleadplus(items, owners, kept_id)) + list(_by_shops(undone, kept_id, shops))
    own: dict[str, list[Word]] = defaultdict(list)
    together: dict[str, list[Word]] = defaultdict(list)
    returning: dict[UUID, dict[str, list[Word]]] = defaultdict(lambda: defaultdict(list))
    for each in sorted(written, key=lambda each: each.at):
        if each.owner is None:
            own[each.column].append(each.word)
        else:
            together[each.column].append(each.word)
            returning[each.owner][each.column].append(each.word)
    rows = [
        row
        for item in items
        if item.external_id in owners
        for row in _rows_of(item, kept_id, owners[item.external_id], undone.id)
    ]
    return Said(own, together, returning, rows)


def note(said: Said, undone: Operation, kept_id: UUID) -> None:
    """Let the rows that came since go back as those that the merge had moved."""
    for row in said.rows:
        move = MergeMove(operation_id=undone.id, table_name=row.table, row_key=row.key)
        move.before, move.after = {"client_id": str(row.client_id)}, {"client_id": str(kept_id)}
        db.session.merge(move)
    db.session.flush()


def _owners(operation_id: UUID, kept_id: UUID) -> dict[str, UUID]:
    """Of the prospects that the merge moved and the client who stays still has: with whom each goes back."""
    moved = (
        select(MergeMove.row_key, MergeMove.before)
        .join(SyncMapping, SyncMapping.external_id == MergeMove.row_key)
        .where(
            MergeMove.operation_id == operation_id,
            MergeMove.table_name == SyncMapping.__tablename__,
            SyncMapping.client_id == kept_id,
        )
    )
    return {external_id: UUID(before["client_id"]) for external_id, before in db.session.execute(moved)}


def _commercials() -> dict[str, str]:
    """The ids of those whose name nobody else has: items name commercials."""
    ids: dict[str, list[str]] = defaultdict(list)
    for each in db.session.scalars(select(Commercial)):
        ids[each.full_name].append(str(each.id))
    return {name: found[0] for name, found in ids.items() if len(found) == 1}


def _items_since(undone: Operation, kept_id: UUID) -> Sequence[SyncItem]:
    """Of all prospects that the client who stays has now, on whatever card they were written."""
    runs = select(SyncRun.id).where(or_(SyncRun.finished_at.is_(None), SyncRun.finished_at > undone.finished_at))
    statement = (
        select(SyncItem)
        .where(
            SyncItem.run_id.in_(runs),
            SyncItem.external_id.in_(select(SyncMapping.external_id).where(SyncMapping.client_id == kept_id)),
            SyncItem.kind == ItemKind.UPDATED,
            SyncItem.created_at > undone.finished_at,
        )
        .options(undefer(SyncItem.before), undefer(SyncItem.after))
        .order_by(SyncItem.created_at, SyncItem.id)
    )
    return db.session.scalars(statement).all()


def _by_winleadplus(items: Sequence[SyncItem], owners: Mapping[str, UUID], kept_id: UUID) -> Iterator[Written]:
    commercials = _commercials() if items else {}
    for item in items:
        for column, said in _words_of(item, commercials):
            word = said if item.client_id == kept_id else Word(said.after, said.after)
            yield Written(item.created_at, owners.get(item.external_id), column, word)


def _words_of(item: SyncItem, commercials: Mapping[str, str]) -> Iterator[tuple[str, Word]]:
    before, after = field_changes.images_of(item)
    for key in after:
        was, now = before.get(key), after[key]
        if key in CLIENT_FIELDS:
            yield key, _word(key, was, now)
        elif key == CARD:
            yield key, Word(was, now)
        elif key == "commercial" and all(name is None or name in commercials for name in (was, now)):
            yield "commercial_id", Word(*(commercials[name] if name else None for name in (was, now)))


def _word(column: str, was: Any, now: Any) -> Word:
    return Word(*(DEFAULTS.get(column) if value is None else value for value in (was, now)))


def _shops(operation_id: UUID, kept_id: UUID) -> dict[str, UUID | None]:
    """Whose account each shop keeps, by its name: of a client who goes back, or None. Not where both have one there."""
    mapping = WooCommerceMapping
    moved = select(MergeMove.row_key, MergeMove.before).where(
        MergeMove.operation_id == operation_id, MergeMove.table_name == mapping.__tablename__
    )
    owners = {UUID(key): UUID(before["client_id"]) for key, before in db.session.execute(moved)}
    held = (
        select(mapping.id, WooCommerceShop.name)
        .join(WooCommerceShop, linked(WooCommerceShop, mapping.shop_id))
        .where(mapping.client_id == kept_id)
    )
    found: dict[str, set[UUID | None]] = defaultdict(set)
    for mapping_id, shop in db.session.execute(held):
        found[shop].add(owners.get(mapping_id))
    return {shop: next(iter(clients)) for shop, clients in found.items() if len(clients) == 1}


def _by_shops(undone: Operation, kept_id: UUID, shops: Mapping[str, UUID | None]) -> Iterator[Written]:
    """From the history, which is all that is kept of what a shop has changed."""
    if not any(shops.values()):
        return
    told = select(TimelineEvent.at, TimelineEvent.changes).where(
        TimelineEvent.client_id == kept_id,
        TimelineEvent.kind == EventKind.CLIENT_SYNCED_BY_SHOP,
        TimelineEvent.at > undone.finished_at,
    )
    for at, changes in db.session.execute(told.order_by(TimelineEvent.at, TimelineEvent.id)):
        shop = changes["shop"][1]
        for column, (was, now) in changes.items():
            if column != "shop" and shop in shops:
                yield Written(at, shops[shop], column, _word(column, was, now))


def _rows_of(item: SyncItem, kept_id: UUID, owner: UUID, operation_id: UUID) -> Iterator[Row]:
    """What the item brought: rows of its keys, and of its instant, which no other run has."""
    _, after = field_changes.images_of(item)
    references = {key.removeprefix("contract.").rpartition(".")[0] for key in after if key.startswith("contract.")}
    ibans = [value for key, value in after.items() if key.partition("#")[0] == "iban" and value]
    purpose = iban_purpose(item.organisation_id)
    has_iban = BankAccount.iban_index.in_(
        [index for iban in ibans for index in crypto.blind_indexes(iban, purpose=purpose)]
    )
    accounts = select(BankAccount.id).where(BankAccount.client_id == kept_id, has_iban)
    moved = select(cast(MergeMove.row_key, Uuid)).where(
        MergeMove.operation_id == operation_id,
        MergeMove.table_name == BankAccount.__tablename__,
        MergeMove.before["client_id"].astext == str(owner),
    )
    came: list[tuple[Any, ColumnElement[bool]]] = [
        (Contract, (Contract.created_at == item.created_at) & Contract.reference.in_(references)),
        (BankAccount, (BankAccount.created_at == item.created_at) & has_iban),
        (Mandate, (Mandate.created_at == item.created_at) & Mandate.bank_account_id.in_(accounts.union(moved))),
    ]
    for model, condition in came:
        for key in db.session.scalars(select(model.id).where(model.client_id == kept_id, condition)):
            yield Row(model.__tablename__, str(key), owner)
