"""« À revoir »: what a shop told that a person should look at, and what can be done about it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, TextClause, func, or_, select, text, union
from sqlalchemy.orm import contains_eager, undefer

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import WooCommerceMapping, WooCommerceResource, WooCommerceShop
from webapp.services import keyset
from webapp.services.contact import readable_phone
from webapp.services.keyset import Position
from webapp.services.woocommerce import claiming, events_listing, kept, matching, projecting, reopening
from webapp.services.woocommerce.events_listing import Ours
from webapp.services.woocommerce.flags import STILL_WAITING
from webapp.services.woocommerce.matching import MOST_CANDIDATES, Person
from webapp.services.woocommerce.reading import Customer, Sale
from webapp.transactions import transaction

PAGE_SIZE = 30
BY_ID = "id"
TWO_CANDIDATES = "TWO_CANDIDATES"
LABELS: Mapping[str, str] = {
    TWO_CANDIDATES: "Client à choisir",
    "MISMATCH": "Contradiction",
    "PAID_THEN_CANCELED": "Payée puis annulée",
    STILL_WAITING: "Attend encore",
    "UNKNOWN_STATUS": "État inconnu",
    "OTHER_FREQUENCY": "Autre rythme",
    "MISSING": "Absent de la boutique",
    "ERASED": "Données effacées",
}
"""What the codes of a review mean, the most urgent first."""


class ReviewedError(DomainError):
    """It has been decided already, or holds no more."""

    def __init__(self) -> None:
        super().__init__("C’est déjà réglé\u202f: il n’y a plus rien à décider.")


@dataclass(frozen=True, kw_only=True)
class ReviewView:
    """What is shown; ``cursor`` is where the page starts."""

    code: str | None = None
    shop_id: UUID | None = None
    cursor: str | None = None


class Candidate(NamedTuple):
    """A client who may be the person of the shop."""

    id: UUID
    name: str
    email: str | None
    phone: str | None
    city: str | None


class ReviewRow(NamedTuple):
    """A resource to be looked at, our row, and the client's name.

    Where that is to be chosen, ``person`` is what the shop says of who it is, part by part, and ``candidates`` are whom
    we know so.
    """

    resource: WooCommerceResource
    ours: Ours | None
    client: str | None
    person: Sequence[str]
    candidates: Sequence[Candidate]


_IS_OPEN = text("woocommerce_resources.review <> '[]'")
"""The index's own words: a bound parameter would not be recognised in a generic plan."""


def count_reviews() -> int:
    """How many resources are to be looked at."""
    return db.session.scalar(select(func.count()).select_from(WooCommerceResource).where(_IS_OPEN)) or 0


def list_reviews(view: ReviewView, *, size: int = PAGE_SIZE) -> keyset.Page[ReviewRow]:
    """What is to be looked at of the view, the latest known first."""
    statement = (
        select(WooCommerceResource)
        .join(WooCommerceResource.shop)
        .options(contains_eager(WooCommerceResource.shop), undefer(WooCommerceResource.body))
        .where(*_conditions(view))
    )

    def read(start: Position | None) -> Sequence[WooCommerceResource]:
        page = keyset.cut(statement, [WooCommerceResource.id], start, is_descending=True, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort=BY_ID, kind=str)
    page = keyset.page(read, start, place=lambda each: ("", each.id), sort=BY_ID, size=size)
    return page.map(_shown(page.rows))


