"""Fulfilment jobs."""

from uuid import UUID

from webapp import clock
from webapp.services.fulfilment import dispatching, documents, labelling, lock_runs, tracking_rounds


def lock(organisation_id: str, batch_id: str) -> None:
    """Lock a batch that somebody asked to lock, or whose cut-off has passed."""
    lock_runs.carry_out(UUID(organisation_id), UUID(batch_id))


def dispatch(organisation_id: str, batch_id: str) -> None:
    """Make the shipments of a batch whose dispatch was asked for."""
    dispatching.carry_out(UUID(organisation_id), UUID(batch_id), at=clock.now())


def label(organisation_id: str, account_id: str) -> None:
    """Ask a carrier for labels."""
    labelling.carry_out(UUID(organisation_id), UUID(account_id))


def make_documents(organisation_id: str) -> None:
    """Make the papers of batches that were asked for."""
    documents.carry_out(UUID(organisation_id))


def track(organisation_id: str, account_id: str) -> None:
    """Ask a carrier where the parcels are that it has got."""
    tracking_rounds.carry_out(UUID(organisation_id), UUID(account_id))
