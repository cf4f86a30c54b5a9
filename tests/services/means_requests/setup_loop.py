"""A loop of clients who give their card and pay, whose processes are killed. Also ``bin/bench crashes``."""

import random
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import httpx
from sqlalchemy import select

from demo.payment_bank import Bank
from tests import factories
from tests.forking import was_killed
from tests.services.charges.crashing import CrashPoints, fork_dying
from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.gateways.providers.sandbox import Sandbox
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.payments import Payment
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.means_requests import commands, looking, visiting
from webapp.services.means_requests.commands import RequestFields
from webapp.services.subscriptions import scheduling

POINTS = 16
"""Opening a link, answering, and two looks: commits and calls, each with a point before and after it."""
MODES = ("ok", "ok", "timeout", "drop")
ADDRESS = "https://crm.example"


class SetupToll(NamedTuple):
    """How a loop ended: paid or kept twice; paid and not booked, or not come to its end."""

    kills: int
    doubles: int
    lost: int


class MortalSandbox(Sandbox):
    """A gateway whose process may die on the way there, or on the way back."""

    points: CrashPoints | None = None

    def _ask(self, *args: object, **kwargs: object) -> object:
        if MortalSandbox.points:
            MortalSandbox.points.pass_one()
        answer = super()._ask(*args, **kwargs)  # type: ignore[arg-type]
        if MortalSandbox.points:
            MortalSandbox.points.pass_one()
        return answer


def ask_clients(rounds: int) -> list[str]:
    """So many clients, each asked for a card and the first payment of a new subscription; their tokens."""
    account, user = factories.ProviderAccountFactory(), factories.UserFactory(roles=["admin"])
    tokens = []
    for _ in range(rounds):
        client = factories.ClientFactory()
        subscription = factories.SubscriptionFactory(
            client_id=client.id,
            status=SubscriptionStatus.PENDING,
            anchor_date=date(2026, 11, 20),
            recurring_amount=Decimal("20.00"),
        )
        factories.SubscriptionLineFactory(subscription_id=subscription.id, unit_price=Decimal("20.00"))
        scheduling.schedule(subscription, 0)
        fields = RequestFields(account_id=account.id, subscription_id=subscription.id, takes_payment=True)
        request = commands.create_request(client.id, fields, by=user, at=clock.now())
        tokens.append(request.token_in_clear())
    db.session.commit()
    return tokens


def crash_setups(organisation_id: UUID, bank: Bank, tokens: list[str], chance: random.Random) -> int:
    """Two forked processes for each client, each with a fatal point of its own; returns how many died."""
    kills = 0
    for token in tokens:
        bank.order({"mode": chance.choice(MODES), "delay": 0.05})
        workers = [_fork(organisation_id, token, fatal=chance.randrange(POINTS)) for _ in range(2)]
        kills += sum([was_killed(worker) for worker in workers])
        clock.start_at(clock.now() + timedelta(minutes=1))
    bank.order({"mode": "ok"})
    return kills


def _fork(organisation_id: UUID, token: str, *, fatal: int) -> int:
    def begin(points: CrashPoints) -> None:
        MortalSandbox.points = points
        with suppress(DomainError):
            live(organisation_id, token)

    return fork_dying(begin, fatal=fatal)


def live(organisation_id: UUID, token: str) -> None:
    """The client follows the link and answers; then the provider is asked what became of it."""
    visit = visiting.open_link(token, return_url=ADDRESS, leave_url=ADDRESS, at=clock.now())
    if visit.url:
        httpx.post(visit.url, data={"choice": "card"}, trust_env=False)
    looking.look_at_due(organisation_id, at=clock.now() + timedelta(hours=1))


def recover(organisation_id: UUID, tokens: list[str]) -> None:
    """Everybody is well again, and comes back; then time passes."""
    for token in tokens:
        live(organisation_id, token)
    clock.start_at(clock.now() + timedelta(hours=6))
    while looking.look_at_due(organisation_id, at=clock.now()):
        pass


def toll(organisation_id: UUID, bank: Bank, kills: int) -> SetupToll:
    """What the provider captured and keeps, against what we booked and keep."""
    captures = [row["subscription"] for row in bank.ledger()["captures"]]
    with tenancy.organisation(organisation_id):
        requests = db.session.scalars(select(MeansRequest)).all()
        saved = db.session.scalars(select(SavedPaymentMethod.client_id)).all()
        booked = db.session.scalars(select(Payment.amount)).all()
        active = db.session.scalars(
            select(Subscription.id).where(Subscription.status == SubscriptionStatus.ACTIVE)
        ).all()
    doubles = len(captures) - len(set(captures)) + len(saved) - len(set(saved))
    done = sum(request.status is MeansRequestStatus.DONE for request in requests)
    lost = len(requests) - done + abs(len(booked) - len(captures)) + len(requests) - len(active)
    return SetupToll(kills, doubles, lost)
