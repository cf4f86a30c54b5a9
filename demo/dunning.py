"""Unpaid clients of the demo organisation, and the cases that their charges have opened.

Called when the demo subscriptions are made; each case is lived through day by day, as the timetable would have done.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeStatus, RefusalClass
from webapp.models.clients import Client
from webapp.models.messages import Channel, Message, MessageStatus
from webapp.models.money import totals
from webapp.models.providers import ProviderAccount
from webapp.models.subscriptions import Subscription
from webapp.services.charges import effects
from webapp.services.dunning import cases, steps
from webapp.services.messages import letters, telling
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields
from webapp.services.subscriptions.terms import find_terms

NOON = 12
POSTED_AFTER = 30
"""Of those who owe for longer, in days, the letters were posted."""
REGISTERED_NO = "1A 200 000 0000 1"


class Unpaid(NamedTuple):
    """What was sold at which price, and how many days ago it was refused, in which words."""

    offer: str
    price: str
    days_ago: int
    words: str


STORIES = (
    Unpaid("Box café maison", "39.00", 2, "Fonds insuffisants"),
    Unpaid("Fibre 2 Gb/s", "39.99", 5, "Carte expirée"),
    Unpaid("Électricité verte", "89.90", 12, "Fonds insuffisants"),
    Unpaid("Gaz sérénité", "64.50", 35, "Compte clos"),
)


def is_shipped(offer: str) -> bool:
    """Whether what the demo sells under that name comes in a parcel: insurance, energy and telecom do not."""
    return offer.startswith("Box")


def add_unpaid(account: ProviderAccount, *, at: datetime) -> None:
    """Make a subscription with a refused charge for some clients who have none, and live their cases up to ``at``."""
    has_one = select(Subscription.client_id)
    statement = select(Client).where(Client.source.is_(None), Client.id.not_in(has_one)).order_by(Client.created_at)
    for story, client in zip(STORIES, db.session.scalars(statement.limit(len(STORIES))).all(), strict=False):
        _tell(story, client, account, at=at)


def _tell(story: Unpaid, client: Client, account: ProviderAccount, *, at: datetime) -> None:
    refused_at = (at - timedelta(days=story.days_ago)).replace(hour=NOON, minute=0)
    line = SubscriptionLineFields(
        label=story.offer, unit_price=Decimal(story.price), vat_rate=Decimal(20), is_shipped=is_shipped(story.offer)
    )
    subscription = create_subscription(
        SubscriptionFields(
            client_id=client.id,
            frequency="monthly",
            anchor_date=refused_at.date(),
            lines=[line],
            payment=PaymentFields(),
        ),
        by=None,
        at=refused_at - timedelta(days=30),
    )
    lifecycle.activate(subscription.id, by=None, at=refused_at - timedelta(days=30))
    charge = _refused_charge(story, subscription, account, at=refused_at)
    cases.review_charge(charge.id, at=refused_at)
    for day in range(story.days_ago):
        steps_at = refused_at + timedelta(days=day + 1, hours=-1)
        steps.carry_out_steps(at=steps_at)
        _leave(charge.client_id, posts=story.days_ago > POSTED_AFTER, at=steps_at)


def _leave(client_id: UUID, *, posts: bool, at: datetime) -> None:
    """What was written that day has left that day: nothing of the past is sent when the demo begins."""
    waiting = select(Message).where(Message.client_id == client_id, Message.status == MessageStatus.QUEUED)
    for message in db.session.scalars(waiting).all():
        if message.channel is not Channel.LETTER:
            message.status, message.sent_at = MessageStatus.SENT, at
            telling.tell([message.id], at=at)
        elif posts:
            letters.mark_posted([message.id], registered={message.id: REGISTERED_NO}, of_cases=True, at=at, by=None)
    db.session.flush()


def _refused_charge(story: Unpaid, subscription: Subscription, account: ProviderAccount, *, at: datetime) -> Charge:
    price = Decimal(story.price)
    total = totals([(Decimal(20), price)])
    charge = Charge(
        id=new_id(),
        subscription_id=subscription.id,
        cycle_no=subscription.cycle_no,
        client_id=subscription.client_id,
        company_id=subscription.company_id,
        reference=f"{subscription.id}:{at:%Y-%m-%d}",
        due_on=at.date(),
        period_start=at.date(),
        period_end=at.date() + timedelta(days=30),
        amount_before_tax=total.before_tax,
        vat=total.as_json(),
        amount=total.with_tax,
        lines=find_terms(subscription).recurring_lines(),
        status=ChargeStatus.SENDING,
        attempts_count=1,
        first_refused_at=at,
        created_at=at,
    )
    attempt = ChargeAttempt(
        charge_id=charge.id,
        number=1,
        provider_account_id=account.id,
        provider=account.provider,
        amount=charge.amount,
        status=AttemptStatus.REFUSED,
        refusal=RefusalClass.HARD,
        provider_message=story.words,
        first_sent_at=at,
        last_sent_at=at,
        settled_at=at,
        created_at=at,
        sends=1,
    )
    db.session.add(charge)
    db.session.flush()
    db.session.add(attempt)
    effects.advance(charge, subscription)
    effects.leave_to_person(charge, subscription, Attention.REFUSED, story.words, at=at)
    db.session.flush()
    return charge
