"""Fulfilment jobs."""

from uuid import UUID

from webapp.services.fulfilment import lock_runs


def lock(organisation_id: str, batch_id: str) -> None:
    """Lock a batch that somebody asked to lock, or whose cut-off has passed."""
    lock_runs.carry_out(UUID(organisation_id), UUID(batch_id))
