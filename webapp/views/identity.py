"""Sign-in and sign-out at the identity provider."""

import secrets
from datetime import timedelta
from typing import NamedTuple

import structlog
from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from redis import RedisError
from werkzeug.wrappers import Response

from webapp import clock, kept_forms, sessions
from webapp.config import Settings
from webapp.errors import DomainError, ForbiddenError, NotFoundError, UnavailableError
from webapp.extensions import csrf, limiter
from webapp.gateways import identity as provider
from webapp.security import NoRoleError, current_user, public, roleless, safe_next
from webapp.services import identity
from webapp.sessions import others

log = structlog.get_logger()
bp = Blueprint("identity", __name__)

# An office shares one address, and its people arrive at the same time.
PACE = "60 per minute"
# One address speaks for everybody: an administrator may sign all people out at once.
PROVIDERS_PACE = "600 per minute"
PATIENCE = timedelta(minutes=30)
TABS = 5
"""How many sign-ins one browser may have under way at once; the oldest is forgotten."""


class Attempt(NamedTuple):
    """A sign-in under way, kept in the session under its ``state``."""

    nonce: str
    verifier: str
    next: str
    started_at: float


@bp.get("/connexion")
@public
@limiter.limit(PACE)
def start() -> Response | tuple[str, int]:
    """Send the browser to the provider, to come back to ``next``; with ``autre-compte``, as somebody else."""
    sessions.require_reachable()
    target = safe_next(request.args.get("next"))
    state = secrets.token_urlsafe(24)
    attempt = Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(48), target, clock.now().timestamp())
    try:
        if sessions.signed_in_user():
            return redirect(target)
        address = provider.authorization_address(
            redirect_uri=_redirect_uri(),
            state=state,
            nonce=attempt.nonce,
            verifier=attempt.verifier,
            anew="autre-compte" in request.args,
        )
    except UnavailableError as error:
        return _try_again(error, target)
    under_way = list(session.get("sign_ins", {}).items())[1 - TABS :]
    session["sign_ins"] = {**dict(under_way), state: attempt}
    return redirect(address)


@bp.get("/connexion/retour")
@public
@limiter.limit(PACE)
def finish() -> Response | tuple[str, int]:
    """Take the provider's answer; sign the user in and go where they meant to go."""
    sessions.require_reachable()
    attempt = _take_attempt(request.args.get("state", ""))
    target = attempt.next if attempt else "/"
    try:
        if attempt is None:
            if sessions.signed_in_user():  # the page was loaded again, or « back » was pressed
                return redirect("/")
            raise provider.SignInError("Cette demande de connexion a expiré ou vient d’un autre navigateur.")
        _sign_in(attempt)
    except DomainError as error:
        return _try_again(error, target)
    return redirect(target)


@bp.post("/deconnexion")
@roleless
def end() -> Response:
    """End the session here, then at the provider."""
    id_token = sessions.end()
    try:
        address = provider.sign_out_address(id_token=id_token, back_to=f"{_settings().base_url}/")
    except UnavailableError:
        address = None
    return redirect(address or url_for("identity.ended"), code=303)


@bp.post("/deconnexion/par-le-fournisseur")
@public
@limiter.limit(PROVIDERS_PACE)
def end_by_provider() -> tuple[dict[str, str], int]:
    """The provider says that somebody has signed out there, or was (OpenID Connect Back-Channel Logout 1.0)."""
    try:
        logout = provider.read_logout(request.form.get("logout_token", ""))
        ended = others.end_by_provider(logout)
    except (DomainError, RedisError) as error:
        log.warning("logout_refused", exc_type=type(error).__name__, reference=str(error))
        return {"error": "invalid_request"}, 400  # whatever the reason, says the specification
    log.info("logout_by_provider", count=ended)
    return {}, 200


csrf.exempt(end_by_provider)  # the signature of the token stands for it


@bp.get("/deconnexion/faite")
@public
def ended() -> str:
    """Where a sign-out ends when the provider could not be told."""
    return render_template("identity/ended.html")


@bp.get("/connexion/formulaire/<word>")
def kept_form(word: str) -> dict[str, object]:
    """What the signed-in user typed before their session had ended, for app.js to put it back. Raises NotFoundError."""
    kept = kept_forms.find(word, owner=current_user().id)
    if kept is None:
        raise NotFoundError("Ce formulaire n’est plus gardé.")
    return {"action": kept.action, "fields": kept.fields}


@bp.app_context_processor
def _kept_form() -> dict[str, object]:
    """``kept_form``: its address on a page that is asked for with one, « » where it is gone, else None."""

    def address() -> str | None:
        word = request.args.get(kept_forms.PARAMETER)
        if not word or not g.get("user"):
            return None
        is_there = kept_forms.find(word, owner=current_user().id) is not None
        return url_for("identity.kept_form", word=word) if is_there else ""

    return {"kept_form": address}


@bp.app_errorhandler(NoRoleError)
def _explain_roles(error: NoRoleError) -> tuple[str, int]:
    """Everything is closed to this account: say so, and offer the way out."""
    return render_template("identity/no_role.html", message=error.message), error.status


def _sign_in(attempt: Attempt) -> None:
    """Redeem the code and begin the session. Raises DomainError with a sentence for the page."""
    _refuse_errors()
    at = clock.now()
    tokens, person = provider.redeem(
        request.args.get("code", ""), redirect_uri=_redirect_uri(), nonce=attempt.nonce, verifier=attempt.verifier
    )
    user = identity.sign_in(person, default_organisation=_settings().crm_organisation, at=at)
    sessions.begin(user, tokens, person, at=at)


def _refuse_errors() -> None:
    """What the provider may say instead of a code. RFC 9207: an answer names its issuer, and it must be ours."""
    if request.args.get("iss", "").rstrip("/") not in ("", _settings().oidc_issuer):
        raise provider.SignInError("Cette réponse ne vient pas du service de connexion attendu.")
    error = request.args.get("error")
    if error == "access_denied":
        raise ForbiddenError("La connexion a été annulée, ou votre compte n’a pas accès au CRM.")
    if error in ("temporarily_unavailable", "server_error"):
        raise UnavailableError("Le service de connexion n’a pas pu répondre, ou la page a expiré.")
    if error or not request.args.get("code"):
        raise provider.SignInError("La connexion n’a pas abouti.")


def _take_attempt(state: str) -> Attempt | None:
    """The sign-in under way with this ``state``, which is used up by asking; None where there is none or it is old."""
    under_way = dict(session.get("sign_ins", {}))
    kept = under_way.pop(state, None)
    if kept is None:
        return None
    session["sign_ins"] = under_way
    attempt = Attempt(*kept)
    is_old = clock.now().timestamp() - attempt.started_at > PATIENCE.total_seconds()
    return None if is_old else attempt


def _try_again(error: DomainError, target: str) -> tuple[str, int]:
    page = render_template("identity/failed.html", message=error.message, next=target, status=error.status)
    return page, error.status


def _redirect_uri() -> str:
    return f"{_settings().base_url}{url_for('identity.finish')}"


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
