"""The link that a client is given: it leads to the provider's page. Nobody is signed in; the token is the right.

The token stands in the address alone: no page here names another site before the client goes there, no answer is kept,
and none is to be found by a search engine.
"""

from flask import Blueprint, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.config import Settings
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import limiter
from webapp.models.means_requests import MeansRequestStatus
from webapp.security import public
from webapp.services.means_requests import visiting

bp = Blueprint("means_link", __name__, url_prefix="/moyen-de-paiement")

VISITS = "30 per minute"

SENTENCES = {
    MeansRequestStatus.DONE: "Votre moyen de paiement est enregistré. Vous pouvez fermer cette page.",
    MeansRequestStatus.EXPIRED: "Ce lien a expiré. Demandez-en un autre à votre interlocuteur.",
    MeansRequestStatus.REFUSED: "Ce lien ne sert plus. Demandez-en un autre à votre interlocuteur.",
    MeansRequestStatus.CANCELED: "Ce lien ne sert plus. Demandez-en un autre à votre interlocuteur.",
}
RECEIVED = "Votre réponse est transmise. Vous pouvez fermer cette page."
LEFT = "Rien n’a été enregistré. Vous pouvez rouvrir la page quand vous le souhaitez."


@bp.get("/<token>")
@public
@limiter.limit(VISITS)
def show(token: str) -> ResponseReturnValue:
    """To the provider's page, or what to know where there is none any more."""
    if request.method == "HEAD":  # something that looks at links for people
        return _page("", "", status=200)
    try:
        visit = visiting.open_link(
            token, return_url=_address("thank", token), leave_url=_address("leave", token), at=clock.now()
        )
    except DomainError as error:
        return _refusal(error)
    if visit.url is not None:
        response = make_response(redirect(visit.url, 303))
        response.headers["Referrer-Policy"] = "no-referrer"
        return response
    title = "Merci" if visit.status is MeansRequestStatus.DONE else visit.company
    return _page(title, SENTENCES.get(visit.status, RECEIVED), company=visit.company)


@bp.get("/<token>/merci")
@public
@limiter.limit(VISITS)
def thank(token: str) -> ResponseReturnValue:
    """Back from the provider's page. What was done there is asked of the provider, not read here."""
    try:
        visit = visiting.look_on_return(token, at=clock.now())
    except DomainError as error:
        return _refusal(error)
    return _page("Merci", SENTENCES[MeansRequestStatus.DONE] if _is_done(visit) else RECEIVED, company=visit.company)


@bp.get("/<token>/abandon")
@public
@limiter.limit(VISITS)
def leave(token: str) -> ResponseReturnValue:
    """The client has left the provider's page."""
    try:
        visit = visiting.look_on_return(token, at=clock.now())
    except DomainError as error:
        return _refusal(error)
    again = url_for(".show", token=token) if visit.status.is_open else None
    sentence = LEFT if visit.status.is_open else SENTENCES[visit.status]
    return _page("Merci" if _is_done(visit) else visit.company, sentence, company=visit.company, again=again)


def _is_done(visit: visiting.Visit) -> bool:
    return visit.status is MeansRequestStatus.DONE


def _address(endpoint: str, token: str) -> str:
    """An address of ours that the provider sends the client back to, whatever host the request named."""
    settings: Settings = current_app.extensions["settings"]
    return settings.base_url + url_for(f".{endpoint}", token=token)


def _refusal(error: DomainError) -> ResponseReturnValue:
    title = "Lien inconnu" if isinstance(error, NotFoundError) else "Page indisponible"
    return _page(title, error.message, status=error.status, again=None if error.status == 404 else request.path)


def _page(
    title: str, sentence: str, *, status: int = 200, company: str = "", again: str | None = None
) -> ResponseReturnValue:
    content = render_template("means_requests/link.html", title=title, sentence=sentence, company=company, again=again)
    response = make_response(content, status)
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
