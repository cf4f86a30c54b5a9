"""What people type, and the patterns it becomes."""

import pytest

from webapp.services.clients.search import MAX_TERMS, terms_of


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("", []),
        ("dupont jean", [("%dupont%",), ("%jean%",)]),
        ("du", [("% du%",)]),
        ("d x", [("% d%",), ("% x%",)]),
        ("dupont dupont", [("%dupont%",)]),
        ("0639981234", [("%0639981234%",)]),
        ("06 39 98", [("%063998%", "%06 39 98%")]),
        ("06.39.98", [("%063998%", "%06.39.98%")]),
        ("+33 6 39 98", [("%3363998%",)]),
        ("+33 (0)6 39", [("%33639%",)]),
        ("0033 6 39", [("%33639%", "%0033 6 39%")]),
        ("2024 0012", [("%20240012%", "%2024 0012%")]),
        ("dupont 06 39", [("%0639%", "%06 39%"), ("%dupont%",)]),
        ("00", [("% 00%",)]),
        ("+ % &", []),
    ],
)
def test_words_match_by_fragment_short_ones_by_prefix_and_telephones_by_digits(
    typed: str, terms: list[tuple[str, ...]]
) -> None:
    assert terms_of(typed) == terms


def test_the_wildcards_of_like_are_letters_like_others() -> None:
    assert terms_of(r"50%_\x") == [(r"%50\%\_\\x%",)]


def test_a_search_of_a_hundred_words_uses_the_first_few() -> None:
    assert len(terms_of(" ".join(f"mot{n}" for n in range(100)))) == MAX_TERMS
