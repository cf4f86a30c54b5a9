"""Letters of dunning: what they say is true on the day on which they are printed."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.dunning.world import DunningWorld
from tests.services.exports.wanting import csv_rows, want, write
from webapp import clock
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.dunning import DunningStep
from webapp.models.identity import User
from webapp.models.messages import HeldReason, Message, MessageEvent, MessageKind, MessageStatus
from webapp.services.dunning import cases, letters
from webapp.services.exports.exported_list import Everything
from webapp.services.messages import printing

NOTICE_DAY = date(2026, 2, 10)
"""Ten days after the refusal: the formal notice is written, and asks for payment by the 18th."""


@pytest.fixture
def by(cast: Cast) -> User:
    """Who prints."""
    return cast.manager


@pytest.fixture
def letter(world: DunningWorld) -> Message:
    """The formal notice, which waits."""
    world.refuse(world.subscribe())
    world.live_until(NOTICE_DAY)
    return world.find_message(MessageKind.FORMAL_NOTICE)


def printed(letter: Message) -> str:
    """The pages."""
    return printing.render([letter.id])


def print_it(letter: Message, by: User) -> bytes:
    return letters.print_letters([letter.id], by=by, at=clock.now())


def test_what_waits_is_exported(letter: Message, by: User) -> None:
    [row] = csv_rows(write(want("lettres-de-relance", Everything(), by=by), by=by))[1:]
    [waiting] = letters.list_waiting()
    assert row[:2] == [waiting.case.client.full_name, waiting.case.code]
    assert letter.code in row


def test_printed_on_its_day_it_is_as_it_was_written(world: DunningWorld, letter: Message, by: User) -> None:
    before = world.find_message(MessageKind.FORMAL_NOTICE).content
    assert print_it(letter, by).startswith(b"%PDF")
    assert world.find_message(MessageKind.FORMAL_NOTICE).content == before
    assert "18 février 2026" in printed(letter)


def test_printed_late_it_gives_the_client_as_long_as_ever(world: DunningWorld, letter: Message, by: User) -> None:
    world.to_day(NOTICE_DAY + timedelta(days=5))
    assert print_it(letter, by).startswith(b"%PDF")
    pages = printed(letter)
    assert "23 février 2026" in pages
    assert "18 février 2026" not in pages
    assert "15 février 2026" in pages, "the day of the letter"
    assert db.session.scalars(select(MessageEvent.text).where(MessageEvent.message_id == letter.id)).all() == [
        "Réécrite pour être imprimée"
    ]
    print_it(letter, by)
    assert db.session.query(MessageEvent).filter_by(message_id=letter.id).count() == 1, "once a day"
    assert letters.mark_posted([letter.id], registered={}, by=by, at=clock.now()) == 1


def test_printed_late_it_asks_for_what_is_still_owed(world: DunningWorld, letter: Message, by: User) -> None:
    world.to_day(NOTICE_DAY + timedelta(days=5))
    [charge] = world.charges()
    charge.waived = Decimal("4.00")
    db.session.commit()
    cases.review_charge(charge.id, at=clock.now())
    print_it(letter, by)
    assert "20,00" in printed(letter)
    assert "24,00" not in printed(letter)
    record = db.session.scalars(select(DunningStep).where(DunningStep.message_id == letter.id)).one()
    assert record.amount == Decimal("20.00")


def test_without_an_address_by_now_it_is_held_and_not_printed(world: DunningWorld, letter: Message, by: User) -> None:
    world.to_day(NOTICE_DAY + timedelta(days=5))
    world.case().client.address_line1 = None
    db.session.commit()
    with pytest.raises(InvalidInputError):
        print_it(letter, by)
    found = world.find_message(MessageKind.FORMAL_NOTICE)
    assert (found.status, found.held_reason) == (MessageStatus.HELD, HeldReason.NO_ADDRESS)
