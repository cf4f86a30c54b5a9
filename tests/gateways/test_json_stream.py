"""Any JSON array, however it is cut into blocks, and however broken one element is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.gateways import json_stream
from webapp.gateways.json_stream import ArrayReader, Element, NotAnArrayError, NotJSONError, UnknownCharsetError


def _read(document: bytes, block: int = 7) -> tuple[list[Element], ArrayReader]:
    reader = ArrayReader()
    elements = []
    for start in range(0, len(document), block):
        elements += reader.feed(document[start : start + block])
    return elements, reader


def _values(document: bytes, block: int = 7) -> list[object]:
    return [element.value for element in _read(document, block)[0]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=8), st.integers(1, 40), st.booleans())
def test_blocks_of_any_size_give_the_same_elements(values: list[object], block: int, is_ascii: bool) -> None:
    document = json.dumps(values, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    elements, reader = _read(document, block)
    expected = json.loads(document.decode("utf-8", "surrogateescape"))
    assert [element.value for element in elements] == expected
    assert all(element.fault is None for element in elements)
    assert (reader.is_complete, reader.has_trailing_text) == (True, False)


@given(st.lists(JSON, max_size=4), JSON, st.integers(1, 40))
def test_the_array_may_stand_under_data(values: list[object], other: object, block: int) -> None:
    document = json.dumps({"total": other, "data": values, "suite": other}).encode()
    elements, reader = _read(document, block)
    assert [element.value for element in elements] == values
    assert (reader.is_complete, reader.has_trailing_text) == (True, False)


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize(
    "broken",
    [
        b'{"a": undefined}',
        b'{"a": 1,, "b": 2}',
        b"undefined",
        b'{"a" 1}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b'{"a": "\\x"}',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_an_element_that_is_no_json_costs_itself_only(broken: bytes, block: int) -> None:
    block = block if len(broken) < 10_000 else 1000
    elements, reader = _read(b'[{"a": 1}, ' + broken + b', {"a": "}]"}]', block)
    assert [element.fault for element in elements] == [None, "malformed", None]
    assert elements[-1].value == {"a": "}]"}
    assert reader.is_complete


def test_nan_bad_utf8_and_bare_control_characters_do_not_stop_the_reading() -> None:
    values = _values(b'[{"a": NaN}, {"a": "\xff\xfe"}, {"a": "\x00\x01"}, {"a": "\\ud800"}]')
    assert len(values) == 4
    assert values[1:3] == [{"a": "\udcff\udcfe"}, {"a": "\x00\x01"}]


def test_bytes_that_are_no_text_are_never_replaced() -> None:
    elements, _ = _read('[{"nom": "Zoé"}, {"nom": "Zoé"}]'.encode("latin-1"))
    for element in elements:
        with pytest.raises(UnicodeEncodeError):
            element.text.encode()


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "latin1"])
def test_a_declared_charset_is_read(charset: str) -> None:
    reader = ArrayReader(charset)
    assert [element.value for element in reader.feed('[{"nom": "Zoé Lefèvre"}]'.encode(charset))] == [
        {"nom": "Zoé Lefèvre"}
    ]


@pytest.mark.parametrize("charset", ["utf-16", "rot13", "unicode_escape", "punycode", "klingon", "a\0b", ""])
def test_a_charset_that_is_none_of_ours_is_refused(charset: str) -> None:
    with pytest.raises(UnknownCharsetError):
        ArrayReader(charset)


def test_an_element_beyond_all_measure_is_skipped_without_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "ELEMENT_LIMIT", 1000)
    document = b'[{"a": "' + b"A" * 5000 + b'"}, {"a": 2}]'
    elements, reader = _read(document, 100)
    assert [element.fault for element in elements] == ["too_large", None]
    assert elements[0].text == ""
    assert reader.is_complete


def test_a_cut_hands_out_what_came_whole() -> None:
    elements, reader = _read(b'[{"a": 1}, {"a": 2}, {"a"')
    assert [element.value for element in elements] == [{"a": 1}, {"a": 2}]
    assert not reader.is_complete


@pytest.mark.parametrize(("tail", "is_trailing"), [(b"", False), (b" \n", False), (b"]", True), (b"[1]", True)])
def test_text_behind_the_array_is_noticed(tail: bytes, is_trailing: bool) -> None:
    elements, reader = _read(b"[1]" + tail, 2)
    assert [element.value for element in elements] == [1]
    assert reader.has_trailing_text is is_trailing


@pytest.mark.parametrize("document", [b"{}", b'{"idProspect": 1}', b'{"data": {"a": 1}}', b'"texte"', b"12", b"null"])
def test_json_without_an_array_is_refused(document: bytes) -> None:
    with pytest.raises(NotAnArrayError):
        _read(document + b" ")


def test_an_object_that_never_comes_to_its_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "WRAPPER_LIMIT", 1000)
    with pytest.raises(NotAnArrayError):
        _read(b'{"a": "' + b"A" * 2000, 100)


@pytest.mark.parametrize("document", [b"<!doctype html><html>", b"\xff\xd8\xff", b"Service indisponible"])
def test_what_is_no_json_is_refused(document: bytes) -> None:
    with pytest.raises(NotJSONError):
        _read(document)


@pytest.mark.parametrize("document", [b"", b"   ", b'{"to'])
def test_too_little_is_neither_refused_nor_begun(document: bytes) -> None:
    assert not _read(document)[1].has_begun
