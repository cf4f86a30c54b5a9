"""The link by which a client accepts: what it shows, what it proves, and when it is over."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from tests.conftest import Cast
from tests.services.means_requests.conftest import Desk, bank, desk
from tests.services.operators.events import claim_of, file_of, hear, make_operator
from tests.views.sales.journey import HOME, PDF, download, find, make_client, ready, send, sent_link
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import ClientStatus
from webapp.models.contracts import Contract
from webapp.models.covers import Cover
from webapp.models.events import EventState
from webapp.models.means_requests import MeansRequest
from webapp.models.messages import Message, MessageKind
from webapp.models.sales import CoverSale, SignatureWay
from webapp.services.clients import archiving
from webapp.services.merging.commands import Choices, merge
from webapp.services.messages import rendering
from webapp.services.sales.signing import LIFE
from webapp.services.sales.wordings import WORDING

__all__ = ["bank", "desk"]
pytestmark = pytest.mark.usefixtures("cast")


def test_a_client_reads_accepts_once_and_what_proves_it_is_kept(client: FlaskClient, stranger: FlaskClient) -> None:
    sale_id = ready(client)
    assert send(client, sale_id, "signature/lien").location.endswith("/signature")
    assert "Cette page suit la réponse" in client.get(f"/souscriptions/{sale_id}/signature").text
    link, sale = sent_link(sale_id), find(sale_id)
    assert sale.token_hash == CoverSale.hash_of(link.rsplit("/", 1)[1])
    page = stranger.get(link)
    assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "no-referrer")
    for words in ("14,06\u00a0€ TTC par mois", "3 rue du Port, 59000 Lille", "J’accepte", "exécution immédiate"):
        assert words in page.text
    documents = [part.split('"')[0] for part in page.text.split(f'href="{link}/documents/')[1:]]
    assert [download(stranger, f"{link}/documents/{each}") for each in documents] == [PDF, PDF]
    assert stranger.head(link).status_code == 200
    assert db.session.scalar(select(func.count()).select_from(Cover)) == 0, "looking accepts nothing"

    for _ in range(2):
        accepted = stranger.post(link, environ_base={"REMOTE_ADDR": "203.0.113.7"})
        assert (accepted.status_code, "Vous avez accepté" in accepted.text) == (200, True)
        assert "J’accepte" not in accepted.text
    sale = find(sale_id)
    assert (sale.signed_by, sale.signed_from, sale.wording_version) == (SignatureWay.LINK, "203.0.113.7", 1)
    assert sale.signed_at is not None
    assert sale.client.status is ClientStatus.ACTIVE, "who has signed is no prospect, whom retention may propose"
    assert db.session.scalars(select(Cover.id)).one() == sale.cover_id
    assert db.session.scalar(select(func.count()).select_from(Contract)) == 1
    proof = client.get(f"/souscriptions/{sale_id}", follow_redirects=True).text
    for words in ("203.0.113.7", "Texte accepté, version 1", "Fiche d’information 2026-03", "par le lien reçu"):
        assert words in proof
    _is_confirmed(sale)
    watching = client.get(f"/souscriptions/{sale_id}/signature", headers={"HX-Request": "true"})
    assert watching.headers["HX-Redirect"] == f"/couvertures/{sale.cover_id}"


def _is_confirmed(sale: CoverSale) -> None:
    """The client was sent once what was signed, with what proves it, and the documents."""
    confirmed = select(Message).where(Message.kind == MessageKind.SALE_SIGNED).options(undefer(Message.content))
    message = db.session.scalars(confirmed).one()
    words = rendering.to_plain_text(message.content_in_clear()["body"])
    for said in (
        f"souscription {sale.code}, signée le 20/11/2026 à 10:00 par le lien reçu par e-mail",
        "14,06\u00a0€ TTC par mois",
        "3 rue du Port, 59000 Lille",
        "jusqu’au 4 décembre 2026 inclus",
        "Fiche d’information, édition 2026-03",
        "(texte version 1)",
        WORDING.text[:40],
        WORDING.at_once[:40],
    ):
        assert said in words, (said, words)
    assert [source for source, _ in message.attachments["files"]] == ["plan_document"] * 2


def test_a_link_that_is_unknown_expired_or_about_something_else_accepts_nothing(
    client: FlaskClient, stranger: FlaskClient
) -> None:
    sale_id = ready(client)
    send(client, sale_id, "signature/lien")
    first = sent_link(sale_id)
    for method in (stranger.get, stranger.post):
        unknown = method("/accord/devine")
        assert (unknown.status_code, "Ce lien n’existe pas" in unknown.text) == (404, True)
        assert method(first + "x").status_code == 404
    send(client, sale_id, "logement", **(HOME | {"adresse": "5 rue du Port"}))
    assert stranger.post(first).status_code == 404, "what was changed is to be sent again"
    clock.start_at(clock.now() + timedelta(seconds=1))
    send(client, sale_id, "signature/lien")
    second = sent_link(sale_id)
    assert second != first
    clock.start_at(clock.now() + LIFE)
    for method in (stranger.get, stranger.post):
        expired = method(second)
        assert (expired.status_code, "Ce lien a expiré" in expired.text) == (410, True)
    assert db.session.scalar(select(func.count()).select_from(Contract)) == 0


def test_a_client_without_an_address_signs_on_paper(client: FlaskClient) -> None:
    sale_id = ready(client)
    find(sale_id).client.email = None
    db.session.commit()
    answer = send(client, sale_id, "signature/lien")
    assert (answer.status_code, "pas d’adresse e-mail" in answer.text) == (422, True)


def test_whoever_accepts_is_led_to_give_a_means_and_pays_the_first_cycle(
    client: FlaskClient, stranger: FlaskClient, desk: Desk
) -> None:
    sale_id = ready(client, paiement={"paiement": "lien"})
    send(client, sale_id, "signature/lien")
    accepted = stranger.post(sent_link(sale_id)).text
    asked = db.session.scalars(select(MeansRequest)).one()
    assert (asked.takes_payment, asked.client_id) == (True, find(sale_id).client_id)
    assert asked.subscription_id == db.session.scalars(select(Cover.subscription_id)).one()
    assert "/moyen-de-paiement/" in accepted
    path = accepted.split('href="/moyen-de-paiement/')[1].split('"')[0]
    assert stranger.get(f"/moyen-de-paiement/{path}").location.startswith(desk.bank.url)


def test_who_was_archived_meanwhile_accepts_once_they_are_back(
    client: FlaskClient, stranger: FlaskClient, cast: Cast
) -> None:
    sale_id = ready(client)
    send(client, sale_id, "signature/lien")
    link, client_id = sent_link(sale_id), find(sale_id).client_id
    archiving.archive(client_id, by=cast.admin, at=clock.now())
    for answer in (stranger.get(link), stranger.post(link)):
        assert (answer.status_code, "n’est plus d’actualité" in answer.text) == (410, True)
    refused = client.post(f"/souscriptions/{sale_id}/signature/lien", data={"version": find(sale_id).version})
    assert (refused.status_code, "Ce client est archivé" in refused.text) == (409, True)
    assert db.session.scalar(select(func.count()).select_from(Cover)) == 0
    archiving.restore(client_id, by=cast.admin, at=clock.now())
    assert "Vous avez accepté" in stranger.post(link).text


def test_who_was_merged_meanwhile_accepts_as_the_client_who_stays(
    admin_client: FlaskClient, stranger: FlaskClient, cast: Cast
) -> None:
    sale_id = ready(admin_client)
    send(admin_client, sale_id, "signature/lien")
    link, kept = sent_link(sale_id), make_client(last_name="Lefevre", email="anne@example.org")
    choices = Choices(kept_id=kept.id, is_understood=True)
    merge([kept.id, find(sale_id).client_id], choices, by=cast.admin, at=clock.now())
    assert "Vous avez accepté" in stranger.post(link).text
    cover = db.session.scalars(select(Cover)).one()
    assert cover.client_id == kept.id
    day = clock.today().isoformat()
    told = hear(make_operator(cast.admin), claim_of(cover, event_on=day, declared_on=day))
    assert (told.state, file_of().client_id) == (EventState.DONE, kept.id)
