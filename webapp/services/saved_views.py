"""Saved views of lists: who sees them, who may change them, and what each user made of them.

A view holds the query string of a list's filters and order, which the list's own page has read and written anew: what
it does not understand is never kept.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp.errors import ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import Identified, linked, new_id
from webapp.models.clients import Client
from webapp.models.commercials import Commercial, Team
from webapp.models.contracts import Contract
from webapp.models.identity import Role, User
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.models.saved_views import NAME_LENGTH, Density, SavedList, SavedView, SavedViewMark
from webapp.models.subscriptions import Subscription
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

GONE = "Cette vue n’existe pas ou plus."
EVERYTHING = "tous"
"""What an address says instead of a view: none, though the user has a default."""
MOST = 100
"""How many views a user may have of a list."""
QUERY_LENGTH = 4000
_SLUG_STEM = 60


class ViewState(NamedTuple):
    """What a view keeps of a list: the query string of its filters and order, its columns (none: the usual ones)."""

    query: str = ""
    columns: tuple[str, ...] = ()
    density: Density = Density.NORMAL


class VisibleView(NamedTuple):
    """A view as one user sees it. ``owner`` is empty where nobody has it any more, or its owner left."""

    id: UUID
    slug: str
    name: str
    state: ViewState
    owner: str
    is_own: bool
    is_shared: bool
    may_change: bool
    is_pinned: bool
    is_default: bool


# Who has no role left, or is a commercial who is not active any more, has left.
_HAS_LEFT = or_(User.id.is_(None), User.roles == [], and_(Commercial.id.is_not(None), ~Commercial.is_active))
_VISIBLE = (
    select(
        SavedView.id,
        SavedView.slug,
        SavedView.name,
        SavedView.query,
        SavedView.columns,
        SavedView.density,
        SavedView.user_id,
        SavedView.is_shared,
        _HAS_LEFT.label("has_left"),
        func.trim(User.first_name + " " + User.last_name).label("owner"),
        func.coalesce(SavedViewMark.is_pinned, literal(False)).label("is_pinned"),
        func.coalesce(SavedViewMark.is_default, literal(False)).label("is_default"),
    )
    .outerjoin(User, linked(User, SavedView.user_id))
    .outerjoin(Commercial, linked(User, Commercial.user_id))
    .outerjoin(
        SavedViewMark, and_(linked(SavedView, SavedViewMark.view_id), SavedViewMark.user_id == bindparam("viewer"))
    )
    .where(
        SavedView.of_list == bindparam("of_list"), or_(SavedView.user_id == bindparam("viewer"), SavedView.is_shared)
    )
)
_LISTED = _VISIBLE.order_by(func.lower(SavedView.name), SavedView.id)
_BY_SLUG = _VISIBLE.where(SavedView.slug == bindparam("slug"))
_BY_ID = _VISIBLE.where(SavedView.id == bindparam("id"))


def list_visible(of_list: SavedList, *, by: User) -> list[VisibleView]:
    """The user's own views of a list and those that others share, by name."""
    return [_seen(row, by) for row in db.session.execute(_LISTED, {"of_list": of_list, "viewer": by.id})]


def find(of_list: SavedList, slug: str, *, by: User) -> VisibleView:
    """The view that an address names. Raises NotFoundError, for another's private one, too."""
    if "\0" in slug:  # PostgreSQL knows no such text
        raise NotFoundError(GONE)
    return _only(db.session.execute(_BY_SLUG, {"of_list": of_list, "viewer": by.id, "slug": slug}).first(), by)


def find_by_id(of_list: SavedList, view_id: UUID, *, by: User) -> VisibleView:
    """Likewise by its id."""
    return _only(db.session.execute(_BY_ID, {"of_list": of_list, "viewer": by.id, "id": view_id}).first(), by)


def _only(row: Row[Any] | None, by: User) -> VisibleView:
    if row is None:
        raise NotFoundError(GONE)
    return _seen(row, by)


def _seen(row: Row[Any], by: User) -> VisibleView:
    is_own = row.user_id == by.id
    return VisibleView(
        id=row.id,
        slug=row.slug,
        name=row.name,
        state=ViewState(row.query, tuple(row.columns), row.density),
        owner="" if row.has_left else row.owner,
        is_own=is_own,
        is_shared=row.is_shared,
        may_change=is_own or (row.has_left and by.has_role(Role.ADMIN)),
        is_pinned=row.is_pinned,
        is_default=row.is_default,
    )


