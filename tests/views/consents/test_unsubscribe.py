"""The page of the link to unsubscribe, and the one click of a mail program."""

import html

import pytest
from flask.testing import FlaskClient
from limits.storage import RedisStorage

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.consents.conftest import note
from webapp import tenancy
from webapp.extensions import db, limiter
from webapp.models.clients import Client
from webapp.models.consents import Consent, ConsentPurpose, ConsentState
from webapp.services.consents.listing import find_present
from webapp.services.consents.unsubscribing import make_token
from webapp.views.consents.unsubscribe import PACE_OF_LINK

EMAIL = ConsentPurpose.PROSPECTION_EMAIL


@pytest.fixture
def subject(cast: Cast) -> Client:
    """A client who gave a consent."""
    client: Client = factories.ClientFactory(last_name="DUPONT-LAJOIE")
    note(client, cast, at=NOW)
    db.session.commit()
    return client


def _address(client: Client) -> str:
    return f"/desabonnement/{make_token(client.id, EMAIL)}"


def _state(client: Client) -> ConsentState | None:
    db.session.expire_all()
    present = find_present(client.id)[EMAIL]
    return present.state if present else None


def test_to_follow_the_link_changes_nothing(stranger: FlaskClient, subject: Client, cast: Cast) -> None:
    address = _address(subject)
    page = stranger.get(address)
    assert page.status_code == 200
    assert cast.organisation.name in page.text
    assert "d’offres par e-mail" in html.unescape(page.text)
    assert "DUPONT" not in page.text
    assert stranger.head(address).status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Cache-Control"] == "no-store"
    assert _state(subject) is ConsentState.GIVEN


def test_the_button_withdraws(stranger: FlaskClient, subject: Client) -> None:
    address = _address(subject)
    answer = stranger.post(address)
    assert answer.status_code == 200
    assert "Vous ne recevrez plus" in answer.text
    assert _state(subject) is ConsentState.WITHDRAWN
    page = stranger.get(address).text
    assert "<form" not in page
    assert "Vous ne recevrez plus" in page


def test_a_mail_program_does_it_with_one_click(stranger: FlaskClient, subject: Client) -> None:
    answer = stranger.post(_address(subject), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert _state(subject) is ConsentState.WITHDRAWN


def test_somebody_signed_in_elsewhere_does_it_for_the_client_alone(
    outsider_client: FlaskClient, subject: Client, cast: Cast
) -> None:
    assert outsider_client.post(_address(subject)).status_code == 200
    assert _state(subject) is ConsentState.WITHDRAWN
    with tenancy.organisation(cast.other_organisation.id):
        assert db.session.query(Consent).count() == 0


@pytest.mark.parametrize("token", ["x", "A" * 66, "%00", "é", "%2e%2e"])
def test_an_unknown_link_says_what_to_do_instead(stranger: FlaskClient, cast: Cast, token: str) -> None:
    for answer in (stranger.get(f"/desabonnement/{token}"), stranger.post(f"/desabonnement/{token}")):
        assert answer.status_code == 404
        assert "en répondant à ce message" in answer.text


def test_one_link_is_paced_and_others_from_the_same_address_are_not(stranger: FlaskClient, subject: Client) -> None:
    address, other = _address(subject), _address(factories.ClientFactory())
    times = PACE_OF_LINK.amount
    assert [stranger.get(address).status_code for _ in range(times)] == [200] * times
    refused = stranger.get(address)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    assert stranger.post(other).status_code == 200


def test_without_redis_a_withdrawal_is_taken_all_the_same(
    stranger: FlaskClient, subject: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter.limiter, "storage", RedisStorage("redis://127.0.0.1:9"))
    assert stranger.post(_address(subject)).status_code == 200
    assert _state(subject) is ConsentState.WITHDRAWN
