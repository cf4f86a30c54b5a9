"""kill -9 of real workers at every point of a charge: nothing is captured twice, and nothing is forgotten."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask

from tests import factories
from tests.examples import IS_THOROUGH, some
from tests.services.charges.crash_loop import ROUND, START, Toll, crash_warm, recover, subscribe, toll
from tests.services.charges.crashing import MortalLedger
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.models.providers import Provider
from webapp.services.providers import accounts


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MortalLedger:
    """The provider behind every account, shared by all processes."""
    found = MortalLedger(tmp_path / "provider.sqlite")

    def provider_for(
        kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta
    ) -> protocol.PaymentProvider:
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


def test_workers_forked_from_a_warm_parent(app: Flask, organisation_id: UUID, ledger: MortalLedger) -> None:
    rounds = some(110)
    expected = subscribe(rounds)
    kills, at = crash_warm(organisation_id, ledger, rounds, random.Random(2026))
    recover(organisation_id, ledger, at)
    assert toll(organisation_id, ledger, kills, expected) == Toll(kills, doubles=0, lost=0, left_to_person=0)
    assert kills >= rounds * 15 // 11, "most of the fatal points are reached"


def test_workers_from_cold(settings: Settings, organisation_id: UUID, ledger: MortalLedger) -> None:
    fatal_points = [(5, 12)] if not IS_THOROUGH else [(2 * n + 4, 2 * n + 5) for n in range(5)]
    rounds = len(fatal_points)
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
    for points in fatal_points:
        workers = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.services.charges.crashing", str(organisation_id)),
                    *(str(ledger._path), "succeed", at.isoformat(), str(fatal)),
                ],
                env=environment,
            )
            for fatal in points
        ]
        for worker in workers:
            assert worker.wait() in (0, -9)
            kills += worker.returncode == -9
        at += ROUND
    recover(organisation_id, ledger, at)
    assert toll(organisation_id, ledger, kills, expected) == Toll(kills, doubles=0, lost=0, left_to_person=0)
    assert kills >= rounds