def create(
    of_list: SavedList,
    state: ViewState,
    *,
    name: str,
    by: User,
    at: datetime,
    is_shared: bool = False,
    is_pinned: bool = True,
    is_default: bool = False,
) -> VisibleView:
    """Keep a state of a list under a name. Raises InvalidInputError, ForbiddenError."""
    _check_list(of_list, by)
    if len(state.query) > QUERY_LENGTH:
        raise InvalidInputError("Cette vue a trop de filtres pour être enregistrée.", field="nom")
    with transaction():
        _one_after_the_other(by)
        name = _checked_name(of_list, name, by)
        own = select(func.count()).select_from(SavedView).where(SavedView.of_list == of_list, _is_of(by))
        if db.session.scalars(own).one() >= MOST:
            raise InvalidInputError(f"Vous avez déjà {MOST} vues de cette liste\u202f: supprimez-en.", field="nom")
        values = {
            "of_list": of_list,
            "user_id": by.id,
            "name": name,
            "query": state.query,
            "columns": list(state.columns),
            "density": state.density,
            "is_shared": is_shared,
            "created_at": at,
        }
        view_id, slug = _insert(values)
        _mark(of_list, view_id, by, is_pinned=is_pinned, is_default=is_default)
    return find(of_list, slug, by=by)


def _insert(values: dict[str, Any]) -> tuple[UUID, str]:
    """The new view's id and slug: the first of « mes-prospects », « mes-prospects-2 » … that the list does not have."""
    stem = slug_of(values["name"])
    for number in count(1):
        slug = stem if number == 1 else f"{stem}-{number}"
        made = insert(SavedView).values(organisation_id=current_organisation_id(), id=new_id(), slug=slug, **values)
        made_id = db.session.scalar(made.on_conflict_do_nothing().returning(SavedView.id))
        if made_id is not None:
            return made_id, slug
    raise AssertionError("unreachable")


def slug_of(name: str) -> str:
    """How addresses write a name: « Mes prospects à Évry » is mes-prospects-a-evry."""
    plain = unicodedata.normalize("NFKD", name.replace("œ", "oe").replace("Œ", "oe")).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:_SLUG_STEM].strip("-")
    return f"vue-{slug}" if slug == EVERYTHING else slug or "vue"


def keep_state(of_list: SavedList, view_id: UUID, state: ViewState, *, by: User) -> VisibleView:
    """Let a view keep another state (« Enregistrer »). Raises NotFoundError, ForbiddenError, InvalidInputError."""
    if len(state.query) > QUERY_LENGTH:
        raise InvalidInputError("Cette vue a trop de filtres pour être enregistrée.")
    return _change(of_list, view_id, by, query=state.query, columns=list(state.columns), density=state.density)


def rename(of_list: SavedList, view_id: UUID, *, name: str, is_shared: bool, by: User) -> VisibleView:
    """Give a view another name, its address staying, and share it or no more. Raises as ``keep_state`` does."""
    with transaction():
        _one_after_the_other(by)
        name = _checked_name(of_list, name, by, but=view_id)
        return _change(of_list, view_id, by, name=name, is_shared=is_shared)


def remove(of_list: SavedList, view_id: UUID, *, by: User) -> str:
    """Delete a view, and say what it was called. Raises NotFoundError, ForbiddenError."""
    with transaction():
        view = _changeable(of_list, view_id, by)
        db.session.execute(delete(SavedView).where(SavedView.id == view_id))
    return view.name


def pin(of_list: SavedList, view_id: UUID, *, is_pinned: bool, by: User) -> VisibleView:
    """Make a view a tab over the user's list, or no more. Raises NotFoundError."""
    with transaction():
        view = find_by_id(of_list, view_id, by=by)
        _mark(of_list, view_id, by, is_pinned=is_pinned, is_default=view.is_default)
    return view


def set_default(of_list: SavedList, view_id: UUID, *, is_default: bool, by: User) -> VisibleView:
    """Let the user's list open with a view, or no more. Raises NotFoundError."""
    with transaction():
        view = find_by_id(of_list, view_id, by=by)
        _mark(of_list, view_id, by, is_pinned=view.is_pinned, is_default=is_default)
    return view


