"""« Expéditeurs »: keys go in and never come out, and trying them sends nothing but what one asks for."""

import html
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests import factories, mail_server
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.messages import Channel, HeldReason, Message, MessageSender, MessageStatus
from webapp.services.messages import senders

PAGE = "/reglages/messages/expediteurs"
pytestmark = pytest.mark.usefixtures("cast")

FORM = {
    "prestataire": "smtp",
    "acces-host": "smtp.verger.example",
    "acces-port": "587",
    "acces-security": "starttls",
    "acces-username": "bonjour@verger.example",
    "acces-password": "secret-1",
    "actif": "1",
    "nom": "Verger & Cie",
    "adresse": "bonjour@verger.example",
    "reponses": "",
    "cadence": "60",
    "calme": "1",
    "calme_de": "20:00",
    "calme_a": "08:00",
}
SMS_FORM = {"prestataire": "brevo", "acces-api_key": "xkeysib-1", "actif": "1", "nom": "VERGER", "cadence": "60"}


@pytest.fixture
def page(cast: Cast) -> str:
    """The address of the usual company's sender of e-mails."""
    return f"{PAGE}/{factories.default_company().id}/email"


def found(channel: Channel = Channel.EMAIL) -> MessageSender:
    db.session.expire_all()
    sender = senders.find_sender(factories.default_company().id, channel)
    assert sender is not None
    return sender


def test_an_admin_opens_a_sender(admin_client: FlaskClient, page: str) -> None:
    assert "Pas d’expéditeur" in admin_client.get(PAGE).text
    answer = admin_client.post(page, data=FORM)
    assert (answer.status_code, answer.location) == (303, page)
    assert found().credentials_in_clear()["password"] == "secret-1"
    assert "bonjour@verger.example" in admin_client.get(PAGE).text


def test_secrets_are_never_shown_and_stay_where_nothing_is_typed(admin_client: FlaskClient, page: str) -> None:
    boxed = {
        "boite": "1",
        "boite-host": "imap.verger.example",
        "boite-username": "rejets",
        "boite-password": "secret-2",
    }
    admin_client.post(page, data=FORM | boxed)
    shown = admin_client.get(page).text
    assert "secret-" not in shown
    assert shown.count("Laissez vide pour garder") == 2
    admin_client.post(page, data=FORM | boxed | {"acces-password": "", "boite-password": "", "cadence": "30"})
    assert found().credentials_in_clear()["password"] == "secret-1"
    assert found().mailbox_in_clear()["password"] == "secret-2"
    assert found().pace_per_minute == 30


def test_a_password_is_not_sent_to_another_server(admin_client: FlaskClient, page: str) -> None:
    admin_client.post(page, data=FORM)
    answer = admin_client.post(page, data=FORM | {"acces-host": "mx.elsewhere.example", "acces-password": ""})
    assert answer.status_code == 422
    assert "Le serveur change" in answer.text
    assert found().credentials_in_clear()["host"] == "smtp.verger.example"


