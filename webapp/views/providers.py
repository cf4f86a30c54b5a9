"""Companies' accounts with payment providers, for admins. Keys go in, and never come out again."""

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.config import Settings
from webapp.errors import InvalidInputError
from webapp.extensions import limiter
from webapp.gateways.providers.registry import CREDENTIALS
from webapp.models.identity import Role
from webapp.models.providers import MOST_NOTICE_DAYS, Milestone, Provider, ProviderAccount
from webapp.security import requires
from webapp.services.providers import accounts
from webapp.services.providers.accounts import USUAL, ConnectionFailedError, Offer, Terms
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("providers", __name__, url_prefix="/prelevements/prestataires")

CHECK_LIMIT = "10 per minute"
WORDS = {"bac-a-sable": Provider.SANDBOX, "stripe": Provider.STRIPE, "fichier-sepa": Provider.SEPA_FILE}
"""The providers as the addresses say them."""
WORD_OF = {provider: word for word, provider in WORDS.items()}
MILESTONES = [(milestone.value, milestone.label) for milestone in Milestone]

for_admins = requires(Role.ADMIN)


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """Every company with the accounts that it has or may open."""
    return render_template("providers/list.html", offers=accounts.list_offers(), word_of=WORD_OF)


@bp.route("/<uuid:company_id>/<any('bac-a-sable', stripe, 'fichier-sepa'):word>", methods=["GET", "POST"])
@for_admins
def edit(company_id: UUID, word: str) -> ResponseReturnValue:
    """The form of a company's account with a provider; its opening or its change."""
    offer = accounts.find_offer(company_id, WORDS[word])
    if request.method == "GET":
        return _form_page(offer, _shown(offer.account))
    try:
        accounts.save_account(
            company_id,
            offer.provider,
            credentials={name: request.form.get(name, "") for name in CREDENTIALS[offer.provider]},
            ics=request.form.get("ics", "") if offer.provider is Provider.SEPA_FILE else None,
            is_active="actif" in request.form,
            first_as_frst="premier" in request.form if offer.provider is Provider.SEPA_FILE else None,
            notice_days=_written_days() if offer.provider is Provider.SEPA_FILE else None,
            terms=_written_terms(),
        )
    except InvalidInputError as error:
        return _form_page(offer, request.form, error), error.status
    toast("success", f"Compte {offer.provider.label} de {offer.company.name} enregistré.")
    return redirect(url_for("providers.index"), 303)


def _written_days() -> int:
    """What cannot be read is refused by the service as out of bounds."""
    return read(int, request.form.get("preavis", str(MOST_NOTICE_DAYS))) or 0


def _written_terms() -> Terms:
    """What cannot be read is refused by the service as out of bounds; a bank file has no limits to set."""
    ship_at, invoice_at = (read(Milestone, request.form.get(name)) for name in ("livraison", "facture"))
    if ship_at is None or invoice_at is None:
        raise InvalidInputError("Choisissez un moment.", field="invoice_at" if ship_at else "ship_at")
    return Terms(
        ship_at=ship_at,
        invoice_at=invoice_at,
        rate_per_second=read(int, request.form.get("cadence", str(USUAL.rate_per_second))) or 0,
        max_concurrency=read(int, request.form.get("simultanes", str(USUAL.max_concurrency))) or 0,
    )


def _shown(account: ProviderAccount | None) -> dict[str, Any]:
    """An account as its form shows it; a new one as it usually is."""
    terms = account or USUAL
    values = {
        "ics": account.ics or "" if account else "",
        "livraison": terms.ship_at,
        "facture": terms.invoice_at,
        "cadence": terms.rate_per_second,
        "simultanes": terms.max_concurrency,
        "preavis": account.notice_days if account else MOST_NOTICE_DAYS,
    }
    if account is not None and account.first_as_frst:
        values["premier"] = "1"
    return values | ({"actif": "1"} if account is None or account.is_active else {})


def _form_page(offer: Offer, written: Any, problem: InvalidInputError | None = None) -> str:
    return render_template(
        "providers/form.html",
        offer=offer,
        word=WORD_OF[offer.provider],
        written=written,
        problem=problem,
        kept=accounts.describe_credentials(offer.account),
        milestones=MILESTONES,
        webhook_address=_webhook_address(offer),
    )


def _webhook_address(offer: Offer) -> str | None:
    """Where the provider tells us what happened: the account's own address once there is an account."""
    if not offer.provider.is_online:
        return None
    settings: Settings = current_app.extensions["settings"]
    kind = "stripe" if offer.provider is Provider.STRIPE else "sandbox"
    account_id = offer.account.id if offer.account else None
    return settings.base_url + url_for(f"webhooks.create_{kind}_event", account_id=account_id)


@bp.post("/<uuid:account_id>/essai")
@for_admins
@limiter.limit(CHECK_LIMIT, key_func=_requester)
def check(account_id: UUID) -> ResponseReturnValue:
    """Try the account's keys, without side effects."""
    try:
        accounts.check_connection(account_id)
    except ConnectionFailedError as error:
        toast("error", error.message)
    else:
        toast("success", "La connexion fonctionne\u202f: le prestataire connaît nos identifiants.")
    return redirect(url_for("providers.index"), 303)
