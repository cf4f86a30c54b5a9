"""Where a subscription's things go: its own address, then the client's delivery address, then the main one."""

from typing import Any

import pytest

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.services.fulfilment import addresses
from webapp.services.fulfilment.addresses import Destination, find_destination

MAIN = {"address_line1": "1 rue du Port", "postcode": "59000", "city": "Lille", "phone": "+33639981234"}
DELIVERY = {"delivery_line1": "2 quai Ouest", "delivery_postcode": "62100", "delivery_city": "Calais"}
OWN = {
    "delivery_line1": "3 Hauptstraße",
    "delivery_line2": "Hof",
    "delivery_postcode": "10115",
    "delivery_city": "Berlin",
    "delivery_country": "DE",
}

pytestmark = pytest.mark.usefixtures("cast")


def _find(client: dict[str, Any], own: dict[str, Any] | None = None) -> Destination:
    person = factories.ClientFactory(first_name="Zoé", last_name="MARTIN", email="zoe@example.org", **client)
    subscription = factories.SubscriptionFactory(client_id=person.id, **(own or {}))
    db.session.commit()
    return find_destination(subscription.id)


def test_the_main_address_is_that_of_a_client_without_another() -> None:
    assert _find(MAIN) == Destination(
        origin=addresses.MAIN,
        recipient="Zoé MARTIN",
        company=None,
        line1="1 rue du Port",
        line2=None,
        postcode="59000",
        city="Lille",
        country="FR",
        phone="+33639981234",
        email="zoe@example.org",
        instructions=None,
        gift_message=None,
    )


def test_the_delivery_address_goes_before_it_whole() -> None:
    found = _find(MAIN | {"address_line2": "Bâtiment B"} | DELIVERY)
    assert (found.origin, found.line1, found.line2, found.city) == (addresses.DELIVERY, "2 quai Ouest", None, "Calais")


@pytest.mark.parametrize("part", [*DELIVERY, "delivery_line2"])
def test_a_part_of_a_delivery_address_is_one_that_lacks_the_rest(part: str) -> None:
    found = _find(MAIN | {part: "62100"})
    assert found.origin == addresses.DELIVERY
    assert sorted((found.line1 or "", found.line2 or "", found.postcode or "", found.city or "")) == [
        "",
        "",
        "",
        "62100",
    ]


@pytest.mark.parametrize("address", [MAIN, MAIN | DELIVERY])
def test_the_clients_recipient_and_instructions_hold_for_both_addresses(address: dict[str, Any]) -> None:
    found = _find(address | {"delivery_name": "Gardien", "delivery_instructions": "Code 12A"})
    assert (found.recipient, found.instructions) == ("Gardien", "Code 12A")


def test_a_gift_goes_to_its_own_address_whole() -> None:
    client = MAIN | DELIVERY | {"delivery_name": "Gardien", "delivery_instructions": "Code 12A"}
    found = _find(client, OWN | {"delivery_name": "Jo Weber", "delivery_company": "Weber GmbH"})
    assert (found.origin, found.recipient, found.company) == (addresses.OWN, "Jo Weber", "Weber GmbH")
    assert (found.line1, found.line2, found.postcode) == ("3 Hauptstraße", "Hof", "10115")
    assert (found.city, found.country, found.instructions) == ("Berlin", "DE", None)
    assert found.phone == "+33639981234"
    assert _find(MAIN, OWN | {"delivery_phone": "+4930123456"}).phone == "+4930123456"
    assert _find(MAIN, OWN).recipient == "Zoé MARTIN"
    assert _find(MAIN, {"gift_message": "Bon anniversaire"}).gift_message == "Bon anniversaire"


def test_a_client_without_a_name_has_no_recipient() -> None:
    person = factories.ClientFactory(first_name="", last_name="")
    subscription = factories.SubscriptionFactory(client_id=person.id)
    db.session.commit()
    assert find_destination(subscription.id).recipient is None


def test_many_are_found_by_one_statement_within_the_organisation(cast: Cast) -> None:
    for _ in range(3):
        _find(MAIN)
    with recorded_queries() as queries:
        rows = db.session.execute(addresses.select_destinations()).all()
    assert (len(rows), len(queries)) == (3, 1)
    with tenancy.organisation(cast.outsider.organisation_id):
        assert db.session.execute(addresses.select_destinations()).all() == []
