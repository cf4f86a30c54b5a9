"""« Premiers pas » on the dashboard: an admin of a new organisation sees what is left to set up, each with its page."""

import re
from collections.abc import Mapping
from datetime import timedelta

from flask.testing import FlaskClient

from tests import factories
from tests.conftest import NOW, Cast
from webapp.extensions import db
from webapp.models.providers import Provider
from webapp.services.providers import accounts

DASHBOARD = "/?periode=mois"
PAGES = {
    "company": "/societes",
    "products": "/lots/reglages/produits",
    "teams": "/equipes",
    "providers": "/prelevements/prestataires",
    "senders": "/reglages/messages/expediteurs",
    "clients": "/imports/nouveau",
}
PARTICULARS = {
    "siren": "732829320",
    "legal_form": "SAS",
    "address_line1": "1 rue A",
    "postcode": "59000",
    "city": "Lille",
}


def steps(browser: FlaskClient) -> Mapping[str, str]:
    page = browser.get(DASHBOARD).text
    return dict(re.findall(r'data-testid="first-step"\s+data-step="(\w+)"\s+data-done="(\d)"', page))


def finish(cast: Cast) -> None:
    """All that the cast does not have yet."""
    company = factories.default_company()
    for name, value in PARTICULARS.items():
        setattr(company, name, value)
    accounts.save_account(company.id, Provider.SANDBOX)
    factories.ProductFactory()
    factories.ClientFactory()
    db.session.commit()


def test_each_step_leads_to_its_page_until_it_is_done(cast: Cast, admin_client: FlaskClient) -> None:
    before = steps(admin_client)
    assert list(before) == list(PAGES)
    page = admin_client.get(DASHBOARD).text.split('id="first-steps"')[1].split("</section>")[0]
    for step, is_done in before.items():
        assert (f'href="{PAGES[step]}"' in page) == (is_done == "0")
    assert before["company"] == before["clients"] == before["products"] == "0"
    finish(cast)
    after = steps(admin_client)
    assert [step for step in after if after[step] == "0"] == ["senders"]
    assert f'href="{PAGES["clients"]}"' not in admin_client.get(DASHBOARD).text


def test_the_card_is_for_admins_and_for_the_first_month(
    cast: Cast, admin_client: FlaskClient, manager_client: FlaskClient
) -> None:
    assert steps(manager_client) == {}
    cast.organisation.created_at = NOW - timedelta(days=29)
    db.session.commit()
    assert steps(admin_client) != {}
    cast.organisation.created_at = NOW - timedelta(days=31)
    db.session.commit()
    assert steps(admin_client) == {}


def test_steps_of_one_organisation_are_not_those_of_another(cast: Cast, outsider_client: FlaskClient) -> None:
    finish(cast)
    outside = steps(outsider_client)
    assert outside["clients"] == outside["providers"] == outside["products"] == "0"


def test_one_client_is_one(cast: Cast, admin_client: FlaskClient) -> None:
    for number, word in ((1, "client"), (2, "clients")):
        factories.ClientFactory()
        db.session.commit()
        tile = admin_client.get(DASHBOARD).text.split("Portefeuille actuel")[1].split("</div>")[0]
        assert re.sub(r"<[^>]+>|\s+", " ", tile).split() == [str(number), word]
