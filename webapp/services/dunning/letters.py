"""Letters of dunning: those that wait to be printed, and that they were posted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import joinedload

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.dunning import LIVING, DunningCase
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageStatus
from webapp.services.dunning import cases
from webapp.services.messages import letters, printing
from webapp.transactions import transaction

MOST_AT_ONCE = 200
NONE_CHOSEN = "Choisissez au moins une lettre."
TOO_MANY = f"Choisissez {MOST_AT_ONCE} lettres au plus à la fois."


class WaitingLetter(NamedTuple):
    """A letter that is to be printed and posted, and the case that it is about."""

    message: Message
    case: DunningCase


def list_waiting(*, limit: int = MOST_AT_ONCE) -> Sequence[WaitingLetter]:
    """The letters that wait, the longest waiting first, each with its case and client."""
    is_about = and_(DunningCase.organisation_id == Message.organisation_id, DunningCase.id == Message.subject_id)
    statement = (
        select(Message, DunningCase)
        .join(DunningCase, is_about)
        .where(Message.channel == Channel.LETTER, Message.status == MessageStatus.QUEUED)
        .order_by(Message.id)
        .limit(limit)
        .options(joinedload(DunningCase.client), joinedload(DunningCase.company))
    )
    return [WaitingLetter(*row) for row in db.session.execute(statement)]


def print_letters(message_ids: Sequence[UUID]) -> bytes:
    """One PDF of these letters. Raises InvalidInputError where none, or none that waits, is chosen."""
    return printing.print_letters(_checked(message_ids))


def mark_posted(message_ids: Sequence[UUID], *, registered: Mapping[UUID, str], by: User, at: datetime) -> int:
    """Note that these letters were posted today, some registered under a number; returns how many.

    What may follow so many days after a formal notice has its day from now on. Raises InvalidInputError.
    """
    chosen = _checked(message_ids)
    with transaction():
        numbers = {message_id: registered[message_id] for message_id in chosen if message_id in registered}
        letters.mark_posted(chosen, at=at, by=by, registered=numbers)
        about = select(Message.subject_id).where(Message.id.in_(chosen)).distinct()
        for case_id in db.session.scalars(about.order_by(Message.subject_id)).all():
            case = cases.lock_case(case_id)
            if case.status in LIVING:
                cases.restate(case, at=at)
    return len(chosen)


def _checked(message_ids: Sequence[UUID]) -> list[UUID]:
    if not message_ids:
        raise InvalidInputError(NONE_CHOSEN, field="letters")
    if len(message_ids) > MOST_AT_ONCE:
        raise InvalidInputError(TOO_MANY, field="letters")
    waiting = {each.message.id for each in list_waiting(limit=10 * MOST_AT_ONCE)}
    chosen = [message_id for message_id in dict.fromkeys(message_ids) if message_id in waiting]
    if not chosen:
        raise InvalidInputError("Ces lettres n’attendent plus d’être postées.", field="letters")
    return chosen
