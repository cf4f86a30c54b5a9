"""A new installation: its first organisation, and what its invoices say of the seller."""

from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.organisations import Company, Organisation
from webapp.services import organisations
from webapp.services.winleadplus.sellers import seller
from webapp.transactions import transaction


def test_a_new_organisation_has_a_company_that_sells(session: None) -> None:
    organisation = organisations.open_organisation("nord", "  Maison   du Nord ", company="Nord Énergies SAS")
    assert organisation.name == "Maison du Nord"
    assert organisations.find_organisation("nord").id == organisation.id
    with tenancy.organisation(organisation.id):
        company = db.session.scalars(select(Company)).one()
        assert (company.name, company.is_default) == ("Nord Énergies SAS", True)
        assert seller() == (company.id, "EUR")


def test_a_slug_is_taken_once_and_the_second_leaves_nothing_behind(cast: Cast) -> None:
    with pytest.raises(organisations.OrganisationExistsError):
        organisations.open_organisation(cast.organisation.slug, "Une autre", company="Une autre SAS")
    with tenancy.across_organisations():
        assert db.session.scalar(select(Organisation).where(Organisation.name == "Une autre")) is None
        assert db.session.scalar(select(Company).where(Company.name == "Une autre SAS")) is None


@pytest.mark.parametrize("slug", ["", "Nord", "nord est", "-nord", "nord-", "é", "n" * 64])
def test_a_slug_that_no_token_should_carry_is_refused(session: None, slug: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        organisations.open_organisation(slug, "Nord", company="Nord SAS")
    assert refusal.value.field == "slug"


@pytest.mark.parametrize(("name", "company", "field"), [(" ", "Nord SAS", "name"), ("Nord", "x" * 201, "company")])
def test_a_name_is_needed(session: None, name: str, company: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        organisations.open_organisation("nord", name, company=company)
    assert refusal.value.field == field


def test_what_is_left_out_stays_and_what_is_empty_goes(cast: Cast) -> None:
    organisations.describe_company(
        None, {"siren": "732 829 320", "share_capital": "10 000,50", "city": "Lille", "phone": "01 99 00 00 01"}
    )
    company = organisations.describe_company(None, {"city": " ", "vat_number": "fr 44 732829320"})
    assert (company.is_default, company.siren, company.city) == (True, "732829320", None)
    assert (company.share_capital, company.vat_number) == (Decimal("10000.50"), "FR44732829320")
    assert company.phone == "+33199000001"


def test_a_company_is_made_by_its_name_once_and_does_not_take_the_default_away(cast: Cast) -> None:
    default = organisations.describe_company(None, {})
    made = organisations.describe_company("Filiale Sud", {"legal_form": "SAS"})
    assert organisations.describe_company("Filiale  Sud", {"city": "Nice"}).id == made.id != default.id
    assert (made.is_default, default.is_default, made.legal_form) == (False, True, "SAS")


def test_the_companies_of_another_organisation_are_not_reached(cast: Cast) -> None:
    ours = organisations.describe_company(None, {"city": "Lille"})
    with tenancy.organisation(cast.other_organisation.id):
        theirs = organisations.describe_company(ours.name + " (homonyme)", {"city": "Nice"})
    assert (ours.city, theirs.organisation_id) == ("Lille", cast.other_organisation.id)


def test_without_a_default_company_one_must_be_named_and_becomes_it(session: None) -> None:
    organisation = Organisation(slug="vide", name="Vide")
    with transaction():
        db.session.add(organisation)
    with tenancy.organisation(organisation.id):
        with pytest.raises(NotFoundError):
            organisations.describe_company(None, {"city": "Lille"})
        assert organisations.describe_company("Vide SAS", {}).is_default


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("siren", "732829321"),
        ("siren", "73282932"),
        ("siren", "73282932x"),
        ("vat_number", "44732829320"),
        ("share_capital", "beaucoup"),
        ("share_capital", "NaN"),
        ("share_capital", "-1"),
        ("share_capital", "0,001"),
        ("share_capital", "1e15"),
        ("legal_form", "x" * 101),
        ("email", "personne"),
        ("phone", "12"),
    ],
)
def test_a_particular_that_is_none_is_refused_by_name(cast: Cast, field: str, text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        organisations.describe_company(None, {field: text})
    assert refusal.value.field == field