def _mark(of_list: SavedList, view_id: UUID, by: User, *, is_pinned: bool, is_default: bool) -> None:
    """Write what the user made of the view; another default of theirs is none any more.

    Under the lock of the user's row, so that two of their tabs do not both make a default.
    """
    db.session.execute(select(User.id).where(User.id == by.id).with_for_update())
    if is_default:
        others = update(SavedViewMark).where(
            SavedViewMark.user_id == by.id, SavedViewMark.of_list == of_list, SavedViewMark.is_default
        )
        db.session.execute(others.values(is_default=False).execution_options(synchronize_session=False))
    marks = {"is_pinned": is_pinned, "is_default": is_default}
    key = {"organisation_id": current_organisation_id(), "user_id": by.id, "view_id": view_id, "of_list": of_list}
    made = insert(SavedViewMark).values(**key, **marks)
    db.session.execute(made.on_conflict_do_update(index_elements=["organisation_id", "user_id", "view_id"], set_=marks))


def _change(of_list: SavedList, view_id: UUID, by: User, **values: Any) -> VisibleView:
    with transaction():
        _changeable(of_list, view_id, by)
        changed = update(SavedView).where(SavedView.id == view_id).values(**values)
        db.session.execute(changed.execution_options(synchronize_session=False))
    return find_by_id(of_list, view_id, by=by)


def _changeable(of_list: SavedList, view_id: UUID, by: User) -> VisibleView:
    _check_list(of_list, by)
    db.session.execute(select(SavedView.id).where(SavedView.id == view_id).with_for_update())
    view = find_by_id(of_list, view_id, by=by)
    if not view.may_change:
        raise ForbiddenError(
            "Cette vue partagée appartient à quelqu’un d’autre\u202f: enregistrez la vôtre sous un autre nom."
        )
    return view


def _check_list(of_list: SavedList, by: User) -> None:
    if of_list is SavedList.CHARGES and not by.handles_charges:
        raise ForbiddenError("Les prélèvements sont réservés aux managers et administrateurs.")


def _one_after_the_other(by: User) -> None:
    """Let nobody else name a view of the same user until the transaction ends: names are looked at, then written."""
    key = f"saved views|{current_organisation_id()}|{by.id}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def _checked_name(of_list: SavedList, name: str, by: User, but: UUID | None = None) -> str:
    name = " ".join(name.split())
    if not name or "\0" in name:
        raise InvalidInputError("Donnez un nom à la vue.", field="nom")
    if len(name) > NAME_LENGTH:
        raise InvalidInputError(f"Ce nom est trop long\u202f: {NAME_LENGTH} caractères au plus.", field="nom")
    twin = select(SavedView.id).where(
        SavedView.of_list == of_list, _is_of(by), func.lower(SavedView.name) == func.lower(name)
    )
    if db.session.scalar(twin.where(SavedView.id != but) if but else twin):
        raise InvalidInputError("Vous avez déjà une vue de ce nom.", field="nom")
    return name


def _is_of(user: User) -> Any:
    return SavedView.user_id == user.id


# What filters name by id, as addresses call it; a team may stand where a commercial does.
_NAMED: dict[str, type[Identified]] = {
    "commercial": Commercial,
    "equipe": Team,
    "societe": Company,
    "produit": Product,
    "client": Client,
    "contrat": Contract,
    "abonnement": Subscription,
}
_TEAM_PREFIX = "equipe-"


def find_gone(filters: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of filters, as addresses say them: those that name a row which is there no more. A statement for each kind."""
    named: dict[str, list[tuple[UUID, tuple[str, str]]]] = {}
    for name, value in filters:
        kind = "equipe" if value.startswith(_TEAM_PREFIX) else name
        try:
            row_id = UUID(value.removeprefix(_TEAM_PREFIX))
        except ValueError:
            continue
        named.setdefault(kind, []).append((row_id, (name, value)))
    gone: set[tuple[str, str]] = set()
    for kind in named.keys() & _NAMED.keys():
        model = _NAMED[kind]
        there = set(db.session.scalars(select(model.id).where(model.id.in_({row_id for row_id, _ in named[kind]}))))
        gone |= {each for row_id, each in named[kind] if row_id not in there}
    return gone
