"""E-mail by SMTP (RFC 5321), to the server that the company's mailboxes have.

The one moment after which nobody knows is the dot that ends the content: a server that has not got it has to forget the
message when the connection breaks (RFC 5321, 4.1.1.10), and one that has got it may have delivered before it answers.
"""

import base64
import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from webapp import clock
from webapp.gateways.messaging.encryption import PLAIN, PLAIN_REFUSED, STARTTLS, TLS, WAYS, choices, is_on_this_machine
from webapp.gateways.messaging.mime import UnwritableError, compose, readable
from webapp.gateways.messaging.protocol import (
    UNREACHABLE,
    Accepted,
    Address,
    Field,
    Outcome,
    OutgoingEmail,
    RefusalKind,
    Refused,
    Unknown,
)
from webapp.gateways.messaging.smtp_replies import SERVICE_CLOSES, Stage, refusal_of, words_of

CREDENTIALS = (
    Field("host", "Serveur d’envoi (SMTP)"),
    Field("port", "Port", default="587"),
    Field(
        "security",
        "Chiffrement",
        default=STARTTLS,
        choices=choices(starttls_port=587, tls_port=465),
    ),
    Field("username", "Identifiant", is_required=False),
    Field("password", "Mot de passe", is_secret=True, is_required=False),
    Field("return_path", "Adresse à laquelle reviennent les rejets", is_required=False),
)
STEP = 15.0
"""Seconds that the server may take for each answer."""
LAST_STEP = 60.0
"""Seconds for the content to pass, and again for the answer to it: servers look for viruses first."""
_HERE = "[127.0.0.1]"
"""The name by which we greet: what smtplib says itself where a machine has no public one, without looking for one."""


@dataclass(frozen=True)
class Account:
    """An account with a mail server. Raises ValueError where made of what is none."""

    host: str
    port: int
    security: str
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, credentials: Mapping[str, str]) -> Self:
        given = {each.name: credentials.get(each.name, "").strip() or each.default for each in CREDENTIALS}
        host, port, security = given["host"], int(given["port"]), given["security"]
        if not host or not 0 < port < 65536 or security not in WAYS:
            raise ValueError("host, port or security")
        return cls(host, port, security, given["username"], credentials.get("password", ""))


