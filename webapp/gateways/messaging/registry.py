"""Which module speaks to which provider of messages."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta

from webapp.config import Settings
from webapp.gateways.messaging import brevo, ovh, pretend_sms, smtp
from webapp.gateways.messaging.protocol import EmailConnection, Field, ProviderEvent, SmsConnection, WebhookBodyError
from webapp.models.messages import MessageProvider

CREDENTIAL_FIELDS: dict[MessageProvider, tuple[Field, ...]] = {
    MessageProvider.SMTP: smtp.CREDENTIALS,
    MessageProvider.BREVO: brevo.CREDENTIALS,
    MessageProvider.OVH: ovh.CREDENTIALS,
    MessageProvider.PRETEND_SMS: (),
}
"""What the settings form asks for, of each provider. Where the pretend one is comes from the environment."""
EMAIL_PROVIDERS = (MessageProvider.SMTP, MessageProvider.BREVO)
SMS_PROVIDERS = (MessageProvider.BREVO, MessageProvider.OVH, MessageProvider.PRETEND_SMS)
WEBHOOK_PROVIDERS = frozenset({MessageProvider.BREVO, MessageProvider.PRETEND_SMS})
"""Those that tell by webhook what became of messages."""

_sms_sandbox_url = ""


def use(settings: Settings) -> None:
    """Set the process's addresses, once, at start-up."""
    global _sms_sandbox_url
    _sms_sandbox_url = settings.sms_sandbox_url


def is_offered(provider: MessageProvider) -> bool:
    """Whether senders can be opened with it here: the pretend one only where the environment names it."""
    return provider is not MessageProvider.PRETEND_SMS or bool(_sms_sandbox_url)


def connect_email(provider: MessageProvider, credentials: Mapping[str, str]) -> AbstractContextManager[EmailConnection]:
    """A way to send e-mails, open for as long as the block. Raises ValueError for a provider that carries none."""
    match provider:
        case MessageProvider.SMTP:
            return smtp.SmtpConnection(credentials)
        case MessageProvider.BREVO:
            return brevo.BrevoEmail(credentials)
    raise ValueError(f"{provider} carries no e-mail")


def connect_sms(provider: MessageProvider, credentials: Mapping[str, str]) -> AbstractContextManager[SmsConnection]:
    """A way to send SMS, open for as long as the block. Raises ValueError for a provider that carries none."""
    match provider:
        case MessageProvider.BREVO:
            return brevo.BrevoSms(credentials)
        case MessageProvider.OVH:
            return ovh.OvhConnection(credentials)
        case MessageProvider.PRETEND_SMS:
            return pretend_sms.PretendSms(_sms_sandbox_url)
    raise ValueError(f"{provider} carries no SMS")


def check(provider: MessageProvider, credentials: Mapping[str, str]) -> str | None:
    """What is wrong with an account, in a French sentence; None where it answers. Sends nothing."""
    match provider:
        case MessageProvider.SMTP:
            return smtp.check(credentials)
        case MessageProvider.BREVO:
            return brevo.check(credentials)
        case MessageProvider.OVH:
            return ovh.check(credentials)
        case MessageProvider.PRETEND_SMS:
            return pretend_sms.check(_sms_sandbox_url)


def honoured_for(provider: MessageProvider, *, is_sms: bool = False) -> timedelta | None:
    """How long after its first use a message's key may be sent again, without a second message; None: never."""
    return brevo.HONOURED if provider is MessageProvider.BREVO and not is_sms else None


def read_webhook(provider: MessageProvider, body: bytes) -> list[ProviderEvent]:
    """What a webhook tells, oldest first; empty for what is of no interest. Raises WebhookBodyError."""
    match provider:
        case MessageProvider.BREVO:
            return brevo.read_webhook(body)
        case MessageProvider.PRETEND_SMS:
            return pretend_sms.read_webhook(body)
    raise WebhookBodyError(f"{provider} has no webhooks")
