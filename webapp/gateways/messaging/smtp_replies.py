"""What a mail server's refusals mean: reply codes (RFC 5321, 4.2) and enhanced status codes (RFC 3463, RFC 7505)."""

import re
from enum import Enum, auto

from webapp.gateways.messaging.protocol import UNREACHABLE, RefusalKind, Refused
from webapp.gateways.wording import words

SERVICE_CLOSES = 421


class Stage(Enum):
    """What the server was answering."""

    GREETING = auto()
    SIGN_IN = auto()
    SENDER = auto()
    RECIPIENT = auto()
    CONTENT = auto()


_BY_STATUS = {
    "1.7": RefusalKind.ACCOUNT,  # the sender's address
    "1.8": RefusalKind.ACCOUNT,
    "2.2": RefusalKind.LATER,  # the mailbox is full
    "2.3": RefusalKind.CONTENT,  # too long for the mailbox
    "2.1": RefusalKind.ADDRESS,  # the mailbox is closed
    "4.2": RefusalKind.LATER,
    "4.7": RefusalKind.LATER,  # tried for too long
    "7.8": RefusalKind.ACCOUNT,  # credentials
    "7.9": RefusalKind.ACCOUNT,
    "7.0": RefusalKind.ACCOUNT,
    "7.23": RefusalKind.ACCOUNT,  # SPF, and then DKIM, DMARC and reverse DNS
    "7.25": RefusalKind.ACCOUNT,
    "7.26": RefusalKind.ACCOUNT,
    "7.27": RefusalKind.ACCOUNT,
}
"""Subject and detail of an enhanced status; what is not named here goes by its subject alone."""
_BY_SUBJECT = {
    "1": RefusalKind.ADDRESS,
    "3": RefusalKind.CONTENT,
    "6": RefusalKind.CONTENT,
    "7": RefusalKind.CONTENT,  # a policy: the address may well exist
}
_CREDENTIALS = frozenset({530, 534, 535, 538})
_BY_STAGE = {
    Stage.GREETING: RefusalKind.ACCOUNT,
    Stage.SIGN_IN: RefusalKind.ACCOUNT,
    Stage.SENDER: RefusalKind.ACCOUNT,
    Stage.RECIPIENT: RefusalKind.ADDRESS,
    Stage.CONTENT: RefusalKind.CONTENT,
}
# A recipient is also refused for whom the message is from. The codes do not tell it apart; all known servers say it so.
_ABOUT_SENDER = re.compile(r"relay|authenticat|not owned|sender (?:address )?(?:rejected|denied)", re.IGNORECASE)
_STATUS = re.compile(r"\A[245]\.(\d{1,3})\.(\d{1,3})(?=\s|\Z)")


def refusal_of(stage: Stage, code: int, reply: bytes) -> Refused:
    """What a reply that is not the hoped-for one says about the message. ``code`` is -1 for what is no reply."""
    text = words_of(reply)
    if code == SERVICE_CLOSES or code < 400:
        return Refused(RefusalKind.LATER, str(code) if code > 0 else UNREACHABLE, text)
    return Refused(_kind(stage, code, text), str(code), text)


def _kind(stage: Stage, code: int, text: str) -> RefusalKind:
    if code < 500:
        return RefusalKind.LATER
    if code in _CREDENTIALS or stage in (Stage.GREETING, Stage.SIGN_IN):
        return RefusalKind.ACCOUNT
    if stage is Stage.RECIPIENT and _ABOUT_SENDER.search(text):
        return RefusalKind.ACCOUNT
    kind = _by_status(text) or _by_code(stage, code)
    is_about_size = kind is RefusalKind.CONTENT and code == 552
    return kind if stage is not Stage.SENDER or is_about_size else RefusalKind.ACCOUNT


def _by_status(text: str) -> RefusalKind | None:
    found = _STATUS.match(text)
    if found is None:
        return None
    subject, detail = found.groups()
    return _BY_STATUS.get(f"{subject}.{detail}") or _BY_SUBJECT.get(subject)


def _by_code(stage: Stage, code: int) -> RefusalKind:
    """552 is a full mailbox when it answers the recipient, else a message that is too big; 554 says nothing more."""
    if code == 552:
        return RefusalKind.LATER if stage is Stage.RECIPIENT else RefusalKind.CONTENT
    if code == 554 and stage is Stage.RECIPIENT:
        return RefusalKind.CONTENT
    return _BY_STAGE[stage]


def words_of(reply: bytes) -> str:
    """A server's words, for people."""
    return words(reply.decode("utf-8", "backslashreplace"))
