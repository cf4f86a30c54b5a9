"""The page of what payment providers have told us: reasons shown, bodies never, and a person's two decisions."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import HTMX
from tests.queries import recorded_queries
from webapp import queue
from webapp.extensions import db
from webapp.models.provider_events import WebhookEvent, WebhookState
from webapp.models.providers import Provider
from webapp.services.provider_events import listing
from webapp.services.provider_events.webhooks import UNKNOWN_PAYMENT

PAGE = "/prelevements/notifications"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BODY = b"Mme Dupont, FR14 2004"
pytestmark = pytest.mark.usefixtures("cast")

FAILED: dict[str, Any] = {"error": UNKNOWN_PAYMENT, "attempts": 3}
HANDLED: dict[str, Any] = {"handled_at": NOON}


def make_event(number: int = 0, provider: Provider = Provider.SANDBOX, **values: Any) -> WebhookEvent:
    account = factories.ProviderAccountFactory._meta.model
    known = db.session.scalars(select(account).where(account.provider == provider)).first()
    event = WebhookEvent(
        provider_account_id=(known or factories.ProviderAccountFactory(provider=provider)).id,
        event_id=f"evt_{number}_{uuid4().hex[:6]}",
        kind="payment.changed",
        body=BODY,
        received_at=NOON + timedelta(minutes=number),
        next_attempt_at=NOON + timedelta(days=1),
        **values,
    )
    db.session.add(event)
    db.session.commit()
    return event


def reload(event: WebhookEvent) -> WebhookEvent:
    db.session.expire_all()
    return db.session.scalars(select(WebhookEvent).where(WebhookEvent.id == event.id)).one()


def shown(page: str) -> list[UUID]:
    return [UUID(each) for each in re.findall(r'data-event-id="([^"]+)"', page)]


def test_a_commercial_sees_and_does_nothing(client: FlaskClient) -> None:
    event = make_event(**FAILED)
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}/{event.id}/reessayer").status_code == 403
    assert client.post(f"{PAGE}/{event.id}/classer").status_code == 403
    assert reload(event).state is WebhookState.FAILED


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient) -> None:
    event = make_event(**FAILED)
    assert shown(outsider_client.get(PAGE).text) == []
    assert outsider_client.post(f"{PAGE}/{event.id}/reessayer").status_code == 404
    assert outsider_client.post(f"{PAGE}/{event.id}/classer").status_code == 404
    assert reload(event).next_attempt_at == NOON + timedelta(days=1)
    assert reload(event).state is WebhookState.FAILED


def test_the_latest_come_first_with_the_reason_of_those_that_failed(manager_client: FlaskClient) -> None:
    waiting, failed, handled = make_event(0), make_event(1, **FAILED), make_event(2, **HANDLED)
    page = manager_client.get(PAGE).text
    assert shown(page) == [handled.id, failed.id, waiting.id]
    assert UNKNOWN_PAYMENT in page
    assert failed.event_id in page
    assert "payment.changed" in page
    assert page.count('data-action="retry"') == 1


def test_the_body_is_not_shown(manager_client: FlaskClient) -> None:
    make_event(**FAILED)
    assert "Dupont" not in manager_client.get(PAGE).text


def test_events_are_narrowed_by_state_and_provider(manager_client: FlaskClient) -> None:
    waiting, failed = make_event(0), make_event(1, **FAILED)
    handled, closed = make_event(2, Provider.STRIPE, **HANDLED), make_event(3, **HANDLED, **FAILED)
    for query, wanted in {
        "etat=waiting": [waiting.id],
        "etat=failed": [failed.id],
        "etat=handled": [closed.id, handled.id],
        "etat=handled&prestataire=stripe": [handled.id],
        "etat=nul&prestataire=paypal&apres=%00": [closed.id, handled.id, failed.id, waiting.id],
    }.items():
        assert shown(manager_client.get(f"{PAGE}?{query}", headers=HTMX).text) == wanted, query


def test_the_address_names_only_the_filters_that_filter(manager_client: FlaskClient) -> None:
    headers = HTMX | {"HX-Source": "form#notifications-filters"}
    answer = manager_client.get(f"{PAGE}?etat=failed&prestataire=", headers=headers)
    assert answer.headers["HX-Push-Url"] == f"{PAGE}?etat=failed"


def test_pages_follow_each_other(manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.list_events, "__kwdefaults__", {"size": 2})
    made = [make_event(number, **FAILED) for number in range(3)]
    first = manager_client.get(f"{PAGE}?etat=failed").text
    assert shown(first) == [made[2].id, made[1].id]
    following = re.findall(r'href="([^"]+apres=[^"]+)"', first)[0].replace("&amp;", "&")
    assert shown(manager_client.get(following).text) == [made[0].id]


def test_a_failed_event_is_tried_again_at_once(manager_client: FlaskClient) -> None:
    event = make_event(**FAILED)
    answer = manager_client.post(f"{PAGE}/{event.id}/reessayer")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}?etat=failed")
    assert reload(event).next_attempt_at < NOON + timedelta(days=1)
    assert [job.func_name for job in queue.queue("payments").jobs] == ["jobs.payments.handle_webhooks"]


def test_a_closed_event_is_tried_no_more(manager_client: FlaskClient) -> None:
    event = make_event(**FAILED)
    assert manager_client.post(f"{PAGE}/{event.id}/classer").status_code == 303
    assert reload(event).state is WebhookState.CLOSED
    refused = manager_client.post(f"{PAGE}/{event.id}/reessayer")
    assert refused.status_code == 409
    assert "déjà traitée" in refused.text


def test_the_number_of_queries_does_not_grow_with_the_rows(manager_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            manager_client.get(PAGE)
        return len(statements)

    make_event(**FAILED)
    few = queries()
    for number in range(5):
        make_event(number, Provider.STRIPE, **FAILED)
    assert queries() == few
