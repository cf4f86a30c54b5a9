"""A WinLeadPlus that answers between a merge and its end."""

from tests.services.winleadplus.conftest import sync, winleadplus

__all__ = ["sync", "winleadplus"]
