"""What an IBAN looks like on a page, and what equal ones are found by."""

from uuid import uuid4

from webapp import crypto, iban


def test_a_mask_shows_the_country_and_the_last_four_characters() -> None:
    assert iban.mask_iban("FR1420041010050500013M02606") == "FR•• •••• 2606"


def test_equal_ibans_are_found_within_an_organisation_only() -> None:
    keyring = crypto.Keyring.parse("test:" + "A" * 42 + "A=")
    ours, theirs = (iban.iban_purpose(uuid4()) for _ in range(2))
    number = "FR1420041010050500013M02606"
    assert keyring.blind_index(number, purpose=ours) == keyring.blind_index(number, purpose=ours)
    assert keyring.blind_index(number, purpose=ours) != keyring.blind_index(number, purpose=theirs)