class _RefusedError(Exception):
    """The server, or the way to it, said no before it can have taken the message."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


class SmtpConnection:
    """One connection for many e-mails, opened when the first is sent. See EmailConnection."""

    def __init__(self, credentials: Mapping[str, str], *, step: float = STEP, last_step: float = LAST_STEP) -> None:
        self._credentials = credentials
        self._step, self._last_step = step, last_step
        self._server: smtplib.SMTP | None = None
        self._ahead: tuple[OutgoingEmail, bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._server.quit()
        self._drop()

    def send(self, email: OutgoingEmail, *, meanwhile: Callable[[], OutgoingEmail | None] | None = None) -> Outcome:
        """See EmailConnection."""
        try:
            content = self._write_down(email)
            return_path = self._credentials.get("return_path", "").strip() or email.sender.address
            envelope = readable(Address("", return_path)).address, readable(email.to).address
        except UnwritableError as error:
            return error.refused
        try:
            server = self._offer(envelope, content)
            self._hand_over(server, content)
            if meanwhile is not None:
                self._write_ahead(meanwhile())
            return self._hear(server, email.message_id)
        except _RefusedError as error:
            self._forget(error.refused)
            return error.refused
        except BaseException:  # somebody ends us in the middle: what comes next must not join what stands there
            self._drop()
            raise

    def fault(self) -> Refused | None:
        """Why the account does not work; None where it does."""
        try:
            self._open()
        except _RefusedError as error:
            return error.refused
        return None

    def _write_down(self, email: OutgoingEmail) -> bytes:
        """The e-mail as it travels, once. Raises UnwritableError."""
        ahead, self._ahead = self._ahead, None
        return ahead[1] if ahead and ahead[0] is email else compose(email, date=clock.now())

    def _write_ahead(self, following: OutgoingEmail | None) -> None:
        """Write the next e-mail down. One that cannot be written says so when its turn comes."""
        if following is not None:
            with contextlib.suppress(UnwritableError):
                self._ahead = following, self._write_down(following)

    def _offer(self, envelope: tuple[str, str], content: bytes) -> smtplib.SMTP:
        """Bring the server to where it waits for the content. Raises _RefusedError.

        A connection that was open before may have been ended since (idle too long, messages enough): once more, anew.
        """
        if self._server is not None:
            try:
                return self._offer_on(self._server, envelope, content)
            except _RefusedError as error:
                if error.refused.code not in (UNREACHABLE, str(SERVICE_CLOSES)):
                    raise
        return self._offer_on(self._open(), envelope, content)

    def _offer_on(self, server: smtplib.SMTP, envelope: tuple[str, str], content: bytes) -> smtplib.SMTP:
        sender, to = envelope
        options = _options(server, envelope, content)
        with _refusals(Stage.SENDER):
            _expect(250, Stage.SENDER, server.mail(sender, options))
            _expect(250, Stage.RECIPIENT, server.rcpt(to))
            _expect(354, Stage.CONTENT, server.docmd("DATA"))
        return server

    def _hand_over(self, server: smtplib.SMTP, content: bytes) -> None:
        """Send the content and its dot as one: where that fails, the dot has not left. Raises _RefusedError."""
        self._be_patient(server, self._last_step)
        try:
            server.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
        except (OSError, smtplib.SMTPException) as error:
            raise _unreachable(error) from error

    def _hear(self, server: smtplib.SMTP, message_id: str) -> Outcome:
        """What the server answers to the content. Raises _RefusedError."""
        try:
            code, reply = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Unknown(f"{type(error).__name__}: {words_of(str(error).encode())}")
        if code < 200 or 300 <= code < 400:
            self._drop()
            return Unknown(f"{code} {words_of(reply)}")
        if code >= 400:
            raise _RefusedError(refusal_of(Stage.CONTENT, code, reply))
        self._be_patient(server, self._step)
        return Accepted(message_id, words_of(reply))

    def _be_patient(self, server: smtplib.SMTP, seconds: float) -> None:
        if server.sock is not None:
            server.sock.settimeout(seconds)

    def _open(self) -> smtplib.SMTP:
        """Connect and sign in. Raises _RefusedError."""
        self._drop()
        try:
            account = Account.of(self._credentials)
        except ValueError as error:
            raise _RefusedError(Refused(RefusalKind.ACCOUNT, "settings", str(error))) from error
        with _refusals(Stage.GREETING):
            server = _connect(account, self._step)
        try:
            with _refusals(Stage.GREETING):
                _secure(account, server)
            with _refusals(Stage.SIGN_IN):
                _sign_in(account, server)
        except BaseException:
            server.close()
            raise
        self._server = server
        return server

    def _forget(self, refused: Refused) -> None:
        """Have the server forget a refused message; a connection that is not fit for the next one is given up."""
        if self._server is None or refused.code in (UNREACHABLE, str(SERVICE_CLOSES)):
            self._drop()
            return
        try:
            self._be_patient(self._server, self._step)
            code, _ = self._server.rset()
        except (OSError, smtplib.SMTPException):
            code = -1
        if code != 250:
            self._drop()

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None


def _connect(account: Account, patience: float) -> smtplib.SMTP:
    server: smtplib.SMTP
    if account.security == TLS:
        context = ssl.create_default_context()
        server = smtplib.SMTP_SSL(account.host, account.port, _HERE, timeout=patience, context=context)
    else:
        server = smtplib.SMTP(account.host, account.port, _HERE, timeout=patience)
    if server.sock is not None:  # else the content's last bytes wait for an acknowledgement, 40 ms
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _secure(account: Account, server: smtplib.SMTP) -> None:
    """Encrypt, and know the server by its certificate; without, only a server on this machine is spoken to."""
    server.ehlo_or_helo_if_needed()
    if account.security == STARTTLS:
        _expect(220, Stage.GREETING, server.starttls(context=ssl.create_default_context()))
        server.ehlo_or_helo_if_needed()
    elif account.security == PLAIN and not is_on_this_machine(server.sock):
        raise _RefusedError(Refused(RefusalKind.ACCOUNT, "encryption", "no encryption"))


def _sign_in(account: Account, server: smtplib.SMTP) -> None:
    if not account.username:
        return
    if (account.username + account.password).isascii():
        server.login(account.username, account.password)
    else:  # which smtplib does not write
        said = base64.b64encode(f"\0{account.username}\0{account.password}".encode()).decode()
        _expect(235, Stage.SIGN_IN, server.docmd("AUTH", f"PLAIN {said}"))


def _options(server: smtplib.SMTP, envelope: tuple[str, str], content: bytes) -> list[str]:
    """What we say beside the sender's address. Raises _RefusedError where an address needs what the server has not."""
    size = [f"SIZE={len(content)}"] if server.has_extn("size") else []
    if content.isascii() and all(address.isascii() for address in envelope):
        return size
    if server.has_extn("smtputf8"):
        return [*size, "SMTPUTF8"]
    kind = RefusalKind.ACCOUNT if envelope[1].isascii() else RefusalKind.ADDRESS
    raise _RefusedError(Refused(kind, "smtputf8", "the server takes no addresses beyond ASCII"))


