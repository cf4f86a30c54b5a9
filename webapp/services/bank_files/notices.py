"""Pre-notification: a SEPA debit is announced to its debtor, 14 calendar days ahead unless less was agreed (SEPA Core
rulebook).

A notice is a message of the kind SEPA_NOTICE, and an event in the outbox that says of what it is: one per subscription,
cycle and amount. The client is told once the message has left; until then the debit waits. An event from before there
were messages names none: what was announced so stays announced.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Numeric,
    ScalarSelect,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from webapp import clock
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate
from webapp.models.base import linked
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.messages import Channel, HeldReason, Message, MessageKind, MessageStatus
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.providers import Provider, ProviderAccount
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import each_organisation, outbox
from webapp.services.messages import deciding, drafts, retaking, writing
from webapp.services.messages.drafts import Draft
from webapp.services.outbox import Emitted
from webapp.services.subscriptions import naming
from webapp.services.subscriptions.terms import load_terms
from webapp.transactions import transaction

BATCH = 500
LEAD = timedelta(days=3)
"""How much earlier a notice is written: a night, a Sunday and a holiday may pass before it leaves."""
LATE_LEAD = timedelta(days=1)
"""The same for one that is late already: it leaves on the same day, or on the next."""
TOLD = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.COMPLAINED)
"""States of a notice that has left; whoever complains of it has read it."""
PRINTABLE = frozenset(
    {
        MessageStatus.HELD,
        MessageStatus.BOUNCED,
        MessageStatus.FAILED,
        MessageStatus.UNKNOWN,
        MessageStatus.CANCELED,
    }
)
"""States of a notice that did not reach the client: it may go by post instead."""


class NoticeStateError(DomainError):
    """The notice is in a state in which this cannot be done."""


class _Due(NamedTuple):
    """What is to be announced; ``cycle_no`` is empty for a supplement, which is announced by its charge."""

    subscription_id: UUID
    charge_id: UUID | None
    cycle_no: int | None
    client_id: UUID
    company_id: UUID
    mandate_id: UUID
    account_id: UUID
    due_on: date
    amount: Decimal
    currency: str


def announce_due(*, at: datetime) -> int:
    """Announce every debit by bank file that falls due within the notice period, and those that wait unannounced.

    Returns how many notices.
    """
    today = at.astimezone(clock.PARIS).date()

    def announce_here() -> int:
        return each_organisation.until_none(lambda: _announce_batch(today, at=at)) + announce_waiting(at=at)

    debiting = select(ProviderAccount.organisation_id).where(
        ProviderAccount.provider == Provider.SEPA_FILE, ProviderAccount.is_active
    )
    return each_organisation.work(announce_here, debiting)


def _announce_batch(today: date, *, at: datetime) -> int:
    """Announce some of what is not announced yet; each in the transaction that reads it."""
    is_of_cycle = and_(
        linked(Subscription, OutboxEvent.subject_id),
        OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
        OutboxEvent.payload["cycle_no"].as_integer() == Subscription.cycle_no,
    )
    with transaction():
        due = db.session.scalars(
            select(Subscription)
            .join(
                ProviderAccount,
                linked(ProviderAccount, Subscription.provider_account_id),
            )
            .where(
                ProviderAccount.provider == Provider.SEPA_FILE,
                Subscription.mandate_id.is_not(None),  # without one nothing is debited
                Subscription.status.in_((SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE)),
                Subscription.next_charge_on <= literal(today + LEAD, Date) + ProviderAccount.notice_days,
                Subscription.skips_cycle.is_distinct_from(Subscription.cycle_no),
                _is_unannounced(is_of_cycle),
            )
            .order_by(Subscription.id)
            .limit(BATCH)
            .with_for_update(of=Subscription, skip_locked=True)
        ).all()
        _announce([_next_cycle(each, amount) for each, amount in _amounts(due)], at=at)
    return len(due)


def _amounts(subscriptions: Sequence[Subscription]) -> list[tuple[Subscription, Decimal]]:
    """What the next cycle of each will ask for, with tax."""
    terms = load_terms(subscriptions)
    return [(each, terms[each.id].ask(each.cycle_no)[0].totals.with_tax) for each in subscriptions]


def _next_cycle(subscription: Subscription, amount: Decimal) -> _Due:
    if not (subscription.mandate_id and subscription.provider_account_id and subscription.next_charge_on):
        raise ValueError("only what is due by bank file is announced")
    return _Due(
        subscription.id,
        None,
        subscription.cycle_no,
        subscription.client_id,
        subscription.company_id,
        subscription.mandate_id,
        subscription.provider_account_id,
        subscription.next_charge_on,
        amount,
        subscription.currency,
    )


def announce_waiting(*, at: datetime) -> int:
    """Announce what waits for a bank file and was not announced, in vain or for another amount; how many notices.

    In vain is a notice that could not leave in time for the day that it names.
    """
    announced = 0
    while done := _announce_waiting_batch(at=at):
        announced += done
    return announced


def _announce_waiting_batch(*, at: datetime) -> int:
    """Read once more under the lock: what another one announced in the meantime is known by then."""
    unannounced = _waiting().where(_is_unannounced(is_of_charge()))
    some = unannounced.with_only_columns(Charge.id).order_by(Charge.id).limit(BATCH)
    with transaction():
        locked = db.session.scalars(some.with_for_update(of=Charge, skip_locked=True)).all()
        rows = db.session.execute(unannounced.where(Charge.id.in_(locked))).all()
        _announce([_Due(*row) for row in rows], at=at)
    return len(rows)


def _waiting() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Charge.subscription_id,
            Charge.id,
            Charge.cycle_no,
            Charge.client_id,
            Charge.company_id,
            ChargeAttempt.mandate_id,
            ChargeAttempt.provider_account_id,
            Charge.due_on,
            ChargeAttempt.amount,
            ChargeAttempt.currency,
        )
        .join(ChargeAttempt, linked(Charge, ChargeAttempt.charge_id))
        .where(ChargeAttempt.waits_for_file(), ChargeAttempt.mandate_id.is_not(None))
    )


def is_of_charge() -> ColumnElement[bool]:
    """In a statement on charges and attempts: whether an event of the outbox announces that debit, for that amount.

    One that names no message is from before there were any, and counts whatever the amount.
    """
    payload = OutboxEvent.payload
    return and_(
        OutboxEvent.organisation_id == Charge.organisation_id,
        OutboxEvent.subject_id == Charge.subscription_id,
        OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
        or_(
            payload["cycle_no"].as_integer() == Charge.cycle_no,
            payload["charge_id"].astext == cast(Charge.id, Text),  # a supplement is of no cycle
        ),
        or_(_names_no_message(), cast(payload["amount"].astext, Numeric(14, 2)) == ChargeAttempt.amount),
    )


def _names_no_message() -> ColumnElement[bool]:
    names_none: ColumnElement[bool] = OutboxEvent.payload["notice"].astext.is_(None)
    return names_none


def _is_notice() -> ColumnElement[bool]:
    """In a statement on events: whether a message is the notice that the event names."""
    return and_(
        Message.organisation_id == OutboxEvent.organisation_id,
        Message.dedupe_key == OutboxEvent.payload["notice"].astext,
    )


def _is_unannounced(is_of: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether no event ``is_of`` a debit, or the notice that the latest one names cannot leave in time any more."""
    came_too_late = (
        select(func.coalesce(Message.held_reason == HeldReason.TOO_LATE, False))
        .select_from(OutboxEvent)
        .outerjoin(Message, _is_notice())
        .where(is_of)
        .order_by(OutboxEvent.id.desc())
        .limit(1)
        .correlate(Subscription, Charge, ChargeAttempt)
        .scalar_subquery()
    )
    return func.coalesce(came_too_late, True)


