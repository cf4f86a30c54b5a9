"""``flask woocommerce events`` and ``retry``."""

import json
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests import factories
from tests.conftest import Cast
from tests.services.woocommerce.deliveries import deliver, events, make_signed_shop
from tests.services.woocommerce.test_handling import LATER, product, renewal
from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.woocommerce import handling, receiving


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    """A shop that has told of a product, of rubbish and of a renewal whose subscription is to come."""
    clock.start_at(LATER)
    shop = make_signed_shop(factories.default_company().id)
    deliver(product())
    deliver(b"{", "order.updated")
    deliver(renewal(), "order.created")
    handling.handle_due(cast.organisation.id)
    db.session.commit()
    tenancy.enter_organisation(None)
    return shop


def run(app: Flask, cast: Cast, *arguments: str, slug: str | None = None) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(
        args=["woocommerce", *arguments, "--organisation", slug or cast.organisation.slug], catch_exceptions=False
    )
    return result.exit_code, result.output


def told(app: Flask, cast: Cast, *arguments: str, slug: str | None = None) -> Any:
    code, output = run(app, cast, *arguments, "--json", slug=slug)
    assert code == 0, output
    return json.loads(output)


def states(cast: Cast) -> dict[str, EventState]:
    with tenancy.organisation(cast.organisation.id):
        return {event.topic: event.state for event in events()}


def test_events_are_listed_the_latest_first(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    page = told(app, cast, "events")
    assert page["next"] is None
    assert [(each["topic"], each["resource_id"], each["state"]) for each in page["events"]] == [
        ("order.created", 90, "waiting"),
        ("order.updated", None, "failed"),
        ("product.updated", 11, "done"),
    ]
    assert page["events"][0]["shop"] == "savons.example"
    assert page["events"][0]["reason"].startswith("Attend ")
    code, output = run(app, cast, "events")
    assert (code, len(output.splitlines())) == (0, 3)
    assert "Les Savons  product.updated  n°\u00a011  Traité" in output


def test_a_body_is_never_shown(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    for arguments in (["events"], ["events", "--json"]):
        assert 'Savon"' not in run(app, cast, *arguments)[1]


def test_events_are_filtered_and_paged(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    assert [each["state"] for each in told(app, cast, "events", "--state", "failed")["events"]] == ["failed"]
    assert [each["state"] for each in told(app, cast, "events", "--topic", "product.updated")["events"]] == ["done"]
    assert len(told(app, cast, "events", "--shop", "Les Savons")["events"]) == 3
    first = told(app, cast, "events", "--limit", "2")
    second = told(app, cast, "events", "--limit", "2", "--after", first["next"])
    ids = [each["id"] for page in (first, second) for each in page["events"]]
    assert (len(ids), len(set(ids)), second["next"]) == (3, 3, None)
    assert f"--after {first['next']}" in run(app, cast, "events", "--limit", "2")[1]
    assert run(app, cast, "events", "--shop", "Ailleurs") == (1, "Error: Cette boutique n’existe pas.\n")


def test_one_event_is_retried(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    line = queue.queue(receiving.QUEUE)
    line.connection.flushdb()
    (failed,) = told(app, cast, "events", "--state", "failed")["events"]
    assert run(app, cast, "retry", failed["id"]) == (0, "1 événement sera repris.\n")
    assert states(cast)["order.updated"] is EventState.RECEIVED
    assert [job.args for job in line.jobs] == [[str(cast.organisation.id)]]
    handling.handle_due(cast.organisation.id)
    assert states(cast)["order.updated"] is EventState.FAILED


def test_all_of_a_filter_are_retried(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    assert told(app, cast, "retry", "--all", "--state", "failed") == {"retried": 1}
    assert states(cast)["order.created"] is EventState.WAITING
    handling.handle_due(cast.organisation.id)
    assert run(app, cast, "retry", "--all") == (0, "2 événements seront repris.\n")
    assert states(cast)["product.updated"] is EventState.DONE, "what is handled stays so"


def test_what_cannot_be_retried_says_so(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    (done,) = told(app, cast, "events", "--state", "done")["events"]
    code, output = run(app, cast, "retry", done["id"])
    assert (code, "ni en échec ni en attente" in output) == (1, True)
    assert run(app, cast, "retry", str(uuid4())) == (1, "Error: Cet événement n’existe pas ou plus.\n")
    assert run(app, cast, "retry", "x")[0] == 2
    assert run(app, cast, "retry")[1] == "Error: Donnez l’identifiant d’un événement, ou --all.\n"
    assert run(app, cast, "retry", done["id"], "--all")[0] == 1
    assert run(app, cast, "retry", done["id"], "--state", "failed")[1] == "Error: Les filtres vont avec --all.\n"


def test_another_organisation_sees_and_retries_nothing(app: Flask, cast: Cast, shop: WooCommerceShop) -> None:
    (failed,) = told(app, cast, "events", "--state", "failed")["events"]
    elsewhere = cast.other_organisation.slug
    assert told(app, cast, "events", slug=elsewhere)["events"] == []
    assert told(app, cast, "retry", "--all", slug=elsewhere) == {"retried": 0}
    assert run(app, cast, "retry", failed["id"], slug=elsewhere)[0] == 1
    assert states(cast)["order.updated"] is EventState.FAILED
