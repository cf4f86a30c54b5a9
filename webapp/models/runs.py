"""What runs have in common: of synchronisations and of charges, of pulls of shops and of searches for duplicates."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.models.base import Identified, stored_enum
from webapp.tenancy import OrganisationScoped


class RunStatus(StrEnum):
    """``running`` from the click on; the other three are final."""

    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"running": "En cours", "success": "Réussie", "partial": "Partielle", "failed": "Échouée"}[self.value]


class RunTrigger(StrEnum):
    """What set a run off."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    COMMAND = "command"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"manual": "Manuelle", "scheduled": "Planifiée", "command": "Ligne de commande"}[self.value]


class Leased(OrganisationScoped, Identified):
    """Mixin of work that one process at a time owns (``services/leases.py``): until ``lease_until``, by ``fence``.

    ``attempts`` counts its owners; ``error`` is a French sentence.
    """

    status: Mapped[RunStatus] = mapped_column(stored_enum(RunStatus), default=RunStatus.RUNNING)
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
