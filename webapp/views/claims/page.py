"""One claim file, what is done with it, and the form by which a claim is declared."""

from collections.abc import Callable
from datetime import time
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, ForbiddenError, InvalidInputError, NotFoundError
from webapp.french import field_amount, file_size, read_number
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimChannel
from webapp.models.covers import Cover, Trade
from webapp.security import current_user
from webapp.services.claims import actions, deciding, declaring, money, notes, profile, working
from webapp.services.claims.actions import ClaimAction
from webapp.services.claims.declaring import ClaimFields
from webapp.services.claims.recording import ClaimStateError
from webapp.services.clients import documents
from webapp.services.covers import loading
from webapp.services.operators.news import news_of
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("claim", __name__)

TRADES = [("", "Choisir…"), *((each.value, each.label) for each in Trade)]
CHANNELS = [(each.value, each.label) for each in ClaimChannel if each is not ClaimChannel.OPERATOR]
WORDS = {
    "accepter": ClaimAction.ACCEPT,
    "refuser": ClaimAction.REFUSE,
    "confirmer": ClaimAction.CONFIRM,
    "revoir": ClaimAction.CONTEST,
    "corriger": ClaimAction.CORRECT,
    "commencer": ClaimAction.START,
    "clore": ClaimAction.CLOSE,
    "rouvrir": ClaimAction.REOPEN,
    "paiement": ClaimAction.PAID,
    "recuperation": ClaimAction.RECOVERED,
    "provision": ClaimAction.RESERVE,
    "annuler": ClaimAction.CANCEL,
}
"""The actions as the addresses say them."""
DONE = {
    ClaimAction.ACCEPT: "Dossier accepté.",
    ClaimAction.REFUSE: "Dossier refusé.",
    ClaimAction.CONFIRM: "Décision confirmée.",
    ClaimAction.CONTEST: "Le dossier attend la décision d’une personne.",
    ClaimAction.CORRECT: "Montant corrigé\u202f: le dossier a été décidé de nouveau.",
    ClaimAction.START: "Intervention commencée.",
    ClaimAction.CLOSE: "Dossier clos.",
    ClaimAction.REOPEN: "Dossier rouvert.",
    ClaimAction.PAID: "Paiement noté.",
    ClaimAction.RECOVERED: "Récupération notée.",
    ClaimAction.RESERVE: "Provision enregistrée.",
    ClaimAction.CANCEL: "Dossier annulé.",
}


@bp.route("/couvertures/<uuid:cover_id>/sinistres/nouveau", methods=["GET", "POST"])
def new(cover_id: UUID) -> ResponseReturnValue:
    """The form by which a claim is declared, and declaring it; « Est-ce couvert ? » carries its answers over."""
    cover = loading.find_cover(cover_id)
    if request.method == "GET":
        return _form(cover)
    try:
        claim = declaring.declare(cover_id, _declared(), by=current_user(), at=clock.now())
    except (InvalidInputError, ClaimStateError) as error:
        return _form(cover, error), error.status
    toast("success", f"Sinistre déclaré\u202f: dossier {claim.reference}.")
    return redirect(url_for("claim.show", claim_id=claim.id), 303)


@bp.get("/dossiers/<uuid:claim_id>")
def show(claim_id: UUID) -> ResponseReturnValue:
    """One file; with ``?action=…`` that action's form is open on it."""
    return show_page(claim_id, asked=WORDS.get(request.args.get("action", "")))


@bp.post("/dossiers/<uuid:claim_id>/<word>")
def act(claim_id: UUID, word: str) -> ResponseReturnValue:
    """Do one of the actions; where it is refused, its form again with the reason."""
    action = WORDS.get(word)
    if action is None:
        raise NotFoundError
    if not actions.may(action, current_user()):
        raise ForbiddenError("Un manager ou un administrateur décide de cela.")
    try:
        _DO[action](claim_id)
    except NotFoundError:
        raise
    except DomainError as error:
        return show_page(claim_id, asked=action, problem=error), error.status
    toast("success", DONE[action])
    return redirect(url_for("claim.show", claim_id=claim_id), 303)


