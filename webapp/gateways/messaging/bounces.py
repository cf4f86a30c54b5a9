"""What mail servers send back: a mailbox read by IMAP, for those who send by SMTP and get no webhooks.

Each mail is handled once: it has a number that only grows (UID), as long as the mailbox says the same UIDVALIDITY. Both
make a ``Position``, which the caller keeps with what it made of the mail, in one transaction. Nothing in the mailbox is
changed: people may read it, and mark and move mails, as they like.

Anybody can write to that mailbox. What names a Message-ID of ours has seen our e-mail; what names an address alone is
hearsay.
"""

import imaplib
import re
import ssl
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.message import Message
from typing import Any, NamedTuple, Self

import structlog
from flufl.bounce import all_failures

from webapp.gateways.messaging.encryption import PLAIN_REFUSED, STARTTLS, TLS, WAYS, choices, is_on_this_machine
from webapp.gateways.messaging.protocol import Field, ProviderEvent, RefusalKind
from webapp.gateways.messaging.smtp_replies import Stage, refusal_of
from webapp.gateways.wording import words
from webapp.models.messages import MessageEventKind

log = structlog.get_logger()

CREDENTIALS = (
    Field("host", "Serveur de réception (IMAP)"),
    Field("port", "Port", default="993"),
    Field(
        "security",
        "Chiffrement",
        default=TLS,
        choices=choices(starttls_port=143, tls_port=993),
    ),
    Field("username", "Identifiant"),
    Field("password", "Mot de passe", is_secret=True),
    Field("folder", "Dossier", default="INBOX"),
)
"""What the settings form asks for."""
PATIENCE = 20.0
"""Seconds for each answer."""
READ = 262_144
"""Bytes of a mail that are read: the report comes before what it returns."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FULL = re.compile(r"\b(?:quota|mailbox (?:is )?full|over ?quota|bo[iî]te pleine|saturée)\b", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"^message-id:\s*(<[^<>\s]+@[^<>\s]+>)", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(r"\b([245]\d\d)\b[ -]?(.*)", re.DOTALL)


class MailboxError(Exception):
    """The mailbox cannot be read; the message is a French sentence."""


class Position(NamedTuple):
    """How far a mailbox has been read."""

    uid_validity: int
    uid: int


class Read(NamedTuple):
    """One mail, which moves on to ``position`` whatever it was; ``events`` are empty for what is no report."""

    position: Position
    events: tuple[ProviderEvent, ...]


@dataclass(frozen=True)
class Mailbox:
    """Where bounces come back to."""

    host: str
    port: int
    security: str
    username: str
    password: str = field(repr=False)
    folder: str

    @classmethod
    def of(cls, credentials: Mapping[str, str]) -> Self:
        """Raises MailboxError where the settings make no sense."""
        given = {each.name: credentials.get(each.name, "").strip() or each.default for each in CREDENTIALS}
        port, folder = given["port"], given["folder"]
        password = credentials.get("password", "")
        is_one_line = all(text.isprintable() for text in (given["username"], password, folder))
        is_sound = is_one_line and port.isascii() and port.isdigit() and given["security"] in WAYS
        if not (is_sound and given["host"] and folder.isascii()):
            raise MailboxError("Le serveur, le port, le chiffrement, l’identifiant ou le dossier ne sont pas valides.")
        return cls(given["host"], int(port), given["security"], given["username"], password, folder)


def read_mailbox(
    credentials: Mapping[str, str], *, after: Position | None, limit: int, since: date | None = None
) -> Generator[Read, None, None]:
    """Mails that came after a position, in their order, at most ``limit`` of them.

    Without a position, or where the mailbox counts anew, it begins at the first mail, or at the first of the day
    ``since``; what was told before may then be told again. To close it ends the conversation. Raises MailboxError.
    """
    with _opened(Mailbox.of(credentials)) as (server, validity):
        known = after.uid if after and after.uid_validity == validity else 0
        for uid in _newer(server, known, since)[:limit]:
            yield Read(Position(validity, uid), _fetch(server, uid))


def check(credentials: Mapping[str, str]) -> str | None:
    """What is wrong with a mailbox, in a French sentence; None where it can be read."""
    try:
        with _opened(Mailbox.of(credentials)):
            return None
    except MailboxError as error:
        return str(error)


@contextmanager
def _opened(mailbox: Mailbox) -> Iterator[tuple[imaplib.IMAP4, int]]:
    """The server, with the folder open for reading only, and its UIDVALIDITY. Raises MailboxError."""
    server: imaplib.IMAP4 | None = None
    try:
        server = _connect(mailbox)
        _sign_in(server, mailbox)
        yield server, _examine(server, mailbox.folder)
    except ssl.SSLCertVerificationError as error:
        raise MailboxError(
            f"Le certificat du serveur n’est pas valable pour ce nom\u202f: {error.verify_message}"
        ) from error
    except imaplib.IMAP4.abort as error:
        raise MailboxError(f"Le serveur a interrompu la connexion\u202f: {_words(error.args)}") from error
    except imaplib.IMAP4.error as error:
        raise MailboxError(f"Le serveur refuse\u202f: {_words(error.args)}") from error
    except (OSError, ValueError) as error:
        raise MailboxError(f"Le serveur ne répond pas comme il faut\u202f: {words(error)}") from error
    finally:
        if server is not None:
            _leave(server)


def _leave(server: imaplib.IMAP4) -> None:
    with suppress(OSError, imaplib.IMAP4.error):
        server.logout()
    with suppress(OSError):  # where the other side was quicker, logout() leaves the socket open
        server.shutdown()


def _connect(mailbox: Mailbox) -> imaplib.IMAP4:
    """Encrypted, by a certificate that was checked; without only on this machine."""
    context = ssl.create_default_context()
    if mailbox.security == TLS:
        return imaplib.IMAP4_SSL(mailbox.host, mailbox.port, ssl_context=context, timeout=PATIENCE)
    server = imaplib.IMAP4(mailbox.host, mailbox.port, timeout=PATIENCE)
    try:
        if mailbox.security == STARTTLS:
            _encrypt(server, context)
        else:
            _refuse_elsewhere(server)
    except BaseException:
        server.shutdown()
        raise
    return server


def _encrypt(server: imaplib.IMAP4, context: ssl.SSLContext) -> None:
    if "STARTTLS" not in server.capabilities:
        raise MailboxError("Le serveur ne propose pas STARTTLS.")
    server.starttls(context)


def _refuse_elsewhere(server: imaplib.IMAP4) -> None:
    if not is_on_this_machine(server.socket()):
        raise MailboxError(PLAIN_REFUSED)


def _sign_in(server: imaplib.IMAP4, mailbox: Mailbox) -> None:
    if "AUTH=PLAIN" in server.capabilities:  # which takes passwords beyond ASCII
        server.authenticate("PLAIN", lambda _: f"\0{mailbox.username}\0{mailbox.password}".encode())
    elif not (mailbox.username + mailbox.password).isascii():
        raise MailboxError("Le serveur n’accepte pas de mot de passe avec des accents.")
    else:
        server.login(_quoted(mailbox.username), mailbox.password)  # imaplib quotes the second alone


def _examine(server: imaplib.IMAP4, folder: str) -> int:
    _expect_ok(server.select(_quoted(folder), readonly=True))
    _, (validity, *_) = server.response("UIDVALIDITY")
    return int(validity or b"")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _newer(server: imaplib.IMAP4, known: int, since: date | None) -> list[int]:
    wanted = [f"UID {known + 1}:*"]
    if since and not known:
        wanted.append(f"SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year}")
    (found, *_) = _expect_ok(server.uid("SEARCH", *wanted))
    return sorted(uid for uid in map(int, (found or b"").split()) if uid > known)  # « 8:* » has the last, even if 7


def _fetch(server: imaplib.IMAP4, uid: int) -> tuple[ProviderEvent, ...]:
    answer = _expect_ok(server.uid("FETCH", str(uid), f"(INTERNALDATE BODY.PEEK[]<0.{READ}>)"))
    content = next((part[1] for part in answer if isinstance(part, tuple)), None)
    if content is None:
        return ()  # moved or deleted meanwhile
    around = (part[0] if isinstance(part, tuple) else part for part in answer)  # the date may stand before or behind
    return read_report(content, at=_arrival(b" ".join(text for text in around if text)))


def _expect_ok(answer: tuple[str, list[Any]]) -> list[Any]:
    kind, data = answer
    if kind != "OK":
        raise imaplib.IMAP4.error(_words(data))
    return data or [b""]


def _words(said: Sequence[object]) -> str:
    """The server's last words, which imaplib hands on as bytes or as text."""
    last = said[-1] if said else ""
    return words(last.decode("utf-8", "backslashreplace") if isinstance(last, bytes) else last)


