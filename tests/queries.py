"""Counting statements: a page's number of queries must not grow with its rows, nor that of a batch with its size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, event, text
from sqlalchemy.engine import Engine

from webapp import tenancy
from webapp.extensions import db


def plan_of(statement: Select[Any]) -> str:
    """What PostgreSQL would do for it, of the current organisation, as the session asks."""
    narrowed = tenancy.narrowed(statement)
    shown = str(narrowed.compile(db.engine, compile_kwargs={"literal_binds": True}))
    return "\n".join(db.session.scalars(text("EXPLAIN " + shown.replace(":", "\\:"))))


@contextmanager
def recorded_queries() -> Iterator[list[str]]:
    """The SELECT statements sent to the database within the block."""
    with _recorded(("SELECT", "WITH")) as statements:
        yield statements


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """All statements sent to the database within the block; one with many rows of values counts as one."""
    with _recorded(("",)) as statements:
        yield statements


@contextmanager
def _recorded(beginnings: tuple[str, ...]) -> Iterator[list[str]]:
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().upper().startswith(beginnings):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)
