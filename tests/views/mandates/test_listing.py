"""The page of mandates that lack something."""

from flask.testing import FlaskClient

from tests.conftest import HTMX
from tests.services.mandates.conftest import bank_account, declared, owner
from webapp.models.banking import Mandate
from webapp.models.clients import Client

__all__ = ["bank_account", "declared", "owner"]
ADDRESS = "/prelevements/mandats"


def test_a_manager_finds_the_declared_one_and_the_way_to_complete_it(
    manager_client: FlaskClient, owner: Client, declared: Mandate
) -> None:
    page = manager_client.get(ADDRESS).text
    assert page.count('data-testid="mandate-row"') == 1
    assert f"/clients/{owner.id}/mandats/{declared.id}" in page
    assert "Déclaré, à compléter · 1" in page
    assert "Il ne manque rien" in manager_client.get(f"{ADDRESS}?manque=inactifs").text
    assert "Aucun mandat ne correspond" in manager_client.get(f"{ADDRESS}?q=personne").text
    part = manager_client.get(f"{ADDRESS}?manque=declares&q=durand", headers=HTMX)
    assert "mandate-row" in part.text
    assert "<html" not in part.text


def test_a_commercial_is_refused_and_an_outsider_sees_nothing(
    client: FlaskClient, outsider_client: FlaskClient, declared: Mandate
) -> None:
    assert client.get(ADDRESS).status_code == 403
    assert "mandate-row" not in outsider_client.get(ADDRESS).text
