"""One message: its words, what became of it, and what can be decided. For whoever may see its client."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError
from webapp.models.messages import Channel, Message, MessageStatus
from webapp.security import current_user
from webapp.services.messages import deciding, listing, rendering
from webapp.services.messages.kinds import KINDS
from webapp.views.layout import toast

bp = Blueprint("message", __name__, url_prefix="/messages/<uuid:message_id>")


@bp.get("")
def show(message_id: UUID) -> ResponseReturnValue:
    """The message."""
    message = listing.find_message(message_id, viewer=current_user())
    content = message.content_in_clear()
    return render_template(
        "messages/show.html",
        message=message,
        kind=KINDS[message.kind],
        content=content,
        html=None if message.channel is Channel.SMS else rendering.to_html(content["body"]),
        to=message.to_in_clear(),
        events=listing.list_events(message_id),
        may_cancel=message.can_become(MessageStatus.CANCELED),
        is_late=message.expires_at is not None and message.expires_at <= clock.now(),
        is_unknown=message.status is MessageStatus.UNKNOWN,
    )


@bp.post("/annulation")
def cancel(message_id: UUID) -> ResponseReturnValue:
    """It will not leave."""
    return _decide(message_id, deciding.cancel, "Message annulé.")


@bp.post("/envoi")
def send_again(message_id: UUID) -> ResponseReturnValue:
    """Have it sent, once more or after all."""
    return _decide(message_id, deciding.send_again, "Le message part.")


@bp.post("/constat")
def consider_sent(message_id: UUID) -> ResponseReturnValue:
    """Somebody has seen that it left."""
    return _decide(message_id, deciding.consider_sent, "Message considéré comme envoyé.")


def _decide(message_id: UUID, decision: Callable[..., Message], sentence: str) -> ResponseReturnValue:
    listing.find_message(message_id, viewer=current_user())
    try:
        message = decision(message_id, by=current_user(), at=clock.now())
    except DomainError as error:
        toast("error", error.message)
    else:
        is_held = message.held_reason is not None
        toast("warning" if is_held else "success", message.held_reason.label if message.held_reason else sentence)
    return redirect(url_for("message.show", message_id=message_id), 303)
