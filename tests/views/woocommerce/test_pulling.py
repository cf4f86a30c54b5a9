"""« Tester », « Relever maintenant » and « Reprendre depuis le … » from the page of a shop."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import HTMX, NOW
from tests.services.woocommerce.conftest import Connected, connected, quick, shop  # noqa: F401  fixtures
from tests.woocommerce_rows import make_shop
from webapp.extensions import db
from webapp.models.runs import RunStatus
from webapp.models.woocommerce import PullScope, WooCommercePull
from webapp.services.woocommerce import pulling

pytestmark = pytest.mark.usefixtures("cast")


def address(shop_id: UUID, word: str = "") -> str:
    return f"/integrations/woocommerce/{shop_id}{word}"


def only_pull() -> WooCommercePull:
    db.session.expire_all()
    return db.session.scalars(select(WooCommercePull)).one()


def test_a_shop_that_answers_is_said_to(admin_client: FlaskClient, connected: Connected) -> None:  # noqa: F811
    there = address(connected.row.id)
    page = admin_client.post(f"{there}/essai", follow_redirects=True).text
    assert "La boutique répond" in page
    assert "abilities" in page
    connected.shop.order({"mode": "401"})
    refused = admin_client.post(f"{there}/essai", follow_redirects=True)
    assert refused.status_code == 200
    assert "refuse la clé REST" in refused.text


def test_a_pull_is_started_once_followed_and_told_at_its_end(
    admin_client: FlaskClient,
    connected: Connected,  # noqa: F811
) -> None:
    there = address(connected.row.id)
    started = admin_client.post(f"{there}/releves", headers=HTMX)
    assert started.status_code == 202
    assert 'data-status="running"' in started.text
    assert admin_client.post(f"{there}/releves").status_code == 303
    pull = only_pull()
    assert (pull.scope, pull.requested_by_id is not None) == (PullScope.RECENT, True)
    progress = f"{there}/releves/{pull.id}"
    assert "Le relevé va commencer" in admin_client.get(progress, headers=HTMX).text
    assert "Le relevé va commencer" in admin_client.get(progress).text
    pulling.carry_out(pull.organisation_id, pull.id)
    ended = admin_client.get(progress, headers=HTMX).text
    assert 'data-status="success"' in ended
    assert 'hx-target="#shop-pulls"' in ended
    assert 'data-scope="recent"' in admin_client.get(there).text


def test_what_exists_is_taken_over_from_a_day_on(admin_client: FlaskClient, connected: Connected) -> None:  # noqa: F811
    there = address(connected.row.id)
    assert 'value="2025-10-20"' in admin_client.get(there).text
    assert admin_client.post(f"{there}/reprise", data={"depuis": "2026-01-01"}).status_code == 303
    pull = only_pull()
    assert pull.scope is PullScope.FIRST
    assert pull.since is not None
    assert pull.since.isoformat() == "2025-12-31T23:00:00+00:00"


@pytest.mark.parametrize("day", ["", "hier", "\x00", "2026-12-31", "1999-01-01", "9999-99-99", "2026-01-01T00:00"])
def test_a_day_that_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient,
    connected: Connected,  # noqa: F811
    day: str,
) -> None:
    answer = admin_client.post(address(connected.row.id, "/reprise"), data={"depuis": day})
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 1
    assert db.session.scalar(select(WooCommercePull.id)) is None


def test_nothing_is_pulled_without_a_key_or_from_a_shop_that_is_off(admin_client: FlaskClient) -> None:
    bare = make_shop()
    db.session.commit()
    there = address(bare.id)
    page = admin_client.get(there).text
    assert "pull-shop" not in page
    assert "une notification perdue l’est pour de bon" in page
    assert "Sans clé REST" in admin_client.post(f"{there}/releves").text
    assert "Sans clé REST" in admin_client.post(f"{there}/essai", follow_redirects=True).text
    bare.keep_credentials({"consumer_key": "ck_1", "consumer_secret": "cs_1"})
    bare.is_active = False
    db.session.commit()
    assert "pull-shop" not in admin_client.get(there).text
    assert "désactivée" in admin_client.post(f"{there}/reprise", data={"depuis": "2026-01-01"}).text
    assert db.session.scalar(select(WooCommercePull.id)) is None


def test_a_pull_of_another_shop_is_not_found(manager_client: FlaskClient, connected: Connected) -> None:  # noqa: F811
    other = make_shop(2)
    pull = WooCommercePull(
        shop_id=other.id, scope=PullScope.RECENT, trigger="manual", status=RunStatus.SUCCESS, finished_at=NOW
    )
    db.session.add(pull)
    db.session.commit()
    assert manager_client.get(address(connected.row.id, f"/releves/{pull.id}")).status_code == 404
    assert manager_client.get(address(other.id, f"/releves/{pull.id}")).status_code == 200
