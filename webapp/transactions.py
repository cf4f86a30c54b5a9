"""One way to write: a command opens ``transaction()``; what rings bells waits for the commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text

from webapp.extensions import db

log = structlog.get_logger()

_TELL = text(
    """SELECT set_config('crm.at', :at, true), set_config('crm.user_id', :user_id, true),
      set_config('crm.run_id', :run_id, true), set_config('crm.operation_id', :operation_id, true)"""
)


@contextmanager
def transaction() -> Iterator[None]:
    """Commit on success, roll back on error; an inner call joins the outer one."""
    info = db.session().info
    if info.get("in_transaction"):
        yield
        return
    callbacks: list[Callable[[], object]] = []
    info.update(in_transaction=True, after_commit=callbacks)
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        del info["in_transaction"], info["after_commit"]
    for callback in callbacks:
        _run_logging_failure(callback)


@contextmanager
def writing_as(
    *, at: datetime, user_id: UUID | None = None, run_id: UUID | None = None, operation_id: UUID | None = None
) -> Iterator[None]:
    """Tell the triggers that keep the history of contracts who writes them within, and when.

    The open transaction alone knows it. After an error nothing is taken back here: the rollback, of the transaction or
    of the savepoint that this stands in, does.
    """
    names = {"user_id": user_id, "run_id": run_id, "operation_id": operation_id}
    told = {"at": at.isoformat(), **{name: str(value or "") for name, value in names.items()}}
    db.session.execute(_TELL, told)
    yield
    db.session.execute(_TELL, dict.fromkeys(told, ""))


def let_go() -> None:
    """Give the connection to the database back before a wait for somebody else: what is read afterwards is read anew.

    Raises RuntimeError within ``transaction()``, whose changes would be lost.
    """
    if db.session().info.get("in_transaction"):
        raise RuntimeError("nobody waits for others in a transaction")
    db.session.rollback()


def after_commit(callback: Callable[[], object]) -> None:
    """Run ``callback`` once the open transaction has committed; at once when none is open."""
    callbacks: list[Callable[[], object]] | None = db.session().info.get("after_commit")
    if callbacks is None:
        _run_logging_failure(callback)
    else:
        callbacks.append(callback)


def _run_logging_failure(callback: Callable[[], object]) -> None:
    """The commit stands whatever happens here; a sweeper rings the bell that was not heard."""
    try:
        callback()
    except Exception:
        log.exception("after_commit_failed")
