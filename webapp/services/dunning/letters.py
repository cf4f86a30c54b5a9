"""Letters of dunning: those that wait to be printed, and that they were posted.

What a letter says is true on the day on which it is printed: the sum, and until when the client has to pay.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import joinedload

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.dunning import LIVING, DunningCase, DunningSequence, DunningStep
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageKind, MessageStatus
from webapp.models.organisations import Company
from webapp.services.dunning import cases, days, paying, telling
from webapp.services.dunning.paying import Claimed
from webapp.services.messages import deciding, letters, printing
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


def select_all_waiting() -> Select[*tuple[Any, ...]]:
    """Every letter that waits in that order, joined with cases, clients and companies: an export adds the columns."""
    return (
        _waiting()
        .join(Client, linked(Client, DunningCase.client_id))
        .join(Company, linked(Company, DunningCase.company_id))
    )


def _waiting() -> Select[Message, DunningCase]:
    is_about = and_(DunningCase.organisation_id == Message.organisation_id, DunningCase.id == Message.subject_id)
    return (
        select(Message, DunningCase)
        .join(DunningCase, is_about)
        .where(Message.channel == Channel.LETTER, Message.status == MessageStatus.QUEUED)
        .order_by(Message.id)
    )


def print_letters(message_ids: Sequence[UUID], *, by: User, at: datetime) -> bytes:
    """One PDF of these letters, the longest waiting first, each with the sum and the last day that are true today.

    Those of the same day are printed as they are. Raises InvalidInputError where none that waits is chosen.
    """
    with transaction():
        _lock_cases(_find_chosen(message_ids))
        chosen = _find_chosen(message_ids)
        for each in chosen:
            if _written_on(each.message) < days.local(at):
                _rewrite(each, by=by, at=at)
        ready = [each.message.id for each in chosen if each.message.status is MessageStatus.QUEUED]
    if not ready:
        raise InvalidInputError(NONE_WAITS, field="letters")
    return printing.print_letters(ready)


def _lock_cases(chosen: Sequence[WaitingLetter]) -> list[DunningCase]:
    """Cases are locked before messages, as by whoever settles them."""
    return [cases.lock_case(case_id) for case_id in sorted({each.case.id for each in chosen})]


def _written_on(message: Message) -> date:
    return days.local(max(message.created_at, message.not_before))


def _rewrite(waiting: WaitingLetter, *, by: User, at: datetime) -> None:
    """What its step claimed, as far as it is still unpaid; what no step wrote (a plan) stays as it is."""
    message, case = waiting
    record = db.session.scalar(select(DunningStep).where(DunningStep.message_id == message.id))
    if record is None:
        return
    is_notice = message.kind is MessageKind.FORMAL_NOTICE
    held = cases.list_held([case.id])[case.id]
    claims = [
        (each.charge, each.claim.amount)
        for each in held
        if each.claim.round == record.round and (each.claim.is_noticed or not is_notice)
    ]
    if claims:
        record.amount = sum((amount for _, amount in claims), Decimal("0.00"))
        sequence = db.session.get_one(DunningSequence, (case.organisation_id, case.sequence_id))
        told = telling.Telling(
            case,
            message.kind,
            str(record.id),
            claims,
            Channel.LETTER,
            is_insurance=cases.is_insurance(sequence, held),
        )
        links = paying.find_links([Claimed(case, claims, asks_means=False)], at=at)
        deciding.rewrite_letter(message.id, telling.draft_of(told, links, at=at), at=at, by=by)


def mark_posted(message_ids: Sequence[UUID], *, registered: Mapping[UUID, str], by: User, at: datetime) -> int:
    """Note that these letters were posted today, some registered under a number; returns how many.

    What may follow so many days after a formal notice has its day from now on. Raises InvalidInputError, of a number
    naming the field ``registered_<id>``.
    """
    chosen = _find_chosen(message_ids)
    with transaction():
        locked = _lock_cases(chosen)
        ids = [each.message.id for each in chosen]
        posted = letters.mark_posted(ids, registered=registered, of_cases=True, at=at, by=by)
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
