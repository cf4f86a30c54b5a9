"""How a list is shown: the saved view that its address opens or began with, its columns, and how close its rows stand.

An address is a view, as before: filters, order and page are in it. ``?vue=mes-prospects`` opens a saved view as it is;
once anything is changed, the address says all of it anew, beside ``modifiee=oui``.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import abort, redirect, request
from werkzeug.datastructures import MultiDict

from webapp.models.saved_views import Density, SavedList
from webapp.security import current_user
from webapp.services import saved_views
from webapp.services.keyset import Order
from webapp.services.list_columns import ListColumn, ValueKind, chosen
from webapp.services.saved_views import EVERYTHING, ViewState, VisibleView
from webapp.views.layout import is_fragment_request
from webapp.views.lists import Column, Heading, heading, read, with_query

Arguments = MultiDict[str, str]
Pairs = list[tuple[str, str]]

SAVED = "vue"
CHANGED = ("modifiee", "oui")
COLUMNS = "colonnes"
DENSITY = "densite"
PLACE = ("apres", "total")
"""What of an address is no part of a view: where its page starts, and how it is counted."""
LOOK = (SAVED, CHANGED[0], COLUMNS, DENSITY)
"""What of an address says how a list looks, and which view it began with: no filter."""
MOVE = "deplacer"
PANEL = "panneau"
NUMBERS = (ValueKind.INTEGER, ValueKind.AMOUNT, ValueKind.AMOUNTS)
FILTERS = {
    "q": "recherche",
    "statut": "statut",
    "source": "source",
    "commercial": "commercial",
    "equipe": "équipe",
    "societe": "société",
    "produit": "produit",
    "client": "client",
    "contrat": "contrat",
    "abonnement": "abonnement",
    "consentement": "consentement",
    "frequence": "fréquence",
    "genre": "genre",
    "encaissement": "encaissement",
    "tri": "ordre",
}
"""What sentences call the parts of an address; « filtre » for the others."""


class Cell(NamedTuple):
    """How a column's cells are drawn."""

    key: str
    kind: ValueKind
    css_class: str
    labels: dict[str, str] | None


@dataclass(frozen=True)
class ListPage:
    """A list that has views. ``plain`` gives the address, first page, of what can be read in arguments.

    ``usual`` are the columns where nobody chose others, ``fixed`` that which always comes first; a narrow screen shows
    those of ``narrow`` beside it, or where none of them was chosen the first two. Those of ``in_words`` are drawn in
    words, numbers or not.
    """

    of: SavedList
    plain: Callable[[Arguments], str]
    columns: Sequence[ListColumn]
    usual: tuple[str, ...]
    fixed: str
    narrow: tuple[str, ...]
    in_words: frozenset[str] = frozenset()

    def keys(self, asked: Sequence[str]) -> tuple[str, ...]:
        """The columns that are asked for, as far as the list offers them; none where they are the usual ones."""
        offered = {column.key for column in self.columns}
        if not offered & set(asked):
            return ()
        known = tuple(column.key for column in chosen([self.fixed, *asked], self.columns, default=self.usual))
        return () if known == self.usual else known

    def state_of(self, arguments: Arguments) -> ViewState:
        """What a saved view would keep of an address."""
        asked = [key for word in arguments.getlist(COLUMNS) for key in word.split(",")]
        density = read(Density, arguments.get(DENSITY)) or Density.NORMAL
        pairs = [pair for pair in parse_qsl(urlsplit(self.plain(arguments)).query) if pair[0] not in PLACE]
        return ViewState(urlencode(pairs), self.keys(asked), density)


