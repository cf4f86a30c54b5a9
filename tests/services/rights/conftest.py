"""A WinLeadPlus that answers, and what an erasure needs."""

from tests.services.winleadplus.conftest import sync, winleadplus

__all__ = ["sync", "winleadplus"]
