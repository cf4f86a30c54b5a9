"""Whose rows are these: the organisation that the request or the job works for.

Every ORM statement on a tenant table is narrowed to the current organisation, and every new row gets it; with
none set, such a statement is an error rather than a leak. Core statements, raw SQL, COPY and identity-map hits
are not reached by this: they name organisation_id themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Executable, ForeignKey, Select, event
from sqlalchemy.orm import (
    LoaderCriteriaOption,
    Mapped,
    ORMExecuteState,
    Session,
    UOWTransaction,
    mapped_column,
    with_loader_criteria,
)

_current: ContextVar[UUID | None] = ContextVar("organisation_id", default=None)
_across: ContextVar[bool] = ContextVar("across_organisations", default=False)
_last_narrowed: WeakKeyDictionary[Executable, tuple[UUID, Executable]] = WeakKeyDictionary()


class NoOrganisationError(RuntimeError):
    """A tenant table was queried or written with no organisation set: a bug, never the user's fault."""


class OrganisationScoped:
    """Mixin of every tenant table."""

    organisation_id: Mapped[UUID] = mapped_column(
        ForeignKey("organisations.id", ondelete="RESTRICT"), primary_key=True, sort_order=-10
    )


def current_organisation_id() -> UUID:
    """The organisation being worked for. Raises NoOrganisationError when none is set."""
    organisation_id = _current.get()
    if organisation_id is None:
        raise NoOrganisationError("no organisation is set")
    return organisation_id


@contextmanager
def organisation(organisation_id: UUID) -> Iterator[None]:
    """Work for one organisation within the block."""
    token = _current.set(organisation_id)
    try:
        yield
    finally:
        _current.reset(token)


def enter_organisation(organisation_id: UUID | None) -> None:
    """Set the organisation for the rest of this context (a request); the context ends with it."""
    _current.set(organisation_id)


@contextmanager
def across_organisations() -> Iterator[None]:
    """Lift the scope: for sweepers, schedulers and sign-in, which look before they know whose row it is."""
    token = _across.set(True)
    try:
        yield
    finally:
        _across.reset(token)


def _narrow_statement(state: ORMExecuteState) -> None:
    if _across.get() or state.is_column_load or state.is_relationship_load:
        return  # relationships follow composite keys, which stay within the organisation
    organisation_id = _current.get()
    if organisation_id is not None:
        if state.is_select or state.is_update or state.is_delete:
            state.statement = _narrowed(state.statement, organisation_id)
    elif any(issubclass(mapper.class_, OrganisationScoped) for mapper in state.all_mappers):
        raise NoOrganisationError("no organisation is set")


def narrowed(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """An ORM statement narrowed to the current organisation, for connections, whose statements the session's scope does
    not reach. Raises NoOrganisationError when none is set.
    """
    return statement.options(_criterion(current_organisation_id()))


def _narrowed(statement: Executable, organisation_id: UUID) -> Executable:
    """The statement, narrowed. What it was narrowed to lives as long as it does: SQLAlchemy keeps the cache key on
    the statement, so that one that is kept as a constant is neither made, nor narrowed, nor looked through again.
    """
    known = _last_narrowed.get(statement)
    if known is None or known[0] != organisation_id:
        known = organisation_id, statement.options(_criterion(organisation_id))
        _last_narrowed[statement] = known
    return known[1]


@lru_cache(maxsize=1024)
def _criterion(organisation_id: UUID) -> LoaderCriteriaOption:
    """Narrows tenant tables, and no other; kept, since making one costs more than many a query."""
    return with_loader_criteria(
        OrganisationScoped, lambda cls: cls.organisation_id == organisation_id, include_aliases=True
    )


def _stamp_new_rows(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    for row in session.new:
        if not isinstance(row, OrganisationScoped):
            continue
        if row.organisation_id is None:
            row.organisation_id = current_organisation_id()
        elif not _across.get() and row.organisation_id != current_organisation_id():
            raise NoOrganisationError(f"{type(row).__name__} belongs to another organisation than the current one")


def scope_session(session_class: type[Session]) -> None:
    """Put the scope on every session of this class; once, however many applications a process makes."""
    if not event.contains(session_class, "do_orm_execute", _narrow_statement):
        event.listen(session_class, "do_orm_execute", _narrow_statement)
        event.listen(session_class, "before_flush", _stamp_new_rows)
