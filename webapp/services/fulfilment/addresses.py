"""Where what a subscription ships goes: to an address of its own, else to its client's, the delivery address first.

One statement says it for one subscription as for all that a batch locks.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.subscriptions import Subscription

OWN, DELIVERY, MAIN = "own", "delivery", "main"
"""Where an address comes from: the subscription, the client's delivery address, the client's main one."""


class Destination(NamedTuple):
    """A recipient, an address and the message that goes along, as they stand; what nobody wrote is None.

    ``origin`` is OWN, DELIVERY or MAIN. ``email`` and, where the recipient has none, ``phone`` are the client's.
    """

    origin: str
    recipient: str | None
    company: str | None
    line1: str | None
    line2: str | None
    postcode: str | None
    city: str | None
    country: str
    phone: str | None
    email: str | None
    instructions: str | None
    gift_message: str | None


def select_destinations() -> Select[Any]:
    """Rows of ``organisation_id``, ``subscription_id``, ``client_id``, and the columns of a Destination.

    One for every subscription of every organisation: narrow it by ``Subscription.…``, join it as a subquery.
    """
    is_own, is_elsewhere = Subscription.delivery_line1.is_not(None), _is_elsewhere()

    def chosen(own: Any, delivery: Any, main: Any) -> ColumnElement[Any]:
        return case((is_own, own), (is_elsewhere, delivery), else_=main)

    def own_or(own: Any, of_client: Any) -> ColumnElement[Any]:
        return case((is_own, own), else_=of_client)

    name = func.nullif(func.btrim(Client.first_name + " " + Client.last_name), "")
    columns: dict[str, ColumnElement[Any]] = {
        "origin": chosen(OWN, DELIVERY, MAIN),
        "recipient": func.coalesce(own_or(Subscription.delivery_name, Client.delivery_name), name),
        "company": own_or(Subscription.delivery_company, None),
        "line1": chosen(Subscription.delivery_line1, Client.delivery_line1, Client.address_line1),
        "line2": chosen(Subscription.delivery_line2, Client.delivery_line2, Client.address_line2),
        "postcode": chosen(Subscription.delivery_postcode, Client.delivery_postcode, Client.postcode),
        "city": chosen(Subscription.delivery_city, Client.delivery_city, Client.city),
        "country": chosen(Subscription.delivery_country, Client.delivery_country, Client.country),
        "phone": func.coalesce(own_or(Subscription.delivery_phone, None), Client.phone),
        "email": Client.email.expression,
        "instructions": own_or(Subscription.delivery_instructions, Client.delivery_instructions),
        "gift_message": Subscription.gift_message.expression,
    }
    return (
        select(
            Subscription.organisation_id,
            Subscription.id.label("subscription_id"),
            Subscription.client_id,
            *(column.label(label) for label, column in columns.items()),
        )
        .select_from(Subscription)
        .join(Client, linked(Client, Subscription.client_id))
    )


def _is_elsewhere() -> ColumnElement[bool]:
    """Whether the client has a delivery address apart from the main one."""
    parts = Client.delivery_line1, Client.delivery_line2, Client.delivery_postcode, Client.delivery_city
    return func.num_nonnulls(*parts) > 0


def find_destination(subscription_id: UUID) -> Destination:
    """Where what the subscription ships goes as things stand. There must be one of that id."""
    row = db.session.execute(select_destinations().where(Subscription.id == subscription_id)).one()
    return Destination(*(getattr(row, name) for name in Destination._fields))
