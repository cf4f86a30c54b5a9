"""Teams: an admin says who belongs to which, and who leads it."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import DomainError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.commercials import teams
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("teams", __name__, url_prefix="/equipes")


@bp.get("")
@requires(Role.ADMIN)
def index() -> ResponseReturnValue:
    """All teams, each with its form."""
    return _page()


@bp.post("")
@requires(Role.ADMIN)
def create() -> ResponseReturnValue:
    """Make a team."""
    name = request.form.get("name", "")
    try:
        team = teams.create_team(name, by=current_user())
    except DomainError as error:
        return _page(problem=error.message, typed=name), error.status
    toast("success", f"Équipe « {team.name} » créée.")
    return redirect(url_for("teams.index", _anchor=f"equipe-{team.id}"), 303)


@bp.post("/<uuid:team_id>")
@requires(Role.ADMIN)
def change(team_id: UUID) -> ResponseReturnValue:
    """Say what a team is called, who is in it and who leads it."""
    team = teams.change_team(
        team_id,
        name=request.form.get("name", ""),
        members=_read_ids("membre"),
        leaders=_read_ids("responsable"),
        by=current_user(),
    )
    toast("success", f"Équipe « {team.name} » enregistrée.")
    return redirect(url_for("teams.index", _anchor=f"equipe-{team_id}"), 303)


@bp.post("/<uuid:team_id>/suppression")
@requires(Role.ADMIN)
def delete(team_id: UUID) -> ResponseReturnValue:
    """Do away with a team."""
    teams.delete_team(team_id, by=current_user())
    toast("success", "Équipe supprimée.")
    return redirect(url_for("teams.index"), 303)


def _page(problem: str | None = None, typed: str = "") -> str:
    return render_template(
        "teams/list.html", teams=teams.list_teams(), people=teams.list_people(), problem=problem, typed=typed
    )


def _read_ids(name: str) -> set[UUID]:
    """Ids that cannot be read are nobody's."""
    return {found for word in request.form.getlist(name) if (found := read(UUID, word))}