def test_another_provider_gets_nothing_of_the_first_ones_keys(admin_client: FlaskClient, page: str) -> None:
    admin_client.post(page, data=FORM)
    shown = admin_client.get(f"{page}?prestataire=brevo").text
    assert "smtp.verger.example" not in shown
    assert "Clé d’API" in html.unescape(shown)
    admin_client.post(page, data=FORM | {"prestataire": "brevo", "acces-api_key": "xkeysib-1"})
    assert found().credentials_in_clear() == {"api_key": "xkeysib-1"}


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"prestataire": "ovh"}, "", "Choisissez le prestataire"),
        ({"prestataire": "pigeon"}, "", "Choisissez le prestataire"),
        ({"acces-host": ""}, "acces-host", "nécessaire"),
        ({"acces-host": "a\0b"}, "acces-host", "la forme attendue"),
        ({"acces-password": "a\r\nb"}, "acces-password", "la forme attendue"),
        ({"acces-port": "70000"}, "acces-port", "65535"),
        ({"acces-port": "9" * 5000}, "acces-port", ""),
        ({"acces-security": "ssl2"}, "acces-security", "dans la liste"),
        ({"nom": ""}, "nom", "100 caractères"),
        ({"nom": "x" * 101}, "nom", "100 caractères"),
        ({"adresse": "bonjour"}, "adresse", ""),
        ({"adresse": "a@b.example\r\nBcc: c@d.example"}, "adresse", ""),
        ({"reponses": "x" * 5000 + "@b.example"}, "reponses", ""),
        ({"cadence": "0"}, "cadence", "par minute"),
        ({"cadence": "9" * 5000}, "cadence", "par minute"),
        ({"calme_de": "25:00"}, "calme_de", "une heure"),
        ({"calme_a": ""}, "calme_a", "une heure"),
        ({"boite": "1", "boite-host": "imap.verger.example"}, "boite-username", "nécessaire"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(
    admin_client: FlaskClient, page: str, change: dict[str, str], field: str, sentence: str
) -> None:
    answer = admin_client.post(page, data=FORM | change)
    shown = html.unescape(answer.text)
    assert answer.status_code == 422
    assert sentence in shown
    assert "Rien n’a été enregistré." in shown
    assert not field or f'id="{field}-error"' in shown
    assert "secret-1" not in shown
    assert db.session.query(MessageSender).count() == 0


@pytest.mark.parametrize("name", ["AB", "x" * 12, "12345", "VERGER&CO", "é" * 4])
def test_the_name_of_an_sms_is_as_gateways_take_it(admin_client: FlaskClient, cast: Cast, name: str) -> None:
    page = f"{PAGE}/{factories.default_company().id}/sms"
    assert admin_client.post(page, data=SMS_FORM | {"nom": name}).status_code == 422
    assert admin_client.post(page, data=SMS_FORM).status_code == 303
    assert (found(Channel.SMS).quiet_from, found(Channel.SMS).from_address) == (None, None)


def test_trying_says_what_is_wrong_and_sends_nothing(admin_client: FlaskClient, page: str) -> None:
    with mail_server.running() as server:
        admin_client.post(page, data=FORM | _access(server.credentials))
        admin_client.post(f"{page}/verification")
        assert "La connexion fonctionne" in admin_client.get(page).text
        assert server.accepted() == []
    admin_client.post(f"{page}/verification")
    assert 'data-kind="error"' in admin_client.get(page).text


def _access(credentials: Any) -> dict[str, str]:
    names = ("host", "port", "security", "username", "password")
    return {f"acces-{name}": credentials.get(name, "") for name in names}


def test_a_trial_is_written_to_oneself(admin_client: FlaskClient, page: str, cast: Cast) -> None:
    assert admin_client.post(f"{page}/essai").status_code == 303
    [held] = db.session.query(Message)
    assert held.held_reason is HeldReason.NO_SENDER
    admin_client.post(page, data=FORM)
    answer = admin_client.post(f"{page}/essai")
    [message] = db.session.query(Message).filter(Message.id != held.id)
    assert answer.location == f"/messages/{message.id}"
    assert (message.status, message.user_id, message.is_asked_for) == (MessageStatus.QUEUED, cast.admin.id, True)
    assert admin_client.get(answer.location).status_code == 200


def test_the_webhooks_address_is_shown_where_there_is_one_and_can_be_renewed(
    admin_client: FlaskClient, stranger: FlaskClient, page: str
) -> None:
    admin_client.post(page, data=FORM)
    assert "/webhooks/messages/" not in admin_client.get(page).text
    admin_client.post(page, data=FORM | {"prestataire": "brevo", "acces-api_key": "xkeysib-1"})
    old = found().webhook_token
    assert f"/webhooks/messages/{old}" in admin_client.get(page).text
    assert admin_client.post(f"{page}/notifications").status_code == 303
    assert found().webhook_token != old
    assert stranger.post(f"/webhooks/messages/{old}", data=b"[]").status_code == 404


def test_why_a_sender_rests_is_shown(admin_client: FlaskClient, page: str) -> None:
    admin_client.post(page, data=FORM)
    found().error = "535 wrong password"
    db.session.commit()
    assert "535 wrong password" in admin_client.get(PAGE).text
    assert "535 wrong password" in admin_client.get(page).text
    admin_client.post(page, data=FORM)
    assert "535 wrong password" not in admin_client.get(page).text


def test_only_admins_see_and_change_senders(client: FlaskClient, manager_client: FlaskClient, page: str) -> None:
    for browser in (client, manager_client):
        assert browser.get(PAGE).status_code == 403
        assert browser.get(page).status_code == 403
        for address in (page, f"{page}/verification", f"{page}/essai", f"{page}/notifications"):
            assert browser.post(address, data=FORM).status_code == 403
    assert db.session.query(MessageSender).count() == 0


def test_an_outsider_finds_nothing(outsider_client: FlaskClient, page: str) -> None:
    assert outsider_client.get(page).status_code == 404
    for address in (page, f"{page}/verification", f"{page}/essai", f"{page}/notifications"):
        assert outsider_client.post(address, data=FORM).status_code == 404
    assert db.session.query(MessageSender).count() == 0


def test_a_company_without_a_sender_has_nothing_to_check(admin_client: FlaskClient, page: str) -> None:
    assert admin_client.post(f"{page}/verification").status_code == 404
    assert admin_client.post(f"{page}/notifications").status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_companies(admin_client: FlaskClient, page: str) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            admin_client.get(PAGE)
        return len(statements)

    admin_client.post(page, data=FORM)
    admin_client.get(PAGE)
    few = queries()
    for _ in range(3):
        admin_client.post(f"{PAGE}/{factories.CompanyFactory().id}/email", data=FORM)
    admin_client.get(PAGE)
    assert queries() == few
