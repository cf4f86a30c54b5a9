"""Notices: a debit is announced ahead, and collected only so many days after its notice has left."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.bank_files.conftest import COLLECTED_ON, NOW, MakeDebit, prepare, send_notices
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.coupons import Coupon
from webapp.models.messages import Channel, HeldReason, Message, MessageStatus
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.providers import Provider, ProviderAccount
from webapp.services import outbox
from webapp.services.bank_files import files, listing, notices
from webapp.services.bank_files.files import BankFileStateError
from webapp.services.bank_files.listing import Waiting
from webapp.services.bank_files.notices import NoticeStateError
from webapp.services.messages import deciding, letters, rendering
from webapp.tenancy import organisation

DUE = {"next_charge_on": date(2026, 12, 18), "next_charge_at": NOW + timedelta(days=17)}


def subscribe(account: ProviderAccount, **values: Any) -> Any:
    client = factories.ClientFactory()
    mandate = Mandate(
        id=new_id(),
        client_id=client.id,
        bank_account_id=factories.make_bank_account(client).id,
        company_id=account.company_id,
        umr=f"RUM-{client.id.hex[-8:]}",
        status=MandateStatus.ACTIVE,
        signed_on=date(2026, 1, 2),
    )
    db.session.add(mandate)
    subscription = factories.SubscriptionFactory(
        client_id=client.id, provider_account_id=account.id, mandate_id=mandate.id, **values
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return subscription


def events() -> list[dict[str, Any]]:
    kind = OutboxEvent.kind == OutboxKind.SEPA_PRENOTIFICATION
    return [event.payload for event in db.session.scalars(select(OutboxEvent).where(kind).order_by(OutboxEvent.id))]


def messages() -> list[Message]:
    statement = select(Message).order_by(Message.id).options(undefer(Message.content))
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def waiting(account: ProviderAccount) -> list[Waiting]:
    return list(listing.list_waiting(account.id).rows)


def earliest(account: ProviderAccount) -> list[date | None]:
    return [each.earliest for each in waiting(account)]


class TestAnnouncing:
    def test_a_debit_is_announced_once_some_days_before_its_notice_is_due(self, account: ProviderAccount) -> None:
        subscribe(account, **DUE)
        assert notices.announce_due(at=NOW - timedelta(days=1)) == 0
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW + timedelta(hours=1)) == 0
        [notice] = events()
        assert (notice["due_on"], notice["collect_on"], notice["amount"]) == ("2026-12-18", "2026-12-18", "24.00")

    def test_a_cycle_that_its_client_skips_is_not_announced(self, account: ProviderAccount) -> None:
        subscription = subscribe(account, **DUE)
        subscription.skips_cycle = subscription.cycle_no
        db.session.commit()
        assert notices.announce_due(at=NOW) == 0
        subscription.skips_cycle = None
        db.session.commit()
        assert notices.announce_due(at=NOW) == 1

    def test_the_notice_says_what_when_and_under_which_mandate(self, account: ProviderAccount) -> None:
        subscription = subscribe(account, **DUE)
        notices.announce_due(at=NOW)
        [message] = messages()
        body = rendering.to_plain_text(message.content_in_clear()["body"])
        for words in ("24,00\xa0€", "18 décembre 2026", "FR72ZZZ123456", "…2606", "RUM-", subscription.code):
            assert words in body
        assert message.dedupe_key == events()[0]["notice"]

    def test_less_notice_is_enough_where_it_was_agreed(self, account: ProviderAccount) -> None:
        account.notice_days = 5
        subscribe(account, **DUE)
        assert notices.announce_due(at=NOW + timedelta(days=8)) == 0
        assert notices.announce_due(at=NOW + timedelta(days=9)) == 1

    def test_a_debit_announced_late_is_collected_later(self, account: ProviderAccount) -> None:
        subscribe(account, next_charge_on=date(2026, 12, 3), next_charge_at=NOW + timedelta(days=2))
        notices.announce_due(at=NOW)
        assert events()[0]["collect_on"] == "2026-12-16"

    def test_cards_are_not_announced_nor_what_has_no_mandate(self, cast: Cast, account: ProviderAccount) -> None:
        other = factories.ProviderAccountFactory(provider=Provider.SANDBOX)
        subscribe(other, **DUE)
        subscribe(account, **DUE).mandate_id = None
        db.session.commit()
        assert notices.announce_due(at=NOW) == 0

    def test_what_waits_unannounced_is_announced_once(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit(is_told=False)
        assert [each.untold for each in waiting(account)] == [
            "Le client n’a pas encore été averti\u202f: son avis est écrit dans l’heure."
        ]
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW) == 0
        assert len(messages()) == 1

    def test_a_notice_that_could_not_leave_in_time_is_written_anew_for_a_later_day(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(is_told=False)
        notices.announce_due(at=NOW)
        [late] = messages()
        late.status, late.held_reason = MessageStatus.HELD, HeldReason.TOO_LATE
        db.session.commit()
        later = NOW + timedelta(days=20)
        assert notices.announce_due(at=later) == 1
        assert notices.announce_due(at=later) == 0
        assert [event["collect_on"] for event in events()] == ["2026-12-16", "2027-01-05"]
        [debit] = waiting(account)
        assert debit.notice is not None
        assert debit.notice.id != late.id

    def test_a_supplement_is_announced_by_itself_and_once(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        supplement = make_debit(is_told=False)
        db.session.get_one(Charge, (supplement.organisation_id, supplement.charge_id)).cycle_no = None
        db.session.commit()
        assert notices.announce_due(at=NOW) == 1
        assert notices.announce_due(at=NOW) == 0
        assert events()[0]["charge_id"] == str(supplement.charge_id)
        assert messages()[0].subject_id == supplement.charge_id

    def test_the_notice_says_what_will_be_asked_with_the_coupon(self, account: ProviderAccount) -> None:
        coupon = Coupon(code="NOEL", label="Noël", percent=Decimal(50))
        db.session.add(coupon)
        db.session.flush()
        subscribe(account, coupon_id=coupon.id, **DUE)
        notices.announce_due(at=NOW)
        assert events()[0]["amount"] == "12.00"

    def test_the_notice_of_another_cycle_does_not_count(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        db.session.scalars(select(Charge)).one().cycle_no = 2
        db.session.commit()
        assert earliest(account) == [None]
        assert notices.announce_due(at=NOW) == 1

    def test_another_amount_is_announced_anew(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit(amount=Decimal("30.00"))
        assert earliest(account) == [date(2026, 12, 1)]
        old = db.session.scalars(select(OutboxEvent)).one()
        old.payload = old.payload | {"amount": "24.00"}  # as if the plan had changed after the notice
        db.session.commit()
        assert earliest(account) == [None]
        assert notices.announce_due(at=NOW) == 1
        assert [event["amount"] for event in events()] == ["24.00", "30.00"]

    def test_an_announcement_stands_where_no_file_comes_of_it(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(is_told=False)
        with pytest.raises(BankFileStateError):
            files.prepare_file(account.id, collected_on=date(2026, 12, 2), at=NOW)
        assert [event["collect_on"] for event in events()] == ["2026-12-16"]

    def test_many_are_announced_in_sets(self, account: ProviderAccount) -> None:
        def statements(number: int) -> int:
            for _ in range(number):
                subscribe(account, **DUE)
            with recorded_statements() as recorded:
                assert notices.announce_due(at=NOW) == number
            return len(recorded)

        assert statements(20) <= statements(2) + 2


class TestTold:
    def test_a_debit_waits_until_so_many_days_after_its_notice_has_left(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(is_told=False)
        notices.announce_due(at=NOW)
        [message] = messages()
        assert (message.channel, message.status) == (Channel.LETTER, MessageStatus.QUEUED)  # no sender, an address
        assert earliest(account) == [None]
        with pytest.raises(BankFileStateError):
            prepare(account)
        left_at = datetime(2026, 12, 2, 23, 30, tzinfo=NOW.tzinfo)  # in Paris it is the third
        send_notices(at=left_at)
        assert earliest(account) == [date(2026, 12, 17)]
        with pytest.raises(BankFileStateError):
            prepare(account)
        later = files.prepare_file(account.id, collected_on=date(2026, 12, 17), at=NOW)
        assert later.number_of_debits == 1

    @pytest.mark.parametrize(
        "status",
        [MessageStatus.BOUNCED, MessageStatus.FAILED, MessageStatus.UNKNOWN, MessageStatus.CANCELED],
    )
    def test_what_did_not_arrive_does_not_count(
        self, account: ProviderAccount, make_debit: MakeDebit, status: MessageStatus
    ) -> None:
        make_debit()
        assert earliest(account) == [date(2026, 12, 1)]
        messages()[0].status = status  # a bounce may come days later
        db.session.commit()
        assert earliest(account) == [None]
        with pytest.raises(BankFileStateError):
            prepare(account)

    @pytest.mark.parametrize("status", [MessageStatus.DELIVERED, MessageStatus.COMPLAINED])
    def test_what_arrived_counts(self, account: ProviderAccount, make_debit: MakeDebit, status: MessageStatus) -> None:
        make_debit()
        messages()[0].status = status
        db.session.commit()
        assert prepare(account).number_of_debits == 1

    def test_what_was_announced_before_there_were_messages_stays_announced(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        attempt = make_debit(is_told=False)
        charge = db.session.get_one(Charge, (attempt.organisation_id, attempt.charge_id))
        payload = {"cycle_no": charge.cycle_no, "due_on": "2026-12-01", "collect_on": "2026-12-15", "amount": "9.00"}
        outbox.emit(OutboxKind.SEPA_PRENOTIFICATION, charge.subscription_id, at=NOW, payload=payload)
        db.session.commit()
        assert notices.announce_due(at=NOW) == 0
        assert earliest(account) == [date(2026, 12, 15)]
        assert prepare(account).number_of_debits == 1


class TestByPost:
    def held(self, account: ProviderAccount, make_debit: MakeDebit) -> ChargeAttempt:
        attempt = make_debit(is_told=False)
        client = db.session.scalars(select(Client)).one()
        client.address_line1 = None
        db.session.commit()
        notices.announce_due(at=NOW)
        assert messages()[0].held_reason is HeldReason.NO_SENDER
        client.address_line1 = "1 rue de l’Église"
        db.session.commit()
        return attempt

    def test_a_notice_that_cannot_leave_goes_by_post_once(
        self, account: ProviderAccount, make_debit: MakeDebit, cast: Cast
    ) -> None:
        attempt = self.held(account, make_debit)
        [before] = waiting(account)
        assert before.is_printable
        for _ in range(2):
            letter = notices.print_instead(attempt.charge_id, by=cast.manager, at=NOW)
        held, written = messages()
        assert (held.status, written.id) == (MessageStatus.CANCELED, letter.id)
        assert (letter.channel, letter.status) == (Channel.LETTER, MessageStatus.QUEUED)
        [each] = waiting(account)
        assert each.untold == f"Le client n’a pas encore été averti\u202f: avis {letter.code} à imprimer et à poster."
        assert not each.is_printable
        letters.mark_posted([letter.id], at=NOW, by=cast.manager)
        assert earliest(account) == [date(2026, 12, 16)]
        assert prepare(account).collected_on == COLLECTED_ON

    def test_a_letter_that_was_cancelled_is_followed_by_another_for_the_same_day(
        self, account: ProviderAccount, make_debit: MakeDebit, cast: Cast
    ) -> None:
        attempt = self.held(account, make_debit)
        first = notices.print_instead(attempt.charge_id, by=cast.manager, at=NOW)
        deciding.cancel(first.id, at=NOW, by=cast.manager)
        for _ in range(2):
            second = notices.print_instead(attempt.charge_id, by=cast.manager, at=NOW)
        assert [message.status for message in messages()[1:]] == [MessageStatus.CANCELED, MessageStatus.QUEUED]
        letters.mark_posted([second.id], at=NOW, by=cast.manager)
        assert earliest(account) == [date(2026, 12, 16)]

    def test_what_has_left_is_not_printed(self, account: ProviderAccount, make_debit: MakeDebit, cast: Cast) -> None:
        with pytest.raises(NoticeStateError):
            notices.print_instead(make_debit().charge_id, by=cast.manager, at=NOW)

    def test_an_address_is_needed(self, account: ProviderAccount, make_debit: MakeDebit, cast: Cast) -> None:
        attempt = self.held(account, make_debit)
        db.session.scalars(select(Client)).one().address_line1 = None
        db.session.commit()
        with pytest.raises(NoticeStateError):
            notices.print_instead(attempt.charge_id, by=cast.manager, at=NOW)
        assert [message.status for message in messages()] == [MessageStatus.HELD]

    def test_another_organisation_finds_nothing(
        self, account: ProviderAccount, make_debit: MakeDebit, cast: Cast
    ) -> None:
        attempt = self.held(account, make_debit)
        with organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
            notices.print_instead(attempt.charge_id, by=cast.outsider, at=NOW)
