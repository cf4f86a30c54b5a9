"""A body as managers see it: its shape, ids, dates, amounts and states; nothing that tells who somebody is.

What is not known to be harmless is masked: whoever sends writes anything anywhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MASK = "•••"
LONGEST = 100_000
"""Characters that are shown."""
LONGEST_TEXT = 200


@dataclass(frozen=True)
class Shown:
    """What a sender's bodies have that is harmless.

    ``texts`` are keys whose texts are shown; ``items`` lists whose ``name`` is that of a thing, not of a person;
    ``personal`` keys whose numbers are masked as well; ``meta`` names of meta_data whose values are shown.
    """

    texts: frozenset[str]
    items: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()
    meta: frozenset[str] = frozenset()


_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_HARMLESS_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")


def masked(body: bytes, shown: Shown) -> str | None:
    """The body as JSON, laid out, its personal data masked; None where it cannot be read."""
    try:
        content = json.loads(body)
        return _laid_out(_Masker(shown).mask(content))
    except (ValueError, RecursionError):
        return None


def in_clear(body: bytes) -> str:
    """The body as it came, laid out where it is JSON."""
    try:
        return _laid_out(json.loads(body))
    except (ValueError, RecursionError):
        return _printable(body.decode("utf-8", "backslashreplace"))


def _laid_out(content: Any) -> str:
    return _printable(json.dumps(content, ensure_ascii=False, indent=2))


def _printable(text: str) -> str:
    """What a page can carry: no lone surrogates, no NUL, no more than a person reads."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text)} caractères)"


@dataclass(frozen=True)
class _Masker:
    shown: Shown

    def mask(self, value: Any, key: str = "", within: str = "", *, is_personal: bool = False) -> Any:
        if isinstance(value, Mapping):
            return self._object(value, within=key or within, is_personal=is_personal or key in self.shown.personal)
        if isinstance(value, list):
            return [self.mask(each, key, key or within, is_personal=is_personal) for each in value]
        if value is None or value == "" or isinstance(value, bool):
            return value
        return value if not is_personal and self._is_harmless(value, key, within) else MASK

    def _object(self, value: Mapping[str, Any], *, within: str, is_personal: bool) -> dict[str, Any]:
        is_shown_meta = value.get("key") in self.shown.meta
        return {
            key if _KEY.fullmatch(key) else MASK: _shown_meta(each)
            if is_shown_meta and key in ("value", "display_value")
            else self.mask(each, key, within, is_personal=is_personal)
            for key, each in value.items()
        }

    def _is_harmless(self, value: Any, key: str, within: str) -> bool:
        if isinstance(value, int | float):
            return key not in self.shown.personal and (key != "value" or within != "meta_data")
        is_named = key in self.shown.texts or (key in ("name", "parent_name") and within in self.shown.items)
        return is_named and "@" not in value and len(value) <= LONGEST_TEXT


def _shown_meta(value: Any) -> Any:
    return value if isinstance(value, int) or _HARMLESS_NUMBER.fullmatch(str(value)) else MASK
