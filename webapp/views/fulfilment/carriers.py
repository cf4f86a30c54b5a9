"""« Réglages des lots »: who sends, and the accounts with carriers. Keys go in, and never come out again."""

from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInputError
from webapp.extensions import limiter
from webapp.gateways.carriers.registry import CREDENTIALS, SERVICES
from webapp.models.carriers import Carrier, CarrierAccount, LabelFormat
from webapp.models.identity import Role
from webapp.models.organisations import Company
from webapp.security import requires
from webapp.services.carriers import accounts, settings
from webapp.services.carriers.accounts import AccountFields, ConnectionFailedError
from webapp.services.carriers.settings import SenderFields, SettingsFields, Shipper
from webapp.services.organisations import find_company
from webapp.views.clients.form import COUNTRIES
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("carriers", __name__, url_prefix="/lots/reglages")

CHECK_LIMIT = "10 per minute"
WORDS = {
    "bac-a-sable": Carrier.SANDBOX,
    "sans-transporteur": Carrier.NONE,
    "colissimo": Carrier.COLISSIMO,
    "chronopost": Carrier.CHRONOPOST,
}
"""The carriers as the addresses say them."""
WORD_OF = {carrier: word for word, carrier in WORDS.items()}
SENDER = {
    "nom": "name",
    "rue": "line1",
    "complement": "line2",
    "code_postal": "postcode",
    "ville": "city",
    "pays": "country",
    "telephone": "phone",
    "courriel": "email",
}
"""The fields of a sender, by what the form calls them."""

for_admins = requires(Role.ADMIN)


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """Every company with its sender, and the accounts that it has or may open."""
    return render_template(
        "fulfilment/settings.html",
        shippers=settings.list_shippers(),
        word_of=WORD_OF,
        service_label=accounts.service_label,
    )


@bp.route("/<uuid:company_id>/expediteur", methods=["GET", "POST"])
@for_admins
def edit_settings(company_id: UUID) -> ResponseReturnValue:
    """The form of how a company ships, and its change."""
    shipper = settings.find_shipper(company_id)
    if request.method == "GET":
        return _settings_page(shipper, _shown_settings(shipper))
    try:
        settings.save_settings(company_id, _written_settings())
    except InvalidInputError as error:
        return _settings_page(shipper, request.form, error), error.status
    toast("success", f"Expédition de {shipper.company.name} enregistrée.")
    return redirect(url_for("carriers.index"), 303)


def _written_settings() -> SettingsFields:
    """What cannot be read is refused by the service as out of bounds."""
    form = request.form
    label_format = read(LabelFormat, form.get("etiquettes"))
    if label_format is None:
        raise InvalidInputError("Choisissez un format.", field="label_format")
    account = form.get("compte", "")
    account_id = read(UUID, account) if account else None
    if account and account_id is None:
        raise InvalidInputError("Choisissez un compte actif de cette société.", field="default_account_id")
    sender = SenderFields(**{field: form.get(name, "") for name, field in SENDER.items()})
    return SettingsFields(
        sender=sender if form.get("expediteur") == "autre" else None,
        default_account_id=account_id,
        packaging_weight_g=_whole("emballage"),
        item_weight_g=_whole("article"),
        label_format=label_format,
        labels_kept_days=_whole("conservation"),
    )


def _whole(name: str) -> int:
    number = read(int, request.form.get(name))
    return -1 if number is None else number


def _shown_settings(shipper: Shipper) -> dict[str, Any]:
    kept = shipper.settings
    sender = {name: getattr(kept, f"sender_{field}") or "" for name, field in SENDER.items()}
    return sender | {
        "expediteur": "societe" if kept.sender_line1 is None else "autre",
        "compte": str(kept.default_account_id or ""),
        "emballage": kept.packaging_weight_g,
        "article": kept.item_weight_g,
        "etiquettes": kept.label_format.value,
        "conservation": kept.labels_kept_days,
    }


def _settings_page(shipper: Shipper, written: Any, problem: InvalidInputError | None = None) -> str:
    active = [account for account in shipper.accounts if account.is_active]
    return render_template(
        "fulfilment/shipping.html",
        company=shipper.company,
        written=written,
        problem=problem,
        countries=list(COUNTRIES.items()),
        accounts=[(str(each.id), f"{each.carrier.label} · {accounts.service_label(each)}") for each in active],
        label_formats=[(each.value, each.label) for each in LabelFormat],
    )


@bp.route("/<uuid:company_id>/comptes/<word>", methods=["GET", "POST"])
@for_admins
def open_account(company_id: UUID, word: str) -> ResponseReturnValue:
    """The form of a new account with a carrier; its opening."""
    shipper = settings.find_shipper(company_id)
    carrier = accounts.find_offered(WORDS.get(word))
    address = url_for("carriers.open_account", company_id=company_id, word=word)
    if request.method == "GET":
        return _account_page(shipper.company, carrier, address, _shown_account(accounts.usual_fields(carrier)))
    try:
        accounts.open_account(company_id, carrier, _written_account(carrier))
    except InvalidInputError as error:
        return _account_page(shipper.company, carrier, address, request.form, problem=error), error.status
    return _saved(shipper.company, carrier)


@bp.route("/comptes/<uuid:account_id>", methods=["GET", "POST"])
@for_admins
def edit_account(account_id: UUID) -> ResponseReturnValue:
    """The form of an account, and its change."""
    account = accounts.find_account(account_id)
    company, carrier = find_company(account.company_id), account.carrier
    address = url_for("carriers.edit_account", account_id=account_id)
    if request.method == "GET":
        return _account_page(company, carrier, address, _shown_account(account), account)
    try:
        accounts.change_account(account_id, _written_account(carrier))
    except InvalidInputError as error:
        return _account_page(company, carrier, address, request.form, account, problem=error), error.status
    return _saved(company, carrier)


@bp.post("/comptes/<uuid:account_id>/verification")
@for_admins
@limiter.limit(CHECK_LIMIT, key_func=_requester)
def check(account_id: UUID) -> ResponseReturnValue:
    """Ask the carrier whether it knows the account; no label is made."""
    try:
        accounts.check_connection(account_id)
    except ConnectionFailedError as error:
        toast("error", error.message)
    else:
        toast("success", "La connexion fonctionne\u202f: le transporteur connaît ce compte.")
    return redirect(url_for("carriers.index"), 303)


def _saved(company: Company, carrier: Carrier) -> ResponseReturnValue:
    toast("success", f"Compte {carrier.label} de {company.name} enregistré.")
    return redirect(url_for("carriers.index"), 303)


def _written_account(carrier: Carrier) -> AccountFields:
    return AccountFields(
        service=request.form.get("service", ""),
        credentials={field.name: request.form.get(field.name, "") for field in CREDENTIALS[carrier]},
        calls_per_second=_whole("cadence") if carrier.is_called else accounts.usual_fields(carrier).calls_per_second,
        is_active="actif" in request.form,
    )


def _shown_account(account: AccountFields | CarrierAccount) -> dict[str, Any]:
    """An account as its form shows it: without its keys."""
    values = {"service": account.service, "cadence": account.calls_per_second}
    return values | ({"actif": "1"} if account.is_active else {})


def _account_page(
    company: Company,
    carrier: Carrier,
    address: str,
    written: Any,
    account: CarrierAccount | None = None,
    *,
    problem: InvalidInputError | None = None,
) -> str:
    return render_template(
        "fulfilment/account.html",
        company=company,
        carrier=carrier,
        address=address,
        written=written,
        problem=problem,
        kept=accounts.known_credentials(account),
        credentials=CREDENTIALS[carrier],
        services=SERVICES[carrier],
    )