def _expect(wanted: int, stage: Stage, answer: tuple[int, bytes]) -> None:
    code, reply = answer
    if code // 10 != wanted // 10:
        raise _RefusedError(refusal_of(stage, code, reply))


@contextlib.contextmanager
def _refusals(stage: Stage) -> Iterator[None]:
    """Whatever goes wrong before the content is handed over, as _RefusedError."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise _RefusedError(Refused(RefusalKind.ACCOUNT, "certificate", error.verify_message)) from error
    except smtplib.SMTPResponseException as error:
        raise _RefusedError(refusal_of(stage, error.smtp_code, _bytes(error.smtp_error))) from error
    except smtplib.SMTPNotSupportedError as error:
        raise _RefusedError(Refused(RefusalKind.ACCOUNT, "not_supported", str(error))) from error
    except smtplib.SMTPServerDisconnected as error:
        raise _unreachable(error) from error
    except smtplib.SMTPException as error:  # login() knows none of the ways in that the server has
        raise _RefusedError(Refused(RefusalKind.ACCOUNT, "not_supported", str(error))) from error
    except (OSError, UnicodeError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> _RefusedError:
    return _RefusedError(Refused(RefusalKind.LATER, UNREACHABLE, f"{type(error).__name__}: {str(error)[:300]}"))


def _bytes(reply: bytes | str) -> bytes:
    return reply if isinstance(reply, bytes) else reply.encode()


_SENTENCES = {
    "settings": "Le serveur, le port ou le chiffrement ne sont pas valides.",
    "certificate": "Le certificat du serveur n’est pas valable pour ce nom\u202f: {text}",
    "encryption": PLAIN_REFUSED,
    "not_supported": "Le serveur ne propose pas ce qui est demandé\u202f: {text}",
    UNREACHABLE: "Le serveur ne répond pas\u202f: {text}",
    "535": "L’identifiant ou le mot de passe est refusé\u202f: {text}",
}


def check(credentials: Mapping[str, str]) -> str | None:
    """What is wrong with the account, in a French sentence; None where it answers. Sends nothing."""
    with SmtpConnection(credentials) as connection:
        fault = connection.fault()
    if fault is None:
        return None
    return _SENTENCES.get(fault.code, "Le serveur refuse\u202f: {code} {text}").format(code=fault.code, text=fault.text)
