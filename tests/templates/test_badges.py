"""The badge of where a client or contract comes from."""

import pytest
from flask import Flask, get_template_attribute


@pytest.mark.parametrize(
    ("source", "words"), [("WinLeadPlus", ">WLP<"), ("WooCommerce", ">WOO<"), ("", ""), (None, "")]
)
def test_what_comes_from_elsewhere_says_so(app_context: Flask, source: str | None, words: str) -> None:
    badge = get_template_attribute("macros/badges.html", "badge_source")(source)
    assert words in badge
    assert bool(badge.strip()) == bool(words)
