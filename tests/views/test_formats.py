"""How values read on a French page."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

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


def test_an_instant_is_shown_in_paris() -> None:
    assert formats.moment(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "02/07/2026 à 00:30"
    assert formats.day(date(2026, 7, 1)) == "01/07/2026"
    assert (formats.moment(None), formats.day(None)) == ("—", "—")


def test_an_amount_is_shown_with_its_currency() -> None:
    assert formats.money(Decimal("1234.5")) == "1\u202f234,50\u00a0€"
    assert formats.money(Decimal("2"), "CHF") == "2,00\u00a0CHF"
    assert formats.money(None) == "—"


def test_a_quantity_has_no_needless_zeros() -> None:
    assert [formats.quantity(Decimal(text)) for text in ("1.000", "2.500", "10")] == ["1", "2,5", "10"]


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


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(seconds=59), "à l’instant"),
        (timedelta(seconds=-5), "à l’instant"),  # clocks differ a little
        (timedelta(minutes=12), "il y a 12 min"),
        (timedelta(minutes=60), "il y a 1 h"),
        (timedelta(hours=23, minutes=59), "il y a 23 h"),
        (timedelta(hours=24), "le 19/11/2026 à 12:00"),
    ],
)
def test_the_age_of_an_instant(age: timedelta, told: str) -> None:
    noon = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert formats.ago(noon - age, noon) == told


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (timedelta(hours=1), "à 13:00"),
        (timedelta(hours=12), "le 21/11/2026 à 00:00"),  # tomorrow in Paris, still today in UTC
    ],
)
def test_what_is_to_come_names_the_day_unless_it_is_today(wait: timedelta, told: str) -> None:
    noon = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert formats.upcoming(noon + wait, noon) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "—"),
        (timedelta(seconds=0.44), "0,4 s"),
        (timedelta(seconds=12.3), "12 s"),
        (timedelta(seconds=65), "1 min 05 s"),
    ],
)
def test_durations(value: timedelta | None, told: str) -> None:
    assert formats.duration(value) == told