@dataclass(frozen=True)
class ShownList:
    """One list as one request shows it. ``arguments`` are what its filters are to be read from."""

    page: ListPage
    arguments: Arguments
    word: str = ""
    saved: VisibleView | None = None
    problem: str | None = None
    state: ViewState = field(default_factory=ViewState)
    """What the list shows; ``saved_state`` is what the saved view still means, without what is gone of it."""
    saved_state: ViewState | None = None
    views: Sequence[VisibleView] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of the columns, in order."""
        return self.state.columns or self.page.usual

    @property
    def cells(self) -> list[Cell]:
        """The columns as their cells are drawn, the fixed one first."""
        narrow = {key for key in self.page.narrow if key in self.columns} or set(self.columns[1:3])
        return [
            Cell(each.key, each.kind, self._css_class(each, each.key in {self.page.fixed, *narrow}), each.labels)
            for each in self.listed
        ]

    def _css_class(self, column: ListColumn, is_narrow: bool) -> str:
        is_number = column.kind in NUMBERS and column.key not in self.page.in_words
        is_short = column.kind in (ValueKind.AMOUNT, ValueKind.DAY)
        names = (("num", is_number), ("nowrap", is_short), ("wide-only", not is_narrow))
        return " ".join(name for name, holds in names if holds)

    @property
    def listed(self) -> list[ListColumn]:
        """The columns, in order."""
        by_key = {column.key: column for column in self.page.columns}
        return [by_key[key] for key in self.columns]

    def beside(self, drawn: Collection[str]) -> list[ListColumn]:
        """The columns beside those that each row of the page holds anyway, ``drawn``."""
        return [column for column in self.listed if column.key not in drawn]

    def headings(self, current: Order | None = None, address_of: Callable[[Any], str] | None = None) -> list[Heading]:
        """The heads of the columns; with links to other orders where the list has any."""
        return [
            heading(Column(each.label, cell.css_class, each.sort), current, address_of)
            for each, cell in zip(self.listed, self.cells, strict=True)
        ]

    @property
    def is_changed(self) -> bool:
        """Whether the list differs from its saved view."""
        return self.saved is not None and self.state != self.saved_state

    @property
    def everything(self) -> str:
        """The address of the whole list, in its usual order; said so where the user may have a default."""
        path = urlsplit(self.page.plain(MultiDict())).path
        return with_query(path, [(SAVED, EVERYTHING)] if self.word else [])

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing that a view could keep."""
        return self.state == ViewState()

    def at(self, plain: str, state: ViewState | None = None) -> str:
        """The address that shows ``plain``, an address of the list's filters alone, in the manner of this one."""
        look = state or self.state
        if not self.word and not self.saved and not look.columns and look.density is Density.NORMAL:
            return plain
        parts = urlsplit(plain)
        pairs = parse_qsl(parts.query)
        filters = [pair for pair in pairs if pair[0] not in PLACE]
        query = self._query(ViewState(urlencode(filters), look.columns, look.density))
        return with_query(parts.path, [*query, *(pair for pair in pairs if pair[0] in PLACE)])

    def _query(self, state: ViewState) -> Pairs:
        if self.saved and state == self.saved_state:
            return [(SAVED, self.saved.slug)]
        marks = [(SAVED, self.saved.slug), CHANGED] if self.saved else [(SAVED, self.word)] if self.word else []
        return [*marks, *pairs_of(state)]

    @cached_property
    def own_inputs(self) -> Pairs:
        """What the form of filters sends beside its controls."""
        return [pair for pair in self.inputs if pair[0] in LOOK]

    @cached_property
    def inputs(self) -> Pairs:
        """What a form sends that shows this list another way: all of it, said in full."""
        marks = [(SAVED, self.saved.slug), CHANGED] if self.saved else [(SAVED, self.word)] if self.word else []
        return [*marks, *pairs_of(self.state)]

    @property
    def whole_query(self) -> str:
        """The query string of what the list shows, said in full, for a view to keep."""
        return urlencode(pairs_of(self.state))

    @property
    def offered(self) -> list[tuple[ListColumn, bool]]:
        """The columns that can be chosen, those that are shown first, in their order; whether each is shown."""
        others = (column for column in self.page.columns if column.key not in self.columns)
        return [*((column, True) for column in self.listed), *((column, False) for column in others)]


def pairs_of(state: ViewState) -> Pairs:
    """A view's state as the address says it."""
    return [
        *parse_qsl(state.query),
        *([(COLUMNS, ",".join(state.columns))] if state.columns else []),
        *([(DENSITY, state.density.value)] if state.density is not Density.NORMAL else []),
    ]


