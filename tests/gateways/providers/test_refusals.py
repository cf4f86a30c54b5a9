"""What providers say in codes is said in French."""

import pytest

from webapp.gateways.providers import refusals


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("insufficient_funds", "Provision insuffisante"),
        ("stolen_card", "Carte déclarée volée"),
        ("MD06", "Remboursement demandé par le débiteur"),
        ("product_not_received", "Contesté\u202f: produit non reçu"),
    ],
)
def test_a_code_that_is_known_is_said_in_french(code: str, words: str) -> None:
    assert refusals.words_of(code, "Your card was declined.") == words


@pytest.mark.parametrize("code", ["brand_new_code", "", None])
def test_of_any_other_the_providers_words_are_kept(code: str | None) -> None:
    assert refusals.words_of(code, "Your card was declined.") == "Your card was declined."
    assert refusals.words_of(code) is None


def test_every_code_that_has_a_class_of_its_own_has_words() -> None:
    classed = refusals.SOFT_CARD_CODES | refusals.TECHNICAL_CARD_CODES | refusals.AUTHENTICATION_CODES
    assert {code for code in classed if refusals.words_of(code) is None} == set()
