"""Teams: an admin says who belongs to which, and who leads it."""

from typing import NamedTuple
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services import teams
from webapp.services.teams import TeamExistsError
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("teams", __name__, url_prefix="/equipes")


class TeamForm(NamedTuple):
    """Who was ticked in the form of a team."""

    team_id: UUID
    members: set[UUID]
    leaders: set[UUID]


@bp.get("")
@requires(Role.ADMIN)
def index() -> ResponseReturnValue:
    """All teams, each with its form."""
    return _page()


@bp.post("")
@requires(Role.ADMIN)
def create() -> ResponseReturnValue:
    """Make a team."""
    try:
        team = teams.create_team(request.form.get("name", ""), by=current_user())
    except DomainError as error:
        return _page(problem=error), error.status
    toast("success", f"Équipe «\u202f{team.name}\u202f» créée.")
    return redirect(url_for("teams.index", _anchor=f"equipe-{team.id}"), 303)


@bp.post("/<uuid:team_id>")
@requires(Role.ADMIN)
def change(team_id: UUID) -> ResponseReturnValue:
    """Say what a team is called, who is in it and who leads it."""
    members, leaders = _read_ids("membre"), _read_ids("responsable")
    try:
        team = teams.change_team(
            team_id, name=request.form.get("name", ""), members=members, leaders=leaders, by=current_user()
        )
    except (InvalidInputError, TeamExistsError) as error:
        return _page(problem=error, refused=TeamForm(team_id, members, leaders)), error.status
    toast("success", f"Équipe «\u202f{team.name}\u202f» enregistrée.")
    return redirect(url_for("teams.index", _anchor=f"equipe-{team_id}"), 303)


@bp.get("/<uuid:team_id>")
@requires(Role.ADMIN)
def show(team_id: UUID) -> ResponseReturnValue:
    """Where a refused form leaves its address: its place among all teams."""
    if teams.find_name(team_id) is None:
        raise NotFoundError("Cette équipe n’existe pas ou plus.")
    return redirect(url_for("teams.index", _anchor=f"equipe-{team_id}"))


@bp.post("/<uuid:team_id>/suppression")
@requires(Role.ADMIN)
def delete(team_id: UUID) -> ResponseReturnValue:
    """Do away with a team."""
    teams.delete_team(team_id, by=current_user())
    toast("success", "Équipe supprimée.")
    return redirect(url_for("teams.index"), 303)


def _page(problem: DomainError | None = None, refused: TeamForm | None = None) -> str:
    """All teams; ``problem`` stands in the form that was ``refused``, as filled in, else in that of a new team."""
    return render_template(
        "teams/list.html",
        teams=teams.list_teams(),
        people=teams.list_people(),
        problem=problem,
        refused=refused,
        typed=request.form.get("name", ""),
    )


def _read_ids(name: str) -> set[UUID]:
    """Ids that cannot be read are left out."""
    return {row_id for word in request.form.getlist(name) if (row_id := read(UUID, word))}
