"""Who a person of the shop is. Within a shop one e-mail is one person; what is not certain waits for somebody."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, LargeBinary, Uuid, any_, bindparam, exists, or_, select
from sqlalchemy.orm import undefer

from webapp import crypto
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.woocommerce import (
    MappingKind,
    WooCommerceMapping,
    WooCommerceResource,
    WooCommerceShop,
    email_purpose,
)
from webapp.services.woocommerce import kept, outcomes
from webapp.services.woocommerce.kept import Kept
from webapp.services.woocommerce.reading import Customer, Sale
from webapp.tenancy import current_organisation_id

PATIENCE = timedelta(hours=1)
"""How long an order waits for the customer that it names: the account's e-mail tells who that is, not the order's."""

NOBODY = "Ni nom, ni e-mail, ni téléphone\u202f: cette commande n’est rattachée à personne."
ERASED = "Les données de cette personne ont été effacées dans la boutique."
WAITS_FOR_CUSTOMER = "Attend le client n°\u00a0{woo_id} de la boutique."
CANDIDATES = "{count} clients ont {what}\u202f: rattachez le bon, ou créez-en un."
ONE_CANDIDATE = "Un client de cette boutique a déjà {what}\u202f: rattachez-le, ou créez-en un autre."
MOST_CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Person:
    """What tells who somebody is. ``customer_id`` is 0 for guests; ``email`` is the account's, or a guest's own."""

    customer_id: int
    email: str
    phone: str
    has_name: bool
    is_erased: bool

    @property
    def key(self) -> str:
        """What waits for this person waits for this."""
        if self.customer_id:
            return f"client:{self.customer_id}"
        name = self.email or self.phone
        return f"client:{crypto.blind_index(name, purpose=email_purpose(current_organisation_id())).hex()}"

    @property
    def is_told_by_phone_alone(self) -> bool:
        """A guest without an e-mail: whoever shares the telephone might be the same person, or another."""
        return not self.customer_id and not self.email and bool(self.phone)


class Meeting(StrEnum):
    """How a person of the shop has come to a client of ours."""

    KNOWN = "known"
    LINKED = "linked"
    CREATED = "created"


@dataclass(frozen=True, slots=True)
class Found:
    """Who it is. ``customer`` is what the shop says of the account, where it has told of it.

    ``is_double`` where the account's e-mail is already that of another client of ours.
    """

    client_id: UUID
    meeting: Meeting
    is_double: bool = False
    customer: Kept[Customer] | None = None


_ACCOUNTS = WooCommerceMapping.woo_id == any_(bindparam("accounts", type_=ARRAY(BigInteger)))
_EMAILS = WooCommerceMapping.email_index == any_(bindparam("emails", type_=ARRAY(LargeBinary)))
_OF_SHOP = WooCommerceMapping.shop_id == bindparam("shop_id"), WooCommerceMapping.kind == MappingKind.CLIENT
# Of a client all mappings are read: the first one keeps what was said.
_MAPPINGS = (
    select(WooCommerceMapping)
    .where(
        *_OF_SHOP,
        WooCommerceMapping.client_id == any_(bindparam("clients", type_=ARRAY(Uuid))),
    )
    .order_by(WooCommerceMapping.id)
    .options(undefer(WooCommerceMapping.snapshot))
    .execution_options(populate_existing=True)
)
_MEANT = select(WooCommerceMapping.client_id).where(*_OF_SHOP, or_(_ACCOUNTS, _EMAILS))
_CLIENTS = (
    select(Client)
    .where(Client.id == any_(bindparam("clients", type_=ARRAY(Uuid))))
    .order_by(Client.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


@dataclass(slots=True)
class People:
    """Who is known of some persons of the shop, read at once: their mappings, and their clients, locked."""

    shop: WooCommerceShop
    words: kept.Words
    _by_account: dict[int, WooCommerceMapping] = field(default_factory=dict)
    _by_email: dict[bytes, WooCommerceMapping] = field(default_factory=dict)
    _firsts: dict[UUID, WooCommerceMapping] = field(default_factory=dict)
    _clients: dict[UUID, Client] = field(default_factory=dict)

    @classmethod
    def load(cls, words: kept.Words, people: Iterable[Person]) -> "People":
        """Read who these are, and who else is named by what is kept: buyers whose orders stand with a client."""
        found, people = cls(words.shop, words), list(people)
        accounts = sorted({each.customer_id for each in people} - {0})
        emails = sorted({index for each in people if each.email for index in _indexes(each.email)})
        clients = {row.client_id for row in words.rows}
        if accounts or emails:
            which = {"shop_id": words.shop.id, "accounts": accounts, "emails": emails}
            clients.update(db.session.scalars(_MEANT, which))
        if any(clients):
            ids = {"clients": sorted(each for each in clients if each is not None)}
            for mapping in db.session.scalars(_MAPPINGS, {"shop_id": words.shop.id, **ids}):
                found._know(mapping)
            found._clients = {client.id: client for client in db.session.scalars(_CLIENTS, ids)}
        return found

    def _know(self, mapping: WooCommerceMapping) -> None:
        if mapping.woo_id is not None:
            self._by_account.setdefault(mapping.woo_id, mapping)
        if mapping.email_index is not None:
            self._by_email.setdefault(mapping.email_index, mapping)
        if mapping.client_id is not None:
            self._firsts.setdefault(mapping.client_id, mapping)

    def client(self, client_id: UUID) -> Client:
        """The client, locked until the transaction ends."""
        if client_id not in self._clients:
            (self._clients[client_id],) = db.session.scalars(_CLIENTS, {"clients": [client_id]})
        return self._clients[client_id]

    def create(self, person: Person) -> UUID:
        """A client for somebody whom nobody knew."""
        client = create(self.shop, person)
        self._clients[client.id] = client
        return client.id

    def first_mapping(self, client_id: UUID) -> WooCommerceMapping | None:
        """The first mapping of the client in this shop: it keeps what was said."""
        return self._firsts.get(client_id)

    def by_account(self, person: Person) -> UUID | None:
        """Whose account it is known to be."""
        mapping = self._by_account.get(person.customer_id) if person.customer_id else None
        return mapping.client_id if mapping else None

    def by_email(self, person: Person) -> UUID | None:
        """Whose e-mail it is known to be, or to have been."""
        known = (self._by_email.get(index) for index in _indexes(person.email)) if person.email else ()
        return next((mapping.client_id for mapping in known if mapping is not None), None)

    def add(self, client_id: UUID, *, woo_id: int | None = None, email: str | None = None) -> None:
        """Remember that the account, or the e-mail, is the client's."""
        mapping = WooCommerceMapping(
            id=new_id(),
            organisation_id=self.shop.organisation_id,
            shop_id=self.shop.id,
            kind=MappingKind.CLIENT,
            client_id=client_id,
            woo_id=woo_id,
            snapshot=None,
        )
        if email:
            mapping.keep_email(email)
        db.session.add(mapping)
        self._know(mapping)


