"""What a person may write about a client, and the form in which it is kept."""

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Civility, Client, ClientStatus
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.services.concurrent_edits import EditableFields
from webapp.services.contact import clean_text, normalise_email, normalise_phone, normalise_postcode

OLDEST_BIRTH = date(1900, 1, 1)
LENGTHS = {
    "last_name": 200,
    "first_name": 200,
    "address_line1": 200,
    "address_line2": 200,
    "city": 100,
    "delivery_name": 200,
    "delivery_line1": 200,
    "delivery_line2": 200,
    "delivery_city": 100,
    "delivery_instructions": 200,
}


@dataclass(frozen=True, kw_only=True)
class ClientFields(EditableFields):
    """A client's editable fields, named as the model's columns; absent is None, or "" for the names."""

    status: ClientStatus = ClientStatus.PROSPECT
    commercial_id: UUID | None = None
    civility: Civility | None = None
    last_name: str = ""
    first_name: str = ""
    birth_date: date | None = None
    email: str | None = None
    phone: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    postcode: str | None = None
    city: str | None = None
    country: str = "FR"
    delivery_name: str | None = None
    delivery_line1: str | None = None
    delivery_line2: str | None = None
    delivery_postcode: str | None = None
    delivery_city: str | None = None
    delivery_country: str = "FR"
    delivery_instructions: str | None = None

    @classmethod
    def of(cls, client: Client) -> "ClientFields":
        """The fields as they stand."""
        return cls(**{attribute.name: getattr(client, attribute.name) for attribute in fields(cls)})

    def normalised(self, *, today: date) -> "ClientFields":
        """The same in the form in which it is kept. Raises InvalidInputError, naming the field, for the first fault."""
        texts: dict[str, Any] = {name: clean_text(getattr(self, name) or "") for name in LENGTHS}
        for name, length in LENGTHS.items():
            if len(texts[name]) > length:
                raise InvalidInputError(f"C’est trop long\u202f: {length} caractères au plus.", field=name)
            if name not in ("last_name", "first_name"):
                texts[name] = texts[name] or None
        if not texts["last_name"] and not texts["first_name"]:
            raise InvalidInputError("Indiquez au moins un nom ou un prénom.", field="last_name")
        return replace(
            self,
            **texts,
            birth_date=check_birth_date(self.birth_date, today=today) if self.birth_date else None,
            email=normalise_email(self.email) if self.email else None,
            phone=normalise_phone(self.phone) if self.phone else None,
            postcode=normalise_postcode(self.postcode, self.country) if self.postcode else None,
            delivery_postcode=check_delivery_postcode(self.delivery_postcode, self.delivery_country),
        )


def check_delivery_postcode(postcode: str | None, country: str) -> str | None:
    """The postcode as it is kept, if there is one. Raises InvalidInputError (field « delivery_postcode »)."""
    try:
        return normalise_postcode(postcode, country) if postcode else None
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="delivery_postcode") from error


def check_birth_date(birth_date: date, *, today: date) -> date:
    """``birth_date`` if somebody can be born then. Raises InvalidInputError."""
    if birth_date > today:
        raise InvalidInputError("La date de naissance est dans le futur.", field="birth_date")
    if birth_date < OLDEST_BIRTH:
        raise InvalidInputError("La date de naissance est trop ancienne.", field="birth_date")
    return birth_date


def list_commercials(*, including: UUID | None = None) -> list[Commercial]:
    """The commercials a client can be given, by name: the active ones, and ``including``, the present one."""
    offered = select(Commercial).where(Commercial.is_active | (Commercial.id == including))
    return list(db.session.scalars(offered.order_by(Commercial.name_key, Commercial.id)))


def find_commercial(commercial_id: UUID, *, present: UUID | None = None) -> Commercial:
    """An active commercial of the organisation, or the ``present`` one. Raises InvalidInputError."""
    commercial = db.session.scalar(select(Commercial).where(Commercial.id == commercial_id))
    if commercial is None or not (commercial.is_active or commercial.id == present):
        raise InvalidInputError("Ce commercial n’est pas disponible.", field="commercial_id")
    return commercial


def find_own_commercial(user: User) -> UUID | None:
    """The commercial that ``user`` is, to whom a client they create is given unless they say otherwise."""
    return db.session.scalar(select(Commercial.id).where(Commercial.user_id == user.id, Commercial.is_active))
