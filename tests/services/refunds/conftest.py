"""Refunds stand on the world of charges."""

from tests.services.charges.conftest import ledger, world

__all__ = ["ledger", "world"]
