"""Addresses and telephones that get nothing more: those that do not work, and those that complained.

An address is found by its blind indexes, in the form in which clients keep it (e-mail in lower case, telephone E.164).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import undefer

from webapp import clock, crypto
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.messages import Message, Suppression, SuppressionReason, address_purpose
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.contact import normalise_email, normalise_phone, readable_phone
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

SHOWN = 200
TIME_TO_ACT = timedelta(days=2)
"""By when the commercial is to find another address."""
TASKS = {
    "email": "L’adresse e-mail {address} ne fonctionne plus\u202f: demandez-en une autre au client.",
    "sms": "Le numéro {address} ne reçoit pas nos SMS\u202f: demandez-en un autre au client.",
}


class ShownSuppression(NamedTuple):
    """A suppression that stands, with its address in clear, and the client whose message told of it."""

    suppression: Suppression
    address: str
    client: Client | None


def find_suppressed(addresses: Collection[str]) -> set[str]:
    """Those of the addresses that get nothing; one statement, however many they are."""
    known = _index(addresses)
    if not known:
        return set()
    standing = select(Suppression.to_index).where(Suppression.to_index.in_(known), Suppression.lifted_at.is_(None))
    return {known[index] for index in db.session.scalars(standing)}


def find_standing(addresses: Collection[str]) -> dict[str, Suppression]:
    """Why, and since when, nothing goes to those of the addresses that get nothing, by address."""
    known = _index(addresses)
    if not known:
        return {}
    standing = select(Suppression).where(Suppression.to_index.in_(known), Suppression.lifted_at.is_(None))
    return {known[suppression.to_index]: suppression for suppression in db.session.scalars(standing)}


def _index(addresses: Collection[str]) -> dict[bytes, str]:
    """The addresses by each of their blind indexes."""
    purpose = _purpose()
    return {index: address for address in addresses for index in crypto.blind_indexes(address, purpose=purpose)}


def suppress(address: str, reason: SuppressionReason, *, message_id: UUID | None, at: datetime) -> bool:
    """Send nothing more there; False where nothing was sent any more before.

    The client of the message is told of in the timeline, and their commercial gets a task.
    """
    with transaction():
        if find_suppressed([address]):
            return False
        statement = insert(Suppression).on_conflict_do_nothing(
            index_elements=[Suppression.organisation_id, Suppression.to_index],
            index_where=Suppression.lifted_at.is_(None),
        )
        row = _sealed(address) | {"reason": reason, "since": at, "message_id": message_id}
        is_new = bool(db.session.execute(statement.returning(Suppression.id), [row]).first())
        if is_new and message_id is not None:
            _tell_commercial(message_id, address, reason, at=at)
    return is_new


def _purpose() -> str:
    return address_purpose(current_organisation_id())


def _sealed(address: str) -> dict[str, object]:
    organisation_id, suppression_id = current_organisation_id(), new_id()
    return {
        "organisation_id": organisation_id,
        "id": suppression_id,
        "to": crypto.seal(address, place=Suppression.place_of_to(organisation_id, suppression_id)),
        "to_index": crypto.blind_index(address, purpose=_purpose()),
    }


def _tell_commercial(message_id: UUID, address: str, reason: SuppressionReason, *, at: datetime) -> None:
    row = db.session.execute(
        select(Message.client_id, Message.channel).where(Message.id == message_id, Message.client_id.is_not(None))
    ).first()
    if row is None:
        return
    db.session.add(
        TimelineEvent(
            client_id=row.client_id, kind=EventKind.ADDRESS_SUPPRESSED, at=at, body=f"{address} – {reason.label}"
        )
    )
    if reason is SuppressionReason.HARD_BOUNCE:
        due_on = (at + TIME_TO_ACT).astimezone(clock.PARIS).date()
        title = TASKS[row.channel.value].format(address=address if "@" in address else readable_phone(address))
        tasks.add_for_commercials([NewTask(row.client_id, title, due_on)], at=at)


def block(typed: str, *, by: User, at: datetime) -> bool:
    """Send nothing more to what somebody typed, at the client's wish; False where it was so before.

    Raises InvalidInputError, naming the field ``address``.
    """
    address = _read(typed)
    with transaction():
        is_new = suppress(address, SuppressionReason.BY_HAND, message_id=None, at=at)
        if is_new:
            _tell_clients(address, EventKind.ADDRESS_SUPPRESSED, SuppressionReason.BY_HAND.label, by=by, at=at)
    return is_new


def _read(typed: str) -> str:
    try:
        return normalise_email(typed) if "@" in typed else normalise_phone(typed)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="address") from error


def lift(suppression_id: UUID, *, by: User, at: datetime) -> str:
    """Send there again from now on; returns the address. Raises NotFoundError."""
    with transaction():
        suppression = db.session.scalar(
            select(Suppression)
            .where(Suppression.id == suppression_id)
            .options(undefer(Suppression.to))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if suppression is None:
            raise NotFoundError("Cette adresse n’est pas bloquée.")
        address = suppression.to_in_clear()
        if suppression.lifted_at is None:
            suppression.lifted_at, suppression.lifted_by_id = at, by.id
            _tell_clients(address, EventKind.ADDRESS_LIFTED, "", by=by, at=at)
    return address


def _tell_clients(address: str, kind: EventKind, why: str, *, by: User, at: datetime) -> None:
    """Whoever has the address now."""
    owners = select(Client.id).where(Client.email == address if "@" in address else Client.phone == address)
    body = f"{address} – {why}" if why else address
    db.session.add_all(
        TimelineEvent(client_id=client_id, kind=kind, at=at, user_id=by.id, body=body)
        for client_id in db.session.scalars(owners.limit(SHOWN))
    )


def list_suppressions() -> Sequence[ShownSuppression]:
    """What gets nothing more now, the latest first; SHOWN at most."""
    rows = db.session.execute(_standing(select(Suppression, Client)).options(undefer(Suppression.to)).limit(SHOWN))
    return [ShownSuppression(suppression, suppression.to_in_clear(), client) for suppression, client in rows]


def select_all_suppressions() -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with clients: an export adds the columns."""
    return _standing(select(Suppression.id))


def _standing(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return (
        statement.outerjoin(Message, linked(Message, Suppression.message_id))
        .outerjoin(Client, linked(Client, Message.client_id))
        .where(Suppression.lifted_at.is_(None))
        .order_by(Suppression.since.desc(), Suppression.id.desc())
    )
