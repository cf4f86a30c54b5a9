"""One case: its line of time, what it holds, what was written, and what a person decides. A commercial reads alone."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.dunning import CaseStatus, DunningCase
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.dunning import deciding, dossier, line_of_time, listing, plans, steps, suspending
from webapp.services.dunning.deciding import CaseAction
from webapp.views.dunning.listing import visible_commercials
from webapp.views.layout import toast
from webapp.views.lists import read, read_day

bp = Blueprint("dunning_case", __name__, url_prefix="/relances")

WORDS = {
    "promesse": CaseAction.PROMISE,
    "echeancier": CaseAction.PLAN,
    "contester": CaseAction.DISPUTE,
    "reprendre": CaseAction.GO_ON,
    "envoyer": CaseAction.SEND_NOW,
    "passer": CaseAction.SKIP,
    "perte": CaseAction.WRITE_OFF,
    "contentieux": CaseAction.HAND_OVER,
}
"""The actions as the addresses say them."""
DONE = {
    CaseAction.PROMISE: "Promesse notée\u202f: rien n’est relancé avant.",
    CaseAction.PLAN: "Échéancier enregistré\u202f: chaque échéance est prélevée à sa date.",
    CaseAction.DISPUTE: "Contestation notée\u202f: rien n’est relancé jusqu’à la reprise.",
    CaseAction.GO_ON: "Les relances reprennent.",
    CaseAction.SEND_NOW: "Étape faite.",
    CaseAction.SKIP: "Étape passée.",
    CaseAction.WRITE_OFF: "Dossier passé en perte.",
    CaseAction.HAND_OVER: "Dossier remis au contentieux\u202f: téléchargez-le pour le transmettre.",
}
LARGEST_COUNT = 1000

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("/<uuid:case_id>")
def show(case_id: UUID) -> ResponseReturnValue:
    """One case; with ``?action=…`` that action's form is open on it."""
    return _page(case_id, asked=WORDS.get(request.args.get("action", "")))


@bp.post("/<uuid:case_id>/<word>")
@for_managers
def act(case_id: UUID, word: str) -> ResponseReturnValue:
    """Do one of the actions; where it is refused, its form again with the reason."""
    action = WORDS.get(word)
    if action is None:
        raise NotFoundError
    try:
        _DO[action](case_id)
    except NotFoundError:
        raise
    except DomainError as error:
        return _page(case_id, asked=action, problem=error), error.status
    toast("success", DONE[action])
    return redirect(url_for("dunning_case.show", case_id=case_id), 303)


@bp.get("/<uuid:case_id>/dossier")
@for_managers
def download(case_id: UUID) -> ResponseReturnValue:
    """The case as a ZIP: invoices, messages, proof of posting."""
    case = listing.find_case(case_id)
    response = make_response(dossier.build(case, at=clock.now()))
    response.mimetype = "application/zip"
    response.headers.set("Content-Disposition", "attachment", filename=dossier.file_name(case))
    return response


def _promise(case_id: UUID) -> DunningCase:
    until = read_day(request.form.get("jusquau"))
    if until is None:
        raise InvalidInputError("Indiquez jusqu’à quel jour.", field="until")
    return deciding.promise(case_id, until=until, note=_reason(), by=current_user(), at=clock.now())


def _plan(case_id: UUID) -> DunningCase:
    first_on, count = read_day(request.form.get("premiere")), read(int, request.form.get("nombre"))
    if first_on is None:
        raise InvalidInputError("Indiquez la date de la première échéance.", field="first_on")
    if count is None or not 0 < count < LARGEST_COUNT:
        raise InvalidInputError(f"Un échéancier a de 2 à {plans.MOST_INSTALMENTS} échéances.", field="count")
    return deciding.make_plan(
        case_id,
        first_on=first_on,
        count=count,
        fortnightly=request.form.get("rythme") == "quinzaine",
        note=_reason(),
        by=current_user(),
        at=clock.now(),
    )


def _dispute(case_id: UUID) -> DunningCase:
    return deciding.dispute(case_id, note=_reason(), by=current_user(), at=clock.now())


def _go_on(case_id: UUID) -> DunningCase:
    return deciding.go_on(case_id, by=current_user(), at=clock.now())


def _send_now(case_id: UUID) -> DunningCase:
    return deciding.send_now(case_id, step_id=_step_id(), by=current_user(), at=clock.now())


def _skip(case_id: UUID) -> DunningCase:
    return deciding.skip(case_id, step_id=_step_id(), reason=_reason(), by=current_user(), at=clock.now())


def _write_off(case_id: UUID) -> DunningCase:
    return deciding.write_off(case_id, reason=_reason(), by=current_user(), at=clock.now())


def _hand_over(case_id: UUID) -> DunningCase:
    return deciding.hand_over(case_id, note=_reason(), by=current_user(), at=clock.now())


def _step_id() -> UUID:
    return read(UUID, request.form.get("etape")) or UUID(int=0)


def _reason() -> str:
    return request.form.get("motif", "")


_DO: dict[CaseAction, Callable[[UUID], DunningCase]] = {
    CaseAction.PROMISE: _promise,
    CaseAction.PLAN: _plan,
    CaseAction.DISPUTE: _dispute,
    CaseAction.GO_ON: _go_on,
    CaseAction.SEND_NOW: _send_now,
    CaseAction.SKIP: _skip,
    CaseAction.WRITE_OFF: _write_off,
    CaseAction.HAND_OVER: _hand_over,
}


def _page(case_id: UUID, *, asked: CaseAction | None, problem: DomainError | None = None) -> str:
    case = listing.find_case(case_id, commercial_ids=visible_commercials())
    actions = deciding.actions_of(case) if current_user().handles_charges else []
    claims, instalments = listing.list_claims(case.id), plans.list_instalments(case.id)
    past, to_come = line_of_time.list_moments(case, claims, instalments, at=clock.now())
    return render_template(
        "dunning/show.html",
        case=case,
        actions=actions,
        words={action: word for word, action in WORDS.items()},
        asked=asked if asked in actions else None,
        problem=problem,
        written=request.form,
        claims=claims,
        instalments=instalments,
        past=past,
        to_come=to_come,
        messages=listing.list_messages(case.id),
        suspensions=suspending.list_suspensions(case.id),
        step_label=steps.label_of(case.next_step) if case.next_step else "",
        may_download=current_user().handles_charges,
        is_closed_owing=case.status in (CaseStatus.HANDED_OVER, CaseStatus.TERMINATED),
        most_instalments=plans.MOST_INSTALMENTS,
        today=clock.today(),
    )
