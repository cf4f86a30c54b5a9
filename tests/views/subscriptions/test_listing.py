"""The list of subscriptions: what its address says is what it shows."""

import re
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus


def make(name: str = "MARTIN", price: str = "20.00", **values: object) -> Subscription:
    client = factories.ClientFactory(last_name=name, first_name="Zoé", commercial_id=values.pop("commercial_id", None))
    subscription: Subscription = factories.SubscriptionFactory(
        client_id=client.id, recurring_amount=Decimal(price), **values
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id, unit_price=Decimal(price))
    db.session.commit()
    return subscription


def ids(page: str) -> list[str]:
    return re.findall(r'data-testid="subscription-row"\s+data-subscription-id="([^"]+)"', page)


def count(page: str) -> int:
    (number,) = re.findall(r'data-testid="result-count"\s+data-count="(\d+)"', page)
    return int(number)


def test_the_list_shows_each_subscription_and_what_all_bring_in_a_month(cast: Cast, client: FlaskClient) -> None:
    first = make("MARTIN", "20.00")
    make("DURAND", "120.00", frequency=Frequency.ANNUAL)
    page = client.get("/abonnements").text
    assert count(page) == 2
    assert str(first.id) in ids(page)
    assert "MARTIN Zoé" in page or "Zoé MARTIN" in page
    assert "30,00\xa0€ HT par mois" in page


def test_an_outsider_sees_none(cast: Cast, outsider_client: FlaskClient) -> None:
    make()
    page = outsider_client.get("/abonnements").text
    assert ids(page) == []
    assert count(page) == 0


def test_the_address_narrows_the_list(cast: Cast, client: FlaskClient) -> None:
    paused = make("ALPHA", status=SubscriptionStatus.PAUSED, frequency=Frequency.WEEKLY)
    ours = make("BETA", commercial_id=cast.sales_rep.id)
    queries: dict[str, list[UUID]] = {
        "statut=paused": [paused.id],
        "frequence=weekly": [paused.id],
        f"commercial={cast.sales_rep.id}": [ours.id],
        "commercial=sans-commercial": [paused.id],
        "q=beta": [ours.id],
        f"client={paused.client_id}": [paused.id],
        f"societe={paused.company_id}": [ours.id, paused.id],
        f"societe={uuid4()}": [],
        "tri=echeance": [paused.id, ours.id],
    }
    for query, expected in queries.items():
        page = client.get(f"/abonnements?{query}").text
        assert ids(page) == [str(each) for each in expected], query
        assert count(page) == len(expected)


@pytest.mark.parametrize("query", ["statut=perdu&frequence=jamais&commercial=x&societe=1&client=2&tri=z&apres=%00"])
def test_what_cannot_be_read_is_ignored(cast: Cast, client: FlaskClient, query: str) -> None:
    made = make()
    assert ids(client.get(f"/abonnements?{query}").text) == [str(made.id)]


def test_pages_follow_each_other_without_gap_or_double(cast: Cast, client: FlaskClient) -> None:
    made = {str(make().id) for _ in range(53)}
    page = client.get("/abonnements").text
    following = re.findall(r'data-testid="next-page"\s+href="([^"]+)"', page)[0].replace("&amp;", "&")
    second = client.get(following, headers=HTMX).text
    assert len(ids(page)) == 50
    assert set(ids(page)) | set(ids(second)) == made
    assert count(second) == 53
    assert 'id="page-first"' in second


def test_the_number_of_queries_does_not_grow_with_the_rows(cast: Cast, client: FlaskClient) -> None:
    def queries() -> int:
        with recorded_queries() as statements:
            client.get("/abonnements")
        return len(statements)

    make()
    few = queries()
    for _ in range(8):
        make()
    assert queries() == few
