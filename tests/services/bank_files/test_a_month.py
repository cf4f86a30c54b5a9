"""A month of notices, by hand: the real timetable's work, a real mail server, and what finance does each day.

One subscription falls due on Friday 18 December. Which day the bank is asked to collect on depends on when its client
was told: told in time, the next banking day; told late, so many days after the notice has left.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from tests import factories
from tests.mail_server import MailServer
from tests.services.bank_files.conftest import IBAN
from tests.services.messages.conftest import _mail_server, mail, open_sender
from webapp import clock, tenancy
from webapp.clock import PARIS
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.bank_files import BankFile
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.messages import Channel, Message, MessageStatus
from webapp.models.providers import ProviderAccount
from webapp.models.runs import RunTrigger
from webapp.models.subscriptions import Subscription
from webapp.services import outbox
from webapp.services.bank_files import files, listing, notices
from webapp.services.charges import runs
from webapp.services.messages import letters, sending, suppressing, sweeping
from webapp.services.subscriptions import scheduling

__all__ = ["_mail_server", "mail"]  # fixtures

DUE_ON = date(2026, 12, 18)
HOURS = (7, 10)
DAY = timedelta(days=1)


@dataclass
class Month:
    """One company that collects by bank file, and days that pass."""

    account: ProviderAccount

    def subscribe(self, **who: Any) -> Subscription:
        """A monthly subscription that falls due on the 18th, under a signed mandate."""
        client = factories.ClientFactory(**who)
        mandate = Mandate(
            id=new_id(),
            client_id=client.id,
            bank_account_id=factories.make_bank_account(client, IBAN).id,
            company_id=self.account.company_id,
            umr=f"RUM-{client.id.hex[-8:]}",
            status=MandateStatus.ACTIVE,
            signed_on=date(2026, 1, 2),
        )
        db.session.add(mandate)
        subscription: Subscription = factories.SubscriptionFactory(
            client_id=client.id,
            company_id=self.account.company_id,
            provider_account_id=self.account.id,
            mandate_id=mandate.id,
            payment_method=PaymentMethod.SEPA,
            anchor_date=DUE_ON,
        )
        factories.SubscriptionLineFactory(subscription_id=subscription.id)
        scheduling.schedule(subscription, 0)
        db.session.commit()
        return subscription

    def live(self, first: date, last: date, finance: Callable[[date], object] = lambda _: None) -> None:
        """What the timetable does at some hours of each day, and what finance does at ten."""
        day = first
        while day <= last:
            for hour in HOURS:
                self._go_to(day, hour)
                self._tick()
                if hour == 10:
                    finance(day)
                    self._collect(day)
            day += DAY

    def _go_to(self, day: date, hour: int) -> None:
        clock.start_at(datetime.combine(day, time(hour), PARIS).astimezone(UTC))

    def _tick(self) -> None:
        organisation_id = tenancy.current_organisation_id()
        notices.announce_due(at=clock.now())
        sweeping.sweep(at=clock.now())
        sweeping.look_again(at=clock.now())
        sending.send(organisation_id)
        run_id, _ = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), enqueue=False)
        runs.carry_out(organisation_id, run_id)
        outbox.deliver(organisation_id, at=clock.now())

    def _collect(self, day: date) -> None:
        """Put whatever can be collected on the next banking day into a file."""
        following = day + DAY
        with suppress(DomainError):  # no banking day, or nothing to collect
            files.prepare_file(self.account.id, collected_on=following, at=clock.now())

    def notices(self) -> list[tuple[Channel, MessageStatus, date | None]]:
        """How each left, and on which day."""
        statement = select(Message).order_by(Message.id).execution_options(populate_existing=True)
        return [
            (each.channel, each.status, each.sent_at.astimezone(PARIS).date() if each.sent_at else None)
            for each in db.session.scalars(statement)
        ]

    def collected(self) -> list[date]:
        """On which days the bank is asked to collect."""
        return list(db.session.scalars(select(BankFile.collected_on).order_by(BankFile.collected_on)))

    def untold(self) -> list[str | None]:
        """Why what waits was not told."""
        return [waiting.untold for waiting in listing.list_waiting(self.account.id).rows]

    def post(self) -> int:
        """Print the letters that wait, and post them."""
        waiting = Message.channel == Channel.LETTER, Message.status == MessageStatus.QUEUED
        ids = db.session.scalars(select(Message.id).where(*waiting)).all()
        notices.make_true(ids, by=factories.UserFactory(), at=clock.now())
        return letters.mark_posted(ids, at=clock.now(), by=None)


@pytest.fixture
def month(account: ProviderAccount, mail: MailServer) -> Iterator[Month]:
    open_sender(factories.default_company(), Channel.EMAIL, mail.credentials, quiet_from=time(20), quiet_until=time(8))
    yield Month(account)
    clock.start_at(None)


EMAIL_ONLY = {"email": "lea@example.org", "phone": None}
POST_ONLY = {"email": None, "phone": None, "address_line1": "1 rue de l’Église", "postcode": "59000", "city": "Lille"}
NOWHERE = {"email": None, "phone": None, "address_line1": None}


def test_told_in_time_it_is_collected_on_the_next_banking_day(month: Month, mail: MailServer) -> None:
    month.subscribe(**EMAIL_ONLY)
    month.live(date(2026, 11, 30), date(2026, 12, 23))  # from the last day on which it would be too early
    # Written on Tuesday 1 December, at seven: 14 days ahead and three to spare. It leaves after the quiet hours.
    assert month.notices() == [(Channel.EMAIL, MessageStatus.SENT, date(2026, 12, 1))]
    assert "18 décembre 2026" in mail.message().get_body(("plain",)).get_content()  # type: ignore[union-attr]
    # Charged on Friday 18; the bank collects on the next day on which banks work.
    assert month.collected() == [date(2026, 12, 21)]


def test_a_letter_counts_from_the_day_on_which_it_was_posted(month: Month) -> None:
    month.subscribe(**POST_ONLY)

    def finance(day: date) -> None:
        if day == date(2026, 12, 14):
            assert month.post() == 1

    month.live(date(2026, 11, 30), date(2026, 12, 31), finance)
    assert month.notices() == [(Channel.LETTER, MessageStatus.SENT, date(2026, 12, 14))]
    [letter] = db.session.scalars(select(Message).options(undefer(Message.content)))
    assert "29 décembre 2026" in letter.content_in_clear()["body"], "as it was printed"
    assert month.collected() == [date(2026, 12, 29)]


def test_nobody_told_nothing_is_collected_until_somebody_is(month: Month) -> None:
    subscription = month.subscribe(**NOWHERE)

    def finance(day: date) -> None:
        if day == date(2026, 12, 28):
            assert month.untold() != [None]
            client = db.session.scalars(select(Client).where(Client.id == subscription.client_id)).one()
            client.email = "enfin@example.org"
            db.session.commit()

    month.live(date(2026, 11, 30), date(2026, 12, 31), finance)
    # The first one names the 18th, which is gone by: another takes its place, and names a day two weeks ahead.
    assert month.notices() == [
        (Channel.EMAIL, MessageStatus.CANCELED, None),
        (Channel.EMAIL, MessageStatus.SENT, date(2026, 12, 29)),
    ]
    month.live(date(2027, 1, 1), date(2027, 1, 13))
    assert month.collected() == [date(2027, 1, 13)]


def test_five_days_are_enough_where_they_were_agreed(month: Month) -> None:
    month.account.notice_days = 5
    month.subscribe(**EMAIL_ONLY)
    month.live(date(2026, 12, 8), date(2026, 12, 23))
    assert month.notices() == [(Channel.EMAIL, MessageStatus.SENT, date(2026, 12, 10))]
    assert month.collected() == [date(2026, 12, 21)]


def test_an_address_that_does_not_work_is_found_before_the_debit(month: Month, mail: MailServer) -> None:
    month.subscribe(**POST_ONLY | {"email": "550.lea@example.org"})

    def finance(day: date) -> None:
        if day == date(2026, 12, 19):
            [waiting] = listing.list_waiting(month.account.id).rows
            assert waiting.is_printable
            notices.print_instead(waiting.charge.id, by=factories.UserFactory(), at=clock.now())
            assert month.post() == 1

    month.live(date(2026, 11, 30), date(2027, 1, 5), finance)
    assert [(channel, sent) for channel, _, sent in month.notices()][:2] == [
        (Channel.EMAIL, None),
        (Channel.LETTER, date(2026, 12, 19)),
    ]
    assert suppressing.find_suppressed(["550.lea@example.org"])
    assert month.collected() == [date(2027, 1, 4)]
