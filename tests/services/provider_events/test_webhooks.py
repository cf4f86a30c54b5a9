"""Webhooks: kept once, handled once, in any order, and never lost."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import select

from demo.payment_bank import Bank
from tests import factories
from tests.conftest import Cast
from tests.gateways.providers.conftest import NOW, SECRET
from tests.services.provider_events.conftest import MakeAttempt, capture, event_about
from webapp import queue, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, sign
from webapp.models.charges import Charge, ChargeAttempt, ChargeStatus
from webapp.models.payments import Payment, PaymentKind
from webapp.models.provider_events import WebhookEvent, WebhookState
from webapp.models.providers import Provider, ProviderAccount
from webapp.services.provider_events import listing, webhooks
from webapp.services.provider_events.listing import EventsView
from webapp.services.provider_events.webhooks import WebhookStateError


def receive(event: Any, *, at: Any = NOW, **values: Any) -> None:
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    webhooks.receive(Provider.SANDBOX, {SIGNATURE_HEADER: sign(body, SECRET, at=at)}, body, at=at, **values)


def kept() -> list[WebhookEvent]:
    db.session.expire_all()
    return list(db.session.scalars(select(WebhookEvent).order_by(WebhookEvent.id)))


def failed() -> list[WebhookEvent]:
    return listing.list_events(EventsView(state=WebhookState.FAILED)).rows


def charge_of(attempt: ChargeAttempt) -> Charge:
    db.session.expire_all()
    return db.session.scalars(select(Charge).where(Charge.id == attempt.charge_id)).one()


def movements() -> list[PaymentKind]:
    return list(db.session.scalars(select(Payment.kind).order_by(Payment.id)))


def test_a_success_is_recorded_once_however_often_it_is_told(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    event = event_about(capture(bank, attempt), attempt.id)
    for _ in range(3):
        receive(event)
        webhooks.handle_due(cast.organisation.id, at=NOW)
    receive(event_about("pay_00000001", attempt.id, "evt_2"))
    webhooks.handle_due(cast.organisation.id, at=NOW)
    assert charge_of(attempt).status is ChargeStatus.SUCCEEDED
    assert movements() == [PaymentKind.CAPTURE]
    assert [event.event_id for event in kept()] == ["evt_1", "evt_2"]
    assert all(event.handled_at for event in kept())


def test_events_out_of_order_end_where_the_provider_is(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    payment_id = capture(bank, attempt)
    bank.reverse(payment_id, "MD06")
    receive(event_about(payment_id, attempt.id, "evt_reversed"))
    receive(event_about(payment_id, attempt.id, "evt_succeeded"))
    webhooks.handle_due(cast.organisation.id, at=NOW)
    assert charge_of(attempt).status is ChargeStatus.REVERSED
    assert movements() == [PaymentKind.CAPTURE, PaymentKind.REVERSAL]


def test_the_event_is_not_believed_but_looked_up(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    capture(bank, attempt, "processing")
    receive({**event_about("pay_00000001", attempt.id), "type": "payment.succeeded"})
    webhooks.handle_due(cast.organisation.id, at=NOW)
    assert charge_of(attempt).status is ChargeStatus.PROCESSING
    assert movements() == []


def test_an_unknown_payment_stays_on_the_list_and_is_tried_again_ever_later(
    cast: Cast, account: ProviderAccount
) -> None:
    receive(event_about("pay_of_somebody", uuid4()))
    waits = []
    at = NOW
    for _ in range(3):
        assert webhooks.handle_due(cast.organisation.id, at=at) == 0
        [event] = failed()
        db.session.refresh(event)
        waits.append(event.next_attempt_at - at)
        at = event.next_attempt_at
    assert event.error == webhooks.UNKNOWN_PAYMENT
    assert waits == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]


def test_a_person_closes_what_cannot_be_handled(cast: Cast, account: ProviderAccount) -> None:
    receive(event_about("pay_of_somebody", uuid4()))
    webhooks.handle_due(cast.organisation.id, at=NOW)
    [event] = failed()
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        webhooks.close_event(event.id, at=NOW)
    webhooks.close_event(event.id, at=NOW)
    webhooks.close_event(event.id, at=NOW + timedelta(hours=1))
    assert failed() == []
    assert [(each.state, each.handled_at) for each in kept()] == [(WebhookState.CLOSED, NOW)]


def test_what_was_not_tried_yet_is_not_closed(cast: Cast, account: ProviderAccount) -> None:
    receive(event_about("pay_1", uuid4()))
    with pytest.raises(WebhookStateError):
        webhooks.close_event(kept()[0].id, at=NOW)
    assert kept()[0].state is WebhookState.WAITING


def test_a_person_has_it_tried_again_at_once(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    receive(event_about(capture(bank, attempt), attempt.id))
    bank.order({"mode": "down"})
    for _ in range(3):
        webhooks.handle_due(cast.organisation.id, at=kept()[0].next_attempt_at)
    bank.order({"mode": "ok"})
    soon = NOW + timedelta(minutes=1)
    assert webhooks.handle_due(cast.organisation.id, at=soon) == 0
    [event] = failed()
    assert event.error is not None
    assert event.error.startswith("Le prestataire n’a pas répondu")
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        webhooks.retry_event(event.id, at=soon)
    rung = len(queue.queue("payments").jobs)
    webhooks.retry_event(event.id, at=soon)
    assert len(queue.queue("payments").jobs) == rung + 1
    assert webhooks.handle_due(cast.organisation.id, at=soon) == 1
    with pytest.raises(WebhookStateError):
        webhooks.retry_event(event.id, at=soon)


def test_what_a_bug_says_stays_in_the_log(
    cast: Cast, make_attempt: MakeAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("Mme Dupont, FR14 2004 …")

    receive(event_about("pay_1", make_attempt().id))
    monkeypatch.setattr(webhooks, "_bring_in", fail)
    webhooks.handle_due(cast.organisation.id, at=NOW)
    [event] = failed()
    assert event.error == "Erreur inattendue (RuntimeError)\u202f: elle est dans le journal."


def test_a_payment_without_our_metadata_is_found_by_the_providers_id(
    cast: Cast, bank: Bank, make_attempt: MakeAttempt
) -> None:
    attempt = make_attempt(provider_payment_id="pay_00000001")
    receive(event_about(capture(bank, attempt), None))
    webhooks.handle_due(cast.organisation.id, at=NOW)
    assert charge_of(attempt).status is ChargeStatus.SUCCEEDED


def test_a_provider_that_is_down_only_delays(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    receive(event_about(capture(bank, attempt), attempt.id))
    bank.order({"mode": "down"})
    assert webhooks.handle_due(cast.organisation.id, at=NOW) == 0
    bank.order({"mode": "ok"})
    assert webhooks.handle_due(cast.organisation.id, at=NOW + timedelta(seconds=10)) == 1
    assert charge_of(attempt).status is ChargeStatus.SUCCEEDED


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff\x00", b'{"id":"a","type":"b","payment":null}'])
def test_a_signed_one_that_makes_no_sense_is_kept_for_a_person(
    cast: Cast, account: ProviderAccount, body: bytes
) -> None:
    receive(body)
    webhooks.handle_due(cast.organisation.id, at=NOW)
    assert [event.error for event in failed()] == [webhooks.UNREADABLE]


def test_a_nul_in_an_event_is_left_out(cast: Cast, account: ProviderAccount) -> None:
    receive({**event_about("pay\0", uuid4(), "evt\0_1"), "type": "a\0b"})
    assert [(event.event_id, event.kind) for event in kept()] == [("evt_1", "ab")]


def test_an_event_that_nobody_signed_is_refused_and_not_kept(account: ProviderAccount) -> None:
    body = orjson.dumps(event_about("pay_1", uuid4()))
    for headers in ({}, {SIGNATURE_HEADER: sign(body, "another secret", at=NOW)}):
        with pytest.raises(webhooks.UnsignedWebhookError):
            webhooks.receive(Provider.SANDBOX, headers, body, at=NOW)
    assert kept() == []


def test_where_organisations_share_a_secret_the_event_goes_to_the_one_it_speaks_of(
    cast: Cast, account: ProviderAccount
) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        factories.ProviderAccountFactory()
        db.session.commit()
        receive(event_about("pay_1", uuid4(), organisation=str(cast.other_organisation.id)))
        assert len(kept()) == 1
    assert kept() == []


def test_an_attempt_of_another_organisation_is_not_touched(cast: Cast, bank: Bank, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    payment_id = capture(bank, attempt)
    with tenancy.organisation(cast.other_organisation.id):
        other = factories.ProviderAccountFactory()
        db.session.commit()
        receive(event_about(payment_id, attempt.id), account_id=other.id)
    assert webhooks.handle_due(cast.other_organisation.id, at=NOW) == 0
    assert charge_of(attempt).status is ChargeStatus.PROCESSING


def test_the_sweeper_rings_for_what_nobody_handled(cast: Cast, account: ProviderAccount) -> None:
    receive(event_about("pay_1", uuid4()))
    assert webhooks.sweep(at=NOW) == 0
    assert webhooks.sweep(at=NOW + timedelta(seconds=10)) == 1


def test_what_was_handled_long_ago_goes_and_what_nobody_could_handle_stays(
    cast: Cast, bank: Bank, make_attempt: MakeAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(event_about("pay_of_somebody", uuid4(), "evt_unknown"))
    attempt = make_attempt()
    payment_id = capture(bank, attempt)
    for number in range(3):
        receive(event_about(payment_id, attempt.id, f"evt_{number}"))
    webhooks.handle_due(cast.organisation.id, at=NOW)
    monkeypatch.setattr(webhooks, "PRUNED_AT_ONCE", 2)
    tenancy.enter_organisation(None)
    assert webhooks.prune(at=NOW + webhooks.KEPT) == 0
    late = NOW + webhooks.KEPT + timedelta(seconds=1)
    assert [webhooks.prune(at=late) for _ in range(3)] == [2, 1, 0]
    tenancy.enter_organisation(cast.organisation.id)
    assert [each.state for each in kept()] == [WebhookState.FAILED]


def test_a_body_is_sealed(cast: Cast, account: ProviderAccount) -> None:
    receive(event_about("pay_secret", uuid4()))
    assert b"pay_secret" not in kept()[0].body
