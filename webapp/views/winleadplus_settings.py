"""How the organisation takes part in WinLeadPlus, for admins.

The address is shown and not changed here: the installation's own account signs in there, for all organisations, so
whoever runs the installation says where (``flask winleadplus config set --endpoint``).
"""

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import limiter
from webapp.models.identity import Role
from webapp.security import requires
from webapp.services.winleadplus import config, connection
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("winleadplus_settings", __name__, url_prefix="/synchronisations/reglages")

CHECK_LIMIT = "10 per minute"

for_admins = requires(Role.ADMIN)


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.route("", methods=["GET", "POST"])
@for_admins
def edit() -> ResponseReturnValue:
    """The form; its change."""
    if request.method == "GET":
        return _page(_shown())
    try:
        config.change(
            enabled="actif" in request.form,
            interval_minutes=read(int, request.form.get("intervalle", "").strip()) or 0,
            import_without_contracts="sans_contrat" in request.form,
        )
    except InvalidInputError as error:
        return _page(request.form, error), error.status
    toast("success", "Réglages de WinLeadPlus enregistrés.")
    return redirect(url_for("winleadplus_settings.edit"), 303)


@bp.post("/essai")
@for_admins
@limiter.limit(CHECK_LIMIT, key_func=_requester)
def check() -> ResponseReturnValue:
    """Read the first prospect, and keep nothing."""
    try:
        answer = connection.try_connection()
    except DomainError as error:
        toast("error", error.message)
    else:
        what = "" if answer.first_id else " Aucun prospect n’y est encore."
        toast("success", f"La connexion fonctionne\u202f: WinLeadPlus répond.{what}")
    return redirect(url_for("winleadplus_settings.edit"), 303)


def _shown() -> dict[str, str]:
    present = config.find()
    return (
        {"intervalle": str(present.interval_minutes)}
        | ({"actif": "1"} if present.enabled else {})
        | ({"sans_contrat": "1"} if present.import_without_contracts else {})
    )


def _page(written: Any, problem: InvalidInputError | None = None) -> str:
    return render_template(
        "winleadplus/settings.html", written=written, problem=problem, endpoint=config.endpoint_of(config.find())
    )
