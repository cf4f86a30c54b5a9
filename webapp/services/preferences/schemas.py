"""The fields an admin defines. A change never touches values that exist: it is refused, or explained and confirmed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.preferences import PreferenceChange, PreferenceSchema, PreferenceValue, Scalar, ValueType
from webapp.services.contact import clean_text
from webapp.services.preferences.checking import check_value, fits
from webapp.transactions import transaction

MAX_CHOICES = 100
LABEL_LENGTH = 100
_CODE = re.compile(r"[a-z][a-z0-9_-]{0,49}")


class Misfit(NamedTuple):
    """A value that a change would leave outside the field, and how many subscriptions have it."""

    value: Scalar
    subscriptions: int


class ValuesLeftOutError(DomainError):
    """Subscriptions have values that the new choices leave out; ``misfits`` names them."""

    def __init__(self, misfits: list[Misfit]) -> None:
        named = ", ".join(f"«\u00a0{misfit.value}\u00a0» ({misfit.subscriptions})" for misfit in misfits)
        super().__init__(
            f"Des abonnements ont une valeur que vous retirez\u202f: {named}. Ils la gardent tant que personne ne la"
            " change, mais elle ne pourra plus être choisie. Confirmez pour continuer."
        )
        self.misfits = misfits


class UsedSchemaError(DomainError):
    """Subscriptions have, or had, values for the field."""


@dataclass(frozen=True, kw_only=True)
class SchemaFields:
    """A field as an admin writes it."""

    code: str
    label: str
    value_type: ValueType
    allowed_values: Sequence[str] = ()
    required: bool = False
    default: Scalar | None = None
    position: int = 0


def list_schemas(*, include_inactive: bool = False) -> list[PreferenceSchema]:
    """The organisation's fields, in their order."""
    statement = select(PreferenceSchema).order_by(
        PreferenceSchema.position, PreferenceSchema.label, PreferenceSchema.id
    )
    if not include_inactive:
        statement = statement.where(PreferenceSchema.is_active)
    return list(db.session.scalars(statement))


def find_schema(schema_id: UUID) -> PreferenceSchema:
    """A field. Raises NotFoundError."""
    return _found(db.session.scalar(select(PreferenceSchema).where(PreferenceSchema.id == schema_id)))


def create_schema(written: SchemaFields, *, at: datetime) -> PreferenceSchema:
    """Define a field. Raises InvalidInputError, naming the form's field."""
    fields = _checked(written)
    with transaction():
        if db.session.scalar(select(PreferenceSchema.id).where(PreferenceSchema.code == fields.code)):
            raise InvalidInputError("Ce code est déjà celui d’une autre préférence.", field="code")
        schema = PreferenceSchema(code=fields.code, value_type=fields.value_type, created_at=at)
        _set(schema, fields)
        db.session.add(schema)
        db.session.flush()
    return schema


def edit_schema(schema_id: UUID, written: SchemaFields, *, confirmed: bool = False) -> PreferenceSchema:
    """Change a field. Its code and type stay once subscriptions have values for it.

    Raises NotFoundError; InvalidInputError, naming the form's field; ValuesLeftOutError unless ``confirmed``.
    """
    fields = _checked(written)
    with transaction():
        schema = _lock(schema_id)
        if (fields.code, fields.value_type) != (schema.code, schema.value_type):
            _refuse_new_nature(schema, fields)
        misfits = [used for used in count_values(schema.id) if not fits(_as_field(fields), used.value)]
        if misfits and not confirmed:
            raise ValuesLeftOutError(misfits)
        schema.code, schema.value_type = fields.code, fields.value_type
        _set(schema, fields)
    return schema


def set_active(schema_id: UUID, is_active: bool) -> PreferenceSchema:
    """Ask for the field, or no longer; what subscriptions have is kept. Raises NotFoundError."""
    with transaction():
        schema = _lock(schema_id)
        schema.is_active = is_active
    return schema