def _indexes(email: str) -> list[bytes]:
    return crypto.blind_indexes(email, purpose=email_purpose(current_organisation_id()))


def find_customers_client(people: People, customer: Kept[Customer]) -> Found:
    """Whose account it is. Raises HeldUpError."""
    found = replace(_find(people, person_of(customer.word)), customer=customer)
    customer.row.client_id = found.client_id
    return found


def find_buyer(people: People, sale: Kept[Any], *, at: datetime) -> Found:
    """Who ordered or subscribed. Raises HeldUpError.

    Of an account that the shop does not tell of in time, the e-mail of the order says who that is.
    """
    found = _find_buyer(people, sale, at=at)
    if sale.row.client_id not in (None, found.client_id):  # its payments stand with another client already
        return Found(sale.row.client_id, Meeting.KNOWN)
    sale.row.client_id = found.client_id
    return found


def _find_buyer(people: People, sale: Kept[Any], *, at: datetime) -> Found:
    customer = people.words.find_customer(sale.word.customer_id)
    if customer is not None:
        return find_customers_client(people, customer)
    if sale.row.client_id is not None:
        return Found(sale.row.client_id, Meeting.KNOWN)
    person = person_of(sale.word)
    is_new = at - sale.row.kept_at < PATIENCE
    if person.customer_id and is_new and people.by_account(person) is None:
        sentence = WAITS_FOR_CUSTOMER.format(woo_id=person.customer_id)
        raise outcomes.waiting(sentence, person.key, again_at=sale.row.kept_at + PATIENCE)
    return _find(people, person, keeps_email=not person.customer_id)


def person_of(word: Customer | Sale) -> Person:
    """Who the word is about. Erased data tell nobody."""
    is_account, billing = isinstance(word, Customer), word.billing
    email = word.email if isinstance(word, Customer) else billing.email
    return Person(
        customer_id=word.woo_id if isinstance(word, Customer) else word.customer_id,
        email="" if word.is_erased else email,
        phone="" if word.is_erased else billing.phone,
        has_name=not word.is_erased
        and (is_account or bool(billing.last_name or billing.first_name or billing.company)),
        is_erased=word.is_erased,
    )


