"""The texts that clients agree to, and their versions. For admins."""

from datetime import date

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.consents import ConsentPurpose
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.consents import wordings
from webapp.services.consents.wordings import NewerWordingError
from webapp.views.layout import toast
from webapp.views.lists import IMPOSSIBLE_DAY, has_impossible_day, read, read_day

bp = Blueprint("consent_wordings", __name__, url_prefix="/reglages/consentements")

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """Every purpose with its versions."""
    return _page()


@bp.post("/<purpose_word>")
@for_admins
def publish(purpose_word: str) -> ResponseReturnValue:
    """Add a version; where that is refused, the page with what was written, and the reason."""
    purpose = read(ConsentPurpose, purpose_word)
    if purpose is None:
        raise NotFoundError
    try:
        wording = wordings.publish(
            purpose,
            request.form.get("texte", ""),
            active_on=_read_day(),
            seen_version=read(int, request.form.get("version")) or 0,
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, NewerWordingError) as error:
        return _page(purpose, error), error.status
    toast("success", f"Version {wording.version} publiée\u202f: {purpose.label}.")
    return redirect(url_for("consent_wordings.index"), 303)


@bp.get("/<purpose_word>")
@for_admins
def show(purpose_word: str) -> ResponseReturnValue:
    """Where a refused form leaves its address: the page that it stands in."""
    if read(ConsentPurpose, purpose_word) is None:
        raise NotFoundError
    return redirect(url_for("consent_wordings.index"), 303)


def _read_day() -> date | None:
    """Raises InvalidInputError."""
    if has_impossible_day(request.form.get("date")):
        raise InvalidInputError(IMPOSSIBLE_DAY, field="active_on")
    return read_day(request.form.get("date"))


def _page(refused: ConsentPurpose | None = None, problem: DomainError | None = None) -> str:
    return render_template(
        "consents/wordings.html",
        purposes=wordings.list_wordings(at=clock.now()),
        refused=refused,
        problem=problem,
        written=request.form,
        now=clock.now(),
        today=clock.today(),
        lengths=wordings.LENGTHS,
    )
