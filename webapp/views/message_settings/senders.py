"""« Expéditeurs »: by whom the e-mails and SMS of each company leave. Keys go in, and never come out again."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.extensions import limiter
from webapp.gateways.messaging import CREDENTIAL_FIELDS, WEBHOOK_PROVIDERS, Field
from webapp.gateways.messaging.bounces import CREDENTIALS as MAILBOX_FIELDS
from webapp.models.identity import Role
from webapp.models.messages import Channel, MessageProvider, MessageSender
from webapp.security import current_user, requires
from webapp.services.messages import senders, trials
from webapp.services.messages.senders import Place, SenderFields
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("message_senders", __name__, url_prefix="/reglages/messages/expediteurs")

CHECK_LIMIT = "10 per minute"
for_admins = requires(Role.ADMIN)


def _requester() -> str:
    return f"user:{g.user.id}"


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """Every company with its senders, and those that it may open."""
    return render_template("message_settings/senders.html", places=senders.list_places())


@bp.route("/<uuid:company_id>/<any(email, sms):channel_word>", methods=["GET", "POST"])
@for_admins
def edit(company_id: UUID, channel_word: str) -> ResponseReturnValue:
    """The form of a sender; its opening or its change."""
    place = senders.find_place(company_id, Channel(channel_word))
    if request.method == "GET":
        return _page(place)
    try:
        senders.save_sender(company_id, place.channel, _written_fields())
    except InvalidInputError as error:
        return _page(place, error), error.status
    toast("success", f"Expéditeur de {place.company.name} enregistré.")
    return _back(place)


@bp.post("/<uuid:company_id>/<any(email, sms):channel_word>/verification")
@for_admins
@limiter.limit(CHECK_LIMIT, key_func=_requester)
def check(company_id: UUID, channel_word: str) -> ResponseReturnValue:
    """Sign in with the keys that were saved, and send nothing."""
    place = senders.find_place(company_id, Channel(channel_word))
    faults = senders.check(company_id, place.channel)
    for fault in faults:
        toast("error", fault)
    if not faults:
        toast("success", "La connexion fonctionne\u202f: rien n’a été envoyé.")
    return _back(place)


@bp.post("/<uuid:company_id>/email/essai")
@for_admins
@limiter.limit(CHECK_LIMIT, key_func=_requester)
def send_trial(company_id: UUID) -> ResponseReturnValue:
    """An e-mail to oneself."""
    message = trials.try_sender(company_id, by=current_user(), at=clock.now())
    if message.held_reason:
        toast("error", f"L’essai ne part pas. {message.held_reason.label}")
    else:
        toast("success", f"Un essai part vers {current_user().email}.")
    return redirect(url_for("message.show", message_id=message.id), 303)


@bp.post("/<uuid:company_id>/<any(email, sms):channel_word>/notifications")
@for_admins
def renew_webhook(company_id: UUID, channel_word: str) -> ResponseReturnValue:
    """Another address for the provider's webhook; the old one is heard no more."""
    place = senders.find_place(company_id, Channel(channel_word))
    senders.renew_webhook(company_id, place.channel)
    toast("success", "Nouvelle adresse\u202f: donnez-la au prestataire, l’ancienne n’est plus écoutée.")
    return _back(place)


def _back(place: Place) -> ResponseReturnValue:
    return redirect(url_for("message_senders.edit", company_id=place.company.id, channel_word=place.channel.value), 303)


def _written_fields() -> SenderFields:
    """Raises InvalidInputError."""
    provider = read(MessageProvider, request.form.get("prestataire"))
    if provider is None:
        raise InvalidInputError("Choisissez le prestataire.", field="provider")
    is_quiet = "calme" in request.form
    return SenderFields(
        provider=provider,
        credentials=_written_credentials("acces", CREDENTIAL_FIELDS[provider]),
        from_name=request.form.get("nom", ""),
        from_address=request.form.get("adresse", ""),
        reply_to=request.form.get("reponses", ""),
        pace_per_minute=read(int, request.form.get("cadence")) or 0,
        quiet_from=_read_hour("calme_de", "quiet_from") if is_quiet else None,
        quiet_until=_read_hour("calme_a", "quiet_until") if is_quiet else None,
        is_active="actif" in request.form,
        mailbox=_written_credentials("boite", MAILBOX_FIELDS) if "boite" in request.form else None,
    )


