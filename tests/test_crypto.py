"""What is encrypted opens with the right key, in the right place, and nowhere else."""

import base64

import pytest

from webapp.crypto import DecryptionError, Keyring

HERE = "organisation-1|bank_accounts.iban|account-1"
IBAN = "FR1420041010050500013M02606"


def key(key_id: str, letter: str) -> str:
    return f"{key_id}:{base64.urlsafe_b64encode(letter.encode() * 32).decode()}"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.parse(key("k1", "a"))


def test_what_is_encrypted_opens_in_its_place(keyring: Keyring) -> None:
    assert keyring.decrypt(keyring.encrypt(IBAN.encode(), place=HERE), place=HERE) == IBAN.encode()


def test_the_ciphertext_shows_nothing_of_the_value_and_differs_each_time(keyring: Keyring) -> None:
    first, second = (keyring.encrypt(IBAN.encode(), place=HERE) for _ in range(2))
    assert first != second
    assert IBAN.encode() not in first


@pytest.mark.parametrize(
    "place", ["organisation-2|bank_accounts.iban|account-1", "organisation-1|bank_accounts.iban|account-2", ""]
)
def test_a_ciphertext_moved_to_another_row_or_organisation_does_not_open(keyring: Keyring, place: str) -> None:
    with pytest.raises(DecryptionError):
        keyring.decrypt(keyring.encrypt(b"value", place=HERE), place=place)


def test_an_altered_ciphertext_does_not_open(keyring: Keyring) -> None:
    sealed = keyring.encrypt(b"value", place=HERE)
    for position in range(len(sealed)):
        altered = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(DecryptionError):
            keyring.decrypt(altered, place=HERE)


@pytest.mark.parametrize("length", [0, 1, 3, 10, 15, 20])
def test_a_shortened_ciphertext_does_not_open(keyring: Keyring, length: int) -> None:
    with pytest.raises(DecryptionError):
        keyring.decrypt(keyring.encrypt(b"value", place=HERE)[:length], place=HERE)


def test_a_new_key_encrypts_and_the_old_one_still_opens(keyring: Keyring) -> None:
    old = keyring.encrypt(b"value", place=HERE)
    rotated = Keyring.parse(f"{key('k2', 'b')},{key('k1', 'a')}")
    assert rotated.decrypt(old, place=HERE) == b"value"
    with pytest.raises(DecryptionError):
        keyring.decrypt(rotated.encrypt(b"value", place=HERE), place=HERE)


def test_equal_values_have_equal_indexes_for_one_purpose_only(keyring: Keyring) -> None:
    index = keyring.blind_index(IBAN, purpose="organisation-1|iban")
    assert index == keyring.blind_index(IBAN, purpose="organisation-1|iban")
    assert index != keyring.blind_index(IBAN, purpose="organisation-2|iban")
    assert index != keyring.blind_index(IBAN[:-1] + "7", purpose="organisation-1|iban")
    assert len(index) == 16


def test_what_an_older_key_indexed_is_found_and_new_indexes_are_the_newest_keys(keyring: Keyring) -> None:
    index = keyring.blind_index(IBAN, purpose="p")
    both = Keyring.parse(f"{key('k2', 'b')},{key('k1', 'a')}")
    assert both.blind_indexes(IBAN, purpose="p") == [both.blind_index(IBAN, purpose="p"), index]
    assert both.blind_index(IBAN, purpose="p") == Keyring.parse(key("k2", "b")).blind_index(IBAN, purpose="p")
    assert Keyring.parse(key("k1", "b")).blind_index(IBAN, purpose="p") != index


@pytest.mark.parametrize("text", ["", "k1", "k1:", "k1:short", f"{'k' * 17}:{key('', 'a')[1:]}", key("", "a"), "k1:é"])
def test_a_keyring_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Keyring.parse(text)


def test_two_keys_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Keyring.parse(f"{key('k1', 'a')},{key('k1', 'b')}")
