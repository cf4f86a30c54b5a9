"""The engine's one door to the invoices: drafted with the charge, settled and unsettled with its payments."""

from datetime import datetime

from webapp.models.charges import Charge
from webapp.models.payments import Payment


def draft(charge: Charge, payment: Payment | None, *, at: datetime) -> None:
    """The invoice of the charge, once, in the caller's transaction; ``payment`` settles it."""


def take_back(charge: Charge, payment: Payment, *, at: datetime) -> None:
    """``payment``, a reversal, leaves the charge's invoice unpaid again, in the caller's transaction."""
