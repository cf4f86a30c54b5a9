"""What a message is written from; and how a message that is held keeps it, sealed, until it can be prepared anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

from webapp.models.messages import Channel, Message, MessageKind
from webapp.services.messages.rendering import Text

AttachmentSource = Literal["invoice", "document", "plan_document"]


class Attachment(NamedTuple):
    """A file that travels along: an invoice, printed when the message leaves; a document of the client, or a plan's."""

    source: AttachmentSource
    id: UUID


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message to be written: to a client, or to a colleague (``user_id``).

    ``subject_id`` is what it is about; with the kind and the ``occasion`` it makes the key of which there is one
    message at most. ``variables`` are those of the kind: text, Decimal, int, date, a list of rows, or None for what is
    not there. ``channel`` empty: the first of the kind's that can be used. ``text`` is filled in where the template
    would be; ``words`` were filled in before. After ``expires_at`` it is of no use. ``is_asked_for``: somebody waits
    for it, at any hour.
    """

    kind: MessageKind
    company_id: UUID
    subject_id: UUID
    occasion: str
    variables: Mapping[str, object]
    client_id: UUID | None = None
    user_id: UUID | None = None
    channel: Channel | None = None
    text: Text | None = None
    words: Text | None = None
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None
    is_asked_for: bool = False

    @property
    def key(self) -> str:
        """What is written at most once."""
        return f"{self.kind}:{self.subject_id}:{self.occasion}"


def pack(draft: Draft) -> dict[str, Any]:
    """What a held message keeps of its draft, in its sealed content."""
    return {
        "channel": draft.channel,
        "text": list(draft.text) if draft.text else None,
        "variables": {name: _packed(value) for name, value in draft.variables.items()},
    }


def _packed(value: object) -> object:
    match value:
        case Decimal():
            return {"decimal": str(value)}
        case date():
            return {"date": value.isoformat()}
        case list():
            return [{name: _packed(cell) for name, cell in row.items()} for row in value]
    return value


def unpack(packed: object) -> Any:
    """The value that ``_packed`` wrote down."""
    match packed:
        case {"decimal": str(text)}:
            return Decimal(text)
        case {"date": str(text)}:
            return date.fromisoformat(text)
        case list():
            return [{name: unpack(cell) for name, cell in row.items()} for row in packed]
    return packed


def restore(message: Message) -> Draft:
    """What a message was written from where it was never filled in; else with the words that it has.

    The message's content is read. Its occasion is not kept: it is not written anew.
    """
    content = message.content_in_clear()
    kept: dict[str, Any] | None = content.get("draft")
    given: dict[str, Any] = (
        _unpack(kept)
        if kept
        else {"channel": message.channel, "variables": {}, "words": Text(content["subject"], content["body"])}
    )
    return Draft(
        kind=message.kind,
        company_id=message.company_id,
        subject_id=message.subject_id,
        occasion="",
        client_id=message.client_id,
        user_id=message.user_id,
        reply_to=content.get("reply_to"),
        attachments=tuple(Attachment(source, UUID(each)) for source, each in message.attachments.get("files", [])),
        is_asked_for=message.is_asked_for,
        expires_at=message.expires_at,
        **given,
    )


def _unpack(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "channel": Channel(kept["channel"]) if kept["channel"] else None,
        "text": Text(*kept["text"]) if kept["text"] else None,
        "variables": {name: unpack(value) for name, value in kept["variables"].items()},
    }
