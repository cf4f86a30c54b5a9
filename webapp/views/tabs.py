"""The tab of a page, as its address says it."""

from enum import StrEnum
from typing import TypeVar

from flask import request

from webapp.views.layout import toast
from webapp.views.lists import read

Tab = TypeVar("Tab", bound=StrEnum)


def asked_tab(tabs: type[Tab]) -> Tab:
    """The tab that ``?onglet=`` names, or the first; whoever asked for one that there is not is told so."""
    asked = request.args.get("onglet")
    tab = read(tabs, asked)
    if asked and tab is None:
        toast("warning", "Cet onglet n’existe pas\u202f: voici le premier.")
    return tab or next(iter(tabs))
