"""What providers keep of clients' cards: renewed by the networks, or about to expire."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select

from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import TRANSITIONS, Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position
from webapp.transactions import transaction

PAGE_SIZE = 50
BY_EXPIRY = "expires_on"
SOON = timedelta(days=45)
LIVING = [status for status in SubscriptionStatus if TRANSITIONS[status]]
BRANDS = {
    "amex": "American Express",
    "cartes_bancaires": "CB",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}
"""Where the name of a network is not that of its provider in capitals."""


def end_of_month(year: int, month: int) -> date:
    """The last day on which a card with that month on it is good. Raises ValueError for no month."""
    return date(year, month, monthrange(year, month)[1])


def card_label(brand: str, last4: str) -> str:
    """What pages show of a card: « Visa •••• 4242 »."""
    return f"{BRANDS.get(brand.lower(), brand.replace('_', ' ').title()) or 'Carte'} •••• {last4}"


def label_of(method: PaymentMethod, *, brand: str, last4: str) -> str:
    """What pages show of what a provider keeps."""
    if method is PaymentMethod.CARD:
        return card_label(brand, last4)
    return f"{method.label} •••• {last4}" if last4 else method.label


def update_card(method: SavedPaymentMethod, *, brand: str, last4: str, expires_on: date, at: datetime) -> bool:
    """Note what the card is now, as its provider says; whether that is news. Told twice, it is noted once.

    ``expires_on`` is any day of its last month. Raises NotFoundError.
    """
    with transaction():
        wanted = select(SavedPaymentMethod).where(SavedPaymentMethod.id == method.id).with_for_update()
        card = db.session.scalar(wanted.execution_options(populate_existing=True))
        if card is None:
            raise NotFoundError("Ce moyen de paiement n’existe pas ou plus.")
        label, expires_on = card_label(brand, last4), end_of_month(expires_on.year, expires_on.month)
        before, after = (card.label, card.expires_on), (label, expires_on)
        card.brand, card.last4, card.label, card.expires_on = brand, last4, label, expires_on
        if before == after:
            return False
        words = {"card": [card_words(*before), card_words(*after)]}
        event = TimelineEvent(client_id=card.client_id, kind=EventKind.CARD_UPDATED, at=at, changes=words)
        db.session.add(event)
    return True


def card_words(label: str, expires_on: date | None) -> str:
    """A card with the month in which it expires: « Visa •••• 4242, 08/2027 »."""
    return f"{label}, {expires_on:%m/%Y}" if expires_on else label


class Expiry(StrEnum):
    """Which cards are shown, as the address says it."""

    EXPIRED = "expirees"
    SOON = "bientot"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"expirees": "Expirées", "bientot": "Expirent sous 45\u00a0jours"}[self.value]


@dataclass(frozen=True, kw_only=True)
class CardsView:
    """Which cards are shown: expired or soon, or both; ``search`` is for words over clients."""

    expiry: Expiry | None = None
    search: str = ""
    cursor: str | None = None


class CardRow(NamedTuple):
    """A card, with its client, how many living subscriptions are paid by it, and when the next of them is charged."""

    card: SavedPaymentMethod
    client: Client
    waiting: int
    next_charge_on: date | None


_PAID_BY_IT = (
    Subscription.organisation_id == SavedPaymentMethod.organisation_id,
    Subscription.client_id == SavedPaymentMethod.client_id,  # which has an index
    Subscription.saved_method_id == SavedPaymentMethod.id,
    Subscription.status.in_(LIVING),
)
WAITING = select(func.count()).select_from(Subscription).where(*_PAID_BY_IT).scalar_subquery()
NEXT = select(func.min(Subscription.next_charge_on)).where(*_PAID_BY_IT).scalar_subquery()
"""Of a card: how many living subscriptions are paid by it, and when the next of them is charged."""


def list_expiring(view: CardsView, *, today: date, size: int = PAGE_SIZE) -> keyset.Page[CardRow]:
    """The cards of the view, the first to expire first."""
    statement = _of_view(select(SavedPaymentMethod, Client, WAITING, NEXT), view, today)

    def read(start: Position | None) -> Sequence[CardRow]:
        order = [SavedPaymentMethod.expires_on, SavedPaymentMethod.id]
        page = keyset.cut(statement, order, start, is_descending=False, size=size)
        return [CardRow(*row) for row in db.session.execute(page)]

    start = keyset.decode(view.cursor, sort=BY_EXPIRY, kind=date)
    return keyset.page(
        read, start, place=lambda row: (row.card.expires_on or today, row.card.id), sort=BY_EXPIRY, size=size
    )


def select_all(view: CardsView, *, today: date) -> Select[*tuple[Any, ...]]:
    """Every card of the view in that order, joined with its client: an export adds the columns."""
    statement = _of_view(select(SavedPaymentMethod.id), view, today)
    return statement.order_by(SavedPaymentMethod.expires_on, SavedPaymentMethod.id)


def _of_view(statement: Select[*tuple[Any, ...]], view: CardsView, today: date) -> Select[*tuple[Any, ...]]:
    conditions = _expiring(today)
    statement = statement.join(Client, linked(Client, SavedPaymentMethod.client_id)).where(
        SavedPaymentMethod.revoked_at.is_(None),
        or_(*conditions.values()) if view.expiry is None else conditions[view.expiry],
    )
    return statement.where(*found_by(view.search))


def count_expiring(*, today: date) -> dict[Expiry, int]:
    """How many cards have expired, and will soon."""
    conditions = _expiring(today)
    counts = [func.count().filter(condition) for condition in conditions.values()]
    row = db.session.execute(
        select(*counts)
        .select_from(SavedPaymentMethod)
        .where(
            SavedPaymentMethod.organisation_id == tenancy.current_organisation_id(),
            SavedPaymentMethod.revoked_at.is_(None),
            SavedPaymentMethod.expires_on <= today + SOON,
        )
    ).one()
    return dict(zip(conditions, row, strict=True))


def _expiring(today: date) -> dict[Expiry, ColumnElement[bool]]:
    expires_on = SavedPaymentMethod.expires_on
    return {Expiry.EXPIRED: expires_on < today, Expiry.SOON: expires_on.between(today, today + SOON)}
