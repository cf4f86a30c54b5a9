"""Messages to clients."""

from enum import StrEnum


class MessageProvider(StrEnum):
    """Who carries messages for a company."""

    SMTP = "smtp"
    BREVO = "brevo"
    OVH = "ovh"
    PRETEND_SMS = "pretend_sms"


class MessageEventKind(StrEnum):
    """What somebody outside told us about a message."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    BOUNCED_HARD = "bounced_hard"
    BOUNCED_SOFT = "bounced_soft"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    REPLIED = "replied"
