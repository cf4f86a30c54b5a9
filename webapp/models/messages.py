"""Messages to clients."""

from enum import StrEnum


class MessageProvider(StrEnum):
    """Who carries messages for a company."""

    SMTP = "SMTP"
    BREVO = "BREVO"
    OVH = "OVH"
    PRETEND_SMS = "PRETEND_SMS"


class EventKind(StrEnum):
    """What somebody outside told us about a message."""

    ACCEPTED = "ACCEPTED"
    DELIVERED = "DELIVERED"
    BOUNCED_HARD = "BOUNCED_HARD"
    BOUNCED_SOFT = "BOUNCED_SOFT"
    COMPLAINED = "COMPLAINED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    REPLIED = "REPLIED"
