"""kill -9 of a pull before and after every commit: what was committed stands, the rest is read again."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from demo.woocommerce_shop import Shop
from tests import factories
from tests import woocommerce_shop as shops
from tests.forking import was_killed
from tests.services.charges.crashing import fork_dying
from tests.services.woocommerce.conftest import connect
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, WooCommerceResource
from webapp.services.woocommerce import pulling, pulls

BEFORE_COMMITS = range(0, 40, 2)
"""Claim, abilities, pages, the end: each has a point before and after it; what follows one comes before the next."""


@pytest.fixture
def mortal(committed: None, quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Shop, UUID, UUID]]:
    """A pretend shop of a few pages, its row really committed: the shop, the organisation, the row's id."""
    monkeypatch.setattr(woocommerce, "PER_PAGE", 4)
    monkeypatch.setattr(pulling, "PER_PAGE", 4)
    monkeypatch.setattr(pulling, "AT_ONCE", 3)
    with shops.running() as shop:
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        shop.world.populate(3, months=1)
        row = connect(shop)
        db.session.commit()
        yield shop, organisation.id, row.id


def kill_at(organisation_id: UUID, pull_id: UUID, fatal: int) -> bool:
    """Pull in a process of its own that dies at the point; whether it came to it."""
    return was_killed(fork_dying(lambda _: pulling.carry_out(organisation_id, pull_id), fatal=fatal))


def test_a_killed_pull_goes_on_where_it_was(mortal: tuple[Shop, UUID, UUID]) -> None:
    shop, organisation_id, shop_id = mortal
    killed, asked = 0, []
    for fatal in BEFORE_COMMITS:
        db.session.execute(WooCommerceResource.__table__.delete())
        tenancy.enter_organisation(organisation_id)
        pull_id, _ = pulls.start(
            shop_id,
            scope=PullScope.FIRST,
            trigger=RunTrigger.MANUAL,
            at=clock.now(),
            since=clock.now() - timedelta(days=60),
            enqueue=False,
        )
        db.session.commit()
        was = kill_at(organisation_id, pull_id, fatal)
        killed += was
        clock.start_at(clock.now() + pulls.LEASE + timedelta(minutes=1))
        shop.manners.asked.clear()
        pulling.carry_out(organisation_id, pull_id)
        asked.append(len(shop.manners.asked))
        tenancy.enter_organisation(organisation_id)
        db.session.expire_all()
        ended = pulls.find_pull(pull_id)
        assert ended, fatal
        assert (ended.status, ended.failed) == (RunStatus.SUCCESS, 0), fatal
        kept = set(db.session.scalars(select(WooCommerceResource.woo_id)))
        world = shop.world.bodies
        assert kept == {*world["orders"], *world["subscriptions"], *world["customers"]}, fatal
        db.session.commit()
        if not was:
            break
    assert killed >= 8, "commits of claim, pages and end are reached"
    assert asked[killed - 1] < asked[0] / 4, "pages that were committed are not read again"
