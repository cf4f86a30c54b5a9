"""Which module speaks to which provider of messages."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta

from webapp.gateways.messaging import smtp
from webapp.gateways.messaging.protocol import EmailConnection, Field, ProviderEvent, SmsConnection, WebhookBodyError
from webapp.models.messages import MessageProvider

CREDENTIAL_FIELDS: dict[MessageProvider, tuple[Field, ...]] = {
    MessageProvider.SMTP: smtp.CREDENTIALS,
}
"""What the settings form asks for, of each provider."""


def connect_email(provider: MessageProvider, credentials: Mapping[str, str]) -> AbstractContextManager[EmailConnection]:
    """A way to send e-mails, open for as long as the block. Raises ValueError for a provider that carries none."""
    match provider:
        case MessageProvider.SMTP:
            return smtp.SmtpConnection(credentials)
    raise ValueError(f"{provider} carries no e-mail")


def connect_sms(provider: MessageProvider, credentials: Mapping[str, str]) -> AbstractContextManager[SmsConnection]:
    """A way to send SMS, open for as long as the block. Raises ValueError for a provider that carries none."""
    raise ValueError(f"{provider} carries no SMS")


def check(provider: MessageProvider, credentials: Mapping[str, str]) -> str | None:
    """What is wrong with an account, in a French sentence; None where it answers. Sends nothing."""
    match provider:
        case MessageProvider.SMTP:
            return smtp.check(credentials)
    raise ValueError(f"{provider} is not here")


def honoured_for(provider: MessageProvider) -> timedelta | None:
    """How long after its first use a message's key may be sent again, without a second message; None: never."""
    return None


def read_webhook(provider: MessageProvider, body: bytes) -> list[ProviderEvent]:
    """What a webhook tells, oldest first; empty for what is of no interest. Raises WebhookBodyError."""
    raise WebhookBodyError(f"{provider} has no webhooks")