def collection_day() -> ScalarSelect[date]:
    """In a statement on charges and attempts: from which day the debit may be collected; NULL while nobody was told.

    Not before the day that the notice names, nor sooner after it left than was agreed.
    """
    named_on = cast(OutboxEvent.payload["collect_on"].astext, Date)
    left_on = cast(func.timezone(clock.PARIS.key, Message.sent_at), Date)
    days = cast(OutboxEvent.payload["notice_days"].astext, Integer)
    day = case(
        (_names_no_message(), named_on),
        (Message.status.in_(TOLD), func.greatest(named_on, left_on + days)),
    )
    return (
        select(func.max(day))
        .select_from(OutboxEvent)
        .outerjoin(Message, _is_notice())
        .where(is_of_charge())
        .correlate(Charge, ChargeAttempt)
        .scalar_subquery()
    )


def find_notices(charge_ids: Collection[UUID]) -> dict[UUID, Message]:
    """By charge, the latest notice of the debit that waits for a file; in one query however many there are."""
    statement = (
        select(Charge.id, Message)
        .join(ChargeAttempt, linked(Charge, ChargeAttempt.charge_id))
        .join(OutboxEvent, is_of_charge())
        .join(Message, _is_notice())
        .where(Charge.id.in_(charge_ids), ChargeAttempt.waits_for_file())
        .order_by(OutboxEvent.id)
    )
    return {row[0]: row[1] for row in db.session.execute(statement)}


