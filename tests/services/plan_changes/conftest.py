"""The world of the charge engine: a moved clock and a provider that keeps a ledger."""

from tests.services.charges.conftest import ledger, world

__all__ = ["ledger", "world"]
