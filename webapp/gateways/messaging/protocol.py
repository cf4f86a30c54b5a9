"""What carries e-mails and SMS, in our words. Each module beside this one speaks to one provider.

Rules that callers may rely on, whichever provider it is:

- ``send`` blocks for at most ``LONGEST_SEND`` and answers with an outcome; it never raises for what the provider, the
  network or the message's content does.
- ``Accepted``: the provider has taken the message, once. ``Refused``: it has not, and never will of this call.
  ``Unknown``: nobody knows; sending again may bring the client the message twice.
- A connection belongs to one thread. It connects when first used, and again where the other side has hung up between
  two messages.
- No method writes to our database, and none is called inside a transaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from webapp.models.messages import MessageEventKind

LONGEST_SEND = timedelta(minutes=6)
"""How long one ``send`` may take, by SMTP with each step at its limit: a lease on a message must be longer."""

UNREACHABLE = "unreachable"
"""The code of a refusal LATER that is the provider's, not the message's: the next message would fare the same now."""


@dataclass(frozen=True)
class Address:
    """An e-mail address, with the name that is shown beside it; the name may be empty."""

    name: str
    address: str


@dataclass(frozen=True)
class InlineImage:
    """An image that the HTML shows as ``<img src="cid:…">``. ``cid`` looks like an e-mail address: ``logo@domain``."""

    cid: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class AttachedFile:
    """A file that travels with an e-mail."""

    name: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class OutgoingEmail:
    """An e-mail as it leaves.

    ``message_id`` (``<uuid@domain>``) and ``key`` are the same in every try. ``headers`` are those beyond the usual,
    as List-Unsubscribe. ``html`` may be empty: the e-mail is plain text then.
    """

    message_id: str
    key: str
    sender: Address
    to: Address = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    reply_to: Address | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    inline: tuple[InlineImage, ...] = ()
    attachments: tuple[AttachedFile, ...] = ()


@dataclass(frozen=True)
class OutgoingSms:
    """An SMS as it leaves. ``sender`` is the name that phones show (3 to 11 letters and digits), ``to`` is E.164."""

    key: str
    sender: str
    to: str = field(repr=False)
    text: str = field(repr=False)


class RefusalKind(StrEnum):
    """What a refusal is about, hence what to do next."""

    LATER = "later"
    """Not now: full, busy, too many, out of order. The same may pass later."""
    ADDRESS = "address"
    """There is no such mailbox or number: nothing that is sent there will arrive."""
    CONTENT = "content"
    """This message is not taken for what it is (too big, looks like spam, cannot be written down)."""
    ACCOUNT = "account"
    """Nothing of this sender will pass until somebody changes its settings (password, unpaid, sender not allowed)."""


class Accepted(NamedTuple):
    """The provider has taken the message, which it calls ``provider_id``. ``text`` is in its words, if it said any."""

    provider_id: str
    text: str = ""


class Refused(NamedTuple):
    """The provider has not taken the message. ``code`` and ``text`` are its words."""

    kind: RefusalKind
    code: str
    text: str


class Unknown(NamedTuple):
    """Nobody knows whether the provider has taken the message."""

    text: str


Outcome = Accepted | Refused | Unknown


class EmailConnection(Protocol):
    """An open way to a provider of e-mail, for many messages."""

    def send(self, email: OutgoingEmail, *, meanwhile: Callable[[], OutgoingEmail | None] | None = None) -> Outcome:
        """Hand one e-mail over. Never raises for what the provider or the network does.

        ``meanwhile`` is called where there is time to use, once at most: the e-mail has left, its answer is not here
        yet. It returns the e-mail that is sent next, where that is known; it must not raise, nor take long.
        """
        ...


class SmsConnection(Protocol):
    """An open way to a provider of SMS, for many messages."""

    def send(self, sms: OutgoingSms) -> Outcome:
        """Hand one SMS over. Never raises for what the provider or the network does."""
        ...


class Field(NamedTuple):
    """What the settings form asks for. ``label`` is French; ``choices`` are values with labels, where it is a list."""

    name: str
    label: str
    is_secret: bool = False
    is_required: bool = True
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()


class ProviderEvent(NamedTuple):
    """What a provider, or a mail server in between, tells about a message that had left.

    ``provider_id`` is what the provider called it (``Accepted.provider_id``), ``message_id`` our own; either may be
    None, and ``address`` as well. ``text`` is in their words. The same event may be told several times.
    """

    provider_id: str | None
    message_id: str | None
    kind: MessageEventKind
    at: datetime
    address: str | None
    text: str


class WebhookBodyError(Exception):
    """A webhook's body makes no sense to us."""
