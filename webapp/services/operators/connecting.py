"""How an operator and we tell each other of claims: the secrets of both directions, and where it listens."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways import operators as gateway
from webapp.models.operators import CoverOperator
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.operators import signing
from webapp.transactions import transaction

MOST_SECRETS = 3
LONGEST_URL = 500


class Direction(StrEnum):
    """Who signs: the operator what it tells us, or we what we tell it."""

    THEIRS = "webhook_secrets"
    OURS = "delivery_secrets"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"webhook_secrets": "Secret de réception", "delivery_secrets": "Secret d’envoi"}[self.value]


class OperatorStateError(DomainError):
    """The operator was revoked."""


class NewSecret(NamedTuple):
    """A secret in clear, which nobody can read again."""

    operator: CoverOperator
    direction: Direction
    secret: str


def find_operator(operator_id: UUID) -> CoverOperator:
    """An operator of the organisation. Raises NotFoundError."""
    return _found(db.session.scalar(select(CoverOperator).where(CoverOperator.id == operator_id)))


def new_secret(operator_id: UUID, direction: Direction, *, seen: datetime | None, at: datetime) -> NewSecret:
    """Make the secret that is signed with from now on, and tell it; those before still hold.

    ``seen`` is ``secrets_changed_at`` as the page showed it: a form that is sent twice makes one. Raises NotFoundError,
    EditConflictError, OperatorStateError; InvalidInputError where too many still hold.
    """
    with transaction():
        operator = _lock(operator_id, seen=seen)
        before = operator.secrets_in_clear(direction.value)
        if len(before) >= MOST_SECRETS:
            raise InvalidInputError("Mettez d’abord fin aux anciens secrets.")
        secret = signing.new_secret()
        operator.keep_secrets(direction.value, [secret, *before])
        operator.secrets_changed_at = at
    return NewSecret(operator, direction, secret)


def end_old_secrets(operator_id: UUID, direction: Direction, *, seen: datetime | None, at: datetime) -> CoverOperator:
    """Let the newest secret alone hold. Raises NotFoundError, EditConflictError, OperatorStateError."""
    with transaction():
        operator = _lock(operator_id, seen=seen)
        operator.keep_secrets(direction.value, operator.secrets_in_clear(direction.value)[:1])
        operator.secrets_changed_at = at
    return operator


def set_delivery_url(operator_id: UUID, written: str) -> CoverOperator:
    """Where the operator is told of the files that colleagues declare; empty: it is told nothing.

    Raises NotFoundError, OperatorStateError; InvalidInputError (field « url »), also where another one is told already,
    or nothing could be signed.
    """
    url = written.strip() or None
    if url is not None:
        if len(url) > LONGEST_URL:
            raise InvalidInputError(f"L’adresse a {LONGEST_URL} caractères au plus.", field="url")
        gateway.check_url(url, field="url")
    with transaction():
        operator = _lock(operator_id, seen=None, looks=False)
        if url is not None:
            _refuse_second(operator)
            if not operator.delivery_secrets:
                raise InvalidInputError("Créez d’abord un secret d’envoi\u202f: nos messages sont signés.", field="url")
        operator.delivery_url = url
    return operator


def _refuse_second(operator: CoverOperator) -> None:
    other = db.session.scalar(
        select(CoverOperator.name).where(
            CoverOperator.delivery_url.is_not(None),
            CoverOperator.revoked_at.is_(None),
            CoverOperator.id != operator.id,
        )
    )
    if other is not None:
        raise InvalidInputError(
            f"{other} reçoit déjà les dossiers déclarés ici\u202f: retirez d’abord son adresse.", field="url"
        )


def lock(operator_id: UUID) -> CoverOperator:
    """The operator as it stands now, until the transaction ends. Raises NotFoundError."""
    statement = select(CoverOperator).where(CoverOperator.id == operator_id).with_for_update(key_share=True)
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def _lock(operator_id: UUID, *, seen: datetime | None, looks: bool = True) -> CoverOperator:
    operator = lock(operator_id)
    if operator.revoked_at is not None:
        raise OperatorStateError("Cet opérateur est révoqué\u202f: il ne reçoit et n’envoie plus rien.")
    if looks and operator.secrets_changed_at != seen:
        raise EditConflictError("Les secrets ont changé depuis que vous avez ouvert cette page\u202f: relisez-la.")
    return operator


def _found(operator: CoverOperator | None) -> CoverOperator:
    if operator is None:
        raise NotFoundError("Cet opérateur n’existe pas ou plus.")
    return operator