def _written_credentials(prefix: str, fields: tuple[Field, ...]) -> dict[str, str]:
    return {field.name: request.form.get(f"{prefix}-{field.name}", "") for field in fields}


def _read_hour(name: str, field: str) -> time:
    try:
        return datetime.strptime(request.form.get(name, ""), "%H:%M").time()  # noqa: DTZ007  an hour of any day
    except ValueError:
        raise InvalidInputError("Indiquez une heure, par exemple 20:00.", field=field) from None


def _page(place: Place, problem: InvalidInputError | None = None) -> str:
    """The form; with ``problem``, what was sent stands in it again, but for secrets."""
    provider = _chosen_provider(place)
    sender = place.sender
    same = sender if sender and sender.provider is provider else None
    known, known_mailbox = (same.credentials_in_clear() if same else {}), (sender.mailbox_in_clear() if sender else {})
    return render_template(
        "message_settings/sender.html",
        place=place,
        provider=provider,
        providers=senders.providers_for(place.channel),
        access=CREDENTIAL_FIELDS[provider],
        mailbox=MAILBOX_FIELDS,
        written=request.form if problem else _shown(sender, known, known_mailbox),
        kept=_names_of_secrets("acces", CREDENTIAL_FIELDS[provider], known)
        | _names_of_secrets("boite", MAILBOX_FIELDS, known_mailbox),
        problem=problem,
        webhook_address=_webhook_address(same),
    )


def _chosen_provider(place: Place) -> MessageProvider:
    """What the form or the address says, else the sender's, else the first that is offered."""
    offered = senders.providers_for(place.channel)
    chosen = read(MessageProvider, request.form.get("prestataire") or request.args.get("prestataire"))
    if chosen in offered:
        return chosen
    return place.sender.provider if place.sender and place.sender.provider in offered else offered[0]


def _shown(sender: MessageSender | None, known: Mapping[str, str], known_mailbox: Mapping[str, str]) -> dict[str, Any]:
    """A sender as its form shows it; a new one as it usually is."""
    quiet_from, quiet_until = (sender.quiet_from, sender.quiet_until) if sender else (None, None)
    values: dict[str, Any] = {
        "nom": sender.from_name if sender else "",
        "adresse": sender.from_address if sender else "",
        "reponses": sender.reply_to if sender else "",
        "cadence": sender.pace_per_minute if sender else SenderFields.pace_per_minute,
        "calme_de": f"{quiet_from or senders.QUIET_FROM:%H:%M}",
        "calme_a": f"{quiet_until or senders.QUIET_UNTIL:%H:%M}",
    }
    values |= {f"acces-{name}": value for name, value in known.items()}
    values |= {f"boite-{name}": value for name, value in known_mailbox.items()}
    ticked = {
        "actif": sender is None or sender.is_active,
        "calme": sender is None or quiet_from is not None,
        "boite": bool(known_mailbox),
    }
    return values | {name: "1" for name, is_ticked in ticked.items() if is_ticked}


def _names_of_secrets(prefix: str, fields: tuple[Field, ...], known: Mapping[str, str]) -> set[str]:
    return {f"{prefix}-{field.name}" for field in fields if field.is_secret and known.get(field.name)}


def _webhook_address(sender: MessageSender | None) -> str | None:
    """Where the provider tells us what becomes of messages, if it does."""
    if sender is None or sender.provider not in WEBHOOK_PROVIDERS:
        return None
    base: str = current_app.extensions["settings"].base_url
    return base + url_for("message_webhooks.hear", token=sender.webhook_token)
