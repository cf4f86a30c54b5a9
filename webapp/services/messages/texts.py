"""The texts that every organisation starts from: a file in ``shipped`` for each kind and channel.

The first line of an e-mail or letter is its subject, its body is Markdown. An SMS is plain text, of letters that phones
write in seven bits: neither « ê », « ç » nor the apostrophe of printers.
"""

from pathlib import Path

from webapp.models.messages import Channel, MessageKind
from webapp.services.messages.syntax import Text

_FOLDER = Path(__file__).parent / "shipped"


def _load(path: Path) -> tuple[tuple[MessageKind, Channel], Text]:
    kind, channel, _ = path.name.split(".")
    written = path.read_text(encoding="utf-8").strip()
    subject, _, body = ("", "", written) if channel == Channel.SMS else written.partition("\n\n")
    return (MessageKind(kind), Channel(channel)), Text(subject, body)


SHIPPED: dict[tuple[MessageKind, Channel], Text] = dict(map(_load, sorted(_FOLDER.iterdir())))


def channels_of(kind: MessageKind) -> tuple[Channel, ...]:
    """The channels for which a kind has a text, in the order of pages."""
    return tuple(channel for channel in Channel if (kind, channel) in SHIPPED)
