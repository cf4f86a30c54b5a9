"""The pages of messages: who sees what, what can be decided, and what a colleague writes."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, NOW, Cast, SignIn
from tests.mail_server import MailServer
from tests.queries import recorded_queries
from tests.services.exports.wanting import csv_rows
from tests.services.messages.conftest import Desk
from webapp import clock
from webapp.extensions import db
from webapp.models.documents import Document
from webapp.models.messages import Channel, Message, MessageKind, MessageStatus
from webapp.services.messages.rendering import Text

WRITE = {"canal": "email", "genre": "free", "subject": "Votre panier", "body": "Bonjour {{ prenom }}, *à demain*."}


def typed(desk: Desk, **changes: str) -> dict[str, str]:
    """What the form of « Écrire » sends."""
    return {**WRITE, "societe": str(desk.company.id), "envoi": str(uuid4()), **changes}


def test_a_manager_finds_messages_by_state_kind_channel_and_client(manager_client: FlaskClient, desk: Desk) -> None:
    desk.write()
    held = desk.write(MessageKind.WELCOME, text=Text("Bienvenue", "{{ inconnu }}"))
    everything = manager_client.get("/messages").text
    assert everything.count('data-testid="message-row"') == 2
    assert "Retenu · 1" in everything
    for query in ("etat=held", "genre=welcome", f"q=M-{held.number}"):
        found = manager_client.get(f"/messages?{query}", headers=HTMX).text
        assert found.count('data-testid="message-row"') == 1, query
        assert held.code in found
    assert manager_client.get(f"/messages?q=MARTIN&client={desk.client.id}").text.count("message-row") == 2
    assert "Aucun message ne correspond" in manager_client.get("/messages?q=personne").text


def test_pages_of_the_list_follow_each_other_without_a_repeat(manager_client: FlaskClient, desk: Desk) -> None:
    codes = {desk.write().code for _ in range(52)}
    first = manager_client.get("/messages").text
    address = first.split('data-testid="next-page"')[1].split('href="')[1].split('"')[0].replace("&amp;", "&")
    second = manager_client.get(address).text
    seen = [code for page in (first, second) for code in codes if f">{code}<" in page]
    assert sorted(seen) == sorted(codes)


def test_the_list_takes_the_same_statements_however_long(manager_client: FlaskClient, desk: Desk) -> None:
    desk.write()
    manager_client.get("/messages")
    with recorded_queries() as one:
        manager_client.get("/messages")
    for _ in range(20):
        desk.write()
    with recorded_queries() as many:
        manager_client.get("/messages")
    assert len(many) == len(one) <= 8


def test_lists_are_for_managers_and_foreign_messages_do_not_exist(
    client: FlaskClient, outsider_client: FlaskClient, desk: Desk
) -> None:
    message = desk.write()
    assert client.get("/messages").status_code == 403
    assert client.get("/messages/lettres").status_code == 403
    assert client.get(f"/messages/{message.id}").status_code == 200
    assert "message-row" not in outsider_client.get("/messages").text
    assert outsider_client.get(f"/messages/{message.id}").status_code == 404
    for word in ("annulation", "envoi", "constat"):
        assert outsider_client.post(f"/messages/{message.id}/{word}").status_code == 404
    assert outsider_client.get(f"/clients/{desk.client.id}/messages/nouveau").status_code == 404
    assert outsider_client.post(f"/clients/{desk.client.id}/messages/nouveau", data=typed(desk)).status_code == 404
    assert outsider_client.post(f"/clients/{desk.client.id}/messages/apercu", data=typed(desk)).status_code == 404
    assert outsider_client.post("/messages/lettres/envoi", data={"lettre": str(message.id)}).status_code == 303
    assert desk.status(message) is MessageStatus.QUEUED


def test_a_message_to_a_colleague_is_theirs(cast: Cast, sign_in: SignIn, desk: Desk) -> None:
    message = desk.write(MessageKind.FREE, client_id=None, user_id=cast.manager.id)
    assert sign_in(cast.manager).get(f"/messages/{message.id}").status_code == 200
    assert sign_in(cast.admin).get(f"/messages/{message.id}").status_code == 200
    assert sign_in(cast.commercial).get(f"/messages/{message.id}").status_code == 404


def test_the_very_words_stand_on_the_message_and_on_the_client(client: FlaskClient, desk: Desk) -> None:
    desk.client.first_name = "<b>Léa</b>*"
    message = desk.write()
    page = client.get(f"/messages/{message.id}").text
    assert "Bonjour &lt;b&gt;Léa&lt;/b&gt;*" in page
    assert "<strong>&lt;b&gt;Léa&lt;/b&gt;* MARTIN</strong>" in page
    assert "Aucun n’est nécessaire" in page
    tab = client.get(f"/clients/{desk.client.id}?onglet=messages").text
    assert message.code in tab


def test_decisions_are_taken_where_the_message_stands(client: FlaskClient, desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    mail.order("drop", times=1)
    desk.send()
    page = client.get(f"/messages/{message.id}").text
    assert "Considérer comme envoyé" in page
    assert "Envoyer de nouveau" in page
    assert client.post(f"/messages/{message.id}/constat").status_code == 303
    assert desk.status(message) is MessageStatus.SENT
    assert client.post(f"/messages/{message.id}/annulation").status_code == 303
    assert desk.status(message) is MessageStatus.SENT
    assert "ne peut plus être annulé" in client.get(f"/messages/{message.id}").text


def test_held_messages_are_taken_up_from_the_card(manager_client: FlaskClient, client: FlaskClient, desk: Desk) -> None:
    desk.sender.is_active = False
    message = desk.write()
    desk.sender.is_active = True
    db.session.flush()
    assert "La société n’a pas d’expéditeur" in manager_client.get("/messages").text
    assert client.post("/messages/reprise", data={"motif": "no_sender"}).status_code == 403
    assert manager_client.post("/messages/reprise", data={"motif": "no_sender"}).status_code == 303
    assert desk.status(message) is MessageStatus.QUEUED
    assert manager_client.post("/messages/reprise", data={"motif": "rien"}).status_code == 303


def test_a_message_without_a_sender_says_who_opens_one_and_where(
    admin_client: FlaskClient, manager_client: FlaskClient, desk: Desk
) -> None:
    desk.sender.is_active = False
    message = desk.write()
    db.session.flush()
    page = admin_client.get(f"/messages/{message.id}").text
    assert '<a href="/reglages/messages/expediteurs">Ouvrez un expéditeur</a>' in page
    assert "Un administrateur en ouvre un" in manager_client.get(f"/messages/{message.id}").text


def test_a_commercial_writes_to_a_client(client: FlaskClient, cast: Cast, desk: Desk, mail: MailServer) -> None:
    form = typed(desk)
    assert client.get(f"/clients/{desk.client.id}/messages/nouveau").status_code == 200
    first = client.post(f"/clients/{desk.client.id}/messages/nouveau", data=form)
    assert client.post(f"/clients/{desk.client.id}/messages/nouveau", data=form).location == first.location
    desk.send()
    [_] = mail.accepted()
    sent = mail.message()
    assert (sent["Subject"], sent["Reply-To"]) == ("Votre panier", cast.commercial.email)
    assert "Bonjour Léa, à demain." in sent.get_body(("plain",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"body": "Bonjour {{ prenon }}"}, "prenon"),
        ({"body": "{% for x in range(9) %}x{% endfor %}"}, "ligne"),
        ({"body": ""}, ""),
        ({"subject": ""}, ""),
        ({"subject": "un\r\nBcc: tous@example.org"}, ""),
        ({"subject": "x" * 201}, ""),
        ({"body": "x" * 200_000}, ""),
        ({"body": "Bonjour \x00"}, None),
        ({"societe": "personne"}, "société"),
        ({"societe": str(uuid4())}, "société"),
        ({"document": str(uuid4())}, "document"),
    ],
)
def test_what_cannot_be_sent_is_said_and_nothing_is_lost(
    client: FlaskClient, desk: Desk, changes: dict[str, str], sentence: str | None
) -> None:
    answer = client.post(f"/clients/{desk.client.id}/messages/nouveau", data=typed(desk, **changes))
    if sentence is None:
        assert answer.status_code in (303, 422)
        return
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert sentence in answer.text
    assert db.session.query(Message).count() == 0
    if "body" not in changes:
        assert "à demain" in answer.text, "what was typed is still there"


def test_documents_travel_along_up_to_their_limit(client: FlaskClient, cast: Cast, desk: Desk) -> None:
    def document(size: int) -> Document:
        row = Document(
            client_id=desk.client.id, name="devis.pdf", content_type="application/pdf", size=size, stored_as="x"
        )
        db.session.add(row)
        db.session.flush()
        return row

    small, big = document(1000), document(10 * 1024 * 1024)
    address = f"/clients/{desk.client.id}/messages/nouveau"
    assert client.post(address, data=typed(desk, document=str(small.id))).status_code == 303
    refused = client.post(address, data=typed(desk, document=str(big.id)) | {"document": [str(small.id), str(big.id)]})
    assert refused.status_code == 422
    assert "10" in refused.text
    foreign = factories.ClientFactory()
    other = Document(client_id=foreign.id, name="devis.pdf", content_type="application/pdf", size=10, stored_as="y")
    db.session.add(other)
    db.session.flush()
    assert client.post(address, data=typed(desk, document=str(other.id))).status_code == 422


def test_the_preview_shows_the_words_or_the_fault(client: FlaskClient, desk: Desk) -> None:
    address = f"/clients/{desk.client.id}/messages/apercu"
    assert "<em>à demain</em>" in client.post(address, data=typed(desk)).text
    assert "prenon" in client.post(address, data=typed(desk, body="{{ prenon }}")).text
    sms = client.post(address, data=typed(desk, canal="sms", body="Bonjour {{ prenom }}")).text
    assert "11 caractères, 1 SMS" in sms


def test_letters_are_printed_and_posted(manager_client: FlaskClient, desk: Desk) -> None:
    letters = [desk.write(MessageKind.SEPA_NOTICE, channel=Channel.LETTER) for _ in range(2)]
    of_dunning = desk.write(MessageKind.FORMAL_NOTICE)
    page = manager_client.get("/messages/lettres").text
    assert page.count('data-testid="letter-row"') == 2
    assert "Relances · 1" in page
    [place] = re.findall(r'data-testid="export"\s+href="([^"]*)"', page)
    sent = manager_client.post(place, data={"format": "csv"})
    assert [row[1] for row in csv_rows(sent.data)] == ["Numéro", *(letter.code for letter in letters)]
    assert manager_client.post("/messages/lettres/envoi", data={"lettre": str(of_dunning.id)}).status_code == 303
    assert desk.status(of_dunning) is MessageStatus.QUEUED, "its case is to follow, so it is posted there"
    chosen = [str(letter.id) for letter in letters]
    pdf = manager_client.post("/messages/lettres/pdf", data={"lettre": chosen})
    assert pdf.data.startswith(b"%PDF")
    wrong = manager_client.post("/messages/lettres/envoi", data={"lettre": chosen, f"registered_{chosen[0]}": "<é>"})
    assert wrong.status_code == 422
    assert "recommandé" in wrong.text
    manager_client.post("/messages/lettres/envoi", data={"lettre": chosen[:1], f"registered_{chosen[0]}": "1A 222 333"})
    assert [desk.status(letter) for letter in letters] == [MessageStatus.SENT, MessageStatus.QUEUED]
    assert "1A222333" in manager_client.get(f"/messages/{letters[0].id}").text
    assert manager_client.post("/messages/lettres/envoi", data={}).status_code == 303


def test_the_client_s_tab_takes_the_same_statements_however_long(client: FlaskClient, desk: Desk) -> None:
    desk.write()
    address = f"/clients/{desk.client.id}?onglet=messages"
    client.get(address)
    with recorded_queries() as one:
        client.get(address)
    for _ in range(10):
        desk.write()
    with recorded_queries() as many:
        client.get(address)
    assert len(many) == len(one)


def test_a_message_for_later_says_when_it_leaves(client: FlaskClient, desk: Desk) -> None:
    message = desk.write(not_before=NOW + timedelta(days=1))
    assert clock.now() >= NOW
    assert "Part au plus tôt" in client.get(f"/messages/{message.id}").text


def test_the_client_s_activities_tell_what_left_with_its_text_one_click_away(
    client: FlaskClient, outsider_client: FlaskClient, desk: Desk
) -> None:
    address = f"/clients/{desk.client.id}?onglet=activites&genre=messages"
    message = desk.write()
    desk.send()
    with recorded_queries() as one:
        page = client.get(address).text
    assert page.count('data-kind="message_sent"') == 1
    assert f'href="/messages/{message.id}"' in page
    assert "E-mail · Envoyé" in " ".join(page.split())
    assert "Un mot pour" in client.get(f"/messages/{message.id}").text
    for _ in range(5):
        desk.write()
    desk.send()
    with recorded_queries() as many:
        assert client.get(address).text.count('data-kind="message_sent"') == 6
    assert len(many) == len(one)
    assert outsider_client.get(address).status_code == 404
