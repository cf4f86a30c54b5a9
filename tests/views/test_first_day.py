"""The first day of an organisation: what is empty says what to do, and leads whoever may do it there."""

import pytest
from flask.testing import FlaskClient

from tests import factories
from webapp.extensions import db

pytestmark = pytest.mark.usefixtures("cast")


@pytest.mark.parametrize(
    ("page", "leads_to"),
    [
        ("/clients", "/imports/nouveau"),
        ("/couvertures", "/souscriptions/nouvelle"),
        ("/couvertures", "/couvertures/formules"),
        ("/prelevements/fichiers", "/prelevements/prestataires"),
        ("/prelevements/prestataires", "/societes/{company}"),
        ("/lots", "/preferences"),
    ],
)
def test_an_admin_is_led_to_what_fills_an_empty_list(admin_client: FlaskClient, page: str, leads_to: str) -> None:
    company = factories.default_company()
    where = leads_to.format(company=company.id)
    if page == "/lots":
        admin_client.post(
            f"/preferences/heures-limites/{company.id}", data={"jour": "0", "heure": "12:00", "fuseau": "Europe/Paris"}
        )
    assert f'href="{where}"' in _content(admin_client, page)


@pytest.mark.parametrize("page", ["/clients", "/couvertures"])
def test_a_commercial_is_led_only_where_commercials_may_go(client: FlaskClient, page: str) -> None:
    content = _content(client, page)
    assert 'class="empty"' in content
    for forbidden in ("/imports/nouveau", "/couvertures/formules"):
        assert f'href="{forbidden}"' not in content


def test_a_company_that_invoices_can_name_is_not_complained_about(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    assert "complétez la société" in _content(admin_client, "/prelevements/prestataires")
    values = {
        "siren": "732829320",
        "legal_form": "SAS",
        "address_line1": "1 rue A",
        "postcode": "59000",
        "city": "Lille",
    }
    for name, value in values.items():
        setattr(company, name, value)
    db.session.commit()
    assert "complétez la société" not in _content(admin_client, "/prelevements/prestataires")


def _content(browser: FlaskClient, page: str) -> str:
    """What the page says beside the navigation."""
    answer = browser.get(page)
    assert answer.status_code == 200
    return answer.text.split("<main", 1)[1]
