"""How numbers, amounts, dates and words read in French, and how written numbers are read."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from webapp import french


def test_an_instant_is_shown_in_paris() -> None:
    assert french.moment(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "02/07/2026 à 00:30"
    assert french.day(date(2026, 7, 1)) == "01/07/2026"
    assert (french.moment(None), french.day(None)) == ("—", "—")


def test_an_amount_is_shown_with_its_currency() -> None:
    assert french.money(Decimal("1234.5")) == "1\u202f234,50\u00a0€"
    assert french.money(Decimal("2"), "CHF") == "2,00\u00a0CHF"
    assert french.money(None) == "—"
    assert french.short_money(Decimal("1200.00")) == "1\u202f200\u00a0€"
    assert french.short_money(Decimal("1234.5")) == "1\u202f234,50\u00a0€"


def test_what_is_below_zero_has_the_sign_minus_and_a_field_a_hyphen() -> None:
    owed = Decimal("-1234.50")
    told = [french.money(owed), french.amount(owed), french.unit_price(owed), french.short_money(owed)]
    told += [french.quantity(owed), french.whole(-1234), french.percent(Decimal("-0.125"), signed=True)]
    assert {text[0] for text in told} == {"\u2212"}
    assert "-" not in "".join(told)
    assert (french.field_amount(owed), french.field_number(owed)) == ("-1234,50", "-1234,5")
    assert french.read_number(french.money(owed)) == owed


def test_an_hour_that_nobody_gave_is_not_shown() -> None:
    assert french.moment_noted(datetime(2026, 10, 24, 22, tzinfo=UTC)) == "25/10/2026"
    assert french.moment_noted(datetime(2026, 10, 24, 22, 0, 1, tzinfo=UTC)) == "25/10/2026 à 00:00"
    assert french.moment_noted(datetime(2026, 10, 25, 12, tzinfo=UTC)) == "25/10/2026 à 13:00"
    assert french.moment_noted(None) == "—"


def test_a_quantity_has_no_needless_zeros() -> None:
    assert [french.quantity(Decimal(text)) for text in ("1.000", "2.500", "10")] == ["1", "2,5", "10"]


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
    assert french.ago(noon - age, noon) == told


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (timedelta(hours=1), "à 13:00"),
        (timedelta(hours=12), "le 21/11/2026 à 00:00"),  # tomorrow in Paris, still today in UTC
    ],
)
def test_what_is_to_come_names_the_day_unless_it_is_today(wait: timedelta, told: str) -> None:
    noon = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert french.upcoming(noon + wait, noon) == told


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
    assert french.duration(value) == told


def test_counted_words_agree() -> None:
    assert [french.counted(number, "contrat") for number in (0, 1, 2, 10_000)] == [
        "0 contrat",
        "1 contrat",
        "2 contrats",
        "10\u202f000 contrats",
    ]
    assert french.counted(2, "commercial", "commerciaux") == "2 commerciaux"
    assert french.plural(2, "client parti") == "clients partis"


def test_what_a_field_shows_is_read_as_the_same_number() -> None:
    for number in (Decimal("1234.5"), Decimal("0.0825"), Decimal("-12")):
        assert french.read_number(french.field_number(number)) == number
        assert french.read_number(french.field_amount(number)) == number
    assert french.field_number(Decimal("1234.50")) == "1234,5"
    assert french.field_amount(Decimal("1234.5")) == "1234,50"
    assert (french.field_number(None), french.field_amount(None)) == ("", "")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1 234,50", "1234.50"),
        ("1\u202f234,50\u00a0€", "1234.50"),
        ("12.5", "12.5"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("-3", "-3"),
    ],
)
def test_numbers_are_read_as_people_write_them(written: str, number: str) -> None:
    assert french.read_number(written) == Decimal(number)


@pytest.mark.parametrize("written", ["douze", "1,2,3", "1e5", "NaN", "Infinity", "١٢", "1" * 16, "--1"])
def test_what_is_no_number_is_none(written: str) -> None:
    assert french.read_number(written).is_nan()


def test_nothing_written_is_no_number_at_all() -> None:
    assert french.read_number(" \u00a0") is None


def test_a_size_in_bytes() -> None:
    assert [french.file_size(size) for size in (1, 12_345, 3_400_000, 5 * 10**9)] == [
        "1\u202fko",
        "12\u202fko",
        "3,4\u202fMo",
        "5\u202fGo",
    ]


def test_a_country_has_its_name_and_a_code_that_is_none_stays() -> None:
    assert [french.country(code) for code in ("FR", "RE", "XX")] == ["France", "La Réunion", "XX"]
