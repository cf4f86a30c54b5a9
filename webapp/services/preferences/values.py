"""The values that subscriptions have, from which cycle on, and what they were before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Uuid, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import joinedload

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.preferences import PreferenceChange, PreferenceSchema, PreferenceValue, Scalar
from webapp.models.subscriptions import Subscription
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.preferences.checking import check_value, fits, refusal
from webapp.services.preferences.cut_offs import find_cut_off
from webapp.services.preferences.schemas import list_schemas
from webapp.services.preferences.settling import first_cycle_for_change, hold_batches
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.editing import EndedError
from webapp.services.subscriptions.lifecycle import find_for_update
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

LAST_CYCLE = 2**31 - 1

Snapshot = dict[str, dict[str, Any]]
"""A frozen copy: code → label and value, as they were."""


@dataclass(frozen=True)
class EffectiveValue:
    """What holds for a cycle: the subscription's own value, else the field's default.

    ``is_outdated`` says that the field's choices have changed since; ``is_missing`` that a required one has none.
    """

    schema: PreferenceSchema
    value: Scalar | None
    is_default: bool

    @property
    def is_outdated(self) -> bool:
        """Whether the value is no longer one that could be chosen."""
        return not fits(self.schema, self.value)

    @property
    def is_missing(self) -> bool:
        """Whether a value is required and there is none."""
        return self.schema.required and self.value is None


OWN_SNAPSHOT = """
jsonb_object_agg(
  schema.code, jsonb_build_object('label', schema.label, 'value', coalesce(own.value, schema."default"))
  ORDER BY own.schema_id, own.effective_from_cycle)
"""
OWN_COMBINATION = """
md5(string_agg(
  concat(own.schema_id, own.effective_from_cycle, own.value), ',' ORDER BY own.schema_id, own.effective_from_cycle))
"""
"""Where these are equal, so are the snapshots: told for a fraction of what a snapshot costs."""


def last_change(subscription_id: UUID) -> str:
    """What an editor has seen: the id of the subscription's latest change of preferences, "" before the first."""
    changes = select(PreferenceChange.id).where(PreferenceChange.subscription_id == subscription_id)
    latest = db.session.scalar(changes.order_by(PreferenceChange.at.desc(), PreferenceChange.id.desc()).limit(1))
    return str(latest or "")


def set_values(
    subscription_id: UUID,
    written: Mapping[str, Scalar | None],
    *,
    by: User | None,
    at: datetime,
    seen: str | None = None,
) -> int:
    """Set the values of the fields named in ``written`` (code → value; None or "" for none).

    Returns the cycle from which they hold: the earliest that is not settled (``settling``).
    A value written again for the same cycle replaces the first; both stay in the history. With ``seen``, what
    ``last_change`` told the editor, nobody else's change is overwritten unseen. Raises NotFoundError, EndedError,
    EditConflictError; InvalidInputError (field « preference-<code> »), in which case nothing is written.
    """
    with transaction():
        subscription = find_for_update(subscription_id)
        if subscription.status.is_final:
            raise EndedError(f"Un abonnement {subscription.status.label.lower()} ne se modifie plus.")
        if seen is not None and seen != last_change(subscription_id):
            raise EditConflictError("Ces préférences ont été modifiées entre-temps\u202f: comparez, puis enregistrez.")
        schemas = {schema.code: schema for schema in list_schemas()}
        values = {schemas[code]: _checked(schemas[code], value) for code, value in _known(written, schemas)}
        hold_batches(subscription)
        cycle = first_cycle_for_change(subscription, find_cut_off(subscription.company_id), at=at)
        latest = _own_values({subscription.id: LAST_CYCLE})
        for schema, value in values.items():
            old = latest.get((subscription.id, schema.id))
            if old != value:
                _write(subscription, schema, old, value, cycle, by=by, at=at)
    return cycle


def _known(
    written: Mapping[str, Scalar | None], schemas: Mapping[str, PreferenceSchema]
) -> Iterable[tuple[str, Scalar | None]]:
    for code, value in written.items():
        if code not in schemas:
            raise InvalidInputError(f"La préférence «\u00a0{code}\u00a0» n’existe pas.", field=f"preference-{code}")
        yield code, value


def _checked(schema: PreferenceSchema, written: Scalar | None) -> Scalar | None:
    value = check_value(schema, written)
    if value is None and schema.required and schema.default is None:
        raise refusal(schema, f"Indiquez une valeur pour «\u00a0{schema.label}\u00a0».")
    return value


