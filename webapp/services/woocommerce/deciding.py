"""What a person decides about somebody of a shop whom several clients of ours might be."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services.woocommerce import kept, matching, projecting
from webapp.services.woocommerce.matching import Person
from webapp.services.woocommerce.reading import Customer, Sale
from webapp.transactions import transaction

NOT_WAITING = "Cette notification n’attend plus personne."
TAKEN = "Ce client est déjà celui d’une autre personne de cette boutique."
REASON = "Rattachement décidé\u202f: sera traité de nouveau."


class NotWaitingError(DomainError):
    """Nobody is asked for here: it was decided already, or never was a question."""


class TakenError(DomainError):
    """The client is somebody else of the shop."""


def link_client(event: WooCommerceEvent, client_id: UUID, *, by: User, at: datetime) -> None:
    """« Rattacher à … »: the person whom the event waits for is this client; what hangs on it is taken up again.

    Raises NotFoundError, NotWaitingError; TakenError where the client is somebody else of the shop already.
    """
    with transaction():
        shop, person = _find_question(event)
        client = db.session.scalar(select(Client).where(Client.id == client_id).with_for_update())
        if client is None:
            raise NotFoundError("Ce client n’existe pas ou plus.", field="client_id")
        if client_id not in matching.list_candidates(shop, Client.id == client_id):
            raise TakenError(TAKEN, field="client_id")
        _settle(shop, event, person, client_id, EventKind.CLIENT_LINKED_TO_SHOP, by=by, at=at)


def create_client(event: WooCommerceEvent, *, by: User, at: datetime) -> UUID:
    """« Créer »: the person is none of the candidates; returns the new client. Raises NotWaitingError."""
    with transaction():
        shop, person = _find_question(event)
        client_id = matching.create(shop, person)
        _settle(shop, event, person, client_id, EventKind.CLIENT_FROM_SHOP, by=by, at=at)
    return client_id


def _find_question(event: WooCommerceEvent) -> tuple[WooCommerceShop, Person]:
    """The shop, held, and whom the event asks about."""
    shop = db.session.scalars(select(WooCommerceShop).where(WooCommerceShop.id == event.shop_id)).one()
    projecting.hold(shop)
    db.session.refresh(event, with_for_update=True)
    if event.state is not EventState.WAITING or not (event.waits_for or "").startswith("client:"):
        raise NotWaitingError(NOT_WAITING)
    person = _find_person(shop, event)
    if person is None or matching.find_known(shop, person) is not None:
        raise NotWaitingError(NOT_WAITING)
    return shop, person


def _find_person(shop: WooCommerceShop, event: WooCommerceEvent) -> Person | None:
    """The account that an order names, where the shop has told of it, else who ordered."""
    row = kept.find_row(shop, event.kind, event.woo_id) if event.kind and event.woo_id else None
    word = kept.word_of(shop, row) if row is not None else None
    if not isinstance(word, Customer | Sale):
        return None
    customer = kept.find_customer(shop, word.customer_id) if isinstance(word, Sale) else None
    return matching.person_of(customer.word if customer else word)


def _settle(
    shop: WooCommerceShop,
    event: WooCommerceEvent,
    person: Person,
    client_id: UUID,
    kind: EventKind,
    *,
    by: User,
    at: datetime,
) -> None:
    """Map the person; the event, and all that waits for the same person, goes back to the engine."""
    if person.customer_id or person.email:
        matching.keep(shop, person, client_id)
    elif event.woo_id is not None:
        row = kept.find_row(shop, ResourceKind.ORDER, event.woo_id)
        if row is not None:
            row.client_id = client_id
    shown = {"shop": [None, shop.name]}
    db.session.add(TimelineEvent(client_id=client_id, kind=kind, at=at, user_id=by.id, changes=shown))
    db.session.execute(
        update(WooCommerceEvent)
        .where(
            WooCommerceEvent.shop_id == shop.id,
            WooCommerceEvent.state == EventState.WAITING,
            WooCommerceEvent.waits_for == event.waits_for,
        )
        .values(state=EventState.RECEIVED, reason=REASON, waits_for=None, next_attempt_at=at, attempts=0)
        .execution_options(synchronize_session=False)
    )
    db.session.expire(event)
