"""Notices: a debit is announced 14 days before it is collected."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.bank_files.conftest import NOW, MakeDebit
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.coupons import Coupon
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.providers import Provider, ProviderAccount
from webapp.services.bank_files import files, listing, notices
from webapp.services.bank_files.files import BankFileStateError


class TestNotices:
    def subscription(self, account: ProviderAccount, **values: Any) -> Any:
        client = factories.ClientFactory()
        subscription = factories.SubscriptionFactory(client_id=client.id, provider_account_id=account.id, **values)
        factories.SubscriptionLineFactory(subscription_id=subscription.id)
        db.session.commit()
        return subscription

    def events(self) -> list[dict[str, Any]]:
        kind = OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION
        return [event.payload for event in db.session.scalars(select(OutboxEvent).where(kind))]

    def test_a_debit_is_announced_fourteen_days_ahead_once(self, account: ProviderAccount) -> None:
        due = {"next_charge_on": date(2026, 12, 15), "next_charge_at": NOW + timedelta(days=14)}
        self.subscription(account, **due)
        assert notices.announce_due(at=NOW - timedelta(days=1)) == 0
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW + timedelta(hours=1)) == 0
        [notice] = self.events()
        assert (notice["due_on"], notice["collect_on"], notice["amount"]) == ("2026-12-15", "2026-12-15", "24.00")

    def test_a_debit_announced_late_is_collected_later(self, account: ProviderAccount) -> None:
        self.subscription(account, next_charge_on=date(2026, 12, 3), next_charge_at=NOW + timedelta(days=2))
        notices.announce_due(at=NOW)
        assert self.events()[0]["collect_on"] == "2026-12-15"

    def test_cards_are_not_announced(self, cast: Cast, account: ProviderAccount) -> None:
        other = factories.ProviderAccountFactory(provider=Provider.SANDBOX)
        self.subscription(other, next_charge_on=date(2026, 12, 3), next_charge_at=NOW)
        assert notices.announce_due(at=NOW) == 0

    def test_what_waits_unannounced_is_announced_once(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        assert [each.is_announced for each in listing.list_waiting(account.id, at=NOW).rows] == [False]
        assert self.events() == []
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW) == 0
        [waiting] = listing.list_waiting(account.id, at=NOW + timedelta(days=5)).rows
        assert (waiting.is_announced, waiting.earliest) == (True, date(2026, 12, 15))

    def test_a_supplement_is_announced_by_itself_and_once(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit()
        assert notices.announce_due(at=NOW) == 1
        supplement = make_debit()
        db.session.get_one(Charge, (supplement.organisation_id, supplement.charge_id)).cycle_no = None
        db.session.commit()
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW) == 0
        assert [each.is_announced for each in listing.list_waiting(account.id, at=NOW).rows] == [True, True]
        assert self.events()[1]["charge_id"] == str(supplement.charge_id)

    def test_the_notice_says_what_will_be_asked_with_the_coupon(self, account: ProviderAccount) -> None:
        coupon = Coupon(code="NOEL", label="Noël", percent=Decimal(50))
        db.session.add(coupon)
        db.session.flush()
        due = {"next_charge_on": date(2026, 12, 15), "next_charge_at": NOW + timedelta(days=14)}
        self.subscription(account, coupon_id=coupon.id, **due)
        notices.announce_due(at=NOW)
        assert self.events()[0]["amount"] == "12.00"

    def test_the_notice_of_another_cycle_does_not_count(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        db.session.scalars(select(Charge)).one().cycle_no = 1
        notices.announce_due(at=NOW - timedelta(days=30))
        db.session.scalars(select(Charge)).one().cycle_no = 2
        db.session.commit()
        assert [each.is_announced for each in listing.list_waiting(account.id, at=NOW).rows] == [False]
        assert notices.announce_due(at=NOW) == 1

    def test_an_announcement_stands_where_no_file_comes_of_it(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit()
        with pytest.raises(BankFileStateError):
            files.prepare_file(account.id, collected_on=date(2026, 12, 2), at=NOW)
        assert [event["collect_on"] for event in self.events()] == ["2026-12-15"]
