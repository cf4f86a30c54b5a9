"""Search everywhere: the page, and the options of the dialog."""

import html
import re
from datetime import date

import pytest
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.factories import (
    ChargeFactory,
    ClientFactory,
    CommercialFactory,
    ContractFactory,
    ProviderAccountFactory,
    SubscriptionFactory,
)
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.bank_files import BankFile
from webapp.models.charges import ChargeAttempt, Refund
from webapp.models.clients import Client


@pytest.fixture
def martin(cast: Cast) -> Client:
    """Somebody to be found, with a contract, among others."""
    client: Client = ClientFactory(
        last_name="MARTIN-LÉGER",
        first_name="Zoé",
        email="zoe.ml@example.org",
        phone="+33639981234",
        city="Évry-Courcouronnes",
    )
    ContractFactory(client_id=client.id, reference="ÉNERGIE-2026-77")
    CommercialFactory(first_name="Léonie", last_name="Vasseur", email="l.vasseur@example.org")
    for number in range(3):
        ClientFactory(last_name=f"AUTRE{number}", first_name="", email=f"autre{number}@example.org")
    db.session.commit()
    return client


def _titles(browser: FlaskClient, typed: str) -> list[str]:
    page = html.unescape(browser.get("/recherche", query_string={"q": typed}, headers=HTMX).text)
    return [" ".join(re.sub("<[^>]+>", " ", each).split()) for each in re.findall(r'search-title">(.*?)</span>', page)]


@pytest.mark.parametrize(
    "typed",
    [
        "leger",
        "MARTIN léger",
        "zoe mart",
        "artin",
        "zoe.ml@",
        "0639981234",
        "06 39 98 12",
        "evry",
        "courcour zoe",
        "ma",
    ],
)
def test_a_client_is_found_by_any_fragment(client: FlaskClient, martin: Client, typed: str) -> None:
    assert _titles(client, typed)[0] == "MARTIN-LÉGER Zoé"


def test_a_contract_is_found_by_its_reference_and_by_its_client(client: FlaskClient, martin: Client) -> None:
    assert "ÉNERGIE-2026-77" in _titles(client, "energie-2026")
    assert "ÉNERGIE-2026-77" in _titles(client, "2026-77")
    assert _titles(client, "leger") == ["MARTIN-LÉGER Zoé", "ÉNERGIE-2026-77"]


@pytest.mark.parametrize("typed", ["vasseur", "leonie", "asseu", "l.vasseur@example.org"])
def test_a_commercial_is_found(client: FlaskClient, martin: Client, typed: str) -> None:
    assert "Léonie Vasseur" in _titles(client, typed)


def test_what_begins_with_the_words_comes_first(client: FlaskClient, martin: Client) -> None:
    for name in ("SAINT-MARTIN", "DELAMARTINIERE", "MARTINET"):
        ClientFactory(last_name=name, first_name="")
    db.session.commit()
    names = ["MARTINET", "MARTIN-LÉGER Zoé", "SAINT-MARTIN", "DELAMARTINIERE"]
    assert [title for title in _titles(client, "martin") if title in names] == names


def test_without_a_word_the_recent_ones_are_shown(client: FlaskClient, martin: Client) -> None:
    assert set(_titles(client, "")) >= {"MARTIN-LÉGER Zoé", "AUTRE0", "ÉNERGIE-2026-77"}
    assert "Clients récents" in client.get("/recherche").text


def test_the_page_works_without_script(client: FlaskClient, martin: Client) -> None:
    page = client.get("/recherche?q=leger").text
    assert "<html" in page
    assert f'href="/clients/{martin.id}"' in page
    assert 'role="option"' not in page.split("<main")[1].split("</main")[0]
    assert "Rien ne correspond" in client.get("/recherche?q=introuvable").text


@pytest.mark.parametrize("typed", ["%", "_", "\\", "\0", "'", "%%%", "  ", "💩", "x" * 5000, "a b c d e f g h i j k"])
def test_odd_words_do_no_harm(client: FlaskClient, martin: Client, typed: str) -> None:
    for headers in ({}, HTMX):
        assert client.get("/recherche", query_string={"q": typed}, headers=headers).status_code == 200


def test_html_in_a_word_is_text(client: FlaskClient, martin: Client) -> None:
    page = client.get("/recherche", query_string={"q": "<script>alert(1)"}, headers=HTMX).text
    assert "<script>" not in page


