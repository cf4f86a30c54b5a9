"""Another home by the company's cut-off: before it at once, after it from the next cycle; what refuses one."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import declare, make_cover
from tests.views.covers.test_page import HOME, NOON
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.covers import Cover, CoverHome
from webapp.models.subscriptions import Subscription
from webapp.services.covers import loading
from webapp.services.subscriptions import scheduling

MOVED = HOME | {"adresse": "8 quai des Brumes", "code_postal": "76600", "ville": "Le Havre"}
BEFORE, AFTER = datetime(2026, 11, 23, 10, 59, tzinfo=UTC), datetime(2026, 11, 23, 11, tzinfo=UTC)
"""The cut-off is on Monday at noon in Paris."""


@pytest.fixture
def cover(cast: Cast) -> Cover:
    """Paid on Friday, 20 November, for a month."""
    clock.start_at(NOON)
    made = make_cover(cast.commercial)
    subscription = db.session.get_one(Subscription, (made.organisation_id, made.subscription_id))
    subscription.anchor_date = date(2026, 11, 20)
    factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        status=ChargeStatus.SUCCEEDED,
        cycle_no=0,
        due_on=date(2026, 11, 20),
        settled_at=NOON,
        period_start=date(2026, 11, 20),
        period_end=date(2026, 12, 20),
    )
    scheduling.schedule(subscription, 1)
    db.session.commit()
    return made


def send(browser: FlaskClient, cover: Cover, **values: str) -> Any:
    return browser.post(f"/couvertures/{cover.id}/logement", data=MOVED | values)


@pytest.mark.parametrize(
    ("at", "wished", "since"),
    [
        (BEFORE, "", "2026-11-23"),
        (BEFORE, "2026-11-30", "2026-11-30"),
        (BEFORE, "2026-11-01", "2026-11-20"),
        (AFTER, "", "2026-12-20"),
        (AFTER, "2026-12-01", "2026-12-20"),
        (AFTER, "2027-01-05", "2027-01-05"),
    ],
)
def test_the_cut_off_says_from_when_on_it_holds(
    client: FlaskClient, cover: Cover, at: datetime, wished: str, since: str
) -> None:
    clock.start_at(at)
    shown = send(client, cover, depuis=wished)
    assert f'data-since="{since}"' in shown.text
    assert db.session.query(CoverHome).count() == 1
    assert send(client, cover, depuis=wished, montre=since).status_code == 303
    assert loading.find_cover(cover.id).homes[-1].since == date.fromisoformat(since)


def test_what_was_shown_before_the_cut_off_is_shown_again_after_it(client: FlaskClient, cover: Cover) -> None:
    clock.start_at(AFTER)
    late = send(client, cover, montre="2026-11-23")
    assert late.status_code == 422
    assert "Vérifiez à partir de quel jour" in late.text
    assert db.session.query(CoverHome).count() == 1


def test_neither_where_the_plan_is_not_sold_nor_with_a_claim_open(
    client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    refused = send(client, cover, type="")
    assert refused.status_code == 422
    declare(cover, cast.commercial)
    opened = send(client, cover)
    assert opened.status_code == 409
    assert "Un sinistre est ouvert" in opened.text
    assert db.session.query(CoverHome).count() == 1