def print_instead(charge_id: UUID, *, by: User, at: datetime) -> Message:
    """Write the notice of a waiting debit anew, as a letter: the one before did not reach the client.

    Asked twice, it is one letter; one that was cancelled is followed by another.

    Raises NotFoundError, NoticeStateError.
    """
    with transaction():
        row = db.session.execute(
            _waiting()
            .where(Charge.id == charge_id)
            .with_for_update(of=Charge)
            .execution_options(populate_existing=True)
        ).first()
        if row is None:
            raise NotFoundError("Ce prélèvement n’attend plus de fichier.")
        due = _Due(*row)
        notice = find_notices([charge_id]).get(charge_id)
        if notice is not None and notice.channel is Channel.LETTER and notice.status is MessageStatus.QUEUED:
            return notice
        if notice is None or notice.status not in PRINTABLE:
            raise NoticeStateError("L’avis de ce prélèvement est parti, ou part en ce moment.")
        _check_address(due.client_id)
        if notice.status is MessageStatus.HELD:  # else it would leave later, and name a day gone by
            deciding.cancel(notice.id, at=at, by=by)
        _announce([due], letter_after=notice, at=at, by=by.id)
        return find_notices([charge_id])[charge_id]


def make_true(letter_ids: Collection[UUID], *, by: User, at: datetime) -> None:
    """Letters are about to be printed: those that name a day too near by now are written anew, with a later one."""
    waiting = select(Message).where(
        Message.id.in_(letter_ids),
        Message.kind == MessageKind.SEPA_NOTICE,
        Message.channel == Channel.LETTER,
        Message.status == MessageStatus.QUEUED,
    )
    with transaction():
        letters = retaking.load(waiting.order_by(Message.id).with_for_update())
        announced = _find_events(letters)
        happened = []
        for letter in letters:
            draft, event = drafts.restore(letter), announced.get(letter.dedupe_key)
            if event is None or draft.words is not None:
                continue
            collect_on, _ = _when(date.fromisoformat(event.payload["due_on"]), event.payload["notice_days"], at=at)
            if collect_on > date.fromisoformat(event.payload["collect_on"]):
                variables = {**draft.variables, "date_prelevement": collect_on}
                draft = replace(draft, channel=Channel.LETTER, variables=variables)
                deciding.rewrite_letter(letter.id, draft, at=at, by=by)
                happened.append(Emitted(event.subject_id, event.payload | {"collect_on": collect_on.isoformat()}))
        outbox.emit_many(OutboxKind.SEPA_PRENOTIFICATION, happened, at=at)


def _find_events(letters: Sequence[Message]) -> dict[str, OutboxEvent]:
    """By notice, the latest event that says of what it is."""
    subjects = {letter.subject_id for letter in letters}
    of_supplements = select(Charge.subscription_id).where(Charge.id.in_(subjects))
    events = db.session.scalars(
        select(OutboxEvent)
        .where(
            OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION,
            or_(OutboxEvent.subject_id.in_(subjects), OutboxEvent.subject_id.in_(of_supplements)),
            OutboxEvent.payload["notice"].astext.in_([letter.dedupe_key for letter in letters]),
        )
        .order_by(OutboxEvent.id)
    )
    return {event.payload["notice"]: event for event in events}