def _write(
    subscription: Subscription,
    schema: PreferenceSchema,
    old: Scalar | None,
    new: Scalar | None,
    cycle: int,
    *,
    by: User | None,
    at: datetime,
) -> None:
    # A cut-off that was moved may have left a value for a later cycle: the last word holds from its cycle on.
    db.session.execute(
        delete(PreferenceValue).where(
            PreferenceValue.subscription_id == subscription.id,
            PreferenceValue.schema_id == schema.id,
            PreferenceValue.effective_from_cycle > cycle,
        )
    )
    row = insert(PreferenceValue).values(
        organisation_id=current_organisation_id(),
        id=new_id(),
        subscription_id=subscription.id,
        schema_id=schema.id,
        effective_from_cycle=cycle,
        value=new,
        changed_at=at,
    )
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=["organisation_id", "subscription_id", "schema_id", "effective_from_cycle"],
            set_={"value": row.excluded.value, "changed_at": row.excluded.changed_at},
        )
    )
    db.session.add(
        PreferenceChange(
            subscription_id=subscription.id,
            schema_id=schema.id,
            effective_from_cycle=cycle,
            old_value=old,
            new_value=new,
            at=at,
            user_id=by.id if by else None,
        )
    )


def list_effective(subscription: Subscription, *, cycle: int) -> list[EffectiveValue]:
    """What holds for a cycle, for every field that is asked for, in their order."""
    own = _own_values({subscription.id: cycle})
    return [_effective(schema, own.get((subscription.id, schema.id))) for schema in list_schemas()]


def list_effective_on(subscription: Subscription, day: date) -> list[EffectiveValue]:
    """What holds on a day: for the cycle whose period it falls into."""
    following = scheduling.cycle_from(subscription, day)
    is_first_day = scheduling.date_of(subscription, following) == day
    return list_effective(subscription, cycle=following if is_first_day else max(0, following - 1))


def take_snapshots(cycles: Mapping[UUID, int]) -> dict[UUID, Snapshot]:
    """Frozen copies of what holds for a cycle of each subscription (id → cycle), in two queries however many."""
    pairs = "SELECT * FROM unnest(:subscription_ids, :cycles) AS asked (subscription_id, cycle_no)"
    rows = db.session.execute(
        text(own_values_sql(f"({pairs})")).bindparams(
            bindparam("subscription_ids", list(cycles), type_=ARRAY(Uuid())),
            bindparam("cycles", list(cycles.values()), type_=ARRAY(Integer())),
            organisation_id=current_organisation_id(),
        )
    )
    own: dict[UUID, Snapshot] = {row.subscription_id: row.own for row in rows}
    defaults = default_snapshot()
    return {subscription_id: defaults | own.get(subscription_id, {}) for subscription_id in cycles}


def default_snapshot() -> Snapshot:
    """What holds for a subscription without values of its own."""
    return {schema.code: {"label": schema.label, "value": schema.default} for schema in list_schemas()}


def own_values_sql(pairs: str, own: str = OWN_SNAPSHOT) -> str:
    """SQL that reads, by sets, what subscriptions say themselves: subscription_id, cycle_no and ``own``, by default a
    snapshot of the fields for which they have a value.

    ``pairs`` is a relation with subscription_id and cycle_no, each pair once; :organisation_id is to be bound. Over
    ``default_snapshot`` it is what holds for the cycle: of equal keys the last one stays, which has the latest cycle.
    """
    return f"""
    SELECT asked.subscription_id, asked.cycle_no, {own} AS own
    FROM {pairs} AS asked
    JOIN preference_values own ON own.organisation_id = :organisation_id
      AND own.subscription_id = asked.subscription_id AND own.effective_from_cycle <= asked.cycle_no
    JOIN preference_schemas schema ON schema.organisation_id = :organisation_id
      AND schema.id = own.schema_id AND schema.is_active
    GROUP BY asked.subscription_id, asked.cycle_no
    """  # noqa: S608  names of relations, no values


def _effective(schema: PreferenceSchema, own: Scalar | None) -> EffectiveValue:
    return EffectiveValue(schema, schema.default if own is None else own, is_default=own is None)


def _own_values(cycles: Mapping[UUID, int]) -> dict[tuple[UUID, UUID], Scalar | None]:
    """(subscription, field) → the latest value that holds for the cycle of each subscription."""
    rows = db.session.execute(
        select(
            PreferenceValue.subscription_id,
            PreferenceValue.schema_id,
            PreferenceValue.effective_from_cycle,
            PreferenceValue.value,
        )
        .where(PreferenceValue.subscription_id.in_(cycles))
        .order_by(PreferenceValue.effective_from_cycle)
    )
    return {
        (row.subscription_id, row.schema_id): row.value
        for row in rows
        if row.effective_from_cycle <= cycles[row.subscription_id]
    }


def list_changes(subscription_id: UUID, *, limit: int = 100) -> list[PreferenceChange]:
    """The history of a subscription's values, the latest first, with the field and who changed it."""
    return list(
        db.session.scalars(
            select(PreferenceChange)
            .where(PreferenceChange.subscription_id == subscription_id)
            .order_by(PreferenceChange.at.desc(), PreferenceChange.id.desc())
            .limit(limit)
            .options(joinedload(PreferenceChange.schema), joinedload(PreferenceChange.user))
        )
    )
