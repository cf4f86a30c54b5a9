"""The list of cards that expire: for managers, as the address says."""

from datetime import date

from flask.testing import FlaskClient

from tests.conftest import HTMX
from tests.services.subscriptions.test_saved_methods import account, card, owner
from webapp.models.clients import Client
from webapp.models.providers import ProviderAccount

__all__ = ["account", "owner"]
ADDRESS = "/prelevements/cartes"


def test_a_manager_sees_what_expires_and_the_client_is_a_click_away(
    manager_client: FlaskClient, owner: Client, account: ProviderAccount
) -> None:
    for day in (date(2026, 10, 31), date(2026, 12, 31)):
        card(owner, account, day)
    page = manager_client.get(ADDRESS).text
    assert page.count("card-row") == 2
    assert f"/clients/{owner.id}?onglet=paiements" in page
    assert "10/2026" in page
    part = manager_client.get(f"{ADDRESS}?expiration=bientot", headers=HTMX).text
    assert (part.count("card-row"), "<html" in part, "Expirée" in part.split("</nav>")[1]) == (1, False, False)


def test_addresses_that_make_no_sense_show_all(
    manager_client: FlaskClient, owner: Client, account: ProviderAccount
) -> None:
    card(owner, account, date(2026, 10, 31))
    for query in ("expiration=x", "apres=x", "q=%00"):
        assert manager_client.get(f"{ADDRESS}?{query}").status_code == 200
    assert "Aucune carte ne correspond" in manager_client.get(f"{ADDRESS}?q=personne").text


def test_a_commercial_is_refused_and_an_outsider_sees_nothing(
    client: FlaskClient, outsider_client: FlaskClient, owner: Client, account: ProviderAccount
) -> None:
    card(owner, account, date(2026, 10, 31))
    assert client.get(ADDRESS).status_code == 403
    assert "card-row" not in outsider_client.get(ADDRESS).text
