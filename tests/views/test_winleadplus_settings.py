"""How an organisation takes part in WinLeadPlus: an admin says so in the browser, but where its prospects are."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests import upstream
from tests.conftest import Cast
from tests.provider import LocalProvider
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp.services.winleadplus import config

PAGE = "/synchronisations/reglages"
FORM = {"actif": "1", "intervalle": "30", "sans_contrat": "1"}
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def winleadplus(cast: Cast, provider: LocalProvider) -> Iterator[Upstream]:
    """The upstream that the organisation of the cast reads."""
    with upstream.running() as running:
        config.change(endpoint=running.url)
        yield running


def kept() -> tuple[bool, int, bool]:
    present = config.find()
    return present.enabled, present.interval_minutes, present.import_without_contracts


def test_only_admins_come_here(client: FlaskClient, manager_client: FlaskClient) -> None:
    for browser in (client, manager_client):
        assert browser.get(PAGE).status_code == 403
        assert browser.post(PAGE, data={}).status_code == 403
        assert browser.post(f"{PAGE}/essai").status_code == 403
        assert f'href="{PAGE}"' not in browser.get("/synchronisations").text
    assert f'href="{PAGE}"' not in manager_client.get("/integrations/woocommerce").text
    assert kept()[0]


def test_an_admin_says_whether_and_how_often(admin_client: FlaskClient, outsider_client: FlaskClient) -> None:
    for page in ("/synchronisations", "/integrations/woocommerce"):
        assert f'href="{PAGE}"' in admin_client.get(page).text
    assert admin_client.post(PAGE, data=FORM).status_code == 303
    assert kept() == (True, 30, True)
    assert 'value="30"' in admin_client.get(PAGE).text
    assert 'value="30"' not in outsider_client.get(PAGE).text
    admin_client.post(PAGE, data={"intervalle": "60"})
    assert kept() == (False, 60, False)
    assert f'désactivé pour votre organisation. <a href="{PAGE}">' in admin_client.get("/synchronisations").text


@pytest.mark.parametrize("interval", ["", "4", "10081", "souvent", "1,5"])
def test_an_interval_that_will_not_do_is_told_beside_it(admin_client: FlaskClient, interval: str) -> None:
    answer = admin_client.post(PAGE, data=FORM | {"intervalle": interval})
    assert answer.status_code == 422
    assert 'id="intervalle-error"' in answer.text
    assert kept() == (True, 60, False)


def test_the_address_is_shown_and_not_taken_from_the_form(admin_client: FlaskClient, winleadplus: Upstream) -> None:
    """The account of the whole installation signs in there."""
    admin_client.post(
        PAGE, data=FORM | {"adresse": "https://ailleurs.example/", "endpoint": "https://ailleurs.example/"}
    )
    assert config.find().endpoint == winleadplus.url
    assert f'value="{winleadplus.url}"' in admin_client.get(PAGE).text


def test_the_connection_is_tried(admin_client: FlaskClient, winleadplus: Upstream) -> None:
    winleadplus.serve([first(1)])
    admin_client.post(f"{PAGE}/essai")
    assert "La connexion fonctionne" in admin_client.get(PAGE).text
    winleadplus.status = 401
    admin_client.post(f"{PAGE}/essai")
    assert "WinLeadPlus a refusé l’accès." in admin_client.get(PAGE).text
