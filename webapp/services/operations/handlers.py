"""What each kind of operation does by itself: who may apply it, and how its plan is made."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from webapp.models.identity import User
from webapp.models.operations import Operation, OperationKind
from webapp.services.operations.runs import Work


def _nothing(work: Work) -> None:
    pass


@dataclass(frozen=True)
class Handler:
    """A kind's own part.

    ``check_right`` raises ForbiddenError where ``user`` may not apply the operation any more. ``prepare`` writes the
    plan of one that is PREPARING, from ``work.operation.position`` on: it commits as it goes, with ``work.save``.
    ``apply`` stands in for applying the plan chunk by chunk, and ends the operation itself.
    ``finish`` does, in the transaction of the end, what comes after the last item. ``prepare_undo`` and ``finish_undo``
    stand in for what an UNDO of this kind does otherwise; they are given the operation that is undone.
    """

    check_right: Callable[[Operation, User], None]
    prepare: Callable[[Work], None] = _nothing
    apply: Callable[[Work], None] | None = None
    finish: Callable[[Work], None] = _nothing
    prepare_undo: Callable[[Work, Operation], None] | None = None
    finish_undo: Callable[[Work, Operation], None] | None = None


HANDLERS: dict[OperationKind, str] = {
    OperationKind.BULK: "webapp.services.bulk.HANDLER",
    OperationKind.IMPORT: "webapp.services.imports.planning.HANDLER",
    OperationKind.MERGE: "webapp.services.merging.commands.HANDLER",
    OperationKind.ERASURE: "webapp.services.rights.erasing.HANDLER",
    OperationKind.UNDO: "webapp.services.operations.undoing.HANDLER",
}
"""By dotted name ("package.module.NAME"), so that nobody imports in a circle."""


def handler_of(kind: OperationKind) -> Handler:
    """The kind's own part."""
    module, _, name = HANDLERS[kind].rpartition(".")
    handler: Handler = getattr(import_module(module), name)
    return handler
