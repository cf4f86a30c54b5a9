"""How values of clients read on a page."""

from datetime import date

import pytest

from webapp.models.clients import Client, ClientStatus
from webapp.views import formats


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+33639981234", "06 39 98 12 34"),
        ("+32470123456", "+32 470 12 34 56"),
        ("+262692123456", "+262 692 12 34 56"),
        ("inconnu", "inconnu"),
        (None, "—"),
    ],
)
def test_a_telephone_reads_as_at_home(number: str | None, shown: str) -> None:
    assert formats.phone(number) == shown


def test_an_iban_is_read_by_fours() -> None:
    assert formats.iban("FR1420041010050500013M02606") == "FR14 2004 1010 0505 0001 3M02 606"


@pytest.mark.parametrize(
    ("value", "field", "shown"),
    [
        ("active", "status", "Actif"),
        (ClientStatus.PROSPECT, "status", "Prospect"),
        ("un autre", "status", "un autre"),
        ("1980-02-29", "birth_date", "29/02/1980"),
        (date(1980, 2, 29), "birth_date", "29/02/1980"),
        ("+33639981234", "phone", "06 39 98 12 34"),
        ("BE", "country", "Belgique"),
        ("Lille", "city", "Lille"),
        ("1234.5", "recurring_amount", "1\u202f234,50"),
        (None, "city", "vide"),
        (12, "inconnu", "12"),
    ],
)
def test_a_value_of_the_timeline_reads_as_its_field_does(value: object, field: str, shown: str) -> None:
    assert formats.field_value(value, field) == shown


def test_a_field_without_a_word_is_shown_by_its_name() -> None:
    assert (formats.field_label("last_name"), formats.field_label("inconnu")) == ("Nom", "inconnu")


def test_an_address_names_its_country_only_abroad() -> None:
    client = Client(address_line1="1 rue d’Été", postcode="59000", city="Lille", country="FR")
    assert formats.address_lines(client) == ["1 rue d’Été", "59000 Lille"]
    client.country = "BE"
    assert formats.address_lines(client)[-1] == "Belgique"
    assert formats.address_lines(Client(country="BE")) == []
