"""Letters of dunning: those that wait to be printed, and that they were posted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, select
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
NONE_WAITS = "Ces lettres n’attendent plus d’être postées."


class WaitingLetter(NamedTuple):
    """A letter that is to be printed and posted, and the case that it is about."""

    message: Message
    case: DunningCase


def list_waiting() -> Sequence[WaitingLetter]:
    """The letters that wait, the longest waiting first, each with its case and client; MOST_AT_ONCE at most."""
    options = (joinedload(DunningCase.client), joinedload(DunningCase.company))
    return [WaitingLetter(*row) for row in db.session.execute(_waiting().limit(MOST_AT_ONCE).options(*options))]


def _waiting() -> Select[Message, DunningCase]:
    is_about = and_(DunningCase.organisation_id == Message.organisation_id, DunningCase.id == Message.subject_id)
    return (
        select(Message, DunningCase)
        .join(DunningCase, is_about)
        .where(Message.channel == Channel.LETTER, Message.status == MessageStatus.QUEUED)
        .order_by(Message.id)
    )


def print_letters(message_ids: Sequence[UUID]) -> bytes:
    """One PDF of these letters, the longest waiting first. Raises InvalidInputError where none that waits is chosen."""
    return printing.print_letters([each.message.id for each in _find_chosen(message_ids)])


def mark_posted(message_ids: Sequence[UUID], *, registered: Mapping[UUID, str], by: User, at: datetime) -> int:
    """Note that these letters were posted today, some registered under a number; returns how many.

    What may follow so many days after a formal notice has its day from now on. Raises InvalidInputError, of a number
    naming the field ``registered_<id>``.
    """
    chosen = _find_chosen(message_ids)
    with transaction():
        # Cases are locked before messages, as by whoever settles them.
        locked = [cases.lock_case(case_id) for case_id in sorted({each.case.id for each in chosen})]
        posted = letters.mark_posted([each.message.id for each in chosen], registered=registered, at=at, by=by)
        for case in locked:
            if case.status in LIVING:
                cases.restate(case, at=at)
    return posted


def _find_chosen(message_ids: Sequence[UUID]) -> Sequence[WaitingLetter]:
    if not message_ids:
        raise InvalidInputError(NONE_CHOSEN, field="letters")
    if len(message_ids) > MOST_AT_ONCE:
        raise InvalidInputError(TOO_MANY, field="letters")
    chosen = [WaitingLetter(*row) for row in db.session.execute(_waiting().where(Message.id.in_(message_ids)))]
    if not chosen:
        raise InvalidInputError(NONE_WAITS, field="letters")
    return chosen
