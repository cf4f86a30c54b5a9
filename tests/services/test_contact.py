"""The one form in which e-mails, telephones, postcodes and bank details are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.errors import InvalidInputError
from webapp.services import contact


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" Jean.Dupont@Example.ORG ", "jean.dupont@example.org"),
        ("o'brien+crm@example.com", "o'brien+crm@example.com"),
        ("élodie@exämple.fr", "élodie@exämple.fr"),
        ("jean@fictif.test", "jean@fictif.test"),
        ("jean@fictif.invalid", "jean@fictif.invalid"),
    ],
)
def test_an_email_is_kept_in_lower_case(written: str, kept: str) -> None:
    assert contact.normalise_email(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        *("", "jean", "jean@", "jean@localhost", "a@b@c.fr", "a b@c.fr", "a..b@c.fr", "a@-b.fr", "a\0@c.fr"),
        "\ud800@c.fr",
        f"{'x' * 60}@{'y' * 60}.{'z' * 60}.{'y' * 60}.{'z' * 60}.fr",
    ],
)
def test_a_broken_email_is_refused_at_its_field(written: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        contact.normalise_email(written)
    assert refusal.value.field == "email"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("06 39 98 12 34", "+33639981234"),
        ("06.39.98.12.34", "+33639981234"),
        ("01 99 00 12 34", "+33199001234"),
        ("+33 (0)6 39 98 12 34", "+33639981234"),
        ("0033639981234", "+33639981234"),
        ("33639981234", "+33639981234"),
        ("639981234", "+33639981234"),
        ("06\u00a039\u202f98 12 34", "+33639981234"),
        ("0692 12 34 56", "+262692123456"),
        ("+262 692 12 34 56", "+262692123456"),
        ("+32 470 12 34 56", "+32470123456"),
        ("0044 20 7946 0958", "+442079460958"),
    ],
)
def test_a_telephone_is_kept_in_e164(written: str, kept: str) -> None:
    assert contact.normalise_phone(written) == kept


def test_a_national_number_is_read_as_in_its_region() -> None:
    assert contact.normalise_phone("0470 12 34 56", region="BE") == "+32470123456"


@pytest.mark.parametrize(
    "written",
    ["", "abc", "1234", "06 12 34 56 7", "06 12 34 56 78 / 03 20 12 34 56", "0000000000", "\ud800", "1" * 5000],
)
def test_a_broken_telephone_is_refused_at_its_field(written: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        contact.normalise_phone(written)
    assert refusal.value.field == "phone"


@pytest.mark.parametrize(
    ("written", "country", "kept"),
    [("59 000", "FR", "59000"), (" 2a004".upper(), "BE", "2A004"), ("sw1a  1aa", "GB", "SW1A 1AA")],
)
def test_a_postcode_is_kept_compact(written: str, country: str, kept: str) -> None:
    assert contact.normalise_postcode(written, country) == kept


@pytest.mark.parametrize("written", ["01 000", "20090", "95800", "97110", "98000"])
def test_a_postcode_of_a_department_exists(written: str) -> None:
    assert contact.existing_postcode(written) == written.replace(" ", "")


@pytest.mark.parametrize("written", ["99999", "00100", "96000", "5900"])
def test_a_postcode_of_no_department_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        contact.existing_postcode(written)
    assert refused.value.field == "postcode"


@pytest.mark.parametrize(("written", "country"), [("5900", "FR"), ("5900A", "FR"), ("٥٩٠٠٠", "FR"), ("1" * 21, "BE")])
def test_a_broken_postcode_is_refused(written: str, country: str) -> None:
    with pytest.raises(InvalidInputError):
        contact.normalise_postcode(written, country)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("fr14 2004 1010 0505 0001 3m02 606", "FR1420041010050500013M02606"),
        ("DE89-3704-0044-0532-0130-00", "DE89370400440532013000"),
    ],
)
def test_an_iban_is_kept_compact(written: str, kept: str) -> None:
    assert contact.check_iban(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "FR14",
        "FR1420041010050500013M02607",
        "FR1420041010050500013M0260",
        "XX12345",
        "é",
        "\0",
        "9" * 5000,
        "FR\ud800",
    ],
)
def test_a_broken_iban_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError):
        contact.check_iban(written)


def test_a_bic_has_eight_or_eleven_characters_and_a_country() -> None:
    assert contact.check_bic("psst fr pp lil") == "PSSTFRPPLIL"
    for broken in ("", "PSSTFRPPL", "PSSTZZPP", "é\ud800"):
        with pytest.raises(InvalidInputError):
            contact.check_bic(broken)


def test_text_loses_what_cannot_be_stored_or_turns_a_page_around() -> None:
    assert contact.clean_text("  DU\0PONT\n\tde\u00a0la \u202eRue\ud800 ") == "DUPONT de la Rue"
    assert contact.clean_text("E\u0301lodie") == "Élodie"


@given(st.text())
def test_any_text_can_be_stored_and_cleaned_twice(text: str) -> None:
    cleaned = contact.clean_text(text)
    cleaned.encode()
    assert contact.clean_text(cleaned) == cleaned


@given(st.text())
def test_no_input_makes_a_check_fail_otherwise_than_by_refusing(text: str) -> None:
    for check in (contact.normalise_email, contact.normalise_phone, contact.check_iban, contact.check_bic):
        try:
            assert check(check(text)) == check(text)
        except InvalidInputError:
            continue
