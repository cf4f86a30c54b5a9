"""Fields are data that an admin defines; changing one never touches the values that exist."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.models.preferences import PreferenceSchema, Scalar, ValueType
from webapp.services.preferences import schemas, values
from webapp.services.preferences.checking import check_value, fits
from webapp.services.preferences.schemas import SchemaFields

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GRIND = SchemaFields(
    code="mouture", label="Mouture", value_type=ValueType.ENUM, allowed_values=("Grains", "Moulu"), default="Grains"
)


def _field(value_type: str) -> PreferenceSchema:
    return PreferenceSchema(code="champ", value_type=ValueType(value_type), allowed_values=["Grains", "Moulu"])


@pytest.mark.parametrize(
    ("value_type", "written", "kept"),
    [
        ("string", "  sans   gluten ", "sans gluten"),
        ("string", "", None),
        ("string", "\0", None),
        ("number", "2,5", 2.5),
        ("number", "1\u202f200", 1200),
        ("number", 3, 3),
        ("enum", "Moulu", "Moulu"),
        ("boolean", "oui", True),
        ("boolean", "off", False),
        ("boolean", True, True),
        ("boolean", None, None),
    ],
)
def test_a_value_is_kept_in_the_form_of_its_field(value_type: str, written: Scalar | None, kept: Scalar | None) -> None:
    value = check_value(_field(value_type), written)
    assert (value, type(value)) == (kept, type(kept))
    assert fits(_field(value_type), value)


@pytest.mark.parametrize(
    ("value_type", "written", "words"),
    [
        ("string", "x" * 501, "500 caractères"),
        ("number", "deux", "Indiquez un nombre"),
        ("number", "1e9", "Indiquez un nombre"),
        ("number", float("inf"), "Indiquez un nombre"),
        ("number", True, "Indiquez un nombre"),
        ("number", "٣", "Indiquez un nombre"),
        ("enum", "Capsules", "« Grains », « Moulu »".replace(" ", "[ \u00a0]")),
        ("boolean", "peut-être", "oui ou par non"),
    ],
)
def test_a_value_outside_its_field_is_refused(value_type: str, written: Scalar, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as refusal:
        check_value(_field(value_type), written)
    assert refusal.value.field == "preference-champ"
    assert not fits(_field(value_type), written)


def test_fields_come_in_their_order_and_inactive_ones_only_when_asked_for(cast: Cast) -> None:
    last = schemas.create_schema(SchemaFields(code="b", label="B", value_type=ValueType.STRING, position=2), at=NOON)
    first = schemas.create_schema(SchemaFields(code="a", label="Z", value_type=ValueType.STRING, position=1), at=NOON)
    gone = schemas.create_schema(SchemaFields(code="c", label="C", value_type=ValueType.STRING, position=0), at=NOON)
    schemas.set_active(gone.id, False)
    assert schemas.list_schemas() == [first, last]
    assert schemas.list_schemas(include_inactive=True) == [gone, first, last]
    with tenancy.organisation(cast.other_organisation.id):
        assert schemas.list_schemas() == []
        with pytest.raises(NotFoundError):
            schemas.find_schema(first.id)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": "1er"}, "code"),
        ({"code": "été"}, "code"),
        ({"code": "x" * 51}, "code"),
        ({"label": " "}, "label"),
        ({"label": "x" * 101}, "label"),
        ({"allowed_values": ()}, "allowed_values"),
        ({"allowed_values": ("x" * 101,)}, "allowed_values"),
        ({"allowed_values": tuple(map(str, range(101)))}, "allowed_values"),
        ({"default": "Capsules"}, "default"),
        ({"value_type": ValueType.NUMBER}, "default"),
    ],
)
def test_a_field_must_make_sense(cast: Cast, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        schemas.create_schema(SchemaFields(**{**GRIND.__dict__, **changes}), at=NOON)
    assert refusal.value.field == field


def test_a_code_is_used_once(cast: Cast) -> None:
    schemas.create_schema(GRIND, at=NOON)
    with pytest.raises(InvalidInputError, match="déjà celui d’une autre"):
        schemas.create_schema(SchemaFields(**{**GRIND.__dict__, "code": " MOUTURE "}), at=NOON)
    other = schemas.create_schema(SchemaFields(code="taille", label="T", value_type=ValueType.NUMBER), at=NOON)
    with pytest.raises(InvalidInputError, match="déjà celui d’une autre"):
        schemas.edit_schema(other.id, GRIND)


def test_choices_lose_blanks_and_repeats(cast: Cast) -> None:
    fields = SchemaFields(**{**GRIND.__dict__, "allowed_values": (" Moulu", "Grains", "", "Moulu ")})
    assert schemas.create_schema(fields, at=NOON).allowed_values == ["Moulu", "Grains"]


# Changing a field that subscriptions have values for


def _used(cast: Cast) -> tuple[PreferenceSchema, Any]:
    schema = schemas.create_schema(GRIND, at=NOON)
    subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, anchor_date=date(2027, 1, 1))
    values.set_values(subscription.id, {"mouture": "Moulu"}, by=cast.commercial, at=NOON)
    return schema, subscription


def test_taking_a_choice_away_names_those_who_have_it_and_leaves_them_their_value(cast: Cast) -> None:
    schema, subscription = _used(cast)
    narrowed = SchemaFields(**{**GRIND.__dict__, "allowed_values": ("Grains", "Capsules")})
    with pytest.raises(schemas.ValuesLeftOutError, match=r"Moulu.*\(1\)") as refusal:
        schemas.edit_schema(schema.id, narrowed)
    assert refusal.value.misfits == [schemas.Misfit("Moulu", 1)]
    schemas.edit_schema(schema.id, narrowed, confirmed=True)
    (effective,) = values.list_effective(subscription, cycle=0)
    assert (effective.value, effective.is_outdated) == ("Moulu", True)
    with pytest.raises(InvalidInputError):
        values.set_values(subscription.id, {"mouture": "moulu"}, by=cast.commercial, at=NOON)


def test_adding_a_choice_needs_no_confirmation(cast: Cast) -> None:
    schema, _ = _used(cast)
    wider = SchemaFields(**{**GRIND.__dict__, "allowed_values": ("Grains", "Moulu", "Capsules")})
    assert schemas.edit_schema(schema.id, wider).allowed_values == ["Grains", "Moulu", "Capsules"]


@pytest.mark.parametrize("change", [{"code": "broyage"}, {"value_type": ValueType.STRING, "allowed_values": ()}])
def test_a_used_field_keeps_its_code_and_type(cast: Cast, change: dict[str, Any]) -> None:
    schema, _ = _used(cast)
    with pytest.raises(InvalidInputError, match=r"abonnements \(1\) .* ne changent plus"):
        schemas.edit_schema(schema.id, SchemaFields(**{**GRIND.__dict__, **change}))


def test_an_unused_field_may_become_anything(cast: Cast) -> None:
    schema = schemas.create_schema(GRIND, at=NOON)
    edited = schemas.edit_schema(schema.id, SchemaFields(code="note", label="Note", value_type=ValueType.STRING))
    assert (edited.code, edited.value_type, edited.allowed_values, edited.default) == (
        "note",
        ValueType.STRING,
        [],
        None,
    )


def test_a_deactivated_field_keeps_its_values_and_is_asked_for_no_longer(cast: Cast) -> None:
    schema, subscription = _used(cast)
    schemas.set_active(schema.id, False)
    assert values.list_effective(subscription, cycle=0) == []
    with pytest.raises(InvalidInputError, match="n’existe pas"):
        values.set_values(subscription.id, {"mouture": "Grains"}, by=cast.commercial, at=NOON)
    schemas.set_active(schema.id, True)
    assert values.list_effective(subscription, cycle=0)[0].value == "Moulu"