def _arrival(answer: bytes) -> datetime:
    """When the mail came, by the server. Raises ValueError."""
    found = re.search(rb'INTERNALDATE " ?(\d+)-(\w{3})-(\d{4} \d\d:\d\d:\d\d [+-]\d{4})"', answer)
    if found is None:
        raise ValueError("an answer without the date")
    day, month, rest = (part.decode("ascii") for part in found.groups())
    number = _MONTHS.index(month) + 1
    return datetime.strptime(f"{day} {number} {rest}", "%d %m %Y %H:%M:%S %z").astimezone(UTC)


def read_report(content: bytes, *, at: datetime) -> tuple[ProviderEvent, ...]:
    """What a mail that came at ``at`` tells of others; nothing where it is no report, or none that can be read."""
    try:
        return tuple(_told(message_from_bytes(content), at))
    except Exception:  # parsers trip over some mails, flufl.bounce over one without a sender: on to the next
        log.warning("report_unreadable", exc_info=True)
        return ()


def _told(message: Message, at: datetime) -> Iterable[ProviderEvent]:
    ours = _original_id(message)
    if complaint := _part(message, "message/feedback-report"):
        return (_complaint(complaint, ours, at),)
    if status := _part(message, "message/delivery-status"):
        return _of_status(status, ours, at)
    return _of_words(message, ours, at)


