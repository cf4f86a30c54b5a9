"""Subscriptions carry their client's present commercial, whoever changes what at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions.listing import SubscriptionsView, count_subscriptions

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def _commercials() -> dict[UUID, UUID | None]:
    rows = db.session.execute(select(Subscription.id, Subscription.commercial_id))
    return {row.id: row.commercial_id for row in rows}


def test_a_subscription_follows_its_client(cast: Cast) -> None:
    client = factories.ClientFactory(commercial_id=cast.sales_rep.id)
    other = factories.CommercialFactory()
    subscription = factories.SubscriptionFactory(client_id=client.id)
    assert _commercials() == {subscription.id: cast.sales_rep.id}
    assert count_subscriptions(SubscriptionsView(commercial=cast.sales_rep.id)).number == 1
    client.commercial_id = other.id
    db.session.flush()
    assert _commercials() == {subscription.id: other.id}
    client.commercial_id = None
    db.session.flush()
    assert _commercials() == {subscription.id: None}
    assert count_subscriptions(SubscriptionsView(commercial="sans-commercial")).number == 1


@pytest.mark.parametrize("is_client_first", [True, False])
def test_who_sells_while_the_client_changes_hands_waits(
    committed: None, settings: Settings, is_client_first: bool
) -> None:
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    company = factories.CompanyFactory(is_default=True)
    before, after = factories.CommercialFactory(), factories.CommercialFactory()
    client = factories.ClientFactory(commercial_id=before.id)
    db.session.commit()
    ids = {"organisation": organisation.id, "company": company.id, "client": client.id, "after": after.id}
    sell: tuple[str, Any] = (
        "INSERT INTO subscriptions (organisation_id, id, company_id, client_id, status, frequency, anchor_date,"
        " changed_at, created_at) VALUES (%(organisation)s, gen_random_uuid(), %(company)s, %(client)s, 'active',"
        " 'monthly', '2026-01-01', now(), now())",
        ids,
    )
    hand_over: tuple[str, Any] = ("UPDATE clients SET commercial_id = %(after)s WHERE id = %(client)s", ids)
    first, second = (hand_over, sell) if is_client_first else (sell, hand_over)
    address = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(address) as one:
        one.execute(*first)
        later = threads.submit(_execute, address, second)
        _await_waiting(address)
        one.commit()
        later.result(timeout=10)
    assert list(_commercials().values()) == [after.id]


def _execute(address: str, statement: tuple[str, Any]) -> None:
    with psycopg.connect(address) as connection:
        connection.execute(*statement)


def _await_waiting(address: str) -> None:
    """Until the second one waits for the first."""
    with psycopg.connect(address, autocommit=True) as watcher:
        for _ in range(1000):
            if watcher.execute(WAITING).fetchone():
                return
            watcher.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits")
