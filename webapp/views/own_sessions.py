"""« Mes sessions »: where the user is signed in, and how to end it elsewhere. Nobody sees another's."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.security import current_user
from webapp.sessions import others
from webapp.views.layout import toast

bp = Blueprint("own_sessions", __name__, url_prefix="/mes-sessions")

NOT_TOLD = (
    "Le service de connexion n’a pas pu être prévenu\u202f: ce navigateur pourrait s’y reconnecter sans mot de passe. "
    "Changez votre mot de passe si vous ne le connaissez pas."
)


@bp.get("")
def index() -> str:
    """All of them, this one first."""
    return render_template("own_sessions/list.html", sessions=others.own_sessions(current_user()), now=clock.now())


@bp.post("/<handle>/fin")
def end(handle: str) -> ResponseReturnValue:
    """End one that is not this one. Raises NotFoundError."""
    is_told = others.end_own(handle, by=current_user())
    return _back("Session terminée.", is_told)


@bp.post("/autres/fin")
def end_others() -> ResponseReturnValue:
    """End all but this one."""
    ended, is_told = others.end_others(by=current_user())
    said = french.counted(ended, "session terminée", "sessions terminées") if ended else "Aucune autre session"
    return _back(f"{said}.", is_told)


def _back(said: str, is_told: bool) -> ResponseReturnValue:
    toast("success", said)
    if not is_told:
        toast("warning", NOT_TOLD)
    return redirect(url_for("own_sessions.index"), 303)
