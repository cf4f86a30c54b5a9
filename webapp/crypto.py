"""Encryption at rest of what must not be read from a stolen backup: IBAN, BIC, tokens, identity cards.

AES-256-GCM, the key's id in front, and where the value belongs as associated data, so that a ciphertext
moved to another row or tenant does not open. Equality is compared by a keyed blind index, since two
encryptions of one value differ.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class DecryptionError(Exception):
    """The ciphertext was made with a key we do not hold, or for another place."""


@dataclass(frozen=True)
class Keyring:
    """Data keys by id, newest first: the first encrypts and makes indexes, all decrypt and find."""

    keys: Mapping[str, bytes]

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read ``id:base64url,id:base64url``, each key of 32 bytes. Raises ValueError on anything else."""
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, _, encoded = part.strip().partition(":")
            key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            if not key_id or len(key_id) > 16 or len(key) != 32:
                raise ValueError("each data key is written id:base64url of 32 bytes")
            if key_id in keys:
                raise ValueError(f"data key {key_id} stands there twice")
            keys[key_id] = key
        return cls(keys)

    def encrypt(self, plaintext: bytes, *, place: str) -> bytes:
        """Encrypt for ``place`` (``organisation|table|id``)."""
        newest = next(iter(self.keys.values()))
        nonce = os.urandom(NONCE_BYTES)
        return self.prefix + nonce + AESGCM(newest).encrypt(nonce, plaintext, place.encode())

    def decrypt(self, ciphertext: bytes, *, place: str) -> bytes:
        """Open what was encrypted for ``place``. Raises DecryptionError."""
        length = int.from_bytes(ciphertext[:1], "big")
        key = self.keys.get(ciphertext[1 : 1 + length].decode("ascii", "replace"))
        if key is None:
            raise DecryptionError("unknown data key")
        nonce, sealed = ciphertext[1 + length :][:NONCE_BYTES], ciphertext[1 + length + NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, sealed, place.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: cut so short that no nonce is left
            raise DecryptionError("ciphertext does not belong here or was altered") from error

    @property
    def prefix(self) -> bytes:
        """What everything begins with that the newest key has sealed."""
        key_id = next(iter(self.keys)).encode()
        return bytes([len(key_id)]) + key_id

    def blind_index(self, value: str, *, purpose: str) -> bytes:
        """A keyed fingerprint (16 bytes) of ``value``: equal values, equal fingerprints, per ``purpose`` and key."""
        return self.blind_indexes(value, purpose=purpose)[0]

    def blind_indexes(self, value: str, *, purpose: str) -> list[bytes]:
        """The fingerprints by which ``value`` may be found: of every key, that of the newest first."""
        subkeys = (hmac.digest(key, b"blind-index|" + purpose.encode(), hashlib.sha256) for key in self.keys.values())
        return [hmac.digest(subkey, value.encode(), hashlib.sha256)[:16] for subkey in subkeys]


_keyring: Keyring | None = None


def use(keyring: Keyring) -> None:
    """Set the process's keys, once, at start-up."""
    global _keyring
    _keyring = keyring


def keyring() -> Keyring:
    """The process's keys. Raises RuntimeError before ``use``."""
    if _keyring is None:
        raise RuntimeError("data keys are not set: create_app() sets them")
    return _keyring


def seal(text: str, *, place: str) -> bytes:
    """Encrypt text for ``place`` with the process's keys."""
    return keyring().encrypt(text.encode(), place=place)


def unseal(ciphertext: bytes, *, place: str) -> str:
    """Open what ``seal`` made for ``place``."""
    return keyring().decrypt(ciphertext, place=place).decode()


def blind_index(value: str, *, purpose: str) -> bytes:
    """See ``Keyring.blind_index``; ``purpose`` names the organisation and the kind of value."""
    return keyring().blind_index(value, purpose=purpose)


def blind_indexes(value: str, *, purpose: str) -> list[bytes]:
    """See ``Keyring.blind_indexes``."""
    return keyring().blind_indexes(value, purpose=purpose)
