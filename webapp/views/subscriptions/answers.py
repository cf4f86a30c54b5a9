"""What the forms about a subscription have in common: the version that was seen, and the way back to its page."""

from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.views.layout import toast
from webapp.views.lists import read


def seen_version() -> int:
    """The version of the subscription that the form was filled in for; 0 where it says none."""
    return read(int, request.form.get("version")) or 0


def done(subscription_id: UUID, sentence: str) -> ResponseReturnValue:
    """Say that it was done, on the subscription's page."""
    toast("success", sentence)
    return redirect(url_for("subscription.show", subscription_id=subscription_id), 303)