def _find(people: People, person: Person, *, keeps_email: bool = True) -> Found:
    """The person's client, mapped from now on: by the account first, then by an e-mail that is or was the person's."""
    by_account, by_email = people.by_account(person), people.by_email(person)
    client_id, meeting = by_account or by_email, Meeting.KNOWN
    if client_id is None:
        client_id, meeting = _find_unmapped(people.shop, person), Meeting.LINKED
    if client_id is None:
        client_id, meeting = people.create(person), Meeting.CREATED
    if person.customer_id and by_account is None:
        people.add(client_id, woo_id=person.customer_id)
    if person.email and keeps_email and by_email is None:
        people.add(client_id, email=person.email)
    return Found(client_id, meeting, by_email is not None and by_email != client_id)


def _find_unmapped(shop: WooCommerceShop, person: Person) -> UUID | None:
    """The one client with the same e-mail, else the same telephone, that nobody of this shop is; None where none is.

    Raises HeldUpError where a person must tell.
    """
    for column, value, what in (
        (Client.email, person.email, "cet e-mail"),
        (Client.phone, person.phone, "ce téléphone"),
    ):
        alike = _list_alike(shop, column == value) if value else []
        candidates = _candidates_of(person, alike)
        if len(candidates) > 1:
            raise outcomes.waiting(CANDIDATES.format(count=len(candidates), what=what), person.key)
        if candidates and candidates[0].is_of_shop:
            raise outcomes.waiting(ONE_CANDIDATE.format(what=what), person.key)
        if candidates:
            return candidates[0].id
    if not (person.email or person.phone or person.has_name):
        raise outcomes.ignored(ERASED if person.is_erased else NOBODY)
    return None


class _Alike(NamedTuple):
    """A client of the same e-mail or telephone; whether somebody of this shop is it, and whether a shop brought it."""

    id: UUID
    is_of_shop: bool
    is_brought: bool


def _candidates_of(person: Person, alike: Sequence[_Alike]) -> Sequence[_Alike]:
    """Who the person may be: nobody whom the shop tells apart from the person.

    It tells a telephone apart from none. But whom it brought itself stays apart, or who comes first would decide.
    """
    free = [each for each in alike if not each.is_of_shop]
    if person.is_told_by_phone_alone and (free or not all(each.is_brought for each in alike)):
        return alike
    return free


def _list_alike(shop: WooCommerceShop, which: ColumnElement[bool]) -> Sequence[_Alike]:
    """Of the clients meant the first ten, those first that nobody of this shop is, then those that no shop brought."""
    is_mapped = exists().where(
        WooCommerceMapping.organisation_id == Client.organisation_id,
        WooCommerceMapping.shop_id == shop.id,
        WooCommerceMapping.client_id == Client.id,
    )
    has_ordered = exists().where(  # a guest without an e-mail has no mapping
        WooCommerceResource.organisation_id == Client.organisation_id,
        WooCommerceResource.shop_id == shop.id,
        WooCommerceResource.client_id == Client.id,
    )
    is_of_shop, is_brought = or_(is_mapped, has_ordered), Client.source.is_not_distinct_from(Source.WOOCOMMERCE)
    statement = select(Client.id, is_of_shop, is_brought).where(which, Client.archived_at.is_(None))
    rows = db.session.execute(statement.order_by(is_of_shop, is_brought, Client.id).limit(MOST_CANDIDATES))
    return [_Alike(*row) for row in rows]


def create(shop: WooCommerceShop, person: Person) -> Client:
    """A new client, of whom nothing is known yet; the report fills it."""
    client = Client(
        id=new_id(),
        organisation_id=shop.organisation_id,
        source=Source.WOOCOMMERCE,
        status=ClientStatus.PROSPECT,
        email=person.email or None,
    )
    db.session.add(client)
    db.session.flush()
    return client


def keep(words: kept.Words, person: Person, client_id: UUID) -> None:
    """Remember whose account and e-mail they are, as somebody has decided; what is known already stays."""
    people = People.load(words, [person])
    if person.customer_id and people.by_account(person) is None:
        people.add(client_id, woo_id=person.customer_id)
    if person.email and people.by_email(person) is None:
        people.add(client_id, email=person.email)
    db.session.flush()
