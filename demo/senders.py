"""Senders of the demo organisation: e-mails to the mail catcher, SMS to the pretend gateway, where these run.

Called at every start: a sender that is there already is left as it is.
"""

import os

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.messages import Channel, MessageProvider
from webapp.models.organisations import Company
from webapp.services.messages.senders import SenderFields, find_sender, save_sender

FROM = "bonjour@demo-energies.example"


def add_senders() -> None:
    """Open what is missing for the default company of the current organisation."""
    company = db.session.scalars(select(Company).where(Company.is_default)).one()
    smtp = os.environ.get("MAILDEV_SMTP", "")
    if smtp and find_sender(company.id, Channel.EMAIL) is None:
        host, _, port = smtp.rpartition(":")
        credentials = {"host": host, "port": port, "security": "none"}
        save_sender(company.id, Channel.EMAIL, _fields(MessageProvider.SMTP, credentials, company.name, FROM))
    if os.environ.get("SMS_SANDBOX_URL") and find_sender(company.id, Channel.SMS) is None:
        save_sender(company.id, Channel.SMS, _fields(MessageProvider.PRETEND_SMS, {}, "DEMO", ""))


def _fields(provider: MessageProvider, credentials: dict[str, str], name: str, address: str) -> SenderFields:
    """At any hour, since somebody who tries the demo does not wait for the morning."""
    return SenderFields(
        provider=provider,
        credentials=credentials,
        from_name=name,
        from_address=address,
        pace_per_minute=600,
        quiet_from=None,
        quiet_until=None,
    )