@pytest.mark.parametrize("typed", ["leger", "energie", "evry", "vasseur", ""])
def test_an_outsider_finds_nothing_of_ours(outsider_client: FlaskClient, martin: Client, typed: str) -> None:
    assert _titles(outsider_client, typed) == []


@pytest.mark.parametrize("typed", ["exam", "", "autre"])
def test_the_number_of_queries_does_not_grow(client: FlaskClient, martin: Client, typed: str) -> None:
    def number_of_queries() -> int:
        db.session.expunge_all()
        with recorded_queries() as queries:
            _titles(client, typed)
        return len(queries)

    few = number_of_queries()
    for number in range(20):
        made = ClientFactory(last_name=f"AUTRES{number}", email=f"exam{number}@example.org")
        ContractFactory(client_id=made.id)
    db.session.commit()
    assert number_of_queries() <= few <= 6


def test_where_nothing_is_found_the_nearest_name_is_offered(martin: Client, client: FlaskClient) -> None:
    ClientFactory(last_name="DUPONT", first_name="")
    db.session.commit()
    for address, headers in (("/recherche?q=dupond", {}), ("/recherche?q=dupond", HTMX), ("/clients?q=dupond", {})):
        page = html.unescape(client.get(address, headers=headers).text)
        assert re.search(r"Vouliez-vous dire\s+<a [^>]*data-testid=\"suggestion\"[^>]*>DUPONT</a>", page), address
        (link,) = re.findall(r'<a\s+href="([^"]+)"[^>]*data-testid="suggestion"', page)
        assert "DUPONT" in client.get(link).text
    assert "Vouliez-vous" not in client.get("/clients?q=zzzzzz").text


@pytest.fixture
def numbered(cast: Cast) -> dict[str, str]:
    """One thing of each kind that has a number, by its letter: where its number leads."""
    person = ClientFactory(last_name="NOMBRE", first_name="")
    subscription = SubscriptionFactory(client_id=person.id)
    charge = ChargeFactory(subscription_id=subscription.id, client_id=person.id)
    account = ProviderAccountFactory()
    attempt = ChargeAttempt(
        charge_id=charge.id, number=1, provider_account_id=account.id, provider=account.provider, amount=charge.amount
    )
    file = BankFile(provider_account_id=account.id, message_id="M1", collected_on=date(2026, 12, 1))
    db.session.add_all([attempt, file])
    db.session.flush()
    refund = Refund(
        charge_id=charge.id, attempt_id=attempt.id, amount=charge.amount, reason="x", next_attempt_at=clock.now()
    )
    db.session.add(refund)
    db.session.commit()
    return {
        subscription.code: f"/abonnements/{subscription.id}",
        charge.code: f"/prelevements/{charge.id}",
        refund.code: f"/prelevements/{charge.id}",
        file.code: f"/prelevements/fichiers/{file.id}",
    }


def _hits(browser: FlaskClient, typed: str) -> list[str]:
    page = browser.get("/recherche", query_string={"q": typed}).text
    return re.findall(r'<a class="search-option"\s+href="([^"]+)"', page)


def test_numbers_that_people_say_are_found(
    numbered: dict[str, str], manager_client: FlaskClient, client: FlaskClient, outsider_client: FlaskClient
) -> None:
    assert sorted(code[0] for code in numbered) == ["B", "P", "R", "S"]
    for code, address in numbered.items():
        letter, number = code.split("-")
        for typed in (
            code,
            f"{letter}{number}".lower(),
            f"{letter} {number}",
            f" {letter} –  00 {number} ",
            f"{letter}‑{number}",
        ):
            assert _hits(manager_client, typed) == [address], typed
        assert _hits(client, code) == ([address] if code.startswith("S") else [])
        assert address not in _hits(outsider_client, code)
        assert manager_client.get(address).text.count(code)


def test_a_subscription_is_found_in_its_list_by_its_number(numbered: dict[str, str], client: FlaskClient) -> None:
    (code,) = (code for code in numbered if code.startswith("S"))
    assert client.get(f"/abonnements?q={code}").text.count('data-testid="subscription-row"') == 1
    assert client.get("/abonnements?q=S-999999999").text.count('data-testid="subscription-row"') == 0
