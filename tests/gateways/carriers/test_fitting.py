"""What fits on a label: broken between words, never cut, and told where it does not fit."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import some
from tests.gateways.carriers.conftest import RECIPIENT, MakeRequest
from webapp.gateways.carriers.fitting import Limits, as_printed, fold, party_faults, request_faults

LIMITS = Limits()


def test_a_usual_address_is_left_as_it_is() -> None:
    assert fold(LIMITS, RECIPIENT.lines) == (("12 bis rue de l'Église",), ("Bâtiment B",))
    assert list(party_faults(LIMITS, RECIPIENT)) == []


def test_a_long_street_takes_two_lines() -> None:
    street = "1245 avenue du Maréchal de Lattre de Tassigny prolongée"
    folded = fold(LIMITS, (street,))
    assert folded is not None
    assert folded.street == ("1245 avenue du Maréchal de Lattre", "de Tassigny prolongée")


def test_several_complements_share_the_lines() -> None:
    folded = fold(LIMITS, ("12 rue Haute", "Résidence des Tilleuls argentés", "Escalier C, 3e étage"))
    assert folded is not None
    assert folded.complement == ("Résidence des Tilleuls argentés,", "Escalier C, 3e étage")


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("  ",),
        ("x" * 36,),
        ("avenue " * 12,),
        ("12 rue Haute", "bâtiment " * 9),
    ],
)
def test_what_does_not_fit_is_told_at_the_lines(lines: tuple[str, ...]) -> None:
    assert [fault.field for fault in party_faults(LIMITS, replace(RECIPIENT, lines=lines))] == ["lines"]


def test_two_lines_in_all_are_counted_in_all() -> None:
    two = replace(LIMITS, complement_lines=1, lines=2)
    long_street = "1245 avenue du Maréchal de Lattre de Tassigny"
    assert fold(two, (long_street,)) is not None
    assert fold(two, ("12 rue Haute", "Bâtiment B")) is not None
    assert fold(two, (long_street, "Bâtiment B")) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 36}, "name"),
        ({"name": "Ирина"}, "name"),
        ({"name": "Léa\x00"}, "name"),
        ({"name": "L\ud800a"}, "name"),
        ({"company": "株式会社"}, "company"),
        ({"town": ""}, "town"),
        ({"town": "x" * 36}, "town"),
        ({"postcode": ""}, "postcode"),
        ({"postcode": "x" * 10}, "postcode"),
        ({"phone": "1" * 21}, "phone"),
        ({"email": "x" * 81}, "email"),
        ({"lines": ("12 rue 😀",)}, "lines"),
    ],
)
def test_what_is_missing_or_unprintable_is_told_at_its_field(change: dict[str, Any], field: str) -> None:
    (fault,) = party_faults(LIMITS, replace(RECIPIENT, **change))
    assert fault.field == field
    fault.sentence.encode()  # no lone surrogate is shown


def test_what_only_looks_different_is_written_with_the_carriers_letters() -> None:
    assert as_printed("Cœur d’Œuvre –\u202fl’Haÿ") == "Coeur d'OEuvre - l'Haÿ"
    assert list(party_faults(LIMITS, replace(RECIPIENT, name="Anaïs L’Hœst"))) == []


def test_a_parcel_has_a_weight_and_a_short_reference(make_request: MakeRequest) -> None:
    assert list(request_faults(LIMITS, make_request())) == []
    wrong = make_request(weight_g=0, reference="x" * 18, instructions="y" * 71, recipient=replace(RECIPIENT, town=""))
    assert [fault.field for fault in request_faults(LIMITS, wrong)] == [
        "weight_g",
        "reference",
        "instructions",
        "recipient.town",
    ]


@settings(max_examples=some(300))
@given(st.lists(st.text(alphabet="aé -'’œ", max_size=60), min_size=1, max_size=3))
def test_nothing_is_ever_lost(lines: list[str]) -> None:
    folded = fold(LIMITS, tuple(lines))
    if folded is not None:
        assert "".join(folded.street).replace(" ", "") == as_printed(lines[0]).replace(" ", "")
        assert all(len(line) <= 35 for line in (*folded.street, *folded.complement))
