"""kill -9 of real workers, before and after every commit and call, as often as one likes. Not a measure of time: what
counts is that nothing is captured twice (doubles) and nothing forgotten (lost).
"""

import random
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
from flask import Flask
from sqlalchemy import select

from bench.databases import open_database, settings_of
from bench.report import Line, Report
from demo import payment_provider
from demo.payment_bank import Bank
from tests import factories
from tests.services.charges.crash_loop import crash_warm, recover, subscribe, toll
from tests.services.charges.crashing import MortalLedger
from tests.services.means_requests import setup_loop
from tests.services.means_requests.setup_loop import MortalSandbox, SetupToll
from tests.services.refunds import refund_loop
from tests.services.refunds.refund_loop import RefundToll
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.gateways.providers import registry
from webapp.models.charges import Charge, ChargeStatus
from webapp.services.invoices import finalising
from webapp.services.providers import accounts

WORKERS_PER_ROUND = 2
SEED = 1
SECRET = "the-secret-of-the-benchmark"  # noqa: S105  of a provider that takes nobody’s money


def run(size: int = 200) -> Report:
    """Start about ``size`` workers, each with a point to die at."""
    app = create_app(settings_of(open_database("crm_bench_crashes", _leave_empty, "SELECT false")))
    with app.app_context(), tempfile.TemporaryDirectory() as folder:
        ledger = MortalLedger(Path(folder) / "provider.sqlite")
        accounts.provider_for = lambda *_, **__: ledger  # type: ignore[assignment]
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        organisation_id, rounds, start = organisation.id, size // WORKERS_PER_ROUND, time.perf_counter()
        expected = subscribe(rounds)
        kills, at = crash_warm(organisation_id, ledger, rounds, random.Random(SEED))
        recover(organisation_id, ledger, at)
        found = toll(organisation_id, ledger, kills, expected)
        refunds = _kill_refunds(organisation_id, ledger, rounds)
        db.session.remove()
        setups = _kill_setups(app, rounds)
    limits = {"doubles": 0, "lost": 0}
    given_back = {"doubles": refunds.doubles, "lost": refunds.lost}
    set_up = {"doubles": setups.doubles, "lost": setups.lost}
    counts = {"doubles": found.doubles, "lost": found.lost, "left to a person": found.left_to_person}
    return Report(
        "crashes",
        size,
        [
            Line("kills", found.kills, unit="", details=counts, detail_limits=limits),
            Line("kills, refunding", refunds.kills, unit="", details=given_back, detail_limits=limits),
            Line("kills, setting up means", setups.kills, unit="", details=set_up, detail_limits=limits),
        ],
        [f"{expected:,} charges, {time.perf_counter() - start:.0f} s"],
    )


def _kill_refunds(organisation_id: UUID, ledger: MortalLedger, rounds: int) -> RefundToll:
    """As many workers again, while each charge of the rounds is refunded in part."""
    finalising.finalise_drafts(organisation_id, at=clock.now())
    charges = db.session.scalars(select(Charge).where(Charge.status == ChargeStatus.SUCCEEDED).limit(rounds)).all()
    refund_loop.ask_for_each(charges, Decimal(10))
    kills = refund_loop.crash_refunds(organisation_id, ledger, rounds, random.Random(SEED))
    refund_loop.recover(organisation_id, ledger)
    return refund_loop.toll(organisation_id, ledger, kills)


def _kill_setups(app: Flask, rounds: int) -> SetupToll:
    """As many processes again, while each of so many clients gives a card and pays."""
    bank = Bank(secret=SECRET)
    server = payment_provider.start(bank, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = {"payment_sandbox_url": f"http://127.0.0.1:{server.port}", "payment_sandbox_secret": SECRET}
    registry.Sandbox = MortalSandbox  # type: ignore[misc]
    registry.use(app.extensions["settings"].model_copy(update=address))
    accounts.provider_for = registry.provider_for
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    organisation_id = organisation.id
    tokens = setup_loop.ask_clients(rounds)
    kills = setup_loop.crash_setups(organisation_id, bank, tokens, random.Random(SEED))
    setup_loop.recover(organisation_id, tokens)
    found = setup_loop.toll(organisation_id, bank, kills)
    db.session.remove()
    server.shutdown()
    return found


def _leave_empty(_owner: psycopg.Connection) -> None:
    """The loop makes its own rows."""
