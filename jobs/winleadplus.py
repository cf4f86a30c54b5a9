"""WinLeadPlus jobs."""

from uuid import UUID

from webapp.services.winleadplus import carry_out


def synchronise(organisation_id: str, run_id: str) -> None:
    """Carry out a run, or what is left of it."""
    carry_out.carry_out(UUID(organisation_id), UUID(run_id))