def _complaint(report: Message, ours: str | None, at: datetime) -> ProviderEvent:
    """The recipient has called our e-mail unwanted (RFC 5965)."""
    said = _groups(report)[0]
    to = _address(_head(said, "Original-Rcpt-To"))
    return ProviderEvent(None, ours, MessageEventKind.COMPLAINED, at, to, words(_head(said, "Feedback-Type")))


def _of_status(report: Message, ours: str | None, at: datetime) -> Iterator[ProviderEvent]:
    """What became of each recipient (RFC 3464). One that is only late is still under way."""
    for said in _groups(report):
        action = _head(said, "Action").strip().lower()
        text = _diagnostic(said)
        kind = {"delivered": MessageEventKind.DELIVERED, "failed": _kind_of_failure(text)}.get(action)
        to = _address(_head(said, "Original-Recipient") or _head(said, "Final-Recipient"))
        if kind and (to or ours):
            yield ProviderEvent(None, ours, kind, at, to, text)


def _diagnostic(said: Message) -> str:
    """« 550 5.1.1 no such user »: the remote server's words, with the status where they have none."""
    diagnostic = words(_head(said, "Diagnostic-Code").partition(";")[2])
    status = words(_head(said, "Status").split(" ")[0])
    found = _CODE.match(diagnostic)
    code, rest = found.groups() if found else ("", diagnostic)
    if re.match(r"[245]\.\d", rest) or status.endswith(".0.0"):
        return f"{code} {rest}".strip()
    return f"{code} {status} {rest}".strip()


def _kind_of_failure(text: str) -> MessageEventKind:
    """Hard where the address is at fault: it is not written to again. All else may pass another time."""
    found = _CODE.match(text)
    code, rest = (int(found[1]), found[2]) if found else (550 if text.startswith("5") else 450, text)
    kind = refusal_of(Stage.RECIPIENT, code, rest.encode()).kind
    return MessageEventKind.BOUNCED_HARD if kind is RefusalKind.ADDRESS else MessageEventKind.BOUNCED_SOFT


def _of_words(message: Message, ours: str | None, at: datetime) -> Iterator[ProviderEvent]:
    """A report in words, of which there are many dialects."""
    _for_now, for_good = all_failures(message)  # what is only late is still under way
    text = words(_head(message, "Subject"))
    is_full = _FULL.search(_text(message)) is not None
    kind = MessageEventKind.BOUNCED_SOFT if is_full else MessageEventKind.BOUNCED_HARD
    for failed in sorted(for_good):
        if failed.isascii() and (address := _address(failed.decode("ascii"))):
            yield ProviderEvent(None, ours, kind, at, address, text)


def _original_id(message: Message) -> str | None:
    """The Message-ID of the e-mail that is told of: what is returned has it, or the report answers to it."""
    for kind in ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"):
        if part := _part(message, kind):
            inner = part.get_payload(0) if part.is_multipart() else message_from_bytes(_bytes(part))
            if isinstance(inner, Message) and (found := _id(_head(inner, "Message-ID"))):
                return found
    quoted = _MESSAGE_ID.search(_text(message))
    return _id(quoted[1] if quoted else _head(message, "In-Reply-To"))


def _id(text: str) -> str | None:
    found = re.search(r"<[\x21-\x3b\x3d\x3f-\x7e]+@[\x21-\x3b\x3d\x3f-\x7e]+>", text)
    return found[0] if found else None


def _head(message: Message, name: str) -> str:
    """A header, empty where there is none; one with odd bytes is an object of Python's otherwise."""
    return str(message[name] or "")


def _part(message: Message, kind: str) -> Message | None:
    return next((part for part in message.walk() if part.get_content_type() == kind), None)


def _groups(report: Message) -> list[Message]:
    """The groups of fields in a report; Python parses those of a delivery status itself."""
    payload = report.get_payload()
    if isinstance(payload, list):
        return [part for part in payload if isinstance(part, Message)]
    return [message_from_bytes(group) for group in re.split(rb"\r?\n\r?\n", _bytes(report).strip())] or [Message()]


def _bytes(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(message: Message) -> str:
    """The parts that people read, to look for words in: what is no UTF-8 stays as it is (surrogates)."""
    texts = [_bytes(part) for part in message.walk() if part.get_content_type() == "text/plain"]
    return b"\n".join(texts).decode("utf-8", "surrogateescape")


def _address(text: str) -> str | None:
    """« rfc822; lea@example.com » as an address; None for what is none."""
    found = re.fullmatch(r"(?:[a-z0-9-]+;)?\s*<?([^\s<>;,]+@[^\s<>;,@]+)>?", text.strip(), re.IGNORECASE)
    return found[1] if found and found[1].isprintable() else None
