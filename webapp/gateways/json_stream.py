"""Reads a JSON array of any length, element by element, out of blocks of bytes.

Memory holds one element and one block. An element that is not JSON, or is out of all proportion, costs itself
only: reading goes on after its closing bracket. The array may be the whole document, or the value of ``data``
in an object around it. Why not ijson: docs/adr/0022.

Bytes that are no text in the answer's charset stay visible in ``Element.text`` as the lone surrogates of Python's
``surrogateescape``: nothing is replaced, and whoever takes an element tells by them that it is broken.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

ELEMENT_LIMIT = 24 * 1024 * 1024
"""Characters of one element beyond which it is skipped instead of being kept in memory."""
WRAPPER_LIMIT = 1024 * 1024
"""Characters within which the array must begin."""

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_STRUCTURE = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_SCALAR_END = re.compile(r"[,\]]")
_BEHIND_SCALAR = frozenset(",] \t\r\n")  # without it, 1 may be the beginning of 12 or of 1.5
_CHARSETS = re.compile(r"utf-8|ascii|iso8859-\d+|cp125\d")
_decoder = json.JSONDecoder(strict=False)  # control characters inside strings are for the cleaning of names


def decode(text: str) -> Any:
    """The value of an element's text, by the rules of this module. Raises ValueError or RecursionError."""
    return _decoder.decode(text)


class Element(NamedTuple):
    """One element of the array. ``value`` is None and ``fault`` says why when it could not be read."""

    value: Any
    text: str
    fault: Literal["malformed", "too_large"] | None = None


class UnknownCharsetError(Exception):
    """The answer says that it is in a charset that we do not read."""


class NotAnArrayError(Exception):
    """The document is JSON, and neither an array nor an object with one under ``data``."""


class NotJSONError(Exception):
    """The document does not begin as JSON does."""


class ArrayReader:
    """Feed it blocks of text in ``charset``; it hands back the elements that are complete. Raises UnknownCharsetError.

    ``has_begun`` and ``is_complete`` once the array was opened and closed; ``has_trailing_text`` when something
    followed it that is not part of a wrapping object.
    """

    def __init__(self, charset: str = "utf-8") -> None:
        self._decode = codecs.getincrementaldecoder(_codec(charset))(errors="surrogateescape").decode
        self._text = ""
        self._position = 0
        self._pending: _Pending | None = None
        self.has_begun = False
        self._is_wrapped = False
        self.is_complete = False
        self.has_trailing_text = False

    def feed(self, block: bytes) -> list[Element]:
        """The elements that this block completed. Raises NotAnArrayError or NotJSONError at the document's start."""
        text = self._decode(block)
        if self._pending is not None:
            self._pending.add(text)
            return list(self._finish_pending())
        self._text = self._text[self._position :] + text
        self._position = 0
        return list(self._elements())

    def _elements(self) -> Iterator[Element]:
        if not self.has_begun and not self._begin():
            return
        while not self.is_complete:
            start = self._next_start()
            if start is None:
                break
            try:
                value, end = _decoder.raw_decode(self._text, start)
            except (ValueError, RecursionError):
                end = -1
            if end < 0 or (self._text[end - 1] not in '}]"' and self._text[end : end + 1] not in _BEHIND_SCALAR):
                yield from self._set_aside(start)
                return
            self._position = end
            yield Element(value, self._text[start:end])
        if self.is_complete:
            self._check_rest()

    def _next_start(self) -> int | None:
        """Where the next element begins; None at the end of the array or of the text."""
        if self._text.startswith(",{", self._position):  # as compact JSON goes on: the short way
            self._position += 1
            return self._position
        start = _end_of_space(self._text, self._position)
        while self._text.startswith(",", start):
            start = _end_of_space(self._text, start + 1)
        self._position = start
        if start == len(self._text):
            return None
        if self._text[start] != "]":
            return start
        self.is_complete = True
        self._position += 1
        return None

    def _set_aside(self, start: int) -> Iterator[Element]:
        """The element at ``start`` is broken, or not all here yet."""
        self._pending = _Pending(self._text[start])
        self._pending.add(self._text[start:])
        self._text, self._position = "", 0
        yield from self._finish_pending()

    def _finish_pending(self) -> Iterator[Element]:
        pending = self._pending
        if pending is None or pending.rest is None:
            return
        self._pending = None
        self._text, self._position = pending.rest, 0
        yield pending.element()
        yield from self._elements()

    def _begin(self) -> bool:
        """Go behind the opening bracket: False while it has not come yet."""
        start = _end_of_space(self._text, 0)
        if start == len(self._text):
            self._position = start
            return False
        if self._text[start] == "{":
            begin = self._behind_data_key(start + 1)
            if begin is None:
                return False
            self._is_wrapped, start = True, begin
        if self._text[start] != "[":
            raise _refusal_of(self._text[start : start + 10])
        self.has_begun = True
        self._position = start + 1
        return True

    def _behind_data_key(self, position: int) -> int | None:
        """Where the value of ``data`` begins, in the object around it; None while too little of it has come."""
        text = self._text
        try:
            while True:
                position = _end_of_space(text, position)
                if text[position] == "}":
                    raise NotAnArrayError
                key, position = _decoder.raw_decode(text, position)
                position = _end_of_space(text, _end_of_space(text, position) + 1)
                text[position]
                if key == "data":
                    return position
                _value, position = _decoder.raw_decode(text, position)
                position = _end_of_space(text, position)
                position += text[position] == ","
        except (IndexError, ValueError, RecursionError):
            if len(text) > WRAPPER_LIMIT:
                raise NotAnArrayError from None
            self._position = 0
            return None

    def _check_rest(self) -> None:
        if not self._is_wrapped and self._text[self._position :].strip():
            self.has_trailing_text = True
        self._text, self._position = "", 0


