"""The fields of a covered home, wherever a form has them."""

from flask import request

from webapp.models.covers import HomeKind, Occupancy
from webapp.services.covers.homes import HomeFields
from webapp.views.lists import read
from webapp.views.subscriptions.form import asked_day

HOME_KINDS = [("", "Choisir…"), *((each.value, each.label) for each in HomeKind)]
OCCUPANCIES = [("", "Choisir…"), *((each.value, each.label) for each in Occupancy)]


def read_home() -> HomeFields:
    """What was sent of a home. Raises InvalidInputError (field « occupied_since ») where that is no day."""
    form = request.form
    return HomeFields(
        kind=read(HomeKind, form.get("type")),
        occupancy=read(Occupancy, form.get("occupation")),
        occupied_since=asked_day("occupe_depuis", field="occupied_since"),
        address_line1=form.get("adresse", ""),
        address_line2=form.get("complement") or None,
        postcode=form.get("code_postal", ""),
        city=form.get("ville", ""),
        access_notes=form.get("acces") or None,
    )
