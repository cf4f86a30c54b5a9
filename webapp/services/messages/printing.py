"""Letters on paper: one PDF for as many as wait, each beginning on a page of its own, ready to fold into envelopes."""

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from jinja2 import Environment
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import french
from webapp.clock import PARIS
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.messages import Channel, Message, MessageKind
from webapp.services import pdf
from webapp.services.messages.frames import Frame, Logo, load_frames
from webapp.services.messages.markdown import to_html

TEMPLATES = Path(__file__).parent / "print"
MOST = 500
"""Letters of one PDF."""


class Letter(NamedTuple):
    """What one letter shows. ``to`` are the lines of the address; ``day`` is when it was written, or was to leave."""

    code: str
    frame: Frame
    to: Sequence[str]
    day: date
    subject: str
    body: Markup
    is_registered: bool
    registered_no: str | None


def print_letters(message_ids: Sequence[UUID]) -> bytes:
    """The letters as one PDF, in that order. Printed again, they are the same.

    Raises NotFoundError where one of them is no letter of ours, InvalidInputError for too many,
    PrintingUnavailableError.
    """
    return pdf.printer(TEMPLATES / "letters.css")(render(message_ids))


def render(message_ids: Sequence[UUID]) -> str:
    """The printed pages as HTML; see ``print_letters``."""
    if not 1 <= len(message_ids) <= MOST:
        raise InvalidInputError(f"Choisissez de 1 à {MOST} lettres.")
    statement = (
        select(Message)
        .where(Message.id.in_(set(message_ids)), Message.channel == Channel.LETTER)
        .options(undefer(Message.to), undefer(Message.content))
    )
    found = {message.id: message for message in db.session.scalars(statement)}
    if not found.keys() >= set(message_ids):
        raise NotFoundError
    frames = load_frames({message.company_id for message in found.values()})
    letters = [_letter(found[each], frames) for each in message_ids]
    return _templates().get_template("letters.html").render(letters=letters)


def _letter(message: Message, frames: Mapping[UUID, Frame]) -> Letter:
    content = message.content_in_clear()
    return Letter(
        code=message.code,
        frame=frames[message.company_id],
        to=(message.to_in_clear() or "").splitlines(),
        day=max(message.created_at, message.not_before).astimezone(PARIS).date(),
        subject=content["subject"],
        body=Markup(to_html(content["body"])),  # noqa: S704  sanitised
        is_registered=message.kind is MessageKind.FORMAL_NOTICE,
        registered_no=message.registered_no,
    )


@cache
def _templates() -> Environment:
    return pdf.templates(TEMPLATES, day=french.long_day, data_address=data_address)


def data_address(logo: Logo) -> str:
    """An image as an address that holds it whole."""
    return f"data:{logo.content_type};base64,{base64.b64encode(logo.content).decode()}"
