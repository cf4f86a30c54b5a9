"""Letters: what waits to be printed, and what was posted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageEvent, MessageEventKind, MessageStatus
from webapp.services.contact import clean_text
from webapp.services.messages import telling
from webapp.services.messages.kinds import OF_CASES
from webapp.transactions import transaction

POSTED = "Imprimé et posté"
REGISTERED_LENGTH = 30


def mark_posted(
    message_ids: Sequence[UUID],
    *,
    registered: Mapping[UUID, str] | None = None,
    of_cases: bool = False,
    at: datetime,
    by: User | None,
) -> int:
    """These letters were put into the post, ``registered`` with their numbers; returns how many were not before.

    What was posted already, was cancelled, or is no letter, stays as it is; so do letters of dunning, but for dunning
    itself (``of_cases``), whose cases follow. Raises InvalidInputError for a number that
    is none, naming the field ``registered_<id>``.
    """
    numbers = {each: _checked(each, number) for each, number in (registered or {}).items() if number.strip()}
    waiting = (
        select(Message)
        .where(
            Message.id.in_(message_ids),
            Message.channel == Channel.LETTER,
            Message.status == MessageStatus.QUEUED,
            Message.kind.in_(OF_CASES) if of_cases else Message.kind.not_in(OF_CASES),
        )
        .order_by(Message.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    with transaction():
        letters = db.session.scalars(waiting).all()
        for letter in letters:
            letter.status, letter.sent_at, letter.registered_no = MessageStatus.SENT, at, numbers.get(letter.id)
            db.session.add(
                MessageEvent(
                    message_id=letter.id,
                    at=at,
                    kind=MessageEventKind.DECIDED,
                    text=POSTED,
                    user_id=by.id if by else None,
                )
            )
        telling.tell([letter.id for letter in letters], at=at, by=by.id if by else None)
    return len(letters)


def _checked(message_id: UUID, typed: str) -> str:
    number = clean_text(typed).replace(" ", "").upper()
    if len(number) > REGISTERED_LENGTH or not number.isascii() or not number.isalnum():
        raise InvalidInputError(
            "Le numéro de recommandé n’est fait que de lettres et de chiffres, 30 au plus.",
            field=f"registered_{message_id}",
        )
    return number
