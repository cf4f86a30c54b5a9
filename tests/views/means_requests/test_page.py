"""Asking a client for a means of payment by the pages, and following the link as the client."""

import re

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX
from tests.queries import recorded_queries
from tests.services.means_requests.conftest import Desk, bank, desk
from webapp import clock
from webapp.models.charges import ChargeStatus
from webapp.models.means_requests import HostedPage, MeansRequestStatus
from webapp.services.means_requests import commands

__all__ = ["bank", "desk"]


@pytest.fixture
def form(desk: Desk) -> dict[str, str]:
    return {"compte": str(desk.account.id), "abonnement": str(desk.subscription.id)}


def ask(client: FlaskClient, desk: Desk, form: dict[str, str]) -> str:
    """The address of the new request."""
    answer = client.post(f"/clients/{desk.client.id}/demandes/nouvelle", data=form)
    assert answer.status_code == 303, answer.text
    return answer.location


def link_on(page: str) -> str:
    """The path of the link that is shown."""
    [address] = re.findall(r'value="(http[^"]+/moyen-de-paiement/[^"]+)"', page)
    return "/" + address.split("/", 3)[3]


def test_from_the_client_s_page_to_a_means_that_is_kept(
    client: FlaskClient, stranger: FlaskClient, desk: Desk, form: dict[str, str]
) -> None:
    tab = client.get(f"/clients/{desk.client.id}?onglet=paiements").text
    assert f"/clients/{desk.client.id}/demandes/nouvelle" in tab
    page = client.get(f"/clients/{desk.client.id}/demandes/nouvelle?abonnement={desk.subscription.id}").text
    assert f'value="{desk.subscription.id}" selected' in page
    assert "24,00" in page
    address = ask(client, desk, form | {"encaisser": "1"})
    shown = client.get(address).text
    assert "À transmettre" in shown
    assert client.post(f"{address}/transmission").status_code == 303
    assert "Transmise" in client.get(address).text
    link = link_on(shown)
    to_provider = stranger.get(link)
    assert (to_provider.status_code, to_provider.headers["Referrer-Policy"]) == (303, "no-referrer")
    assert to_provider.headers["Cache-Control"] == "no-store"
    assert to_provider.location.startswith(desk.bank.url)
    desk.choose(desk.open(desk.request()), "card")
    thanked = stranger.get(f"{link}/merci").text
    assert "Votre réponse est transmise" in thanked
    assert desk.request().status is MeansRequestStatus.OPENED, "coming back proves nothing"
    assert desk.only(HostedPage).next_look_at <= clock.now(), "the provider is asked at once"
    assert "Moyen enregistré" in client.get(client.post(f"{address}/verification").location).text
    assert "Visa •••• 4242" in client.get(f"/clients/{desk.client.id}?onglet=paiements").text
    assert desk.charge().status is ChargeStatus.SUCCEEDED
    assert "est enregistré" in stranger.get(link).text
    assert "est enregistré" in stranger.get(f"{link}/merci").text


def test_whoever_leaves_the_page_may_come_back(stranger: FlaskClient, desk: Desk) -> None:
    request = desk.ask()
    link = f"/moyen-de-paiement/{commands.find_request(desk.client.id, request.id).token_in_clear()}"
    stranger.get(link)
    left = stranger.get(f"{link}/abandon").text
    assert "Rien n’a été enregistré" in left
    assert f'href="{link}"' in left
    commands.cancel(desk.client.id, request.id, by=desk.by, at=clock.now())
    for address in (link, f"{link}/abandon"):
        answer = stranger.get(address)
        assert (answer.status_code, "Ce lien ne sert plus" in answer.text) == (200, True)


def test_looking_at_a_link_for_somebody_opens_nothing(stranger: FlaskClient, desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    link = f"/moyen-de-paiement/{commands.find_request(desk.client.id, request.id).token_in_clear()}"
    assert stranger.head(link).status_code == 200
    assert desk.request().status is MeansRequestStatus.DRAFT
    assert desk.rows(HostedPage) == []


def test_an_unknown_link(stranger: FlaskClient, desk: Desk) -> None:
    for address in ("/moyen-de-paiement/x", "/moyen-de-paiement/x/merci", "/moyen-de-paiement/x/abandon"):
        answer = stranger.get(address)
        assert (answer.status_code, "Ce lien n’existe pas" in answer.text) == (404, True)


def test_a_provider_that_is_down_is_said_and_the_page_can_be_asked_for_again(stranger: FlaskClient, desk: Desk) -> None:
    link = f"/moyen-de-paiement/{commands.find_request(desk.client.id, desk.ask().id).token_in_clear()}"
    desk.bank.order({"mode": "down"})
    answer = stranger.get(link)
    assert (answer.status_code, "Réessayez dans quelques minutes" in answer.text) == (503, True)
    assert f'href="{link}"' in answer.text
    desk.bank.order({"mode": "ok"})
    assert stranger.get(link).status_code == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"compte": ""}, "compte"), ({"compte": "x"}, "compte"), ({"abonnement": "", "encaisser": "1"}, "abonnement")],
)
def test_what_is_refused_stands_at_its_field(
    client: FlaskClient, desk: Desk, form: dict[str, str], changes: dict[str, str], field: str
) -> None:
    answer = client.post(f"/clients/{desk.client.id}/demandes/nouvelle", data=form | changes)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text


