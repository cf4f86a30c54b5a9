"""What runs have in common: of synchronisations and of charges."""

from enum import StrEnum


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
