"""Renunciation: within fourteen days a cover is given up, and what was paid is owed back, less the days of a claim."""

import html
import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import declare
from tests.views.covers.test_page import NOON
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.covers import Cover, CoverCause, CoverKind, HomeKind, Occupancy
from webapp.models.messages import Message, MessageKind
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.tasks import Task
from webapp.services.covers import loading, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.message_triggers import subscriptions

pytestmark = pytest.mark.usefixtures("cast")
HOME = HomeFields(
    kind=HomeKind.FLAT, occupancy=Occupancy.TENANT, address_line1="3 rue du Port", postcode="59000", city="Lille"
)


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    """One that was agreed on 15 November, without waiting, and paid until 15 December: 30 € for thirty days."""
    version = factories.CoverPlanVersionFactory(waiting_days=0)
    subscription: Subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id)
    charge: Charge = factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        status=ChargeStatus.SUCCEEDED,
        due_on=date(2026, 11, 15),
        period_start=date(2026, 11, 15),
        period_end=date(2026, 12, 15),
        amount_before_tax=Decimal("27.52"),
        amount=Decimal("30.00"),
    )
    db.session.add(
        Payment(
            company_id=charge.company_id,
            charge_id=charge.id,
            client_id=charge.client_id,
            kind=PaymentKind.CAPTURE,
            amount=Decimal("30.00"),
            happened_at=NOON,
        )
    )
    db.session.flush()
    day = date(2026, 11, 15)
    asked = CoverRequest(version_id=version.id, home=HOME, concluded_on=day, effective_on=day)
    made = selling.add_cover(subscription.id, asked, by=cast.admin, at=NOON)
    db.session.commit()
    return made


def owed(browser: FlaskClient, cover: Cover) -> str:
    found = re.search(r'data-amount="([\d.]+)"', browser.get(f"/couvertures/{cover.id}/renonciation").text)
    assert found
    return found[1]


def confirmations() -> list[str]:
    """What the client is told of a renunciation."""
    messages = db.session.scalars(select(Message).where(Message.kind == MessageKind.COVER_RENOUNCED))
    return [html.unescape(message.content_in_clear()["body"]) for message in messages]


def last_plan(cover: Cover) -> str:
    return loading.find_cover(cover.id).periods[-1].version.plan.label


def test_the_client_is_told_of_it_once(client: FlaskClient, cover: Cover) -> None:
    """The confirmation of the renunciation stands in the place of that of a cancellation."""
    client.post(f"/couvertures/{cover.id}/renonciation")
    for event in db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CANCELED)):
        subscriptions.tell_canceled(event)
    kinds = db.session.scalars(select(Message.kind)).all()
    assert kinds == [MessageKind.COVER_RENOUNCED]


def test_all_that_was_paid_is_owed_back_and_the_cover_ends(client: FlaskClient, cover: Cover) -> None:
    assert 'data-testid="renounce"' in client.get(f"/couvertures/{cover.id}").text
    assert owed(client, cover) == "30.00"
    assert client.post(f"/couvertures/{cover.id}/renonciation").status_code == 303
    ended = loading.find_cover(cover.id)
    assert ended.subscription.status is SubscriptionStatus.CANCELED
    last = loading.life_of(ended).intervals[-1]
    assert (last.kind, last.cause) == (CoverKind.ENDED, CoverCause.RENUNCIATION)
    (task,) = db.session.scalars(select(Task))
    assert task.title == f"Rembourser 30,00\u00a0€ TTC\u202f: renonciation à la couverture {cover.code}"
    assert client.post(f"/couvertures/{cover.id}/renonciation").status_code == 409
    assert db.session.query(Task).count() == 1
    (told,) = confirmations()
    assert f"renoncé à votre couverture {last_plan(cover)} ({cover.code})" in told
    assert "à partir du **20 novembre 2026** plus rien n’est couvert" in told
    assert "Tout ce que vous avez payé vous est remboursé. Vous recevez **30,00\u00a0€**" in told
    page = client.get(f"/couvertures/{cover.id}").text
    assert "Renonciation" in page
    assert 'data-testid="renounce"' not in page


def test_after_a_claim_that_was_covered_the_days_used_are_kept(client: FlaskClient, cast: Cast, cover: Cover) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    assert client.get(f"/couvertures/{cover.id}/renonciation").status_code == 409
    for word in ("commencer", "clore"):
        version = re.search(r'name="version" value="(\d+)"', client.get(f"/dossiers/{claim.id}?action={word}").text)
        assert version
        client.post(f"/dossiers/{claim.id}/{word}", data={"version": version[1]})
    assert owed(client, cover) == "24.00"  # six days of thirty, today among them, are used
    client.post(f"/couvertures/{cover.id}/renonciation")
    (told,) = confirmations()
    assert "les jours passés restent dus, le reste vous est remboursé. Vous recevez **24,00\u00a0€**" in told


@pytest.mark.parametrize(("later", "status"), [(9, 200), (10, 409)])
def test_the_fourteenth_day_is_the_last(client: FlaskClient, cover: Cover, later: int, status: int) -> None:
    clock.start_at(NOON + timedelta(days=later))
    answer = client.get(f"/couvertures/{cover.id}/renonciation")
    assert answer.status_code == status
    if status == 409:
        assert "On pouvait renoncer jusqu’au 29/11/2026" in answer.text
        assert client.post(f"/couvertures/{cover.id}/renonciation").status_code == 409
        assert loading.find_cover(cover.id).subscription.status is SubscriptionStatus.ACTIVE


def test_twice_it_is_refused(client: FlaskClient, cover: Cover) -> None:
    address = f"/couvertures/{cover.id}/renonciation"
    client.post(address)
    again = client.post(address)
    assert again.status_code == 409
    assert "Cette couverture est terminée" in again.text


def test_an_outsider_renounces_nothing_of_ours(outsider_client: FlaskClient, cover: Cover) -> None:
    address = f"/couvertures/{cover.id}/renonciation"
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address).status_code == 404