def open_page(page: ListPage) -> ShownList:
    """The list that the request asks for, with the views that stand above it on a whole page.

    Leads to the user's default where nothing is asked for. Raises NotFoundError for a view that the user does not see.
    """
    views = [] if is_fragment_request() else saved_views.list_visible(page.of, by=current_user())
    default = next((view for view in views if view.is_default), None)
    if default and not request.args:
        abort(redirect(address_of(page, default.slug)))
    return replace(open_list(page, request.args, has_default=default is not None), views=views)


def open_list(page: ListPage, arguments: Arguments, *, has_default: bool = False) -> ShownList:
    """The list that arguments ask for; ``has_default``: whether none would ask for a view of the user's.

    Raises NotFoundError for a view that the user does not see.
    """
    word = arguments.get(SAVED, "") or (EVERYTHING if has_default else "")
    if not word or word == EVERYTHING:
        return ShownList(page, arguments, word, state=_moved(page, arguments))
    saved = saved_views.find(page.of, word, by=current_user())
    understood, problem = _still_there(page, saved)
    saved_state = page.state_of(understood)
    if arguments.get(CHANGED[0]):
        return ShownList(page, arguments, word, saved, None, _moved(page, arguments), saved_state)
    for name in PLACE:
        if name in arguments:
            understood[name] = arguments[name]
    return ShownList(page, understood, word, saved, problem, saved_state, saved_state)


def _still_there(page: ListPage, saved: VisibleView) -> tuple[Arguments, str | None]:
    """What a saved view still means, and a sentence about what it does not mean any more."""
    kept = pairs_of(saved.state)
    gone = saved_views.find_gone(kept)
    understood: Arguments = MultiDict([pair for pair in kept if pair not in gone])
    state = page.state_of(understood)
    meant = set(pairs_of(state))
    lost = [pair for pair in kept if pair[0] != COLUMNS and pair not in meant]
    names = list(dict.fromkeys(FILTERS.get(name, "filtre") for name, _ in lost))
    if set(saved.state.columns) - set(state.columns or page.usual):
        names.append("colonne")
    if not names:
        return understood, None
    return understood, (f"Cette vue demande ce qui n’existe plus ({', '.join(names)})\u202f: le reste est appliqué.")


def _moved(page: ListPage, arguments: Arguments) -> ViewState:
    """The state that arguments say, a column moved up or down where a button of the panel asks for that."""
    state = page.state_of(arguments)
    key, _, direction = arguments.get(MOVE, "").partition(":")
    order = list(state.columns or page.usual)
    if key not in order or direction not in ("haut", "bas"):
        return state
    here = order.index(key)
    there = here + (1 if direction == "bas" else -1)
    if here >= 1 and 1 <= there < len(order):  # nothing stands before the fixed one
        order[here], order[there] = order[there], order[here]
    return state._replace(columns=page.keys(order))


def address_of(page: ListPage, slug: str) -> str:
    """The address of a saved view."""
    return with_query(urlsplit(page.plain(MultiDict())).path, [(SAVED, slug)])


def list_values(shown: ShownList, plain: str) -> dict[str, Any]:
    """What templates/lists/_bar.html needs; ``plain`` is the address of the list's filters alone."""
    return {
        "shown": shown,
        "is_panel_open": PANEL in request.args,
        "densities": list(Density),
        "usual_columns": shown.at(plain, shown.state._replace(columns=())) if shown.state.columns else None,
    }


def page_values(shown: ShownList) -> dict[str, Any]:
    """What templates/lists/_tabs.html needs."""
    current = shown.saved.id if shown.saved else None
    addressed = [(view, address_of(shown.page, view.slug)) for view in shown.views]
    return {
        "tab_views": [pair for pair in addressed if pair[0].is_pinned or pair[0].id == current],
        "other_views": [pair for pair in addressed if not pair[0].is_pinned and pair[0].id != current],
    }
