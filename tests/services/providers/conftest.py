"""The pretend provider, and an account with it."""

from tests.services.provider_events.conftest import account, bank

__all__ = ["account", "bank"]
