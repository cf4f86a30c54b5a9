"""Termination: shown and explained before it is written down, told to the client, withdrawn before its day."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import HTMX, Cast
from tests.services.claims.files import make_cover
from tests.services.covers.test_following import deliver
from tests.views.covers.test_page import NOON
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import ChargeStatus
from webapp.models.covers import Cover, CoverCause, CoverKind, CoverTermination
from webapp.models.messages import Message, MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.covers import loading
from webapp.services.message_triggers import subscriptions as triggers
from webapp.services.subscriptions import lifecycle

MOVE = {"moyen": "letter", "motif": "move", "recue": "2026-11-20", "evenement": "2026-11-15"}
ENDS = "2026-12-21"


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    """Since 10 January, insured, paid until 10 January for 30 €."""
    made = make_cover(cast.commercial)
    charge = factories.ChargeFactory(
        subscription_id=made.subscription_id,
        client_id=made.client_id,
        status=ChargeStatus.SUCCEEDED,
        due_on=date(2026, 12, 1),
        period_start=date(2026, 12, 1),
        period_end=date(2027, 1, 1),
        amount=Decimal("31.00"),
    )
    db.session.add(
        Payment(
            company_id=charge.company_id,
            charge_id=charge.id,
            client_id=made.client_id,
            kind=PaymentKind.CAPTURE,
            amount=Decimal("31.00"),
            happened_at=NOON,
        )
    )
    db.session.commit()
    return made


def send(browser: FlaskClient, cover: Cover, **values: str) -> Any:
    form = MOVE | {"fin": ENDS, "resiliation": str(new_id())} | values
    return browser.post(f"/couvertures/{cover.id}/resiliation", data=form)


def messages(kind: MessageKind) -> list[Message]:
    return list(db.session.scalars(select(Message).where(Message.kind == kind)))


def test_the_end_is_shown_and_explained_before_anything_is_written(client: FlaskClient, cover: Cover) -> None:
    address = f"/couvertures/{cover.id}/resiliation"
    assert 'data-testid="ending-form"' in client.get(address).text
    shown = client.get(address, query_string=MOVE, headers=HTMX).text
    assert f'data-ends="{ENDS}"' in shown
    assert 'data-owed="11.00"' in shown  # eleven of the thirty-one days that are paid
    assert "un mois après la réception du 20/11/2026" in shown
    assert "L113-16" in shown
    refused = send(client, cover, fin="")
    assert refused.status_code == 422
    assert f'value="{ENDS}"' in refused.text
    assert db.session.query(CoverTermination).count() == 0


def test_whoever_may_still_renounce_is_told_so(client: FlaskClient, cast: Cast) -> None:
    clock.start_at(datetime(2026, 1, 12, 12, tzinfo=UTC))
    fresh = make_cover(cast.commercial)
    page = client.get(f"/couvertures/{fresh.id}/resiliation")
    assert page.status_code == 200
    assert "Jusqu’au 24/01/2026, le client peut renoncer sans motif" in page.text
    assert f'href="/couvertures/{fresh.id}/renonciation"' in page.text


def test_a_termination_ends_subscription_and_cover_on_its_day_and_is_told_once(
    client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    token = str(new_id())
    assert send(client, cover, resiliation=token).status_code == 303
    assert send(client, cover, resiliation=token).status_code == 303  # pressed twice
    made = db.session.scalars(select(CoverTermination)).one()
    assert (made.user_id, made.received_on, made.ends_on) == (
        cast.commercial.id,
        date(2026, 11, 20),
        date(2026, 12, 21),
    )
    assert loading.find_cover(cover.id).subscription.cancels_on == date(2026, 12, 21)
    (message,) = messages(MessageKind.COVER_TERMINATED)
    assert message.client_id == cover.client_id
    told = select(TimelineEvent).where(TimelineEvent.kind == EventKind.COVER_CHANGED)
    assert "Déménagement, lettre du 20/11/2026" in str(db.session.scalars(told).one().changes)
    page = client.get(f"/couvertures/{cover.id}").text
    assert "Déménagement, fin le 21/12/2026" in page
    assert 'data-testid="terminate"' not in page

    lifecycle.end_due(at=datetime(2026, 12, 20, 22, 30, tzinfo=UTC))
    assert loading.find_cover(cover.id).subscription.status is SubscriptionStatus.ACTIVE
    lifecycle.end_due(at=datetime(2026, 12, 20, 23, 30, tzinfo=UTC))  # half an hour into the day in Paris
    deliver(cover)
    ended = loading.find_cover(cover.id)
    last = loading.life_of(ended).intervals[-1]
    assert (last.kind, last.cause, last.note) == (CoverKind.ENDED, CoverCause.TERMINATION, "Déménagement")
    for event in db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "subscription.canceled")):
        triggers.tell_canceled(event)
    assert messages(MessageKind.SUBSCRIPTION_CANCELED) == []  # the confirmation has said it


def test_before_its_day_it_is_withdrawn_and_everything_goes_on(client: FlaskClient, cover: Cover) -> None:
    send(client, cover)
    address = f"/couvertures/{cover.id}/resiliation"
    assert client.post(f"{address}/retrait", data={"motif": " "}).status_code == 422
    assert client.post(f"{address}/retrait", data={"motif": "Il reste"}).status_code == 303
    kept = loading.find_cover(cover.id)
    assert (kept.termination, kept.subscription.cancels_on) == (None, None)
    assert len(messages(MessageKind.COVER_KEPT)) == 1
    assert client.post(f"{address}/retrait", data={"motif": "Encore"}).status_code == 409
    assert send(client, cover).status_code == 303  # another one may follow


def test_withdrawn_on_the_subscription_it_stands_no_more(client: FlaskClient, cast: Cast, cover: Cover) -> None:
    send(client, cover)
    lifecycle.withdraw_cancellation(cover.subscription_id, by=cast.manager, at=NOON)
    assert loading.find_cover(cover.id).termination is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"motif": "fraud", "fin": "2026-11-20"}, "Dites en quelques mots"),
        ({"moyen": "pigeon"}, "par quel moyen"),
        ({"fin": "2026-12-20"}, "Vérifiez la date de fin"),
        ({"note": "x" * 501}, "500 caractères"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    client: FlaskClient, cover: Cover, values: dict[str, str], words: str
) -> None:
    answer = send(client, cover, **values)
    assert answer.status_code == 422
    assert words in answer.text
    assert db.session.query(CoverTermination).count() == 0


def test_a_second_one_is_refused_while_the_first_stands(client: FlaskClient, cover: Cover) -> None:
    send(client, cover)
    again = send(client, cover)
    assert again.status_code == 409
    assert "prend déjà fin le 21/12/2026" in again.text


def test_fraud_ends_at_once_and_gives_nothing_back(client: FlaskClient, cover: Cover) -> None:
    assert send(client, cover, motif="fraud", fin="2026-11-20", note="Fausse facture").status_code == 303
    assert loading.find_cover(cover.id).subscription.status is SubscriptionStatus.CANCELED
    page = client.get(f"/couvertures/{cover.id}/resiliation").text
    assert "Fausse facture" in page
    assert 'data-testid="owed-back"' not in page
    assert 'data-testid="withdraw-form"' not in page


def test_what_is_late_ends_today_and_is_owed_back_from_its_own_day(client: FlaskClient, cover: Cover) -> None:
    day = "2026-10-14"
    assert send(client, cover, recue=day, evenement=day, fin="2026-11-20").status_code == 303
    made = db.session.scalars(select(CoverTermination)).one()
    assert (made.due_on, made.ends_on) == (date(2026, 11, 15), date(2026, 11, 20))
    page = client.get(f"/couvertures/{cover.id}/resiliation").text
    assert re.search(r'data-testid="owed-back".*?31,00\s€', page, re.DOTALL)  # December, which was paid


@pytest.mark.parametrize("table", ["cover_terminations", "cover_termination_withdrawals"])
def test_terminations_are_only_ever_added_to(client: FlaskClient, cover: Cover, table: str) -> None:
    send(client, cover)
    client.post(f"/couvertures/{cover.id}/resiliation/retrait", data={"motif": "Il reste"})
    with pytest.raises(DBAPIError, match="is only ever added to"):
        db.session.execute(db.text(f"UPDATE {table} SET at = now()"))


def test_an_outsider_ends_nothing_of_ours(outsider_client: FlaskClient, cover: Cover) -> None:
    address = f"/couvertures/{cover.id}/resiliation"
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.get(address, query_string=MOVE, headers=HTMX).status_code == 404
    assert send(outsider_client, cover).status_code == 404
    assert outsider_client.post(f"{address}/retrait", data={"motif": "x"}).status_code == 404


@pytest.mark.parametrize(("motive", "asked"), [("move", "Rembourser 11,00\u00a0€ TTC"), ("fraud", None)])
def test_somebody_is_asked_once_to_give_back_what_was_paid_for_the_days_after(
    client: FlaskClient, cover: Cover, motive: str, asked: str | None
) -> None:
    ends = "2026-11-20" if motive == "fraud" else ENDS
    assert send(client, cover, motif=motive, note="Fausse adresse", fin=ends).status_code == 303
    assert db.session.query(Task).count() == 0, "it may be withdrawn until then"
    lifecycle.end_due(at=datetime(2026, 12, 21, 12, tzinfo=UTC))
    deliver(cover)
    deliver(cover)
    titles = [task.title for task in db.session.scalars(select(Task))]
    assert [title.partition("\u202f:")[0] for title in titles] == ([asked] if asked else [])
