"""The transaction that tests work in: it stays open from one test to the next, and holds the cast, made once.

Making the cast costs as much as half a test. Every test has a savepoint of the transaction, rolled back at its end. And
as the organisation stays the same, so do the statements that are narrowed to it, which SQLAlchemy then knows already.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from sqlalchemy import Connection, Engine, Transaction

from tests import factories
from webapp import tenancy
from webapp.extensions import db
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.organisations import Organisation

MOST_TESTS = 200
"""How many tests one transaction serves: what they rolled back lies in the tables until it ends."""


@dataclass(frozen=True)
class Cast:
    """The people of the tests: an organisation with every role, and an outsider from another one."""

    organisation: Organisation
    commercial: User
    sales_rep: Commercial
    colleague: User
    manager: User
    admin: User
    outsider: User
    other_organisation: Organisation


class Ground:
    """One process's open transaction, with the cast. It holds locks: close it before others write to the tables."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._cast: Cast | None = None
        self._tests = 0

    @contextmanager
    def savepoint(self, engine: Engine) -> Iterator[None]:
        """Sessions within the block see the cast; whatever they do, commits included, is rolled back after it."""
        if self._tests == MOST_TESTS:
            self.close()
        connection = self._connection or self._open(engine)
        self._tests += 1
        with rolled_back(connection, connection.begin_nested()):
            yield

    def cast(self) -> Cast:
        """The cast, in the current session, as a commit leaves it; the current organisation is theirs.

        It is made for a test that asked for it only after its transaction had begun (by the name of a fixture).
        """
        if self._cast is None or db.engine is not self._connection:
            made: Cast = factories.make_cast(Cast)
            return made
        people = {field.name: getattr(self._cast, field.name) for field in fields(Cast)}
        here = Cast(**{name: db.session.merge(person, load=False) for name, person in people.items()})
        db.session.expire_all()
        tenancy.enter_organisation(self._cast.organisation.id)
        return here

    def close(self) -> None:
        """Give the locks back, and forget the cast."""
        if self._connection:
            self._connection.close()
        self._connection, self._cast, self._tests = None, None, 0

    def _open(self, engine: Engine) -> Connection:
        self._connection = connection = engine.connect()
        connection.begin()
        with working_on(connection):
            self._cast = factories.make_cast(Cast)
            with tenancy.across_organisations():
                for field in fields(Cast):
                    db.session.refresh(getattr(self._cast, field.name))
        return connection


@contextmanager
def rolled_back(connection: Connection, transaction: Transaction) -> Iterator[None]:
    """Sessions within the block work in a transaction, which is rolled back; their commits become savepoints."""
    with working_on(connection):
        yield
    transaction.rollback()


@contextmanager
def working_on(connection: Connection) -> Iterator[None]:
    """Sessions within the block work on a connection that is in a transaction; their commits become savepoints."""
    engine = db.engine
    db.engines[None] = connection  # type: ignore[index]
    db.session.session_factory.configure(join_transaction_mode="create_savepoint")
    yield
    db.session.remove()
    db.session.session_factory.configure(join_transaction_mode="conditional_savepoint")
    db.engines[None] = engine  # type: ignore[index]
