"""kill -9 of real workers at every point of a charge: nothing is captured twice, and nothing is forgotten."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.services.charges.crashing import MortalLedger, fork_worker, was_killed, work
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.payments import protocol
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.payments import Payment, Provider
from webapp.services.payments import accounts

START = datetime(2026, 2, 1, 8, tzinfo=UTC)
ROUND = timedelta(minutes=7)
"""Longer than a lease, and than the provider's longest delay."""
DUE_PER_ROUND = 3
POINTS = 26
"""A worker with three charges passes about as many points."""
MODES = ("succeed", "succeed", "succeed", "timeout", "lost")


class Toll(NamedTuple):
    """How a loop of crashes ended."""

    kills: int
    doubles: int
    lost: int


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MortalLedger:
    """The provider behind every account, shared by all processes."""
    found = MortalLedger(tmp_path / "provider.sqlite")

    def provider_for(kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta) -> protocol.Provider:
        return found

    monkeypatch.setattr(accounts, "provider_for", provider_for)
    return found


@pytest.fixture
def organisation_id(committed: None) -> Iterator[UUID]:
    """An organisation whose rows are really committed."""
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    db.session.commit()
    yield organisation.id
    clock.start_at(None)


def subscribe(rounds: int) -> int:
    """So many subscriptions due in each round; returns how many in all."""
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=2)
    for number in range(rounds * DUE_PER_ROUND):
        client = factories.ClientFactory()
        saved = factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=account.id)
        subscription = factories.SubscriptionFactory(
            client_id=client.id,
            anchor_date=date(2026, 2, 1),
            recurring_amount=Decimal(20),
            payment_method=PaymentMethod.CARD,
            saved_method_id=saved.id,
            provider_account_id=account.id,
            next_charge_on=date(2026, 2, 1),
            next_charge_at=START + number // DUE_PER_ROUND * ROUND,
        )
        factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return rounds * DUE_PER_ROUND


def recover(organisation_id: UUID, ledger: MortalLedger, at: datetime) -> None:
    """Let time pass, with a provider and workers that are well again."""
    ledger.behave("succeed")
    for _ in range(5):
        clock.start_at(at)
        work(organisation_id, ledger, fatal=None, die=lambda: None)
        at += timedelta(minutes=65)  # what is unknown for long is looked up hourly


def toll(organisation_id: UUID, ledger: MortalLedger, kills: int, expected: int) -> Toll:
    """What the provider captured, against what was to be captured and what our ledger says."""
    captures = [(subscription, cycle) for subscription, cycle, _ in ledger.captures()]
    statement = select(func.count()).where(Charge.organisation_id == organisation_id)
    paid = db.session.execute(statement.where(Charge.status == ChargeStatus.SUCCEEDED)).scalar_one()
    booked = db.session.execute(select(func.count()).where(Payment.organisation_id == organisation_id)).scalar_one()
    lost = max(expected - paid, abs(booked - len(captures)), expected - len(set(captures)))
    return Toll(kills, len(captures) - len(set(captures)), lost)


def crash_warm(organisation_id: UUID, ledger: MortalLedger, rounds: int, chance: random.Random) -> tuple[int, datetime]:
    """Two forked workers in each round, each with a fatal point of its own; returns how many died, and until when."""
    kills, at = 0, START
    db.session.remove()
    for _ in range(rounds):
        clock.start_at(at)
        ledger.behave(chance.choice(MODES))
        workers = [fork_worker(organisation_id, ledger, fatal=chance.randrange(POINTS)) for _ in range(2)]
        kills += sum([was_killed(worker) for worker in workers])
        at += ROUND
    return kills, at


def test_workers_forked_from_a_warm_parent(app: Flask, organisation_id: UUID, ledger: MortalLedger) -> None:
    rounds = 110
    expected = subscribe(rounds)
    kills, at = crash_warm(organisation_id, ledger, rounds, random.Random(2026))
    recover(organisation_id, ledger, at)
    assert toll(organisation_id, ledger, kills, expected) == Toll(kills, doubles=0, lost=0)
    assert kills >= 150, "most of the fatal points are reached"


def test_workers_from_cold(settings: Settings, organisation_id: UUID, ledger: MortalLedger) -> None:
    rounds = 5
    expected = subscribe(rounds)
    environment = {
        **os.environ,
        "CRM_ENV": "test",
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "CRM_DATA_KEYS": settings.crm_data_keys,
        "OIDC_ISSUER": settings.oidc_issuer,
        "OIDC_CLIENT_SECRET": settings.oidc_client_secret,
        "WINLEADPLUS_CLIENT_SECRET": settings.winleadplus_client_secret,
        "EXTERNAL_API_URL": settings.external_api_url,
    }
    kills, at = 0, START
    for number in range(rounds):
        workers = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.services.charges.crashing", str(organisation_id)),
                    *(str(ledger._path), "succeed", at.isoformat(), str(fatal)),
                ],
                env=environment,
            )
            for fatal in (2 * number + 4, 2 * number + 5)
        ]
        for worker in workers:
            assert worker.wait() in (0, -9)
            kills += worker.returncode == -9
        at += ROUND
    recover(organisation_id, ledger, at)
    assert toll(organisation_id, ledger, kills, expected) == Toll(kills, doubles=0, lost=0)
    assert kills >= 5
