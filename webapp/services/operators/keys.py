"""The keys by which operators ask: shown once, made anew where one is to be changed, revoked for good."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.operators import CoverOperator
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.contact import clean_text
from webapp.services.operators import connecting
from webapp.services.operators.connecting import OperatorStateError
from webapp.transactions import transaction

PREFIX = "dep_"
NAME_LENGTH = 100
START_LENGTH = 10
MOST_OPERATORS = 50
NOTED_EVERY = timedelta(minutes=1)
OLD_OPENS_FOR = timedelta(hours=24)
"""How long the key before the present one still opens, unless somebody ends it."""


class UnknownKeyError(DomainError):
    """Nobody has this key, or it was revoked."""

    status = 401


class NewKey(NamedTuple):
    """An operator, and its key in clear, which nobody can read again."""

    operator: CoverOperator
    key: str


def list_operators() -> list[CoverOperator]:
    """All of the organisation: those whose key opens something first, by name."""
    statement = select(CoverOperator).order_by(CoverOperator.revoked_at.is_not(None), CoverOperator.name)
    return list(db.session.scalars(statement))


def add_operator(name: str, *, by: User, at: datetime) -> NewKey:
    """Make an operator and its key. Raises InvalidInputError (field « name »), also where one that stands has the name:
    a form that is sent twice makes one.
    """
    name = clean_text(name)
    if not name or len(name) > NAME_LENGTH:
        raise InvalidInputError(f"Indiquez un nom, de {NAME_LENGTH} caractères au plus.", field="name")
    key = _new_key()
    with transaction():
        lock = f"operators|{tenancy.current_organisation_id()}"
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(lock, 0))))
        operators = list_operators()
        if any(each.name.casefold() == name.casefold() and not each.revoked_at for each in operators):
            raise InvalidInputError("Un opérateur porte déjà ce nom\u202f: choisissez-en un autre.", field="name")
        if len(operators) >= MOST_OPERATORS:
            raise InvalidInputError(f"Une organisation a {MOST_OPERATORS} opérateurs au plus.", field="name")
        operator = CoverOperator(
            name=name, key_hash=_hash(key), key_start=key[:START_LENGTH], created_by_id=by.id, created_at=at
        )
        db.session.add(operator)
        db.session.flush()
    return NewKey(operator, key)


def renew(operator_id: UUID, *, seen: str, at: datetime) -> NewKey:
    """Make the key of an operator anew: the one before opens for a while (``OLD_OPENS_FOR``), so that it can be changed
    on the other side without a gap; one before that opens nothing any more. Files and secrets stay.

    ``seen`` is the start of the key as the page showed it: a form that is sent twice makes one. Raises NotFoundError,
    OperatorStateError, EditConflictError.
    """
    key = _new_key()
    with transaction():
        operator = connecting.lock(operator_id)
        if operator.revoked_at is not None:
            raise OperatorStateError("Cet opérateur est révoqué\u202f: il n’a plus de clé.")
        if operator.key_start != seen:
            raise EditConflictError("La clé a changé depuis que vous avez ouvert cette page\u202f: relisez-la.")
        operator.old_key_hash, operator.old_key_start = operator.key_hash, operator.key_start
        operator.old_key_until = at + OLD_OPENS_FOR
        operator.key_hash, operator.key_start = _hash(key), key[:START_LENGTH]
    return NewKey(operator, key)


def end_old_key(operator_id: UUID, *, seen: str) -> CoverOperator:
    """Let the newest key alone open; twice is once. ``seen`` is the start of the old one, as the page showed it.

    Raises NotFoundError; EditConflictError where another one is the old one by now.
    """
    with transaction():
        operator = connecting.lock(operator_id)
        if operator.old_key_start not in (None, seen):
            raise EditConflictError("La clé a changé depuis que vous avez ouvert cette page\u202f: relisez-la.")
        operator.old_key_hash = operator.old_key_start = operator.old_key_until = None
    return operator


def revoke(operator_id: UUID, *, at: datetime) -> CoverOperator:
    """Let the key open nothing any more. Raises NotFoundError."""
    with transaction():
        operator = connecting.lock(operator_id)
        operator.revoked_at = operator.revoked_at or at
    return operator


def find_operator(key: str, *, at: datetime) -> CoverOperator:
    """Whose key it is, or was until now, whatever the organisation. Raises UnknownKeyError."""
    with tenancy.across_organisations():
        hashed = _hash(key)
        is_old = and_(CoverOperator.old_key_hash == hashed, CoverOperator.old_key_until > at)
        statement = select(CoverOperator).where(
            or_(CoverOperator.key_hash == hashed, is_old), CoverOperator.revoked_at.is_(None)
        )
        operator = db.session.scalar(statement) if key.startswith(PREFIX) else None
    if operator is None:
        raise UnknownKeyError("This key is unknown or was revoked.")
    return operator


def note_asked(operator_id: UUID, *, at: datetime) -> None:
    """Keep when the operator last asked, to the minute: a write for each question would be one too many."""
    is_old = or_(CoverOperator.last_asked_at.is_(None), CoverOperator.last_asked_at < at - NOTED_EVERY)
    with transaction():
        db.session.execute(
            update(CoverOperator).where(CoverOperator.id == operator_id, is_old).values(last_asked_at=at)
        )


def _new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _hash(key: str) -> bytes:
    """A key is 256 random bits: nobody guesses it from a hash without salt."""
    return hashlib.sha256(key.encode()).digest()