class _Pending:
    """An element of which the end has not been found, or that is broken: looks for its end, once over each block."""

    def __init__(self, first: str) -> None:
        self._is_scalar = first not in '{["'
        self._depth = 0
        self._in_string = False
        self._carry = ""
        self._parts: list[str] = []
        self._length = 0
        self.rest: str | None = None

    def add(self, text: str) -> None:
        """Take a further block; once the element is whole, ``rest`` is what follows it."""
        text, self._carry = self._carry + text, ""
        end = self._end_of_scalar(text) if self._is_scalar else self._end_of_structure(text)
        if end is None:
            if (len(text) - len(text.rstrip("\\"))) % 2:  # the character that it escapes is in the next block
                text, self._carry = text[:-1], "\\"
        else:
            self.rest = text[end:]
            text = text[:end]
        self._length += len(text)
        if self._length > ELEMENT_LIMIT:
            self._parts.clear()
        else:
            self._parts.append(text)

    def element(self) -> Element:
        """The whole element, read."""
        if self._length > ELEMENT_LIMIT:
            return Element(None, "", "too_large")
        text = "".join(self._parts)
        try:
            value, end = _decoder.raw_decode(text, 0)
        except (ValueError, RecursionError):
            end = -1
        return Element(value, text) if end == len(text.rstrip()) else Element(None, text, "malformed")

    def _end_of_scalar(self, text: str) -> int | None:
        match = _SCALAR_END.search(text)
        return match.start() if match else None

    def _end_of_structure(self, text: str) -> int | None:
        for token in _STRUCTURE.finditer(text):
            character = text[token.start()]
            if character == '"':
                self._in_string = not self._in_string
            elif self._in_string or character == "\\":
                continue
            else:
                self._depth += 1 if character in "{[" else -1
            if self._depth <= 0 and not self._in_string:
                return token.end()
        return None


def _codec(charset: str) -> str:
    """Python's name of a charset that has one byte or UTF-8 for a letter; ASCII is read as the UTF-8 that it is."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    if not _CHARSETS.fullmatch(name):
        raise UnknownCharsetError(charset)
    return "utf-8" if name == "ascii" else name


def _end_of_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _refusal_of(start: str) -> Exception:
    is_json = start[0] in '{"-0123456789' or start.startswith(("true", "false", "null"))
    return NotAnArrayError() if is_json else NotJSONError()
