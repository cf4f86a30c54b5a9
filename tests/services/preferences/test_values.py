"""Values hold from a cycle on: the one in preparation before the company's cut-off, the next one after it."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.preferences import PreferenceSchema, PreferenceValue, ValueType
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.services.preferences import cut_offs, schemas, values
from webapp.services.subscriptions.editing import EndedError

# A weekly subscription charged on Sundays: cycle 2 on 15 November 2026, cycle 3 is next, on the 22nd.
# Cut-off: Monday at noon in Paris (11:00 UTC).
BEFORE = datetime(2026, 11, 16, 10, 59, tzinfo=UTC)
AFTER = datetime(2026, 11, 16, 11, 0, tzinfo=UTC)


@pytest.fixture
def subscription(cast: Cast) -> Subscription:
    subscription: Subscription = factories.SubscriptionFactory(
        client_id=factories.ClientFactory().id, frequency=Frequency.WEEKLY, anchor_date=date(2026, 11, 1), cycle_no=3
    )
    factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        cycle_no=2,
        status=ChargeStatus.SUCCEEDED,
        settled_at=datetime(2026, 11, 15, 5, tzinfo=UTC),
    )
    db.session.commit()
    return subscription


@pytest.fixture
def grind(cast: Cast) -> PreferenceSchema:
    schema: PreferenceSchema = factories.PreferenceSchemaFactory(
        code="mouture", label="Mouture", value_type=ValueType.ENUM, allowed_values=["Grains", "Moulu"], default="Grains"
    )
    return schema


def _set(subscription: Subscription, value: object, at: datetime) -> int:
    return values.set_values(subscription.id, {"mouture": value}, by=None, at=at)  # type: ignore[dict-item]


def _value(subscription: Subscription, cycle: int) -> object:
    (effective,) = values.list_effective(subscription, cycle=cycle)
    return effective.value


def test_before_the_cut_off_the_cycle_in_preparation_changes(subscription: Subscription, grind: object) -> None:
    assert _set(subscription, "Moulu", BEFORE) == 2
    assert [_value(subscription, cycle) for cycle in (1, 2, 3)] == ["Grains", "Moulu", "Moulu"]


def test_from_the_cut_off_on_the_next_cycle_changes(subscription: Subscription, grind: object) -> None:
    assert _set(subscription, "Moulu", AFTER) == 3
    assert [_value(subscription, cycle) for cycle in (2, 3)] == ["Grains", "Moulu"]


def test_before_the_first_charge_the_first_cycle_changes(subscription: Subscription, grind: object) -> None:
    subscription.cycle_no = 0
    assert _set(subscription, "Moulu", datetime(2026, 10, 1, tzinfo=UTC)) == 0


def test_the_history_tells_old_new_cycle_and_who(subscription: Subscription, grind: object, cast: Cast) -> None:
    _set(subscription, "Moulu", BEFORE)
    values.set_values(subscription.id, {"mouture": "Grains"}, by=cast.commercial, at=BEFORE + timedelta(minutes=0))
    _set(subscription, "Moulu", AFTER)
    _set(subscription, "Moulu", AFTER)  # no change, no row
    changes = values.list_changes(subscription.id)
    assert [(each.old_value, each.new_value, each.effective_from_cycle) for each in changes] == [
        ("Grains", "Moulu", 3),
        ("Moulu", "Grains", 2),
        (None, "Moulu", 2),
    ]
    assert changes[1].user == cast.commercial
    assert changes[1].schema.label == "Mouture"
    assert db.session.query(PreferenceValue).count() == 2


def test_the_last_word_holds_even_where_the_cut_off_was_moved(subscription: Subscription, grind: object) -> None:
    _set(subscription, "Grains", BEFORE)
    _set(subscription, "Moulu", AFTER)
    cut_offs.set_cut_off(subscription.company_id, weekday=2, at=time(12), timezone="Europe/Paris", is_active=True)
    assert _set(subscription, "Grains", AFTER + timedelta(hours=1)) == 2
    assert [_value(subscription, cycle) for cycle in (2, 3)] == ["Grains", "Grains"]


def test_a_value_can_be_taken_back_to_the_default(subscription: Subscription, grind: object) -> None:
    _set(subscription, "Moulu", BEFORE)
    _set(subscription, "", AFTER)
    (effective,) = values.list_effective(subscription, cycle=3)
    assert (effective.value, effective.is_default) == ("Grains", True)


def test_a_bad_value_writes_nothing_at_all(subscription: Subscription, grind: object) -> None:
    factories.PreferenceSchemaFactory(code="taille", value_type=ValueType.NUMBER)
    db.session.commit()
    for written in ({"taille": 3, "mouture": "Capsules"}, {"taille": 3, "couleur": "bleu"}):
        with pytest.raises(InvalidInputError):
            values.set_values(subscription.id, written, by=None, at=BEFORE)
    assert db.session.query(PreferenceValue).count() == 0


def test_a_required_value_without_default_is_asked_for_and_cannot_be_emptied(subscription: Subscription) -> None:
    factories.PreferenceSchemaFactory(code="taille", label="Taille", value_type=ValueType.NUMBER, required=True)
    db.session.commit()
    assert values.list_effective(subscription, cycle=3)[0].is_missing
    with pytest.raises(InvalidInputError, match="Indiquez une valeur"):
        values.set_values(subscription.id, {"taille": ""}, by=None, at=BEFORE)
    values.set_values(subscription.id, {"taille": "42"}, by=None, at=BEFORE)
    assert not values.list_effective(subscription, cycle=3)[0].is_missing


def test_an_ended_subscription_keeps_its_preferences(subscription: Subscription, grind: object) -> None:
    subscription.status = SubscriptionStatus.CANCELED
    db.session.flush()
    with pytest.raises(EndedError):
        _set(subscription, "Moulu", BEFORE)


def test_an_outsider_finds_no_such_subscription(subscription: Subscription, grind: object, cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        _set(subscription, "Moulu", BEFORE)


def test_what_holds_on_a_day_is_what_holds_for_its_cycle(subscription: Subscription, grind: object) -> None:
    _set(subscription, "Moulu", AFTER)  # from cycle 3, whose period begins on the 22nd
    days = [date(2026, 10, 1), date(2026, 11, 21), date(2026, 11, 22), date(2026, 12, 25)]
    shown = [values.list_effective_on(subscription, day)[0].value for day in days]
    assert shown == ["Grains", "Grains", "Moulu", "Moulu"]


def test_a_snapshot_is_a_copy_that_later_changes_do_not_touch(subscription: Subscription, grind: object) -> None:
    _set(subscription, "Moulu", BEFORE)
    other = factories.SubscriptionFactory(client_id=subscription.client_id)
    snapshots = values.take_snapshots({subscription.id: 2, other.id: 0})
    _set(subscription, "Grains", BEFORE)
    grind.label = "Broyage"  # type: ignore[attr-defined]
    assert snapshots == {
        subscription.id: {"mouture": {"label": "Mouture", "value": "Moulu"}},
        other.id: {"mouture": {"label": "Mouture", "value": "Grains"}},
    }


def test_schemas_of_the_test_are_the_organisations(cast: Cast, grind: PreferenceSchema) -> None:
    assert schemas.find_schema(grind.id) == grind
