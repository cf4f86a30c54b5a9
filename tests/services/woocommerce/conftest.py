"""A pretend shop that answers, connected to the default company of the cast's organisation; and one that is told of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from demo.woocommerce_shop import Shop
from tests import factories
from tests import woocommerce_shop as shops
from tests.conftest import Cast
from tests.services.woocommerce.telling import Teller, make_shop
from webapp import clock
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.base import new_id
from webapp.models.runs import RunTrigger
from webapp.models.woocommerce import PullScope, WooCommercePull, WooCommerceShop
from webapp.services.woocommerce import pulling, pulls


@dataclass(frozen=True)
class Connected:
    """The pretend shop, and the row that leads to it."""

    shop: Shop
    row: WooCommerceShop


def connect(shop: Shop) -> WooCommerceShop:
    """Its row, with keys, for a company of the current organisation that sells in the shop's currency."""
    company = factories.default_company()
    row = WooCommerceShop(
        id=new_id(), company_id=company.id, name="La boutique", url=shop.url, source=shop.url.split("/")[2]
    )
    row.created_at = clock.now()
    row.keep_credentials({"consumer_key": shop.manners.key, "consumer_secret": shop.manners.secret})
    db.session.add(row)
    db.session.flush()
    return row


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pace and short pauses: what these are for is tested with the gateway."""
    monkeypatch.setattr(woocommerce, "REQUESTS_PER_SECOND", 10_000)
    monkeypatch.setattr(woocommerce, "RETRY_PAUSE", 0.01)


@pytest.fixture
def shop(quick: None) -> Iterator[Shop]:
    """A pretend shop with nothing in it but articles."""
    with shops.running() as running:
        yield running


@pytest.fixture
def connected(cast: Cast, shop: Shop) -> Connected:
    """It, connected."""
    row = connect(shop)
    db.session.commit()
    return Connected(shop, row)


Pull = Callable[..., WooCommercePull]


@pytest.fixture
def pull(cast: Cast, connected: Connected) -> Pull:
    """A pull from click to end; returns it as it ended."""

    def run(scope: PullScope = PullScope.RECENT, **options: object) -> WooCommercePull:
        pull_id, _ = pulls.start(
            connected.row.id,
            scope=scope,
            trigger=RunTrigger.MANUAL,
            at=clock.now(),
            by=cast.manager.id,
            enqueue=False,
            **options,  # type: ignore[arg-type]
        )
        pulling.carry_out(cast.organisation.id, pull_id)
        db.session.expire_all()
        ended = pulls.find_pull(pull_id)
        assert ended
        return ended

    return run


@pytest.fixture
def company_id(organisation_id: UUID) -> UUID:
    """A company that a shop belongs to."""
    company_id: UUID = factories.CompanyFactory().id
    return company_id


@pytest.fixture
def teller(company_id: UUID) -> Teller:
    """Tells what a shop says, without the engine of events."""
    return Teller(make_shop(company_id))
