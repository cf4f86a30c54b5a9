"""Who a person of the shop is. Within a shop one e-mail is one person; what is not certain waits for somebody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, false, or_, select

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
ERASED_HERE = "Ce client a été effacé ici\u202f: rien n’en est repris."
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


def is_of_erased(shop: WooCommerceShop, word: Any) -> bool:
    """Whether the resource, its account or its e-mail is that of a client of ours that was erased: not even kept."""
    if not isinstance(word, Customer | Sale):
        return False
    person = person_of(word)
    which = [WooCommerceMapping.woo_id == person.customer_id] if person.customer_id else []
    if person.email:
        indexes = crypto.blind_indexes(person.email, purpose=email_purpose(current_organisation_id()))
        which.append(WooCommerceMapping.email_index.in_(indexes))
    is_mapped = exists().where(
        WooCommerceMapping.organisation_id == Client.organisation_id,
        WooCommerceMapping.client_id == Client.id,
        WooCommerceMapping.shop_id == shop.id,
        or_(false(), *which),
    )
    is_known = exists().where(
        WooCommerceResource.organisation_id == Client.organisation_id,
        WooCommerceResource.client_id == Client.id,
        WooCommerceResource.shop_id == shop.id,
        WooCommerceResource.kind == word.kind,
        WooCommerceResource.woo_id == word.woo_id,
    )
    erased = select(Client.id).where(Client.erased_at.is_not(None), or_(is_mapped, is_known)).limit(1)
    return db.session.scalar(erased) is not None


def find_customers_client(shop: WooCommerceShop, customer: Kept[Customer]) -> Found:
    """Whose account it is. Raises HeldUpError."""
    found = replace(_find(shop, person_of(customer.word)), customer=customer)
    customer.row.client_id = found.client_id
    return found


def find_buyer(shop: WooCommerceShop, sale: Kept[Any], *, at: datetime) -> Found:
    """Who ordered or subscribed. Raises HeldUpError.

    Of an account that the shop does not tell of in time, the e-mail of the order says who that is.
    """
    found = _find_buyer(shop, sale, at=at)
    if sale.row.client_id not in (None, found.client_id):  # its payments stand with another client already
        return Found(sale.row.client_id, Meeting.KNOWN)
    sale.row.client_id = found.client_id
    return found


def _find_buyer(shop: WooCommerceShop, sale: Kept[Any], *, at: datetime) -> Found:
    customer = kept.find_customer(shop, sale.word.customer_id)
    if customer is not None:
        return find_customers_client(shop, customer)
    if sale.row.client_id is not None:
        return Found(sale.row.client_id, Meeting.KNOWN)
    person = person_of(sale.word)
    if person.customer_id and at - sale.row.kept_at < PATIENCE and not _mappings_of(shop, person.customer_id, ""):
        sentence = WAITS_FOR_CUSTOMER.format(woo_id=person.customer_id)
        raise outcomes.waiting(sentence, person.key, again_at=sale.row.kept_at + PATIENCE)
    return _find(shop, person, keeps_email=not person.customer_id)


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


def _find(shop: WooCommerceShop, person: Person, *, keeps_email: bool = True) -> Found:
    """The person's client, mapped from now on: by the account first, then by an e-mail that is or was the person's."""
    known = _mappings_of(shop, person.customer_id, person.email)
    by_account = next((each.client_id for each in known if each.woo_id is not None), None)
    by_email = next((each.client_id for each in known if each.woo_id is None), None)
    client_id, meeting = by_account or by_email, Meeting.KNOWN
    if client_id is None:
        client_id, meeting = _find_unmapped(shop, person), Meeting.LINKED
    if client_id is None:
        client_id, meeting = create(shop, person), Meeting.CREATED
    if person.customer_id and by_account is None:
        _add(shop, client_id, woo_id=person.customer_id)
    if person.email and keeps_email and by_email is None:
        _add(shop, client_id, email=person.email)
    return Found(client_id, meeting, by_email is not None and by_email != client_id)


def _mappings_of(shop: WooCommerceShop, customer_id: int, email: str) -> Sequence[WooCommerceMapping]:
    which = [WooCommerceMapping.woo_id == customer_id] if customer_id else []
    if email:
        indexes = crypto.blind_indexes(email, purpose=email_purpose(current_organisation_id()))
        which.append(WooCommerceMapping.email_index.in_(indexes))
    if not which:
        return []
    return db.session.scalars(
        select(WooCommerceMapping)
        .where(WooCommerceMapping.shop_id == shop.id, WooCommerceMapping.kind == MappingKind.CLIENT, or_(*which))
        .order_by(WooCommerceMapping.id)
    ).all()


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


def create(shop: WooCommerceShop, person: Person) -> UUID:
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
    return client.id


def find_known(shop: WooCommerceShop, person: Person) -> UUID | None:
    """The client that the person is known to be."""
    return next((each.client_id for each in _mappings_of(shop, person.customer_id, person.email)), None)


def keep(shop: WooCommerceShop, person: Person, client_id: UUID) -> None:
    """Remember whose account and e-mail they are, as somebody has decided; what is known already stays."""
    known = _mappings_of(shop, person.customer_id, person.email)
    if person.customer_id and all(each.woo_id is None for each in known):
        _add(shop, client_id, woo_id=person.customer_id)
    if person.email and all(each.woo_id is not None for each in known):
        _add(shop, client_id, email=person.email)


def _add(shop: WooCommerceShop, client_id: UUID, *, woo_id: int | None = None, email: str | None = None) -> None:
    mapping = WooCommerceMapping(
        id=new_id(), organisation_id=shop.organisation_id, shop_id=shop.id, kind=MappingKind.CLIENT, client_id=client_id
    )
    mapping.woo_id = woo_id
    if email:
        mapping.keep_email(email)
    db.session.add(mapping)
    db.session.flush()