def _declared() -> ClaimFields:
    form = request.form
    return ClaimFields(
        trade=read(Trade, form.get("metier")),
        event_on=asked_day("jour", field="event_on"),
        event_time=_asked_hour(),
        declared_on=asked_day("declare", field="declared_on"),
        channel=read(ClaimChannel, form.get("canal")),
        home_id=_asked_home(),
        asked=read_number(form.get("montant", "")),
        words=form.get("mots", ""),
        token=read(UUID, form.get("jeton")),
    )


def _asked_hour() -> time | None:
    written = request.form.get("heure", "").strip()
    hour = read(time.fromisoformat, written)
    if written and (hour is None or hour.tzinfo is not None):
        raise InvalidInputError("Indiquez une heure valable, comme 14:30.", field="event_time")
    return hour


def _asked_home() -> UUID | None:
    written = request.form.get("logement", "")
    home_id = read(UUID, written)
    if written and home_id is None:
        raise InvalidInputError("Choisissez un logement de cette couverture.", field="home_id")
    return home_id


def _form(cover: Cover, problem: DomainError | None = None) -> str:
    written: dict[str, Any] = request.form.to_dict() or {
        "metier": request.args.get("metier", ""),
        "jour": request.args.get("jour") or clock.today().isoformat(),
        "montant": request.args.get("montant", ""),
        "declare": clock.today().isoformat(),
    }
    homes = {str(each.home_id): each.home.one_line for each in cover.lasting_homes}
    return render_template(
        "claims/new.html",
        cover=cover,
        written=written,
        problem=problem,
        token=written.get("jeton") or new_id(),
        trades=TRADES,
        channels=CHANNELS,
        homes=[("", "Celui qui était couvert ce jour-là"), *homes.items()] if len(homes) > 1 else [],
        today=clock.today(),
    )


def _common() -> dict[str, Any]:
    return {"version": read(int, request.form.get("version")) or 0, "by": current_user(), "at": clock.now()}


def _reason() -> str:
    return request.form.get("motif", "")


def _amount() -> Decimal | None:
    return read_number(request.form.get("montant", ""))


_DO: dict[ClaimAction, Callable[[UUID], Claim]] = {
    ClaimAction.ACCEPT: lambda claim_id: deciding.accept(claim_id, covered=_amount(), reason=_reason(), **_common()),
    ClaimAction.REFUSE: lambda claim_id: deciding.refuse(claim_id, reason=_reason(), **_common()),
    ClaimAction.CONFIRM: lambda claim_id: deciding.confirm(claim_id, reason=_reason(), **_common()),
    ClaimAction.CONTEST: lambda claim_id: deciding.contest(claim_id, reason=_reason(), **_common()),
    ClaimAction.CORRECT: lambda claim_id: deciding.correct_asked(
        claim_id, asked=_amount(), reason=_reason(), **_common()
    ),
    ClaimAction.START: lambda claim_id: working.start(claim_id, **_common()),
    ClaimAction.CLOSE: lambda claim_id: working.close(claim_id, **_common()),
    ClaimAction.REOPEN: lambda claim_id: working.reopen(claim_id, reason=_reason(), **_common()),
    ClaimAction.PAID: lambda claim_id: money.add_paid(claim_id, _amount(), note=_reason(), **_common()),
    ClaimAction.RECOVERED: lambda claim_id: money.add_recovered(claim_id, _amount(), note=_reason(), **_common()),
    ClaimAction.RESERVE: lambda claim_id: money.set_reserve(claim_id, _amount(), note=_reason(), **_common()),
    ClaimAction.CANCEL: lambda claim_id: working.cancel(claim_id, reason=_reason(), **_common()),
}


def show_page(
    claim_id: UUID, *, asked: ClaimAction | None = None, problem: DomainError | None = None, was_read: bool = True
) -> str:
    """The page of a file, with an action's form open on it, or with what was refused; not ``was_read``: unread."""
    shown = profile.find_profile(claim_id, by=current_user(), at=clock.now())
    return render_template(
        "claims/show.html",
        shown=shown,
        claim=shown.claim,
        news=news_of(shown.claim),
        words={action: word for word, action in WORDS.items()},
        asked=asked if asked in shown.actions else None,
        problem=problem,
        written=request.form if was_read else {},
        asked_before=field_amount(shown.claim.asked),
        put=notes.find_notes(shown.claim),
        demand=new_id(),
        taken=documents.TAKEN,
        accepted=",".join(documents.KINDS),
        limit=file_size(documents.SIZE_LIMIT),
        today=clock.today(),
    )
