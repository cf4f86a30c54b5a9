"""Duplicates: the pairs of clients who may be one person, and what a person says of one."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.duplicates import PairScore
from webapp.security import current_user
from webapp.services.clients.listing import list_all_commercials
from webapp.services.duplicates import pairs
from webapp.services.duplicates.pairs import PairsView
from webapp.views.clients.side_by_side import glance
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("duplicates", __name__, url_prefix="/clients/doublons")

DISMISSED = "ecartes"
SCORES = [("", "Certains, probables, possibles"), *((str(each.value), f"{each.label}s") for each in PairScore)]
STATES = [("", "À décider"), (DISMISSED, "Écartés")]


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The pairs, the surest first. What cannot be read in the address is ignored."""
    view = read_view()
    page = pairs.list_pairs(view, by=current_user())
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "glance": glance,
        "first_page": _address(view, cursor="") if view.cursor else None,
        "previous_page": _address(view, cursor=page.previous_cursor) if page.previous_cursor else None,
        "next_page": _address(view, cursor=page.next_cursor) if page.next_cursor else None,
    }
    if is_fragment_request():
        return render_template("clients/_duplicates.html", **values)
    commercials = [("", "Tous les commerciaux"), *((str(each), name) for each, name in list_all_commercials())]
    return render_template(
        "clients/duplicates.html", **values, scores=SCORES, states=STATES, commercials=commercials, dismissed=DISMISSED
    )


@bp.post("/<uuid:pair_id>/ecarter")
def dismiss(pair_id: UUID) -> ResponseReturnValue:
    """« Ce ne sont pas les mêmes » ."""
    pair = pairs.dismiss(pair_id, by=current_user(), at=clock.now())
    toast("success", f"{pair.first.full_name} et {pair.second.full_name} ne vous seront plus proposés comme doublons.")
    return redirect(_address(read_view()), code=303)


@bp.post("/<uuid:pair_id>/remettre")
def reopen(pair_id: UUID) -> ResponseReturnValue:
    """Take back what was said of a pair."""
    pairs.reopen(pair_id, by=current_user())
    toast("success", "Ce doublon est de nouveau à décider.")
    return redirect(_address(read_view()), code=303)


def read_view() -> PairsView:
    """The pairs that the address asks for."""
    score = request.args.get("certitude", "")
    return PairsView(
        score=next((each for each in PairScore if str(each.value) == score), None),
        commercial_id=read(UUID, request.args.get("commercial")),
        is_dismissed=request.args.get("etat") == DISMISSED,
        cursor=request.args.get("apres", ""),
    )


def _address(view: PairsView, **changes: Any) -> str:
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "certitude": target.score.value if target.score else "",
        "commercial": target.commercial_id,
        "etat": DISMISSED if target.is_dismissed else "",
        "apres": target.cursor,
    }
    return url_for("duplicates.index", **{name: value for name, value in query.items() if value})
