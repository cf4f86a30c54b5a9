"""What a client reads of a subscription: once, whatever the order, and nothing that has been overtaken."""

from datetime import date, timedelta

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.message_triggers.conftest import NOW, Told
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.messages import MessageKind, MessageSwitch
from webapp.models.outbox import OutboxKind
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services import outbox
from webapp.services.message_triggers import subscriptions
from webapp.services.subscriptions import lifecycle
from webapp.tenancy import organisation

CHARGED, FAILED = OutboxKind.SUBSCRIPTION_CHARGED, OutboxKind.SUBSCRIPTION_CHARGE_FAILED


class TestWelcome:
    def test_the_first_paid_cycle_welcomes_once(self, told: Told) -> None:
        told.happens(CHARGED, told.charge(cycle_no=0, amount=0))
        told.happens(CHARGED, told.charge(cycle_no=1))
        told.happens(CHARGED, told.charge(cycle_no=2))
        told.deliver()
        assert told.kinds() == [MessageKind.WELCOME]
        assert f"Panier de saison ({told.subscription.code})" in told.text()
        assert "24,00" in told.text()

    def test_a_subscription_that_has_paid_for_long_is_not_welcomed(self, told: Told) -> None:
        told.charge(cycle_no=6)
        told.happens(CHARGED, told.charge(cycle_no=7))
        told.deliver()
        assert told.kinds() == []

    @pytest.mark.parametrize("status", [ChargeStatus.FAILED, ChargeStatus.REVERSED, ChargeStatus.CANCELED])
    def test_nobody_is_welcomed_by_what_was_not_paid_after_all(self, told: Told, status: ChargeStatus) -> None:
        told.happens(CHARGED, told.charge(status=status))
        told.deliver()
        assert told.kinds() == []

    def test_nobody_is_welcomed_to_what_has_ended(self, told: Told) -> None:
        told.happens(CHARGED, told.charge())
        told.subscription.status = SubscriptionStatus.CANCELED
        db.session.commit()
        told.deliver()
        assert told.kinds() == []

    def test_a_kind_that_is_switched_off_is_not_written(self, told: Told) -> None:
        db.session.add(MessageSwitch(company_id=told.subscription.company_id, kind=MessageKind.WELCOME))
        told.happens(CHARGED, told.charge())
        told.deliver()
        assert told.kinds() == []

    def test_an_event_of_another_organisation_finds_nothing(self, told: Told, cast: Cast) -> None:
        charge = told.charge()
        with organisation(cast.other_organisation.id):
            outbox.emit(CHARGED, told.subscription.id, at=NOW, payload={"charge_id": str(charge.id)})
            db.session.commit()
            outbox.deliver(cast.other_organisation.id, at=NOW)
            assert outbox.count_undelivered() == 0
        assert told.kinds() == []


class TestRefused:
    def test_each_attempt_says_why_and_when_the_next_is(self, told: Told) -> None:
        charge = told.charge(status=ChargeStatus.RETRYING, next_attempt_at=NOW + timedelta(days=3))
        told.happens(FAILED, charge, refusal="soft", attempt=1)
        told.deliver()
        assert "4 décembre 2026" in told.text()
        assert "le solde ou le plafond est insuffisant" in told.text()
        charge.attempts_count = 2
        told.happens(FAILED, charge, refusal="hard", attempt=2)
        told.deliver()
        assert told.kinds() == [MessageKind.PAYMENT_FAILED] * 2

    @pytest.mark.parametrize("status", [ChargeStatus.SUCCEEDED, ChargeStatus.SENDING, ChargeStatus.CANCELED])
    def test_what_was_overtaken_is_not_told(self, told: Told, status: ChargeStatus) -> None:
        told.happens(FAILED, told.charge(status=status), refusal="soft", attempt=1)
        told.deliver()
        assert told.kinds() == []

    def test_an_attempt_before_the_last_is_not_told(self, told: Told) -> None:
        told.happens(FAILED, told.charge(status=ChargeStatus.FAILED, attempts_count=2), refusal="soft", attempt=1)
        told.deliver()
        assert told.kinds() == []


class TestLife:
    def test_pause_and_resumption_are_told_while_they_hold(self, told: Told) -> None:
        lifecycle.pause(told.subscription.id, reason="Voyage", by=None, at=NOW, resume_on=date(2027, 2, 5))
        told.deliver()
        assert "5 février 2027" in told.text()
        lifecycle.resume(told.subscription.id, by=None, at=NOW + timedelta(hours=1))
        told.deliver()
        assert told.kinds() == [MessageKind.SUBSCRIPTION_PAUSED, MessageKind.SUBSCRIPTION_RESUMED]

    def test_a_pause_that_is_over_before_it_is_told_is_not(self, told: Told) -> None:
        lifecycle.pause(told.subscription.id, reason="Voyage", by=None, at=NOW)
        lifecycle.resume(told.subscription.id, by=None, at=NOW + timedelta(hours=1))
        told.deliver()
        assert told.kinds() == [MessageKind.SUBSCRIPTION_RESUMED]

    @pytest.mark.parametrize("end", [lifecycle.pause, lifecycle.cancel])
    def test_what_dunning_does_it_tells_of_itself(self, told: Told, end: object) -> None:
        assert callable(end)
        end(told.subscription.id, reason=lifecycle.UNPAID, by=None, at=NOW)
        told.deliver()
        assert told.kinds() == []

    def test_a_cancellation_is_told_with_its_day(self, told: Told) -> None:
        lifecycle.cancel(told.subscription.id, reason="Déménagement", by=None, at=NOW)
        told.deliver()
        assert told.kinds() == [MessageKind.SUBSCRIPTION_CANCELED]
        assert "1er décembre 2026" in told.text()

    def test_what_never_began_is_not_told_as_canceled(self, told: Told) -> None:
        told.subscription.status = SubscriptionStatus.PENDING
        lifecycle.cancel(told.subscription.id, reason="Erreur", by=None, at=NOW)
        told.deliver()
        assert told.kinds() == []

    def test_the_natural_end_is_told(self, told: Told) -> None:
        told.subscription.ends_on = date(2026, 11, 30)
        lifecycle.expire(told.subscription.id, at=NOW)
        told.deliver()
        assert told.kinds() == [MessageKind.SUBSCRIPTION_ENDED]
        assert "30 novembre 2026" in told.text()


def test_every_reason_has_words_for_a_client() -> None:
    assert set(subscriptions._REASONS) == set(subscriptions.RefusalClass)


def test_a_subscription_is_named_by_what_is_sold(told: Told) -> None:
    for _ in range(2):
        factories.SubscriptionLineFactory(subscription_id=told.subscription.id, label="Œufs")
    names = subscriptions.naming.find_names([told.subscription.id])
    assert names == {told.subscription.id: f"Panier de saison, Œufs… ({told.subscription.code})"}
