"""Messages as people look for them: of all, of a client, about something, and those that wait for somebody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import joinedload, undefer

from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.clients import Client
from webapp.models.identity import Role, User
from webapp.models.messages import (
    AWAITS_PERSON,
    Channel,
    HeldReason,
    Message,
    MessageEvent,
    MessageKind,
    MessageStatus,
)
from webapp.models.organisations import Company
from webapp.services.clients.search import found_by
from webapp.services.messages.kinds import OF_CASES

PAGE_SIZE = 50
LETTERS_SHOWN = 200
_LISTED = select(Message).options(joinedload(Message.client), joinedload(Message.company)).order_by(Message.id.desc())
_UNKNOWN = "Ce message n’existe pas ou plus."


@dataclass(frozen=True, kw_only=True)
class MessagesView:
    """Which messages are shown, the latest first; ``search`` is a number (M-12) or words over clients.

    ``before`` is the message that the page follows.
    """

    search: str = ""
    status: MessageStatus | None = None
    kind: MessageKind | None = None
    channel: Channel | None = None
    client_id: UUID | None = None
    before: UUID | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        return replace(self, before=None) != MessagesView()


class MessagesPage(NamedTuple):
    """Messages, and the one that the next page follows; None where there is no next page."""

    rows: Sequence[Message]
    next_before: UUID | None


def list_messages(view: MessagesView, *, size: int = PAGE_SIZE) -> MessagesPage:
    """The messages of the view, each with its client and company."""
    rows = db.session.scalars(_LISTED.where(*_conditions(view)).limit(size + 1)).all()
    return MessagesPage(rows[:size], rows[size - 1].id if len(rows) > size else None)


def select_all(view: MessagesView) -> Select[*tuple[Any, ...]]:
    """Every message of a view in its order, joined with clients and companies: an export adds the columns."""
    return _with_names().where(*_conditions(view)).order_by(Message.id.desc())


def _with_names() -> Select[*tuple[Any, ...]]:
    return (
        select(Message.id)
        .outerjoin(Client, linked(Client, Message.client_id))
        .join(Company, linked(Company, Message.company_id))
    )


def _conditions(view: MessagesView) -> list[ColumnElement[bool]]:
    conditions = _matches(view.search)
    if view.status is not None:
        conditions.append(Message.status == view.status)
    if view.kind is not None:
        conditions.append(Message.kind == view.kind)
    if view.channel is not None:
        conditions.append(Message.channel == view.channel)
    if view.client_id is not None:
        conditions.append(Message.client_id == view.client_id)
    if view.before is not None:
        conditions.append(Message.id < view.before)
    return conditions


def _matches(search: str) -> list[ColumnElement[bool]]:
    code = read_code(search)
    if code and code.letter == Message.LETTER:
        return [Message.number == code.number]
    if not (matches := found_by(search)):
        return []
    ours = tenancy.current_organisation_id()
    return [Message.client_id.in_(select(Client.id).where(Client.organisation_id == ours, *matches))]


def list_of_client(client_id: UUID, *, before: UUID | None = None, size: int = PAGE_SIZE) -> MessagesPage:
    """The messages to a client, the latest first."""
    return list_messages(MessagesView(client_id=client_id, before=before), size=size)


def list_about(subject_id: UUID) -> Sequence[Message]:
    """The messages about a charge, an invoice, a case …, the latest first."""
    return db.session.scalars(_LISTED.where(Message.subject_id == subject_id).limit(PAGE_SIZE)).all()


def count_awaiting() -> dict[MessageStatus, int]:
    """How many messages wait for a person, by state; states without any are left out."""
    statement = (
        select(Message.status, func.count().label("number"))
        .where(Message.organisation_id == tenancy.current_organisation_id(), Message.status.in_(AWAITS_PERSON))
        .group_by(Message.status)
    )
    return {row.status: row.number for row in db.session.execute(statement)}


def count_held() -> dict[HeldReason, int]:
    """How many messages are held, by reason; reasons without any are left out."""
    statement = (
        select(Message.held_reason, func.count().label("number"))
        .where(Message.organisation_id == tenancy.current_organisation_id(), Message.status == MessageStatus.HELD)
        .group_by(Message.held_reason)
    )
    return {row.held_reason: row.number for row in db.session.execute(statement)}


def find_message(message_id: UUID, *, viewer: User) -> Message:
    """A message with its words. Raises NotFoundError, also for one to another colleague."""
    statement = (
        select(Message)
        .where(Message.id == message_id)
        .options(
            joinedload(Message.client),
            joinedload(Message.company),
            joinedload(Message.written_by),
            undefer(Message.content),
            undefer(Message.to),
        )
    )
    message = db.session.scalar(statement)
    is_theirs = message is not None and (message.client_id or message.user_id == viewer.id)
    if message is None or not (is_theirs or viewer.has_role(Role.ADMIN)):
        raise NotFoundError(_UNKNOWN)
    return message


def list_events(message_id: UUID) -> Sequence[tuple[MessageEvent, User | None]]:
    """What became of a message, the earliest first, with who decided it."""
    statement = (
        select(MessageEvent, User)
        .outerjoin(User, linked(User, MessageEvent.user_id))
        .where(MessageEvent.message_id == message_id)
        .order_by(MessageEvent.at, MessageEvent.id)
    )
    return [(event, user) for event, user in db.session.execute(statement)]


def list_letters(*, kind: MessageKind | None = None, size: int = LETTERS_SHOWN) -> Sequence[Message]:
    """The letters that wait to be printed and posted, but for those of dunning; the longest waiting first."""
    statement = select(Message).where(*_is_letter(kind)).order_by(Message.id)
    return db.session.scalars(
        statement.options(joinedload(Message.client), joinedload(Message.company)).limit(size)
    ).all()


def select_all_letters(kind: MessageKind | None) -> Select[*tuple[Any, ...]]:
    """Every one of these letters in its order, joined with clients and companies: an export adds the columns."""
    return _with_names().where(*_is_letter(kind)).order_by(Message.id)


def count_letters() -> dict[MessageKind, int]:
    """How many letters wait to be printed, by kind, those of dunning among them."""
    statement = select(Message.kind, func.count().label("number")).where(*_waits_for_post()).group_by(Message.kind)
    return {row.kind: row.number for row in db.session.execute(statement)}


def _is_letter(kind: MessageKind | None) -> list[ColumnElement[bool]]:
    of_kind = [] if kind is None else [Message.kind == kind]
    return [*_waits_for_post(), Message.kind.not_in(OF_CASES), *of_kind]


def _waits_for_post() -> tuple[ColumnElement[bool], ...]:
    return (
        Message.organisation_id == tenancy.current_organisation_id(),
        Message.status == MessageStatus.QUEUED,
        Message.channel == Channel.LETTER,
    )