def test_asking_while_somebody_else_has_asked_leads_to_that_request(
    client: FlaskClient, desk: Desk, form: dict[str, str]
) -> None:
    first = ask(client, desk, form)
    assert ask(client, desk, form) == first
    assert "est déjà ouverte" in client.get(first).text


def test_a_request_is_called_off(client: FlaskClient, desk: Desk, form: dict[str, str]) -> None:
    address = ask(client, desk, form)
    client.post(f"{address}/annulation")
    page = client.get(address).text
    assert "Annulée" in page
    assert "moyen-de-paiement" not in page
    client.post(f"{address}/annulation")
    assert "Cette demande est terminée" in client.get(address).text
    client.post(f"{address}/utilisation")
    assert "Aucun moyen de paiement" in client.get(address).text


def test_what_waited_is_offered_and_goes_on(client: FlaskClient, desk: Desk, form: dict[str, str]) -> None:
    desk.run()
    address = ask(client, desk, form | {"abonnement": ""})
    desk.choose(desk.open(desk.request()), "card")
    desk.look()
    page = client.get(address).text
    assert desk.subscription.code in page
    assert "1 prélèvement à tenter de nouveau" in page
    client.post(f"{address}/utilisation")
    assert "les prélèvements en attente sont tentés" in client.get(address).text
    desk.run()
    assert desk.charge().status is ChargeStatus.SUCCEEDED


def test_the_state_is_asked_again_and_swapped_only_when_it_has_changed(client: FlaskClient, desk: Desk) -> None:
    address = f"/clients/{desk.client.id}/demandes/{desk.ask().id}"
    assert client.get(f"{address}?etat=draft", headers=HTMX).status_code == 204
    desk.open(desk.request())
    swapped = client.get(f"{address}?etat=draft", headers=HTMX)
    assert (swapped.status_code, swapped.text.count(' data-status="opened"')) == (200, 1)
    assert "<html" not in swapped.text


def test_the_organisation_s_requests_are_nobody_else_s(outsider_client: FlaskClient, desk: Desk) -> None:
    request = desk.ask()
    base = f"/clients/{desk.client.id}/demandes"
    for address in (f"{base}/nouvelle", f"{base}/{request.id}"):
        assert outsider_client.get(address).status_code == 404
    for action in ("transmission", "verification", "annulation", "utilisation"):
        assert outsider_client.post(f"{base}/{request.id}/{action}").status_code == 404
    assert outsider_client.post(f"{base}/nouvelle", data={"compte": str(desk.account.id)}).status_code == 404
    assert desk.request().status is MeansRequestStatus.DRAFT


def test_a_request_is_that_of_one_client(client: FlaskClient, desk: Desk) -> None:
    request = desk.ask()
    other = factories.ClientFactory()
    assert client.get(f"/clients/{other.id}/demandes/{request.id}").status_code == 404


def test_staff_must_be_signed_in(stranger: FlaskClient, desk: Desk) -> None:
    assert "/connexion" in stranger.get(f"/clients/{desk.client.id}/demandes/{desk.ask().id}").location


def test_the_pages_ask_few_questions(client: FlaskClient, desk: Desk) -> None:
    address = f"/clients/{desk.client.id}/demandes/{desk.ask().id}"
    client.get(address)
    with recorded_queries() as queries:
        client.get(address)
    assert len(queries) <= 8, queries
    with recorded_queries() as queries:
        client.get(f"/clients/{desk.client.id}?onglet=paiements")
    assert len(queries) <= 18, queries


def test_the_link_is_sent_by_e_mail_once_and_again_as_a_reminder(
    client: FlaskClient, outsider_client: FlaskClient, desk: Desk, form: dict[str, str]
) -> None:
    address = ask(client, desk, form)
    first = {"canal": "email", "rang": "0"}
    assert outsider_client.post(f"{address}/envoi", data=first).status_code == 404
    for _ in range(2):
        assert client.post(f"{address}/envoi", data=first).status_code == 303
    shown = client.get(address).text
    assert shown.count('data-testid="request-message"') == 1
    assert "Transmise" in shown
    assert client.post(f"{address}/envoi", data={"canal": "email", "rang": "1"}).status_code == 303
    assert client.get(address).text.count('data-testid="request-message"') == 2


@pytest.mark.parametrize("data", [{}, {"canal": "letter", "rang": "0"}, {"canal": "email", "rang": "x\x00"}])
def test_what_cannot_be_sent_is_not(
    client: FlaskClient, desk: Desk, form: dict[str, str], data: dict[str, str]
) -> None:
    address = ask(client, desk, form)
    assert client.post(f"{address}/envoi", data=data).status_code == 303
    shown = client.get(address).text
    assert "request-message" not in shown
    assert "À transmettre" in shown
