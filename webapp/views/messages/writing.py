"""« Écrire »: a colleague writes to a client, by e-mail or SMS, from a text or from nothing."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import limiter
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.messages import Channel, MessageKind
from webapp.security import current_user
from webapp.services.clients import documents
from webapp.services.clients.editing import find_client
from webapp.services.messages import by_hand, rendering
from webapp.services.messages.by_hand import WrittenMessage
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text
from webapp.services.organisations import list_companies
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("message_writing", __name__, url_prefix="/clients/<uuid:client_id>/messages")

PACE = "60 per minute; 600 per hour"
"""What a colleague writes at most: it is not for writing to all clients."""


class _Form(NamedTuple):
    """What was typed, or chosen in the address."""

    company_id: UUID | None
    kind: MessageKind
    channel: Channel


def _read_choice(values: Mapping[str, str], client: Client) -> _Form:
    channel = read(Channel, values.get("canal")) or (Channel.EMAIL if client.email or not client.phone else Channel.SMS)
    kind = read(MessageKind, values.get("genre")) or MessageKind.FREE
    return _Form(
        read(UUID, values.get("societe")),
        kind if kind in by_hand.KINDS_BY_HAND else MessageKind.FREE,
        channel if channel in by_hand.CHANNELS else Channel.EMAIL,
    )


@bp.get("/nouveau")
def new(client_id: UUID) -> ResponseReturnValue:
    """The form, beginning with the text in use for what the address says (``societe``, ``genre``, ``canal``)."""
    client = find_client(client_id)
    chosen = _read_choice(request.args, client)
    company_id = chosen.company_id or list_companies()[0].id
    text = by_hand.find_text(client_id, company_id, chosen.kind, chosen.channel, at=clock.now())
    return _page(client, chosen, {"subject": text.subject, "body": text.body, "envoi": str(new_id())})


@bp.post("/nouveau")
@limiter.limit(PACE, key_func=lambda: f"user:{g.user.id}")
def create(client_id: UUID) -> ResponseReturnValue:
    """Write to the client."""
    client = find_client(client_id)
    chosen = _read_choice(request.form, client)
    try:
        message = by_hand.send(
            client_id,
            _written(chosen),
            message_id=read(UUID, request.form.get("envoi")) or new_id(),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return _page(client, chosen, request.form, error), error.status
    if message.held_reason:
        toast("warning", f"Message retenu\u202f: {message.held_reason.label}")
    else:
        toast("success", f"{message.channel.label} en route.")
    return redirect(url_for("message.show", message_id=message.id), 303)


@bp.post("/apercu")
def preview(client_id: UUID) -> ResponseReturnValue:
    """The message as the client would read it, or what is wrong with its text."""
    chosen = _read_choice(request.form, find_client(client_id))
    text, problem = None, None
    try:
        text = by_hand.fill(client_id, _written(chosen))
    except DomainError as error:
        problem = error
    return render_template("messages/_preview.html", text=text, problem=problem, **_shown(text, chosen.channel))


def _shown(text: Text | None, channel: Channel) -> dict[str, Any]:
    is_sms = channel is Channel.SMS
    return {
        "html": rendering.to_html(text.body) if text and not is_sms else None,
        "size": rendering.measure_sms(text.body) if text and is_sms else None,
    }


def _written(chosen: _Form) -> WrittenMessage:
    """Raises InvalidInputError where no company was chosen."""
    if chosen.company_id is None:
        raise InvalidInputError("Choisissez la société.", field="company_id")
    documents_chosen = (read(UUID, each) for each in request.form.getlist("document")[:50])
    return WrittenMessage(
        company_id=chosen.company_id,
        kind=chosen.kind,
        channel=chosen.channel,
        text=Text(
            request.form.get("subject", "") if chosen.channel is Channel.EMAIL else "",
            request.form.get("body", "").replace("\r\n", "\n"),
        ),
        document_ids=[each for each in documents_chosen if each is not None],
    )


def _page(client: Client, chosen: _Form, written: Mapping[str, str], problem: InvalidInputError | None = None) -> str:
    companies = list_companies()
    company_id = chosen.company_id or companies[0].id
    is_email = chosen.channel is Channel.EMAIL
    return render_template(
        "messages/new.html",
        client=client,
        chosen=chosen,
        company_id=company_id,
        written=written,
        problem=problem,
        companies=[(str(company.id), company.name) for company in companies],
        kinds=[(kind.value, KINDS[kind].label) for kind in by_hand.KINDS_BY_HAND],
        channels=[(channel.value, channel.label) for channel in by_hand.CHANNELS],
        address=client.email if is_email else client.phone,
        has_sender=by_hand.has_sender(company_id, chosen.channel),
        purpose=KINDS[chosen.kind].purpose(chosen.channel),
        documents=[each for each in documents.list_documents(client.id) if each.mandate_id is None] if is_email else [],
        chosen_documents=request.form.getlist("document"),
        back=url_for("client.show", client_id=client.id, onglet=ClientTab.MESSAGES),
    )
