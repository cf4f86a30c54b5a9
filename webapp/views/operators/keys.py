"""« Opérateurs »: who may ask about covers from outside, and how we tell each other of claims. For admins."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.identity import Role
from webapp.models.operators import CoverOperator
from webapp.security import current_user, requires
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.operators import connecting, keys
from webapp.services.operators.connecting import Direction, NewSecret, OperatorStateError
from webapp.services.operators.keys import NewKey
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("operators", __name__, url_prefix="/couvertures/operateurs")

for_admins = requires(Role.ADMIN)
REFUSED = (EditConflictError, InvalidInputError, OperatorStateError)
"""What is said on the page that the form stands in: so is an answer with a secret that is loaded anew."""
DIRECTIONS = {"reception": Direction.THEIRS, "envoi": Direction.OURS}
"""Who signs, as the addresses say it."""


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """All operators, and the form of a new one."""
    return _page()


@bp.post("")
@for_admins
def create() -> ResponseReturnValue:
    """Make an operator; its key is shown on this answer, and never again."""
    try:
        made = keys.add_operator(request.form.get("nom", ""), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(problem=error), error.status
    return _shown_once(_page(made=made))


@bp.post("/<uuid:operator_id>/cle")
@for_admins
def renew(operator_id: UUID) -> ResponseReturnValue:
    """Make its key anew: this answer alone shows it. Reloaded, it makes no other one."""
    try:
        made = keys.renew(operator_id, seen=request.form.get("vue", ""), at=clock.now())
    except REFUSED as error:
        return _page(problem=error), error.status
    return _shown_once(_page(made=made))


@bp.post("/<uuid:operator_id>/cle/ancienne/fin")
@for_admins
def end_old_key(operator_id: UUID) -> ResponseReturnValue:
    """Let the newest key alone open."""
    try:
        operator = keys.end_old_key(operator_id, seen=request.form.get("vue", ""))
    except REFUSED as error:
        return _page(problem=error), error.status
    toast("success", f"L’ancienne clé de {operator.name} n’ouvre plus rien.")
    return redirect(url_for("operators.index"), 303)


@bp.get("/<uuid:operator_id>/cle")
@for_admins
def show_key(operator_id: UUID) -> ResponseReturnValue:
    """Where a form leaves its address: the page that it stands in."""
    connecting.find_operator(operator_id)
    return redirect(url_for("operators.index"), 303)


@bp.post("/<uuid:operator_id>/revoquer")
@for_admins
def revoke(operator_id: UUID) -> ResponseReturnValue:
    """Let its key open nothing any more."""
    operator = keys.revoke(operator_id, at=clock.now())
    toast("success", f"La clé de {operator.name} n’ouvre plus rien.")
    return redirect(url_for("operators.index"), 303)


@bp.get("/<uuid:operator_id>")
@for_admins
def show(operator_id: UUID) -> ResponseReturnValue:
    """How one of them tells us of claims, and where we tell it."""
    return _operator_page(connecting.find_operator(operator_id))


@bp.post("/<uuid:operator_id>/secrets/<word>")
@for_admins
def create_secret(operator_id: UUID, word: str) -> ResponseReturnValue:
    """Make a secret: this answer alone shows it. Reloaded, it makes no other one."""
    try:
        made = connecting.new_secret(operator_id, _direction(word), seen=_seen(), at=clock.now())
    except REFUSED as error:
        return _operator_page(connecting.find_operator(operator_id), problem=error), error.status
    return _shown_once(_operator_page(made.operator, made=made))


@bp.post("/<uuid:operator_id>/secrets/<word>/fin")
@for_admins
def end_old_secrets(operator_id: UUID, word: str) -> ResponseReturnValue:
    """Let the newest secret alone hold."""
    try:
        connecting.end_old_secrets(operator_id, _direction(word), seen=_seen(), at=clock.now())
    except REFUSED as error:
        return _operator_page(connecting.find_operator(operator_id), problem=error), error.status
    toast("success", "Les anciens secrets ne sont plus acceptés.")
    return redirect(url_for("operators.show", operator_id=operator_id), 303)


@bp.get("/<uuid:operator_id>/secrets/<word>")
@for_admins
def show_secrets(operator_id: UUID, word: str) -> ResponseReturnValue:
    """Where a form leaves its address: the page that it stands in."""
    _direction(word)
    return redirect(url_for("operators.show", operator_id=operator_id), 303)


@bp.post("/<uuid:operator_id>/adresse")
@for_admins
def set_delivery_url(operator_id: UUID) -> ResponseReturnValue:
    """Say where the operator is told of the files that colleagues declare."""
    try:
        operator = connecting.set_delivery_url(operator_id, request.form.get("adresse", ""))
    except InvalidInputError as error:
        return _operator_page(connecting.find_operator(operator_id), problem=error), error.status
    toast("success", "Adresse enregistrée." if operator.delivery_url else "Plus rien ne lui est envoyé.")
    return redirect(url_for("operators.show", operator_id=operator_id), 303)


def _shown_once(page: str) -> Response:
    """A page that tells something secret: nobody keeps it."""
    answer = make_response(page, 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _direction(word: str) -> Direction:
    if word not in DIRECTIONS:
        raise NotFoundError
    return DIRECTIONS[word]


def _seen() -> datetime | None:
    """When the secrets had last changed, as the page that the form stands in showed it."""
    return read(datetime.fromisoformat, request.form.get("vu"))


def _operator_page(
    operator: CoverOperator, *, made: NewSecret | None = None, problem: DomainError | None = None
) -> str:
    standing = {
        direction.value: {
            "column": direction.value,
            "word": word,
            "label": direction.label,
            "count": len(operator.secrets_in_clear(direction.value)),
        }
        for word, direction in DIRECTIONS.items()
    }
    return render_template(
        "operators/show.html",
        operator=operator,
        webhook_url=url_for("operator_webhooks.create_event", operator_id=operator.id, _external=True),
        standing=standing,
        made=made,
        seen=operator.secrets_changed_at.isoformat() if operator.secrets_changed_at else "",
        problem=problem,
        written=request.form if problem else {},
    )


def _page(*, made: NewKey | None = None, problem: DomainError | None = None) -> str:
    return render_template(
        "operators/index.html",
        operators=keys.list_operators(),
        made=made,
        problem=problem,
        now=clock.now(),
        written=request.form if problem else {},
        api=url_for("operator_api.covers", _external=True),
    )
