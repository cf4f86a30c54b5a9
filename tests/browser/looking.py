"""What tests of pages do by the keyboard, and how they look at a page."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.test_accessibility import PHONE, findings


def press(page: Page, role: Any, name: str | re.Pattern[str], key: str = "Enter") -> None:
    """Come to something by the keyboard, and press it."""
    control = page.get_by_role(role, name=name).first
    control.focus()
    expect(control).to_be_focused()
    page.keyboard.press(key)


def everywhere(page: Page, shot: Shot, name: str) -> None:
    """Light, dark and on a telephone; nothing that axe minds, and nothing that is wider than the screen."""
    desk = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        shot(page, f"{name}-{scheme}")
        assert findings(page) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-390")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(desk or PHONE)
