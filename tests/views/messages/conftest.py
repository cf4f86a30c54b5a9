"""The company, sender and client of the services' tests."""

from tests.services.messages.conftest import _mail_server, desk, gateway, mail

__all__ = ["_mail_server", "desk", "gateway", "mail"]