def delete_schema(schema_id: UUID) -> PreferenceSchema:
    """Delete a field that no subscription ever had a value for. Raises NotFoundError, UsedSchemaError."""
    with transaction():
        schema = _lock(schema_id)
        users = select(func.count(PreferenceChange.subscription_id.distinct()))
        number = db.session.execute(users.where(PreferenceChange.schema_id == schema.id)).scalar_one()
        if number or count_values(schema.id):
            raise UsedSchemaError(
                f"Des abonnements ont, ou ont eu, une valeur pour «\u00a0{schema.label}\u00a0»\u202f: elle ne se"
                " supprime pas, désactivez-la."
            )
        db.session.delete(schema)
        db.session.flush()
    return schema


def count_values(schema_id: UUID) -> list[Misfit]:
    """Each value that subscriptions have, now or from a cycle to come, with their number; the most frequent first."""
    number = func.count(PreferenceValue.subscription_id.distinct()).label("number")
    rows = db.session.execute(
        select(PreferenceValue.value, number)
        .where(PreferenceValue.schema_id == schema_id, PreferenceValue.value.is_not(None))
        .group_by(PreferenceValue.value)
        .order_by(number.desc())
    )
    return [Misfit(row.value, row.number) for row in rows]


def _checked(written: SchemaFields) -> SchemaFields:
    code, label = written.code.strip().lower(), clean_text(written.label)
    if not _CODE.fullmatch(code):
        raise InvalidInputError(
            "Un code commence par une lettre, suivie de lettres sans accent, de chiffres ou de tirets.", field="code"
        )
    if not label or len(label) > LABEL_LENGTH:
        raise InvalidInputError(f"Indiquez un nom, de {LABEL_LENGTH} caractères au plus.", field="label")
    choices = _checked_choices(written) if written.value_type is ValueType.ENUM else []
    fields = replace(written, code=code, label=label, allowed_values=choices)
    try:
        return replace(fields, default=check_value(_as_field(fields), fields.default))
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="default") from error


def _checked_choices(written: SchemaFields) -> list[str]:
    choices = list(dict.fromkeys(filter(None, map(clean_text, written.allowed_values))))
    if not choices:
        raise InvalidInputError("Une liste de choix a au moins une valeur.", field="allowed_values")
    if len(choices) > MAX_CHOICES or any(len(choice) > LABEL_LENGTH for choice in choices):
        raise InvalidInputError(
            f"Une liste a au plus {MAX_CHOICES} choix, de {LABEL_LENGTH} caractères chacun.", field="allowed_values"
        )
    return choices


def _as_field(fields: SchemaFields) -> PreferenceSchema:
    """What the fields would be; never added to the session."""
    return PreferenceSchema(code=fields.code, value_type=fields.value_type, allowed_values=list(fields.allowed_values))


def _refuse_new_nature(schema: PreferenceSchema, fields: SchemaFields) -> None:
    """Meanings outlive their names: a new code or type is a new field."""
    number = db.session.execute(
        select(func.count(PreferenceValue.subscription_id.distinct())).where(PreferenceValue.schema_id == schema.id)
    ).scalar_one()
    if number:
        name = "code" if fields.code != schema.code else "value_type"
        raise InvalidInputError(
            f"Des abonnements ({number}) ont une valeur pour cette préférence\u202f: son code et son type"
            " ne changent plus. Désactivez-la et créez-en une autre.",
            field=name,
        )
    if db.session.scalar(
        select(PreferenceSchema.id).where(PreferenceSchema.code == fields.code, PreferenceSchema.id != schema.id)
    ):
        raise InvalidInputError("Ce code est déjà celui d’une autre préférence.", field="code")


def _set(schema: PreferenceSchema, fields: SchemaFields) -> None:
    schema.label, schema.allowed_values = fields.label, list(fields.allowed_values)
    schema.required, schema.default, schema.position = fields.required, fields.default, fields.position


def _lock(schema_id: UUID) -> PreferenceSchema:
    statement = select(PreferenceSchema).where(PreferenceSchema.id == schema_id).with_for_update()
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def _found(schema: PreferenceSchema | None) -> PreferenceSchema:
    if schema is None:
        raise NotFoundError("Cette préférence n’existe pas ou plus.")
    return schema
