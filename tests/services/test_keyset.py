"""Cursors: whatever comes in by the address, a position or nothing comes out, never an error."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.services import keyset
from webapp.services.keyset import Position

ROW = UUID("0199fa6e-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    "key", ["dupont élodie", "", "a\nb", 0, 12, datetime(2026, 11, 20, 13, 5, 7, 123456, tzinfo=UTC)]
)
@pytest.mark.parametrize("is_backward", [False, True])
def test_a_cursor_leads_back_to_its_position(key: keyset.Key, is_backward: bool) -> None:
    position = Position(key, ROW, is_backward)
    cursor = keyset.encode(position, sort="nom")
    assert keyset.decode(cursor, sort="nom", kind=type(key)) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_another_sort_is_none() -> None:
    cursor = keyset.encode(Position("lille", uuid4()), sort="ville")
    assert keyset.decode(cursor, sort="nom", kind=str) is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (["nom", 3, ROW.hex, 0], str),
        (["nom", None, ROW.hex, 0], str),
        (["nom", "a\0b", ROW.hex, 0], str),
        (["nom", "\ud800", ROW.hex, 0], str),
        (["nom", "a", "no id", 0], str),
        (["nom", "a", 7, 0], str),
        (["nom", "3", ROW.hex, 0], int),
        (["nom", True, ROW.hex, 0], int),
        (["nom", 10**30, ROW.hex, 0], int),
        (["nom", "hier", ROW.hex, 0], datetime),
        (["nom", "2026-11-20T10:00:00", ROW.hex, 0], datetime),
        (["nom", "a"], str),
        ({"nom": 1}, str),
        ("nom", str),
        (7, str),
        (None, str),
    ],
)
def test_a_tampered_cursor_is_none(content: object, kind: type[keyset.Key]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    assert keyset.decode(cursor, sort="nom", kind=kind) is None


@given(st.text(max_size=200))
def test_any_text_at_all_is_a_cursor_or_none(text: str) -> None:
    assert keyset.decode(text, sort="nom", kind=str) is None


def test_brackets_without_end_are_no_cursor() -> None:
    cursor = base64.urlsafe_b64encode(b"[" * 60_000).decode()
    assert keyset.decode(cursor, sort="nom", kind=str) is None
