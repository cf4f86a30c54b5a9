"""Cells as people and Excel write them."""

from datetime import date

import pytest

from webapp.errors import InvalidInputError
from webapp.gateways.spreadsheets import Cell
from webapp.services.imports import columns, transforms


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1 234,56", "1234.56"), ("1\u202f234,56 €", "1234.56"), ("1.234,56", "1234.56"), ("1,234.56", "1234.56"),
        ("12,5", "12.50"), (1234.5, "1234.50"), ("1.234.567", "1234567.00"), ("1234.5 EUR", "1234.50"), ("", None),
    ],
)  # fmt: skip
def test_amounts(cell: Cell, amount: str | None) -> None:
    assert transforms.read_amount(cell) == amount


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("03/11/2025", "2025-11-03"), ("3-11-25", "2025-11-03"), ("2025-11-03", "2025-11-03"),
        ("2025-11-03T10:00:00", "2025-11-03"), ("03/11/2025 10:30", "2025-11-03"), (45964.0, "2025-11-03"),
        ("45964", "2025-11-03"), (date(2025, 11, 3), "2025-11-03"), ("3 novembre 2025", "2025-11-03"),
    ],
)  # fmt: skip
def test_days(cell: Cell, day: str) -> None:
    assert transforms.read_day(cell) == day
    assert transforms.read_day(44502.0, is_1904=True) == "2025-11-03"


@pytest.mark.parametrize(("cell", "status"), [("Oui", "active"), (True, "active"), ("x", "active"), ("n", "inactive")])
def test_yes_and_no_say_whether_a_client_is_active(cell: Cell, status: str) -> None:
    assert transforms.read_client_status(cell) == status


def test_a_birthday_in_two_digits_is_in_the_past() -> None:
    assert transforms.read_birthday("14/07/30") == "1930-07-14"


@pytest.mark.parametrize("cell", [639981234.0, "0639981234", "'06 39 98 12 34", "+33 6 39 98 12 34", "639981234"])
def test_telephones_get_their_zero_back(cell: Cell) -> None:
    assert transforms.read_phone(cell) == "+33639981234"


@pytest.mark.parametrize(
    ("text", "last", "first"),
    [
        ("DUPONT Jean", "DUPONT", "Jean"),
        ("Jean DUPONT", "DUPONT", "Jean"),
        ("DE LA TOUR Marie Anne", "DE LA TOUR", "Marie Anne"),
        ("Dupont, Jean", "Dupont", "Jean"),
        ("de la Tour Marie", "de la Tour", "Marie"),
        ("Dupont", "Dupont", ""),
    ],
)
def test_full_names(text: str, last: str, first: str) -> None:
    assert transforms.split_full_name(text, is_last_first=True) == (last, first)


@pytest.mark.parametrize(
    ("read", "cell"),
    [
        (transforms.read_amount, "1.234"), (transforms.read_amount, "beaucoup"), (transforms.read_amount, "-3"),
        (transforms.read_day, "31/02/2025"), (transforms.read_day, "bientôt"), (transforms.read_civility, "Dr"),
        (transforms.read_country, "Wakanda"), (transforms.read_iban, "FR76 1234"),
    ],
)  # fmt: skip
def test_what_means_nothing_for_sure_is_refused(read: columns.Reader, cell: Cell) -> None:
    with pytest.raises(InvalidInputError):
        read(cell)


def test_headings_are_known_whatever_their_accents_and_language() -> None:
    guessed = columns.guess(["NOM", "prenom", "Adresse e-mail", "N° de contrat", "Zip code", "Statut", "Couleur"])
    assert guessed == [
        "client.last_name", "client.first_name", "client.email", "contract.reference", "client.postcode", None, None,
    ]  # fmt: skip
    assert columns.guess(["Nom", "Nom"]) == [None, None]


def test_what_a_mapping_lacks_is_said() -> None:
    assert columns.faults_of_mapping(["client.city"]) != []
    assert "référence du contrat" in columns.faults_of_mapping(["client.email", "contract.amount"])[0]
    assert columns.faults_of_mapping(["client.last_name", "client.email"]) == []