def select_all(view: ReviewView) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with shops and clients: an export adds the columns."""
    return (
        select(WooCommerceResource.id)
        .join(WooCommerceResource.shop)
        .outerjoin(Client, linked(Client, WooCommerceResource.client_id))
        .where(*_conditions(view))
        .order_by(WooCommerceResource.id.desc())
    )


def _conditions(view: ReviewView) -> list[ColumnElement[bool] | TextClause]:
    conditions: list[ColumnElement[bool] | TextClause] = [_IS_OPEN]
    if view.shop_id is not None:
        conditions.append(WooCommerceResource.shop_id == view.shop_id)
    if view.code is not None:
        conditions.append(WooCommerceResource.review.contains([{"code": view.code}]))
    return conditions


def _shown(rows: Sequence[WooCommerceResource]) -> Callable[[WooCommerceResource], ReviewRow]:
    """How each of the rows is shown; what they need is read for all at once."""
    ours = events_listing.find_ours([_key(each) for each in rows])
    clients = _names([each.client_id for each in rows if each.client_id])
    words = {each.id: word for each in rows if (word := _undecided(each)) is not None}
    people = {row_id: matching.person_of(word) for row_id, word in words.items()}
    candidates = _list_candidates([(each.shop_id, people[each.id]) for each in rows if each.id in people])

    def show(row: WooCommerceResource) -> ReviewRow:
        client = clients.get(row.client_id) if row.client_id else None
        if row.id not in words:
            return ReviewRow(row, ours.get(_key(row)), client, [], [])
        offered = candidates[row.shop_id, people[row.id].key]
        return ReviewRow(row, ours.get(_key(row)), client, _described(words[row.id]), offered)

    return show


def _key(row: WooCommerceResource) -> events_listing.Key:
    return row.shop_id, row.kind, row.woo_id


def _names(ids: Collection[UUID]) -> dict[UUID, str]:
    if not ids:
        return {}
    return {client.id: client.full_name for client in db.session.scalars(select(Client).where(Client.id.in_(ids)))}


def _undecided(row: WooCommerceResource) -> Customer | Sale | None:
    """What the shop says, where who it speaks of is to be told from others."""
    if all(each["code"] != TWO_CANDIDATES for each in row.review):
        return None
    word = kept.word_of(row.shop, row)
    return word if isinstance(word, Customer | Sale) else None


def _described(word: Customer | Sale) -> list[str]:
    """Name, e-mail, telephone and town, as far as they are known."""
    who = word if isinstance(word, Customer) and (word.last_name or word.first_name) else word.billing
    person = matching.person_of(word)
    name = f"{who.last_name} {who.first_name}".strip() or word.billing.company
    return [each for each in (name, person.email, readable_phone(person.phone), word.billing.city) if each]


def _list_candidates(people: Collection[tuple[UUID, Person]]) -> dict[tuple[UUID, str], list[Candidate]]:
    """For each person of a shop those with the same e-mail, else the same telephone, whom nobody of the shop is yet.

    For who is told by a telephone alone, all who have it.
    """
    offered: dict[tuple[UUID, str], list[Candidate]] = defaultdict(list)
    if not people:
        return offered
    emails = {person.email for _, person in people if person.email}
    phones = {person.phone for _, person in people if person.phone}
    clients = db.session.scalars(
        select(Client)
        .where(or_(Client.email.in_(emails), Client.phone.in_(phones)), Client.archived_at.is_(None))
        .order_by(Client.id)
        .limit(MOST_CANDIDATES * (len(emails) + len(phones)))
    ).all()
    taken = _taken([each.id for each in clients])
    for shop_id, person in set(people):
        free = [each for each in clients if person.is_told_by_phone_alone or (shop_id, each.id) not in taken]
        same = [each for each in free if person.email and each.email == person.email]
        same = same or [each for each in free if person.phone and each.phone == person.phone]
        offered[shop_id, person.key] = [
            Candidate(each.id, each.full_name, each.email, each.phone, each.city) for each in same[:MOST_CANDIDATES]
        ]
    return offered


def _taken(ids: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """Of these clients, whose shop knows them as somebody already."""
    mapped = select(WooCommerceMapping.shop_id, WooCommerceMapping.client_id).where(
        WooCommerceMapping.client_id.in_(ids)
    )
    ordered = select(WooCommerceResource.shop_id, WooCommerceResource.client_id).where(
        WooCommerceResource.client_id.in_(ids)
    )
    return {
        (shop_id, client_id)
        for shop_id, client_id in db.session.execute(union(mapped, ordered))
        if client_id is not None
    }


# ---- Decisions


def link(resource_id: UUID, client_id: UUID, *, by: User, at: datetime) -> str:
    """The person of the shop is the client. Returns the client's name.

    Raises NotFoundError, ReviewedError, InvalidInputError for a client who is not among the candidates.
    """
    with transaction():
        shop, row, person = _hold_undecided(resource_id)
        offered = _list_candidates([(shop.id, person)])[shop.id, person.key]
        chosen = next((each for each in offered if each.id == client_id), None)
        if chosen is None:
            raise InvalidInputError("Choisissez l’un des clients proposés.")
        _settle(shop, row, person, client_id, EventKind.CLIENT_LINKED_TO_SHOP, by=by, at=at)
        return chosen.name


def create(resource_id: UUID, *, by: User, at: datetime) -> UUID:
    """The person of the shop is a client of its own; returns its id. Raises NotFoundError, ReviewedError."""
    with transaction():
        shop, row, person = _hold_undecided(resource_id)
        client_id = matching.create(shop, person).id
        _settle(shop, row, person, client_id, EventKind.CLIENT_FROM_SHOP, by=by, at=at)
        return client_id


def _hold_undecided(resource_id: UUID) -> tuple[WooCommerceShop, WooCommerceResource, Person]:
    shop = _find(resource_id).shop
    projecting.hold(shop)
    row = _find(resource_id)
    word = _undecided(row)
    if word is None:
        raise ReviewedError
    return shop, row, matching.person_of(word)


def _settle(
    shop: WooCommerceShop,
    row: WooCommerceResource,
    person: Person,
    client_id: UUID,
    kind: EventKind,
    *,
    by: User,
    at: datetime,
) -> None:
    """Remember who it is, report what was held up, and wake what waits for it."""
    matching.keep(kept.Words(shop), person, client_id)
    row.client_id = client_id
    changes = {"shop": [None, shop.name]}
    db.session.add(TimelineEvent(client_id=client_id, kind=kind, at=at, user_id=by.id, changes=changes))
    db.session.flush()
    projecting.project(shop, row.kind, row.woo_id, at=at)
    claiming.wake(shop, [(row.kind, row.woo_id)], at=at)
    claiming.wake_waiting(shop, person.key, at=at)
    claiming.ENGINE.ring(shop.organisation_id)


def close(resource_id: UUID, *, by: User, at: datetime) -> None:
    """A person has seen to what is to be looked at of a resource: it is shown again only if it comes anew.

    What waits is not waited for any more. Who somebody is cannot be put aside. Raises NotFoundError, ReviewedError.
    """
    with transaction():
        shop = _find(resource_id).shop
        projecting.hold(shop)
        row = _find(resource_id)
        seen = [each for each in row.review if each["code"] != TWO_CANDIDATES]
        if not seen:
            raise ReviewedError
        row.review = [each for each in row.review if each not in seen]
        row.review_closed = [*row.review_closed, *(each for each in seen if each["code"] != STILL_WAITING)]
        if any(each["code"] == STILL_WAITING for each in seen):
            reopening.close_waiting(shop.id, row.kind, row.woo_id, by=by, at=at)


def _find(resource_id: UUID) -> WooCommerceResource:
    """The resource with its shop and body, as it stands now."""
    row = db.session.scalar(
        select(WooCommerceResource)
        .join(WooCommerceResource.shop)
        .where(WooCommerceResource.id == resource_id)
        .options(contains_eager(WooCommerceResource.shop), undefer(WooCommerceResource.body))
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFoundError("Cette ressource n’existe pas ou plus.")
    return row
