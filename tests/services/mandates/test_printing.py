"""The form of a mandate: what the rulebook wants on it, and the client's account only where it may be seen."""

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.mandates.conftest import AT, Fields
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.providers import Provider
from webapp.services.clients.banking import Revealed
from webapp.services.mandates import commands, printing
from webapp.services.mandates.printing import NotPrintableError
from webapp.services.providers import accounts


@pytest.fixture
def mandate(owner: Client, fields: Fields, cast: Cast) -> Mandate:
    company = factories.default_company()
    company.name = "Société <d’essai> & Cie"
    credentials = {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPXXX"}
    accounts.save_account(company.id, Provider.SEPA_FILE, credentials=credentials, ics="FR72ZZZ123456")
    return commands.create_mandate(owner.id, fields(signed_on=None), by=cast.commercial, at=AT)


def test_all_that_makes_it_a_mandate_stands_on_it(mandate: Mandate) -> None:
    page = printing.render(mandate, Revealed("FR1420041010050500013M02606", "PSSTFRPPXXX"))
    for words in (
        "Mandat de prélèvement SEPA",
        "MD-0000001",
        "FR72ZZZ123456",
        "Durand",
        "1 rue Basse",
        "FR14 2004 1010 0505 0001 3M02 606",
        "PSSTFRPPXXX",
        "Société &lt;d’essai&gt; &amp; Cie",
        "8 semaines",
        "Récurrent",
    ):
        assert words in page
    assert printing.print_mandate(mandate, None).startswith(b"%PDF-")


def test_without_leave_to_see_the_account_it_is_left_to_write_in(mandate: Mandate) -> None:
    page = printing.render(mandate, None)
    assert "2004" not in page
    assert "☐☐☐☐" in page


def test_without_a_reference_or_a_creditors_identifier_it_is_not_printed(
    declared: Mandate, owner: Client, fields: Fields, cast: Cast
) -> None:
    with pytest.raises(NotPrintableError, match="référence"):
        printing.render(declared, None)
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    db.session.commit()
    with pytest.raises(NotPrintableError, match="ICS"):
        printing.render(mandate, None)
