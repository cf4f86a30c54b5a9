"""« D’où vient cette valeur ? » : the history of one value, as a panel in a page or as a page of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import render_template

from webapp.views.layout import is_fragment_request


@dataclass(frozen=True)
class History:
    """What the panel shows: an origin of the services, and how its values are worded (``word``).

    ``address`` puts a value back, on the row as it was at ``version``. ``back`` leads to the page of the ``subject``.
    """

    origin: Any
    label: str
    word: Callable[[Any], str]
    address: str
    version: int | str
    back: str
    subject: str


def show_history(history: History) -> str:
    """The panel, or the page for a browser without script."""
    if is_fragment_request():
        return render_template("origins/_panel.html", history=history, has_title=False)
    return render_template("origins/page.html", history=history, has_title=True)
