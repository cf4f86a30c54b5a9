"""From a client without anything to a means of payment that is kept, and a first payment."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests import factories
from tests.services.means_requests.conftest import LEAVE, RETURN, Desk
from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError, UnavailableError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.means_requests import (
    TRANSITIONS,
    HostedPage,
    HostedPageStatus,
    MeansRequest,
    MeansRequestStatus,
)
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import decisions, reconciling
from webapp.services.means_requests import commands, looking, visiting
from webapp.services.means_requests.commands import AlreadyAskedError, RequestFields, RequestStateError
from webapp.services.subscriptions.lifecycle import HeldByShopError

DRAFT, SENT, OPENED = MeansRequestStatus.DRAFT, MeansRequestStatus.SENT, MeansRequestStatus.OPENED
DONE, EXPIRED = MeansRequestStatus.DONE, MeansRequestStatus.EXPIRED
REFUSED, CANCELED = MeansRequestStatus.REFUSED, MeansRequestStatus.CANCELED


def test_a_card_given_on_the_page_is_kept_and_pays_the_subscription(desk: Desk) -> None:
    request = desk.ask()
    assert request.status is DRAFT
    commands.mark_sent(desk.client.id, request.id, at=clock.now())
    assert desk.request().status is SENT
    visit = desk.open(request)
    assert desk.request().status is OPENED
    desk.choose(visit, "card")
    assert desk.request().status is OPENED, "the client's own word is not enough"
    desk.tell_of_page()
    done, saved = desk.request(), desk.saved()
    assert (done.status, done.saved_method_id) == (DONE, saved.id)
    assert (saved.label, saved.client_id, saved.method) == ("Visa •••• 4242", desk.client.id, PaymentMethod.CARD)
    assert saved.expires_on == date(2028, 11, 30)
    subscription = desk.reload()
    assert (subscription.saved_method_id, subscription.status) == (saved.id, SubscriptionStatus.PENDING)
    desk.run()
    assert desk.reload().status is SubscriptionStatus.ACTIVE
    assert [row["amount"] for row in desk.bank.ledger()["captures"]] == ["24.00"]


def test_hearing_of_it_again_changes_nothing(desk: Desk) -> None:
    desk.choose(desk.open(desk.ask()), "card")
    for _ in range(3):
        desk.tell_of_page()
    kinds = [event.kind for event in desk.rows(TimelineEvent)]
    assert kinds.count(EventKind.MEANS_SAVED) == 1
    assert desk.request().saved_method_id == desk.saved().id


def test_the_first_payment_is_taken_in_the_same_visit_and_never_again(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    charge = desk.charge()
    assert (charge.cycle_no, charge.status) == (0, ChargeStatus.AUTHENTICATING)
    desk.run()  # the first cycle is due, and the engine leaves it to the client
    assert desk.bank.ledger()["count"] == 0
    desk.choose(visit, "card")
    desk.look()
    assert (desk.request().status, desk.charge().status) == (DONE, ChargeStatus.SUCCEEDED)
    assert desk.charge().payment_method is PaymentMethod.CARD
    subscription = desk.reload()
    assert (subscription.status, subscription.cycle_no) == (SubscriptionStatus.ACTIVE, 1)
    desk.run()
    desk.wait(days=31)
    desk.run()
    captures = desk.bank.ledger()["captures"]
    assert [(row["cycle"], row["amount"]) for row in captures] == [("0", "24.00"), ("1", "24.00")]
    assert [payment.amount for payment in desk.payments()] == [Decimal("24.00")] * 2


def test_a_debit_that_the_bank_confirms_later(desk: Desk) -> None:
    desk.bank.order({"delay": 3600})
    visit = desk.open(desk.ask())
    desk.choose(visit, "sepa")
    desk.look()
    assert desk.request().status is OPENED
    assert desk.only(HostedPage).status is HostedPageStatus.SUBMITTED
    assert desk.open(desk.request()).url is None, "the client has answered: nothing more is asked"
    with pytest.raises(UnavailableError, match="pas encore confirmé"):
        commands.cancel(desk.client.id, desk.request().id, by=desk.by, at=clock.now())
    desk.confirm()
    desk.look()
    assert (desk.request().status, desk.saved().method) == (DONE, PaymentMethod.SEPA)


def test_a_debit_in_the_first_visit_is_under_way_and_then_paid(desk: Desk) -> None:
    desk.bank.order({"delay": 0})
    visit = desk.open(desk.ask(takes_payment=True))
    desk.bank.order({"delay": 3600})
    desk.choose(visit, "sepa")
    desk.look()
    assert (desk.request().status, desk.charge().status) == (DONE, ChargeStatus.PROCESSING)
    [payment_id] = desk.bank.payments
    desk.bank.capture_if(payment_id, "processing")
    desk.wait(hours=2)
    desk.run()
    assert (desk.charge().status, desk.reload().status) == (ChargeStatus.SUCCEEDED, SubscriptionStatus.ACTIVE)


def test_a_card_that_is_refused_may_be_followed_by_another(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    desk.choose(visit, "refused_card")
    desk.tell_of_payments()
    desk.look()
    assert (desk.charge().status, desk.request().status) == (ChargeStatus.AUTHENTICATING, OPENED)
    desk.wait(days=0.5)
    desk.run()
    assert desk.charge().status is ChargeStatus.AUTHENTICATING, "nothing is tried while the page is open"
    desk.choose(visit, "card")
    desk.tell_of_payments()
    assert (desk.charge().status, desk.request().status) == (ChargeStatus.SUCCEEDED, DONE)
    assert desk.bank.ledger()["count"] == 1


def test_a_page_that_is_left_can_be_opened_again_and_is_the_same(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    first = desk.open(request)
    token = commands.find_request(desk.client.id, request.id).token_in_clear()
    assert visiting.look_on_return(token, at=clock.now()).status is OPENED
    assert desk.open(request) == first
    assert len(desk.rows(HostedPage)) == 1


def test_a_page_that_has_run_out_is_followed_by_another_and_its_charge_waits_between(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    first = desk.open(request)
    desk.wait(hours=25)
    desk.look()
    charge = desk.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD)
    assert desk.request().status is OPENED
    second = desk.open(request)
    assert second.url not in (None, first.url)
    desk.choose(second, "card")
    desk.look()
    assert [attempt.status for attempt in desk.attempts()] == [AttemptStatus.CANCELED, AttemptStatus.SUCCEEDED]
    assert desk.charge().status is ChargeStatus.SUCCEEDED


def test_an_unpaid_charge_is_paid_in_the_visit(desk: Desk) -> None:
    desk.run()
    charge = desk.charge()
    assert charge.attention is Attention.NO_PAYMENT_METHOD
    request = desk.ask(takes_payment=True)
    assert request.charge_id == charge.id
    desk.choose(desk.open(request), "card")
    desk.look()
    assert (desk.charge().status, desk.reload().status) == (ChargeStatus.SUCCEEDED, SubscriptionStatus.ACTIVE)


def test_what_was_paid_meanwhile_is_not_asked_for_again(desk: Desk) -> None:
    desk.run()
    request = desk.ask(takes_payment=True)
    decisions.mark_paid(
        desk.charge().id, method=PaymentMethod.TRANSFER, paid_on=date(2026, 11, 20), by=desk.by, at=clock.now()
    )
    desk.choose(desk.open(request), "card")
    desk.look()
    assert desk.request().status is DONE
    assert desk.bank.ledger()["count"] == 0


def test_giving_up_a_charge_ends_the_page_on_which_it_could_be_paid(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    decisions.give_up(desk.charge().id, reason="Geste commercial", by=desk.by, at=clock.now())
    desk.choose(visit, "card")
    desk.look()
    assert desk.charge().status is ChargeStatus.CANCELED
    assert desk.bank.ledger()["count"] == 0


def test_giving_up_what_was_paid_a_moment_ago_records_the_payment(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    desk.choose(visit, "card")
    with pytest.raises(decisions.NotAllowedError, match="n’a pas annulé"):
        decisions.give_up(desk.charge().id, reason="Geste commercial", by=desk.by, at=clock.now())
    assert desk.charge().status is ChargeStatus.SUCCEEDED
    desk.look()
    assert desk.request().status is DONE


def test_what_is_given_up_while_its_page_is_opened_is_not_asked_for(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    desk.bank.order({"mode": "timeout", "delay": 0.1})
    with pytest.raises(UnavailableError):
        desk.open(request)
    decisions.give_up(desk.charge().id, reason="Geste commercial", by=desk.by, at=clock.now())
    desk.bank.order({"mode": "ok"})
    visit = desk.open(request)
    desk.choose(visit, "card")
    desk.look()
    assert (desk.request().status, desk.bank.ledger()["count"]) == (DONE, 0)


def test_a_refusal_on_the_page_that_the_reconciliation_sees_is_not_the_last_word(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    desk.choose(visit, "refused_card")
    reconciling.reconcile(desk.organisation_id, at=clock.now())
    assert desk.charge().status is ChargeStatus.AUTHENTICATING
    desk.choose(visit, "card")
    desk.look()
    assert desk.charge().status is ChargeStatus.SUCCEEDED


def test_two_colleagues_who_ask_at_once_ask_once(desk: Desk) -> None:
    request = desk.ask()
    with pytest.raises(AlreadyAskedError) as refused:
        desk.ask(subscription_id=None)
    assert refused.value.request_id == request.id


def test_a_form_that_is_sent_twice_asks_once(desk: Desk) -> None:
    request_id = new_id()
    fields = RequestFields(account_id=desk.account.id)
    for _ in range(2):
        commands.create_request(desk.client.id, fields, request_id=request_id, by=desk.by, at=clock.now())
    assert desk.request().id == request_id


def test_a_link_lives_two_weeks(desk: Desk) -> None:
    request = desk.ask()
    desk.wait(days=14, seconds=-1)
    assert desk.open(request).url is not None
    desk.wait(seconds=1)
    looking.look_at_due(desk.organisation_id, at=clock.now())
    assert desk.request().status is EXPIRED
    visit = desk.open(request)
    assert (visit.url, visit.status) == (None, EXPIRED)
    [kind] = [event.kind for event in desk.rows(TimelineEvent) if event.kind is EventKind.MEANS_NOT_GIVEN]
    assert kind


def test_what_the_client_gave_at_the_last_moment_counts(desk: Desk) -> None:
    request = desk.ask()
    desk.wait(days=13, hours=23)
    visit = desk.open(request)
    desk.choose(visit, "card")
    desk.wait(hours=2)
    looking.look_at_due(desk.organisation_id, at=clock.now())
    assert desk.request().status is DONE


def test_canceling_ends_the_page_and_the_link(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    visit = desk.open(request)
    canceled = commands.cancel(desk.client.id, request.id, by=desk.by, at=clock.now())
    assert canceled.status is CANCELED
    assert desk.charge().attention is Attention.NO_PAYMENT_METHOD
    desk.choose(visit, "card")
    assert desk.bank.ledger()["count"] == 0
    assert desk.open(request).url is None
    with pytest.raises(RequestStateError, match="terminée"):
        commands.cancel(desk.client.id, request.id, by=desk.by, at=clock.now())


def test_canceling_after_the_client_has_answered_finds_the_answer(desk: Desk) -> None:
    request = desk.ask()
    desk.choose(desk.open(request), "card")
    assert commands.cancel(desk.client.id, request.id, by=desk.by, at=clock.now()).status is DONE


def test_a_client_who_refuses_is_told_of(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    desk.choose(desk.open(request), "refuse")
    desk.tell_of_page()
    assert (desk.request().status, desk.request().explanation) == (REFUSED, "Le client a refusé.")
    assert desk.charge().attention is Attention.NO_PAYMENT_METHOD


@pytest.mark.parametrize("mode", ["down", "drop", "error", "timeout"])
def test_a_provider_that_does_not_answer_costs_the_client_a_second_try(desk: Desk, mode: str) -> None:
    request = desk.ask(takes_payment=True)
    desk.bank.order({"mode": mode, "delay": 0.1})
    with pytest.raises(UnavailableError, match="Réessayez"):
        desk.open(request)
    assert desk.request().status is DRAFT
    desk.bank.order({"mode": "ok"})
    desk.bank.errors.clear()
    desk.choose(desk.open(request), "card")
    desk.look()
    assert (desk.request().status, desk.bank.ledger()["count"]) == (DONE, 1)
    assert (len(desk.rows(HostedPage)), len(desk.pages_there())) == (1, 1)


def test_a_provider_that_refuses_the_page_is_shown_to_staff(desk: Desk) -> None:
    request = desk.ask()
    desk.bank.order({"mode": "refuse"})
    with pytest.raises(UnavailableError):
        desk.open(request)
    assert "refuse d’ouvrir sa page" in (desk.request().explanation or "")
    desk.bank.order({"mode": "ok"})
    assert desk.open(request).url is not None


def test_what_waited_goes_on_with_the_new_means(desk: Desk) -> None:
    other = factories.SubscriptionFactory(client_id=desk.client.id, anchor_date=date(2026, 12, 1))
    desk.run()
    request = desk.ask(subscription_id=None)
    desk.choose(desk.open(request), "card")
    desk.look()
    waiting = commands.find_waiting(desk.request(), at=clock.now())
    assert {row.id for row in waiting.subscriptions} == {desk.subscription.id, other.id}
    assert waiting.charges == 1
    for _ in range(2):
        commands.use_for_waiting(desk.client.id, request.id, by=desk.by, at=clock.now())
    desk.run()
    assert desk.charge().status is ChargeStatus.SUCCEEDED
    assert {row.saved_method_id for row in desk.rows(type(other))} == {desk.saved().id}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"account_id": None}, "account_id"),
        ({"subscription_id": new_id()}, "subscription_id"),
        ({"subscription_id": None, "takes_payment": True}, "subscription_id"),
    ],
)
def test_what_cannot_be_asked_for(desk: Desk, fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        desk.ask(**fields)
    assert refused.value.field == field
    assert desk.rows(MeansRequest) == []


def test_nothing_is_taken_where_nothing_is_owed(desk: Desk) -> None:
    desk.subscription.status = SubscriptionStatus.ACTIVE
    db.session.commit()
    with pytest.raises(InvalidInputError, match="Rien n’est à payer"):
        desk.ask(takes_payment=True)


def test_an_account_that_was_switched_off_still_hears_of_its_pages(desk: Desk) -> None:
    visit = desk.open(desk.ask())
    desk.account.is_active = False
    db.session.commit()
    desk.choose(visit, "card")
    desk.tell_of_page()
    assert desk.request().status is DONE
    with pytest.raises(InvalidInputError):
        desk.ask()


def test_an_unknown_link_is_nobody_s(desk: Desk) -> None:
    desk.ask()
    with pytest.raises(NotFoundError):
        visiting.open_link("x" * 43, return_url=RETURN, leave_url=LEAVE, at=clock.now())


def test_a_webhook_about_a_page_of_nobody_waits_for_a_person(desk: Desk) -> None:
    desk.tell(
        {"page": {"id": "page_9", "metadata": {"organisation": str(desk.organisation_id), "page": str(new_id())}}}
    )
    [event] = desk.events()
    assert (event.handled_at, event.error) == (None, "Cette page ne correspond à aucune de nos demandes.")


def test_a_card_that_its_bank_replaces_is_taken_over(desk: Desk) -> None:
    desk.choose(desk.open(desk.ask()), "expiring_card")
    desk.look()
    saved = desk.saved()
    assert (saved.label, saved.expires_on) == ("Mastercard •••• 4444", date(2026, 11, 30))
    desk.change_method(saved.method_reference, {"last4": "1111", "expires_on": "2030-01-31"})
    for _ in range(2):
        desk.tell({"method": {"id": saved.method_reference}})
    saved = desk.saved()
    assert (saved.label, saved.expires_on) == ("Mastercard •••• 1111", date(2030, 1, 31))
    changes = [event.changes for event in desk.rows(TimelineEvent) if event.kind is EventKind.CARD_UPDATED]
    assert changes == [{"card": ["Mastercard •••• 4444, 11/2026", "Mastercard •••• 1111, 01/2030"]}]


def test_the_daily_reconciliation_finds_a_first_payment_that_nobody_told_of(desk: Desk) -> None:
    visit = desk.open(desk.ask(takes_payment=True))
    desk.choose(visit, "card")
    desk.wait(hours=1)
    reconciling.reconcile(desk.organisation_id, at=clock.now())
    assert desk.charge().status is ChargeStatus.SUCCEEDED
    desk.look()
    assert (desk.request().status, len(desk.payments())) == (DONE, 1)


def test_the_table_of_states(desk: Desk) -> None:
    request = desk.ask()
    for before, after in TRANSITIONS.items():
        request.status = before
        assert {status for status in MeansRequestStatus if request.can_become(status)} == after
    assert TRANSITIONS[DONE] == frozenset()
    assert all(DONE in after for before, after in TRANSITIONS.items() if before is not DONE)
    db.session.rollback()


def test_pages_are_looked_at_ever_more_seldom(desk: Desk) -> None:
    desk.open(desk.ask())
    waits = []
    for _ in range(3):
        page = desk.only(HostedPage)
        waits.append(page.next_look_at - clock.now())
        clock.start_at(page.next_look_at + timedelta(hours=len(waits) - 1))
        looking.look_at_due(desk.organisation_id, at=clock.now())
    assert waits[0] <= timedelta(minutes=1) < waits[2] <= timedelta(minutes=10)


def test_a_subscription_that_went_to_another_company_is_not_paid_to_the_first(desk: Desk) -> None:
    request = desk.ask(takes_payment=True)
    other = factories.CompanyFactory(name="Autre société")
    desk.subscription.company_id = other.id
    db.session.commit()
    desk.choose(desk.open(request), "card")
    desk.look()
    assert desk.request().status is DONE
    assert desk.bank.ledger()["count"] == 0
    assert (desk.rows(type(desk.subscription))[0].saved_method_id, desk.attempts()) == (None, [])


@pytest.mark.parametrize("takes_payment", [False, True])
def test_a_client_is_not_asked_for_what_a_shop_collects(desk: Desk, takes_payment: bool) -> None:
    held = factories.ShopSubscriptionFactory(client_id=desk.client.id)
    factories.ShopChargeFactory(subscription_id=held.id, client_id=desk.client.id, status=ChargeStatus.FAILED)
    db.session.commit()
    with pytest.raises(HeldByShopError):
        desk.ask(subscription_id=held.id, takes_payment=takes_payment)
    assert desk.rows(MeansRequest) == []
    visit = desk.open(desk.ask(subscription_id=None))
    desk.choose(visit, "card")
    desk.look()
    waiting = commands.use_for_waiting(desk.client.id, desk.request().id, by=desk.by, at=clock.now())
    assert [row.id for row in waiting.subscriptions] == [desk.subscription.id]
    assert held.saved_method_id is None
