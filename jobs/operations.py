"""Jobs of operations."""

from uuid import UUID

from webapp.services.operations import carry_out as operations


def carry_out(organisation_id: str, operation_id: str) -> None:
    """Prepare the plan of an operation, apply it, or go on with either."""
    operations.carry_out(UUID(organisation_id), UUID(operation_id))
