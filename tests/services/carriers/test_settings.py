"""How companies ship: the sender, the usual account, weights and labels."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.factories import CompanyFactory, default_company
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.carriers.protocol import Party
from webapp.models.carriers import Carrier, CarrierAccount, LabelFormat, ShippingSettings
from webapp.services.carriers import accounts, settings
from webapp.services.carriers.settings import SenderFields, SettingsFields

pytestmark = pytest.mark.usefixtures("cast")

SENDER = SenderFields(
    name="Service des colis",
    line1=" 8  quai du Commerce ",
    line2="Porte 4",
    postcode="59 000",
    city="Lille",
    phone="03 20 00 00 00",
    email="Colis@Ventes.example",
)


def stored() -> list[ShippingSettings]:
    db.session.expire_all()
    return list(db.session.scalars(select(ShippingSettings)))


def parcels_go_by(carrier: Carrier) -> CarrierAccount:
    """An account with a carrier that need not be offered here."""
    account = CarrierAccount(company_id=default_company().id, carrier=carrier, service="standard")
    db.session.add(account)
    db.session.commit()
    return account


def test_without_a_choice_the_company_sends_from_its_own_address() -> None:
    company = default_company()
    company.address_line1, company.postcode, company.city = "1 place de la Gare", "59000", "Lille"
    shipper = settings.find_shipper(company.id)
    assert shipper.sender == Party(
        name="",
        company=company.name,
        lines=("1 place de la Gare",),
        postcode="59000",
        town="Lille",
        phone=company.phone or "",
        email=company.email or "",
    )
    kept = shipper.settings
    assert (kept.packaging_weight_g, kept.item_weight_g) == (100, 500)
    assert (kept.label_format, kept.labels_kept_days) == (LabelFormat.SMALL, 90)
    assert stored() == []


def test_another_sender_is_kept_in_one_form_and_taken_back_whole() -> None:
    company_id = default_company().id
    settings.save_settings(company_id, SettingsFields(sender=SENDER, label_format=LabelFormat.A4))
    sender = settings.find_shipper(company_id).sender
    assert (sender.name, sender.lines, sender.postcode) == (
        "Service des colis",
        ("8 quai du Commerce", "Porte 4"),
        "59000",
    )
    assert (sender.phone, sender.email) == ("+33320000000", "colis@ventes.example")
    settings.save_settings(company_id, SettingsFields())
    (kept,) = stored()
    assert (kept.sender_line1, kept.sender_name, kept.sender_phone) == (None, None, None)
    assert kept.label_format is LabelFormat.SMALL


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "sender.name"),
        ({"line1": ""}, "sender.line1"),
        ({"line1": "x" * 101}, "sender.line1"),
        ({"city": ""}, "sender.city"),
        ({"postcode": ""}, "sender.postcode"),
        ({"postcode": "ABC"}, "sender.postcode"),
        ({"country": "France"}, "sender.country"),
        ({"phone": "12"}, "sender.phone"),
        ({"email": "colis"}, "sender.email"),
        ({"name": "\ud800\x00"}, "sender.name"),
    ],
)
def test_a_sender_that_makes_no_sense_is_refused_at_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        settings.save_settings(default_company().id, SettingsFields(sender=replace(SENDER, **change)))
    assert refused.value.field == field
    assert stored() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Ирина"}, "sender.name"),
        ({"name": "x" * 36}, "sender.name"),
        ({"line1": "x" * 36}, "sender.line1"),
        ({"line2": "bâtiment " * 9}, "sender.line1"),
        ({"city": "x" * 36}, "sender.city"),
    ],
)
def test_what_a_carrier_does_not_print_is_refused_where_it_is_written(change: dict[str, Any], field: str) -> None:
    wanted = SettingsFields(sender=replace(SENDER, **change))
    settings.save_settings(default_company().id, wanted)  # nobody prints anything yet
    parcels_go_by(Carrier.SANDBOX)
    with pytest.raises(InvalidInputError) as refused:
        settings.save_settings(default_company().id, wanted)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("packaging_weight_g", -1),
        ("packaging_weight_g", 30_001),
        ("item_weight_g", 0),
        ("item_weight_g", 30_001),
        ("labels_kept_days", 0),
        ("labels_kept_days", 3651),
        ("default_account_id", uuid4()),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(field: str, wrong: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        settings.save_settings(default_company().id, replace(SettingsFields(), **{field: wrong}))
    assert refused.value.field == field
    assert stored() == []


def test_the_usual_account_is_an_active_one_of_the_company() -> None:
    elsewhere = accounts.open_account(CompanyFactory().id, Carrier.NONE, accounts.usual_fields(Carrier.NONE))
    with pytest.raises(InvalidInputError):
        settings.save_settings(default_company().id, SettingsFields(default_account_id=elsewhere.id))
    own = parcels_go_by(Carrier.SANDBOX)
    own.is_active = False
    with pytest.raises(InvalidInputError):
        settings.save_settings(default_company().id, SettingsFields(default_account_id=own.id))
    own.is_active = True
    assert settings.save_settings(default_company().id, SettingsFields(default_account_id=own.id)).default_account_id


def test_a_company_that_carriers_would_refuse_is_told_so() -> None:
    company = default_company()
    company.address_line1, company.postcode, company.city = "1 place de la Gare", "59000", ""
    assert settings.find_shipper(company.id).fault is None  # nobody carries anything yet
    parcels_go_by(Carrier.SANDBOX)
    assert settings.find_shipper(company.id).fault == "La ville est nécessaire."


def test_another_organisation_changes_nothing(cast: Cast) -> None:
    company_id = default_company().id
    with tenancy.organisation(cast.other_organisation.id):
        with pytest.raises(NotFoundError):
            settings.save_settings(company_id, SettingsFields())
        with pytest.raises(NotFoundError):
            settings.find_shipper(company_id)
        assert company_id not in {shipper.company.id for shipper in settings.list_shippers()}


def test_the_number_of_queries_does_not_grow_with_the_companies() -> None:
    for _ in range(4):
        accounts.open_account(CompanyFactory().id, Carrier.NONE, accounts.usual_fields(Carrier.NONE))
    db.session.commit()
    with recorded_queries() as statements:
        assert len([shipper.sender for shipper in settings.list_shippers()]) == 5
    assert len(statements) == 3
