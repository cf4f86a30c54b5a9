"""The address of its own that a subscription is delivered to, for a gift, and the message that goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import phonenumbers

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.clients.activities import clean_lines
from webapp.services.clients.fields import check_delivery_postcode
from webapp.services.concurrent_edits import EditableFields
from webapp.services.contact import clean_text, normalise_phone
from webapp.services.subscriptions import history
from webapp.services.subscriptions.editing import editing

LENGTHS = {
    "delivery_name": 200,
    "delivery_company": 200,
    "delivery_line1": 200,
    "delivery_line2": 200,
    "delivery_postcode": 20,
    "delivery_city": 100,
    "delivery_phone": 40,
    "delivery_instructions": 200,
}
"""Of what is written in one line."""
MESSAGE_LENGTH = 300
REQUIRED = {
    "delivery_line1": "Indiquez l’adresse.",
    "delivery_postcode": "Indiquez le code postal.",
    "delivery_city": "Indiquez la ville.",
}


@dataclass(frozen=True, kw_only=True)
class DeliveryFields(EditableFields):
    """What people write about where a subscription goes, named as the model's columns; absent is None.

    An address of its own is whole, or there is none. The message may have several lines.
    """

    delivery_name: str | None = None
    delivery_company: str | None = None
    delivery_line1: str | None = None
    delivery_line2: str | None = None
    delivery_postcode: str | None = None
    delivery_city: str | None = None
    delivery_country: str | None = None
    delivery_phone: str | None = None
    delivery_instructions: str | None = None
    gift_message: str | None = None

    @classmethod
    def of(cls, subscription: Subscription) -> "DeliveryFields":
        """The fields as they stand."""
        return cls(**{attribute.name: getattr(subscription, attribute.name) for attribute in fields(cls)})

    def normalised(self) -> "DeliveryFields":
        """The same in the form in which it is kept. Raises InvalidInputError, naming the field, for the first fault."""
        texts: dict[str, Any] = {name: _line(getattr(self, name), length, name) for name, length in LENGTHS.items()}
        message = clean_lines(self.gift_message or "") or None
        _check_length(message, MESSAGE_LENGTH, "gift_message")
        if not any(texts.values()):
            return DeliveryFields(gift_message=message)
        country = self.delivery_country or "FR"
        if country not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidInputError("Choisissez un pays de la liste.", field="delivery_country")
        _check_whole(texts, country)
        texts["delivery_postcode"] = check_delivery_postcode(texts["delivery_postcode"], country)
        texts["delivery_phone"] = _phone(texts["delivery_phone"], country)
        return replace(self, **texts, delivery_country=country, gift_message=message)


def _check_whole(texts: Mapping[str, str | None], country: str) -> None:
    """Not every country has postcodes."""
    for name, sentence in REQUIRED.items():
        if not texts[name] and (country == "FR" or name != "delivery_postcode"):
            raise InvalidInputError(sentence, field=name)


def _line(written: str | None, length: int, name: str) -> str | None:
    text = clean_text(written or "") or None
    _check_length(text, length, name)
    return text


def _check_length(text: str | None, length: int, name: str) -> None:
    if text is not None and len(text) > length:
        raise InvalidInputError(f"C’est trop long\u202f: {length} caractères au plus.", field=name)


def _phone(number: str | None, country: str) -> str | None:
    try:
        return normalise_phone(number, country) if number else None
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="delivery_phone") from error


def find_fields(subscription: Subscription) -> DeliveryFields:
    """The fields as they stand, in one query."""
    db.session.refresh(subscription, [attribute.name for attribute in fields(DeliveryFields)])
    return DeliveryFields.of(subscription)


def change_delivery(
    subscription_id: UUID, written: DeliveryFields, *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Deliver it to another address of its own, or, without one, to its client.

    What a locked batch holds already stays. Raises NotFoundError, EditConflictError, EndedError; InvalidInputError,
    naming the field.
    """
    new = written.normalised()
    with editing(subscription_id, version, of_shop_too=True) as subscription:
        old = find_fields(subscription)
        changes = {name: [getattr(old, name), getattr(new, name)] for name in old.differing(new)}
        for name in changes:
            setattr(subscription, name, getattr(new, name))
        if changes:
            history.record_change(subscription, changes=changes, by=by, at=at)
    return subscription


def remove_address(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Deliver it to its client again; its message stays. Raises NotFoundError, EditConflictError, EndedError."""
    with editing(subscription_id, version, of_shop_too=True) as subscription:
        kept = DeliveryFields(gift_message=find_fields(subscription).gift_message)
        return change_delivery(subscription_id, kept, version=version, by=by, at=at)
