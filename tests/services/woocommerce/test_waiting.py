"""Whoever waits for a shop holds nothing of the database meanwhile."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from demo import woocommerce_rest
from tests import factories
from tests import woocommerce_shop as shops
from tests.services.woocommerce.conftest import Connected, connect
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, ResourceKind
from webapp.services.woocommerce import fetching, pulling, pulls, trying

_OPEN_TRANSACTIONS = text(
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
)


@pytest.fixture
def connected(committed: None, quick: None) -> Iterator[Connected]:
    """A pretend shop with a few pages, really committed."""
    with shops.running() as shop:
        tenancy.enter_organisation(factories.OrganisationFactory().id)
        factories.CompanyFactory(is_default=True)
        shop.world.populate(2, months=1)
        row = connect(shop)
        db.session.commit()
        yield Connected(shop, row)


@pytest.fixture
def seen(connected: Connected, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """What the shop sees while it answers: of each request, the last query of each open transaction of ours."""
    looks: list[list[str]] = []
    engine = create_engine(settings.database_url)  # a role sees what its own connections do

    def look(_manners: woocommerce_rest.Manners) -> None:
        with engine.connect() as connection:
            looks.append(list(connection.scalars(_OPEN_TRANSACTIONS)))

    monkeypatch.setitem(woocommerce_rest.FAULTS, "slow", look)
    connected.shop.order({"mode": "slow"})
    yield looks
    engine.dispose()


def test_nobody_waits_for_the_shop_in_a_transaction(connected: Connected, seen: list[list[str]]) -> None:
    shop_id, organisation_id = connected.row.id, connected.row.organisation_id
    trying.try_shop(shop_id, at=clock.now())
    tried = len(seen)
    order_id = next(iter(connected.shop.world.bodies["orders"]))
    fetching.fetch(connected.row, ResourceKind.ORDER, order_id)
    fetched = len(seen)
    for scope in (PullScope.FIRST, PullScope.NIGHTLY):
        since = clock.now() - timedelta(days=60) if scope is PullScope.FIRST else None
        options = {"scope": scope, "trigger": RunTrigger.MANUAL, "at": clock.now(), "since": since, "enqueue": False}
        pull_id, _ = pulls.start(shop_id, **options)  # type: ignore[arg-type]
        pulling.carry_out(organisation_id, pull_id)
        tenancy.enter_organisation(organisation_id)
        pull = pulls.find_pull(pull_id)
        assert pull is not None
        assert pull.status is RunStatus.SUCCESS
        clock.start_at(clock.now() + timedelta(days=1))
    assert 0 < tried < fetched < len(seen)
    assert [each for each in seen if each] == []
