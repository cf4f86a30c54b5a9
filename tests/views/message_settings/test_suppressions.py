"""« Adresses bloquées »: seen, blocked by hand, and let go by admins."""

import html

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import NOW
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.messages import Suppression, SuppressionReason
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.messages import suppressing

PAGE = "/reglages/messages/adresses-bloquees"
pytestmark = pytest.mark.usefixtures("cast")


def standing() -> list[Suppression]:
    db.session.expire_all()
    return db.session.query(Suppression).filter(Suppression.lifted_at.is_(None)).all()


def test_an_admin_blocks_and_lets_go(admin_client: FlaskClient) -> None:
    person = factories.ClientFactory(email="lea@example.org")
    answer = admin_client.post(PAGE, data={"adresse": "Lea@Example.org "})
    assert (answer.status_code, answer.location) == (303, PAGE)
    shown = admin_client.get(PAGE).text
    assert "lea@example.org" in shown
    assert SuppressionReason.BY_HAND.label in html.unescape(shown)
    [suppression] = standing()
    assert admin_client.post(f"{PAGE}/{suppression.id}/deblocage").status_code == 303
    assert standing() == []
    kinds = [event.kind for event in db.session.query(TimelineEvent).filter_by(client_id=person.id)]
    assert kinds == [EventKind.ADDRESS_SUPPRESSED, EventKind.ADDRESS_LIFTED]


def test_blocked_twice_it_is_one_row(admin_client: FlaskClient) -> None:
    for written in ("06 39 98 12 34", "+33639981234"):
        admin_client.post(PAGE, data={"adresse": written})
    assert len(standing()) == 1
    assert "déjà bloquée" in admin_client.get(PAGE).text


@pytest.mark.parametrize("written", ["", "lea", "lea@", "\0", "a@b.example\r\nc", "x" * 10_000, "12", "@"])
def test_what_is_no_address_is_refused(admin_client: FlaskClient, written: str) -> None:
    answer = admin_client.post(PAGE, data={"adresse": written})
    assert answer.status_code == 422
    assert 'id="adresse-error"' in answer.text
    assert standing() == []


def test_only_admins_see_and_change_it(client: FlaskClient, manager_client: FlaskClient) -> None:
    suppressing.suppress("lea@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=NOW)
    [suppression] = standing()
    for browser in (client, manager_client):
        assert browser.get(PAGE).status_code == 403
        assert browser.post(PAGE, data={"adresse": "max@example.org"}).status_code == 403
        assert browser.post(f"{PAGE}/{suppression.id}/deblocage").status_code == 403
    assert len(standing()) == 1


def test_an_outsider_sees_and_lets_go_of_nothing(outsider_client: FlaskClient) -> None:
    suppressing.suppress("lea@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=NOW)
    [suppression] = standing()
    assert "lea@example.org" not in outsider_client.get(PAGE).text
    assert outsider_client.post(f"{PAGE}/{suppression.id}/deblocage").status_code == 404
    assert len(standing()) == 1


def test_the_number_of_queries_does_not_grow_with_the_rows(admin_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            admin_client.get(PAGE)
        return len(statements)

    suppressing.suppress("lea0@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=NOW)
    few = queries()
    for number in range(1, 6):
        suppressing.suppress(f"lea{number}@example.org", SuppressionReason.COMPLAINT, message_id=None, at=NOW)
    assert queries() == few
