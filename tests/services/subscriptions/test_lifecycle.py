"""Every pair of states, what each transition leaves behind, and what the timetable does by itself."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.subscriptions import RHYTHMS, TRANSITIONS, Frequency, Subscription, SubscriptionStatus
from webapp.models.timeline import TimelineEvent
from webapp.services import outbox
from webapp.services.subscriptions import history, lifecycle, scheduling
from webapp.services.subscriptions.lifecycle import TransitionRefusedError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PENDING, ACTIVE = SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE
PAUSED, PAST_DUE = SubscriptionStatus.PAUSED, SubscriptionStatus.PAST_DUE
CANCELED, EXPIRED = SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED


def _subscription(status: SubscriptionStatus = ACTIVE, **values: Any) -> Subscription:
    """Monthly on the 31st since January, charged up to October; the cycle of November (no 10) is next."""
    subscription: Subscription = factories.SubscriptionFactory(
        client_id=values.pop("client_id", None) or factories.ClientFactory().id,
        status=status,
        **{"cycle_no": 10, "current_period_end": date(2026, 11, 30), "recurring_amount": Decimal("20.00")} | values,
    )
    scheduling.schedule(subscription, subscription.cycle_no)
    db.session.commit()
    return subscription


Command = Callable[[Subscription, User], object]

COMMANDS: dict[str, tuple[Command, set[SubscriptionStatus], SubscriptionStatus]] = {
    "activate": (lambda s, u: lifecycle.activate(s.id, by=u, at=NOON), {PENDING}, ACTIVE),
    "pause": (lambda s, u: lifecycle.pause(s.id, reason="Vacances", by=u, at=NOON), {ACTIVE}, PAUSED),
    "resume": (lambda s, u: lifecycle.resume(s.id, by=u, at=NOON), {PAUSED}, ACTIVE),
    "mark_past_due": (lambda s, u: lifecycle.mark_past_due(s, reason="Refus", at=NOON), {ACTIVE}, PAST_DUE),
    "cancel": (
        lambda s, u: lifecycle.cancel(s.id, reason="Départ", by=u, at=NOON),
        {PENDING, ACTIVE, PAUSED, PAST_DUE},
        CANCELED,
    ),
    "expire": (lambda s, u: lifecycle.expire(s.id, at=NOON), {ACTIVE}, EXPIRED),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("status", list(SubscriptionStatus))
def test_every_command_in_every_state(cast: Cast, command: str, status: SubscriptionStatus) -> None:
    work, allowed_in, result = COMMANDS[command]
    subscription = _subscription(status)
    if status in allowed_in:
        work(subscription, cast.manager)
        assert subscription.status is result
    else:
        with pytest.raises(TransitionRefusedError, match="ne peut pas être"):
            work(subscription, cast.manager)
        assert lifecycle.find_subscription(subscription.id).status is status
        assert history.list_history(subscription.id) == []


@pytest.mark.parametrize("new", list(SubscriptionStatus))
@pytest.mark.parametrize("old", list(SubscriptionStatus))
def test_every_pair_of_states(cast: Cast, old: SubscriptionStatus, new: SubscriptionStatus) -> None:
    subscription = _subscription(old)
    if new in TRANSITIONS[old]:
        lifecycle.change_status(subscription, new, reason=None, by=None, at=NOON)
        (row,) = history.list_history(subscription.id)
        assert (row.old_status, row.new_status) == (old, new)
        assert len(outbox.list_events(subscription.id)) == 1
    else:
        with pytest.raises(TransitionRefusedError):
            lifecycle.change_status(subscription, new, reason=None, by=None, at=NOON)
        assert subscription.status is old


def test_the_table_says_what_the_domain_rules_say() -> None:
    pairs = {(old.value, new.value) for old, targets in TRANSITIONS.items() for new in targets}
    assert pairs == {
        ("pending", "active"),
        ("pending", "canceled"),
        ("active", "paused"),
        ("active", "past_due"),
        ("active", "canceled"),
        ("active", "expired"),
        ("paused", "active"),
        ("paused", "canceled"),
        ("past_due", "active"),
        ("past_due", "paused"),  # by dunning
        ("past_due", "canceled"),
    }


def test_a_transition_is_told_in_the_history_the_timeline_and_the_outbox(cast: Cast) -> None:
    subscription = _subscription()
    lifecycle.pause(subscription.id, reason="  Vacances ", by=cast.manager, at=NOON, resume_on=date(2027, 1, 15))
    (row,) = history.list_history(subscription.id)
    assert (row.old_status, row.new_status, row.at, row.user, row.reason) == (
        ACTIVE,
        PAUSED,
        NOON,
        cast.manager,
        "Vacances",
    )
    assert (row.annual_before, row.annual_after) == (Decimal("240.00"), Decimal(0))
    event = db.session.scalars(select(TimelineEvent)).one()
    assert event.kind.label == "Abonnement suspendu"
    assert event.client_id == subscription.client_id
    assert event.changes == {
        "resume_on": [None, "2027-01-15"],
        "subscription_status": ["Actif", "Suspendu"],
        "reason": [None, "Vacances"],
    }
    (told,) = outbox.list_events(subscription.id)
    assert told.kind.value == "subscription.paused"
    assert told.payload["client_id"] == str(subscription.client_id)


def test_a_refusal_says_why_in_french(cast: Cast) -> None:
    subscription = _subscription(CANCELED)
    with pytest.raises(TransitionRefusedError, match="Un abonnement résilié ne peut pas être suspendu"):
        lifecycle.pause(subscription.id, reason="Vacances", by=cast.manager, at=NOON)


@pytest.mark.parametrize("command", ["activate", "pause", "resume", "cancel"])
def test_history_and_timeline_say_who_did_it(cast: Cast, command: str) -> None:
    work, allowed_in, _ = COMMANDS[command]
    subscription = _subscription(min(allowed_in))
    work(subscription, cast.manager)
    (row,) = history.list_history(subscription.id)
    event = db.session.scalars(select(TimelineEvent)).one()
    assert (row.user, event.user_id) == (cast.manager, cast.manager.id)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [("", "Indiquez un motif"), ("   ", "Indiquez un motif"), ("x" * 501, "trop long.*500 caractères")],
)
def test_a_pause_and_a_cancellation_need_a_reason(cast: Cast, reason: str, sentence: str) -> None:
    subscription = _subscription()
    for command in (lifecycle.pause, lifecycle.cancel):
        with pytest.raises(InvalidInputError, match=sentence) as refusal:
            command(subscription.id, reason=reason, by=cast.manager, at=NOON)  # type: ignore[operator]
        assert refusal.value.field == "reason"


def test_a_pause_cannot_end_before_it_began(cast: Cast) -> None:
    subscription = _subscription()
    with pytest.raises(InvalidInputError, match="après aujourd’hui"):
        lifecycle.pause(subscription.id, reason="x", by=cast.manager, at=NOON, resume_on=NOON.date())


def test_an_unknown_or_foreign_subscription_is_not_found(cast: Cast) -> None:
    subscription = _subscription()
    with pytest.raises(NotFoundError):
        lifecycle.resume(uuid4(), by=None, at=NOON)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        lifecycle.pause(subscription.id, reason="x", by=cast.outsider, at=NOON)


# The schedule


def test_a_paused_subscription_is_not_due_and_resumes_on_its_anchor(cast: Cast) -> None:
    subscription = _subscription()
    lifecycle.pause(subscription.id, reason="Vacances", by=cast.manager, at=NOON)
    assert scheduling.list_due(before=NOON + timedelta(days=400)) == []
    lifecycle.resume(subscription.id, by=cast.manager, at=datetime(2027, 2, 10, tzinfo=UTC))
    assert (subscription.cycle_no, subscription.next_charge_on) == (13, date(2027, 2, 28))
    resumed = history.list_history(subscription.id)[0]
    assert resumed.changes == {"skipped_cycles": [None, "11, 12, 13"]}


def test_a_short_pause_skips_nothing_and_charges_nothing_twice(cast: Cast) -> None:
    subscription = _subscription()
    lifecycle.pause(subscription.id, reason="Erreur", by=cast.manager, at=NOON)
    lifecycle.resume(subscription.id, by=cast.manager, at=NOON)
    assert (subscription.cycle_no, subscription.next_charge_on) == (10, date(2026, 11, 30))


def test_a_cycle_due_on_the_day_of_resume_is_charged(cast: Cast) -> None:
    subscription = _subscription(PAUSED)
    lifecycle.resume(subscription.id, by=None, at=datetime(2026, 12, 30, 23, 30, tzinfo=UTC))  # the 31st in Paris
    assert subscription.next_charge_on == date(2026, 12, 31)


@given(
    st.dates(min_value=date(2024, 1, 1), max_value=date(2026, 12, 31)),
    st.sampled_from(RHYTHMS),
    st.integers(0, 60),
    st.integers(0, 2000),
)
def test_resuming_never_charges_the_past(anchor: date, frequency: Frequency, cycle: int, pause: int) -> None:
    subscription = Subscription(
        status=ACTIVE, frequency=frequency, anchor_date=anchor, timezone="Europe/Paris", cycle_no=cycle
    )
    subscription.charge_time = NOON.time()
    resumed_on = scheduling.due_date(anchor, frequency, cycle) + timedelta(days=pause - 30)
    skipped = scheduling.skip_to(subscription, resumed_on)
    assert subscription.next_charge_on
    assert subscription.next_charge_on >= resumed_on
    assert subscription.cycle_no >= cycle
    assert all(scheduling.due_date(anchor, frequency, each) < resumed_on for each in skipped)


# Payments


def test_a_payment_begins_a_pending_subscription(cast: Cast) -> None:
    subscription = _subscription(PENDING, cycle_no=1)
    assert lifecycle.mark_paid(subscription.id, at=NOON)
    assert subscription.status is ACTIVE
    assert outbox.list_events(subscription.id)[0].kind.value == "subscription.activated"


def test_an_unpaid_subscription_that_is_paid_goes_on_without_what_fell_due_meanwhile(cast: Cast) -> None:
    subscription = _subscription(PAST_DUE)
    assert lifecycle.mark_paid(subscription.id, at=datetime(2027, 1, 5, tzinfo=UTC))
    assert (subscription.status, subscription.next_charge_on) == (ACTIVE, date(2027, 1, 31))
    assert outbox.list_events(subscription.id)[0].kind.value == "subscription.recovered"


@pytest.mark.parametrize("status", [ACTIVE, PAUSED, CANCELED, EXPIRED])
def test_a_payment_changes_no_other_state(cast: Cast, status: SubscriptionStatus) -> None:
    subscription = _subscription(status)
    assert not lifecycle.mark_paid(subscription.id, at=NOON)
    assert subscription.status is status
    assert history.list_history(subscription.id) == []


# Ends


def test_a_cancellation_at_the_end_of_the_period_charges_nothing_more_and_can_be_withdrawn(cast: Cast) -> None:
    subscription = _subscription()
    lifecycle.cancel(subscription.id, reason="Départ", by=cast.manager, at=NOON, at_period_end=True)
    assert (subscription.status, subscription.cancels_on) == (ACTIVE, date(2026, 11, 30))
    assert subscription.cancel_at_period_end
    assert subscription.next_charge_on is None
    lifecycle.withdraw_cancellation(subscription.id, by=cast.manager, at=NOON)
    assert (subscription.cancels_on, subscription.next_charge_on) == (None, date(2026, 11, 30))
    assert [row.changes for row in history.list_history(subscription.id)] == [
        {"cancels_on": ["2026-11-30", None]},
        {"cancels_on": [None, "2026-11-30"]},
    ]
    with pytest.raises(TransitionRefusedError, match="Aucune résiliation"):
        lifecycle.withdraw_cancellation(subscription.id, by=cast.manager, at=NOON)


def test_the_timetable_ends_what_was_to_end(cast: Cast) -> None:
    planned = _subscription(cancels_on=date(2026, 11, 30))
    over = _subscription(ends_on=date(2026, 11, 29))
    lasting = _subscription(ends_on=date(2026, 11, 30))
    tenancy.enter_organisation(None)
    assert lifecycle.end_due(at=datetime(2026, 11, 29, 22, 59, tzinfo=UTC)) == 0
    assert lifecycle.end_due(at=datetime(2026, 11, 29, 23, 0, tzinfo=UTC)) == 2  # midnight in Paris
    assert [each.status for each in (planned, over, lasting)] == [CANCELED, EXPIRED, ACTIVE]
    assert planned.cancels_on is None
    assert lifecycle.end_due(at=datetime(2026, 11, 29, 23, 0, tzinfo=UTC)) == 0


def test_the_timetable_resumes_on_the_day(cast: Cast) -> None:
    subscription = _subscription(PAUSED, resume_on=date(2026, 12, 24))
    unlimited = _subscription(PAUSED)
    tenancy.enter_organisation(None)
    assert lifecycle.resume_due(at=datetime(2026, 12, 23, 22, 59, tzinfo=UTC)) == 0
    assert lifecycle.resume_due(at=datetime(2026, 12, 23, 23, 0, tzinfo=UTC)) == 1
    assert (subscription.status, subscription.resume_on) == (ACTIVE, None)
    assert subscription.next_charge_on == date(2026, 12, 31)
    assert unlimited.status is PAUSED


def test_one_failure_does_not_stop_the_timetable(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    _subscription(PAUSED, resume_on=NOON.date(), timezone="Europe/Paris")
    broken = _subscription(PAUSED, resume_on=NOON.date())
    broken.anchor_date = date(9999, 12, 31)  # no cycle can be computed after it
    broken.cycle_no = 1
    db.session.commit()
    assert lifecycle.resume_due(at=NOON) == 1
    assert db.session.scalar(select(Subscription.status).where(Subscription.id == broken.id)) is PAUSED


def test_the_timetable_passes_over_what_somebody_is_working_on(committed: None) -> None:
    factories.make_cast(Cast)
    subscription = _subscription(PAUSED, resume_on=NOON.date())
    held = select(Subscription.id).where(Subscription.id == subscription.id).with_for_update()
    with db.engine.connect() as somebody:
        somebody.execute(held.execution_options(populate_existing=True))
        assert lifecycle.resume_due(at=NOON) == 0
    assert lifecycle.resume_due(at=NOON) == 1
    assert lifecycle.find_subscription(subscription.id).status is ACTIVE