def _check_address(client_id: UUID) -> None:
    client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
    if not (client.address_line1 and client.postcode and client.city):
        raise NoticeStateError("L’adresse postale du client est incomplète\u202f: complétez-la d’abord.")


def _announce(
    dues: Sequence[_Due], *, at: datetime, letter_after: Message | None = None, by: UUID | None = None
) -> None:
    """Write the notices and what each is of, in sets; by letter in the place of one that did not arrive."""
    if not dues:
        return
    days = {
        row.id: row.notice_days for row in db.session.execute(select(ProviderAccount.id, ProviderAccount.notice_days))
    }
    deciding.replace_outdated({_subject_of(due) for due in dues}, MessageKind.SEPA_NOTICE, at=at)
    written = _draft([(due, *_when(due.due_on, days[due.account_id], at=at)) for due in dues], letter_after)
    writing.write_many(written, at=at, by=by)
    happened = [
        Emitted(due.subscription_id, _payload(due, draft, days[due.account_id]))
        for due, draft in zip(dues, written, strict=True)
    ]
    outbox.emit_many(OutboxKind.SEPA_PRENOTIFICATION, happened, at=at)


def _when(due_on: date, days: int, *, at: datetime) -> tuple[date, datetime]:
    """The day that the notice names, and the instant from which on it would leave too late for it."""
    notice = timedelta(days=days)
    collect_on = max(due_on, at.astimezone(clock.PARIS).date() + LATE_LEAD + notice)
    return collect_on, datetime.combine(collect_on - notice + timedelta(days=1), time(), clock.PARIS)


def _draft(dues: Sequence[tuple[_Due, date, datetime]], letter_after: Message | None) -> list[Draft]:
    names = naming.find_names({due.subscription_id for due, *_ in dues})
    mandates = _find_mandates({due.mandate_id for due, *_ in dues})
    return [
        Draft(
            kind=MessageKind.SEPA_NOTICE,
            company_id=due.company_id,
            client_id=due.client_id,
            subject_id=_subject_of(due),
            occasion=_occasion(due, collect_on, letter_after),
            channel=Channel.LETTER if letter_after else None,
            expires_at=expires_at,
            variables={
                "abonnement": names[due.subscription_id],
                "montant": due.amount,
                "date_prelevement": collect_on,
                **mandates[due.mandate_id],
            },
        )
        for due, collect_on, expires_at in dues
    ]


def _subject_of(due: _Due) -> UUID:
    return due.subscription_id if due.cycle_no is not None else due.charge_id or due.subscription_id


def _occasion(due: _Due, collect_on: date, letter_after: Message | None) -> str:
    parts = ["supplement" if due.cycle_no is None else str(due.cycle_no), str(collect_on), str(due.amount)]
    return ":".join([*parts, *([f"letter.{letter_after.number}"] if letter_after else [])])


def _find_mandates(ids: Collection[UUID]) -> dict[UUID, dict[str, object]]:
    """What a notice says of each mandate."""
    statement = (
        select(Mandate.id, Mandate.umr, BankAccount.iban_masked, ProviderAccount.ics)
        .join(BankAccount, linked(BankAccount, Mandate.bank_account_id))
        .outerjoin(
            ProviderAccount,
            and_(
                ProviderAccount.organisation_id == Mandate.organisation_id,
                ProviderAccount.company_id == Mandate.company_id,
                ProviderAccount.provider == Provider.SEPA_FILE,
            ),
        )
        .where(Mandate.id.in_(ids))
    )
    return {
        row.id: {"rum": row.umr, "ics": row.ics, "iban_fin": f"…{row.iban_masked[-4:]}"}
        for row in db.session.execute(statement)
    }


def _payload(due: _Due, draft: Draft, days: int) -> dict[str, object]:
    payload: dict[str, object] = {
        "cycle_no": due.cycle_no,
        "due_on": due.due_on.isoformat(),
        "collect_on": str(draft.variables["date_prelevement"]),
        "amount": str(due.amount),
        "currency": due.currency,
        "notice": draft.key,
        "notice_days": days,
    }
    if due.cycle_no is None:
        payload["charge_id"] = str(due.charge_id)
    return payload
