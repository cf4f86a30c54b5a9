"""The filters of the clients page that are set, in words, each of which can be taken away."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

from webapp.french import day
from webapp.services import teams
from webapp.services.clients import listing
from webapp.services.clients.selection import EVER, Asset, ClientsView
from webapp.views.lists import Chip

WITHOUT_CONTACT = "sans"
YES = "oui"
PERIODS = (("created", "Créé"), ("changed", "Modifié"), ("contacted", "Dernier contact"))

Without = Callable[..., str]
"""The address of the list with changes of its view."""


def chips_of(view: ClientsView, without: Without) -> Iterator[Chip]:
    """All but those whose controls are always in sight; what no control shows at all goes with the form."""
    if view.team:
        name = teams.find_name(view.team) or "inconnue"
        yield Chip(f"Équipe\u202f: {name}", [("equipe", str(view.team))], without(team=None))
    if view.archived:
        yield Chip("Archivés", [("archives", YES)], without(archived=False))
    if view.absent:
        yield Chip("Absents de WinLeadPlus", [("absents", YES)], without(absent=False))
    if view.lacks_contact:
        yield Chip("Sans contact", [("contact", WITHOUT_CONTACT)], without(lacks_contact=False))
    if view.among:
        yield Chip(f"{len(view.among)} commerciaux", [], without(among=()))
    if view.consent:
        yield Chip(view.consent.label, [], without(consent=None))
    if view.place:
        label = "Code postal" if view.place[0].isdigit() else "Ville"
        yield Chip(f"{label}\u202f: {view.place}…", [], without(place=""))
    yield from _of_days(view, without)
    yield from _of_assets(view, without)


def words_of(view: ClientsView) -> list[str]:
    """The search and all filters of a view in words, also those whose controls are always in sight."""
    names = {str(each_id): name for each_id, name in listing.list_all_commercials()}
    holders = [*view.among, *([view.commercial] if view.commercial else [])]
    named = sorted(names.get(str(each), "Sans commercial") for each in holders)
    return [
        *([view.search] if view.search else []),
        *([view.source.label] if view.source else []),
        *([view.status.label] if view.status else []),
        *([", ".join(named)] if named else []),
        *(chip.text for chip in chips_of(replace(view, among=()), lambda **_: "")),
    ]


def _of_days(view: ClientsView, without: Without) -> Iterator[Chip]:
    for field, word in PERIODS:
        days = getattr(view, field)
        if days.are_limited:
            yield Chip(f"{word} {_in_words(*days)}", [], without(**{field: EVER}))
    if view.silent_since:
        yield Chip(f"Sans contact depuis le {day(view.silent_since)}", [], without(silent_since=None))


def _in_words(since: date | None, until: date | None) -> str:
    if since and until:
        return f"du {day(since)} au {day(until)}"
    return f"depuis le {day(since)}" if since else f"jusqu’au {day(until)}"


def _of_assets(view: ClientsView, without: Without) -> Iterator[Chip]:
    for asset in Asset:
        label = asset.label if asset.label.isupper() else asset.label[0].lower() + asset.label[1:]
        if asset in view.having:
            yield Chip(f"Avec {label}", [], without(having=view.having - {asset}))
        if asset in view.lacking:
            yield Chip(f"Sans {label}", [], without(lacking=view.lacking - {asset}))
