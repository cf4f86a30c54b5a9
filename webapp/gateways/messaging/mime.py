"""An e-mail written down as it travels (RFC 5322, MIME)."""

import unicodedata
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import cache
from typing import Any

import idna

from webapp.gateways.messaging.protocol import (
    Address,
    AttachedFile,
    InlineImage,
    OutgoingEmail,
    RefusalKind,
    Refused,
)

LINE_LIMIT = 998
"""Characters that a line may have at most (RFC 5322, 2.1.1)."""
SHORT_LINE = 78
"""Characters that a line should have at most (the same place): longer ones are folded."""
RESERVED = frozenset(
    "from to cc bcc sender reply-to subject date message-id mime-version return-path received "
    "content-type content-transfer-encoding content-disposition content-id".split()
)
"""Headers that say who writes what to whom: no caller's header takes their place."""
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode's categories of control characters, line and paragraph separators."""


class UnwritableError(ValueError):
    """The e-mail cannot be written down as asked; the message names what is at fault, and not its content.

    ``kind`` is ADDRESS where it is the recipient's, ACCOUNT where it is one of ours, else CONTENT.
    """

    def __init__(self, message: str, kind: RefusalKind = RefusalKind.CONTENT) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def refused(self) -> Refused:
        """The same as an outcome."""
        return Refused(self.kind, "unwritable", str(self))


class _Headers(HeaderRegistry):
    """Python's registry, which makes a class anew for every header of every e-mail; here once for each name."""

    @cache  # noqa: B019  there is one of it
    def __getitem__(self, name: str) -> type[BaseHeader]:
        return super().__getitem__(name)


class _Policy(EmailPolicy):
    """Python's policy, but for headers of addresses for programs, which it would encode where they are long.

    A short line in ASCII is as it would be folded: said at once, since folding is what costs most of an e-mail.
    """

    def fold(self, name: str, value: Any) -> str:
        line = f"{name}: {value}"
        if line.isascii() and len(line) <= (LINE_LIMIT if _is_for_programs(name) else SHORT_LINE):
            return line + self.linesep
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: Any) -> bytes:
        folded = self.fold(name, value)
        return folded.encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


# Seven bits pass every server; bodies beyond ASCII are quoted-printable or base64.
_ASCII = _Policy(linesep="\r\n", cte_type="7bit", header_factory=_Headers())
_UTF8 = _ASCII.clone(utf8=True)


def _is_for_programs(name: str) -> bool:
    return name.lower().startswith("list-") or name.lower() == "message-id"


def compose(email: OutgoingEmail, *, date: datetime) -> bytes:
    """The e-mail with CRLF line ends: text first, then HTML with its images, then attachments.

    Headers hold characters beyond ASCII unencoded only where an address does. Raises UnwritableError.
    """
    people = [readable(email.to, fault=RefusalKind.ADDRESS), readable(email.sender)]
    people += [readable(email.reply_to)] if email.reply_to else []
    needs_utf8 = not all(person.address.isascii() for person in people)
    message = EmailMessage(policy=_UTF8 if needs_utf8 else _ASCII)
    try:
        _write_head(message, email, people, date)
        _write_body(message, email)
        return message.as_bytes()
    except (ValueError, LookupError, TypeError) as error:
        raise _fault(error) from error


def _fault(error: Exception) -> UnwritableError:
    return error if isinstance(error, UnwritableError) else UnwritableError(f"unwritable: {type(error).__name__}")


def readable(person: Address, *, fault: RefusalKind = RefusalKind.ACCOUNT) -> Address:
    """A person with the domain of their address in ASCII (IDNA); the part before the @ stays as it is.

    Raises UnwritableError, of the kind ``fault`` for what is no address.
    """
    address = person.address
    mailbox, at, domain = address.rpartition("@")
    is_whole = at and mailbox and domain and not any(character in '<>()[]\\,;:"' for character in address)
    if not is_whole or any(character.isspace() or not character.isprintable() for character in address):
        raise UnwritableError("not an address", fault)
    try:
        in_ascii = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise UnwritableError("not an address", fault) from error
    return Address(check_line(person.name, "name"), f"{mailbox}@{in_ascii}")


def check_line(text: str, what: str) -> str:
    """The text, which a line break would let out of its header. Raises UnwritableError."""
    if any(unicodedata.category(character) in _BREAKS for character in text):
        raise UnwritableError(f"line break or control character in {what}")
    return text


def _write_head(message: EmailMessage, email: OutgoingEmail, people: list[Address], date: datetime) -> None:
    to, sender, *reply_to = map(_header_address, people)
    message["From"] = sender
    message["To"] = to
    if reply_to:
        message["Reply-To"] = reply_to[0]
    message["Subject"] = check_line(email.subject, "subject")
    message["Date"] = date
    message["Message-ID"] = check_line(email.message_id, "Message-ID")
    for name, value in email.headers.items():
        if name.lower() in RESERVED or not name.isascii() or not name.replace("-", "").isalnum():
            raise UnwritableError("header of the caller’s own")
        message[name] = check_line(value, name)


def _header_address(person: Address) -> HeaderAddress:
    mailbox, _, domain = person.address.rpartition("@")
    return HeaderAddress(person.name, mailbox, domain)


def _write_body(message: EmailMessage, email: OutgoingEmail) -> None:
    message.set_content(email.text)
    if email.html:
        message.add_alternative(email.html, subtype="html")
        *_, html = message.iter_parts()
        for image in email.inline:
            _add_image(html, image)
    for attached in email.attachments:
        _add_file(message, attached)


def _add_image(html: Any, image: InlineImage) -> None:
    main, sub = _kind(image.content_type)
    cid = f"<{check_line(image.cid, 'cid')}>"
    html.add_related(image.content, main, sub, cid=cid, disposition="inline")


def _add_file(message: EmailMessage, attached: AttachedFile) -> None:
    main, sub = _kind(attached.content_type)
    message.add_attachment(attached.content, main, sub, filename=check_line(attached.name, "file name"))


def _kind(content_type: str) -> tuple[str, str]:
    """« application/pdf » in two. Text and messages travel as bytes, since they may be in any encoding."""
    main, _, sub = check_line(content_type, "type").lower().partition("/")
    is_plain = main.isalpha() and sub.replace("-", "").replace(".", "").replace("+", "").isalnum()
    return (main, sub) if is_plain and main not in ("text", "message", "multipart") else ("application", "octet-stream")
