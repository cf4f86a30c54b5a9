"""What tests of pages do by the keyboard, and how they look at a page."""

import re
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, Shot
from tests.browser.test_accessibility import OF_COLOURS, PHONE, Scheme, findings


def press(page: Page, role: Any, name: str | re.Pattern[str], key: str = "Enter") -> None:
    """Come to something by the keyboard, and press it."""
    control = page.get_by_role(role, name=name).first
    control.focus()
    expect(control).to_be_focused()
    page.keyboard.press(key)


def everywhere(page: Page, shot: Shot, name: str) -> None:
    """Light, dark and on a telephone; nothing that axe minds, and nothing that is wider than the screen."""
    desk = page.viewport_size
    _look(page, shot, f"{name}-light", "light")
    _look(page, shot, f"{name}-dark", "dark", *OF_COLOURS)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-390")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(desk or PHONE)


def loaded_once(page: Page, shot: Shot, address: str, name: str) -> None:
    """A page in light and dark, wide and on a telephone: nothing that axe minds, and nothing wider than the screen.

    The rules about colours, which are the dearest, are tried wide in both; in dark no others are.
    """
    page.set_viewport_size(DESK)
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok, address
    _look(page, shot, f"{name}-light-1366", "light")
    _look(page, shot, f"{name}-dark-1366", "dark", *OF_COLOURS)
    page.set_viewport_size(PHONE)
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")  # charts take a moment
    shot(page, f"{name}-dark-390")
    _look(page, shot, f"{name}-light-390", "light", without=OF_COLOURS)


def _look(page: Page, shot: Shot, name: str, scheme: Scheme, *rules: str, without: Sequence[str] = ()) -> None:
    page.emulate_media(color_scheme=scheme)
    shot(page, name)
    assert findings(page, *rules, without=without) == [], name
