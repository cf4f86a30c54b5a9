"""Addresses that get nothing more: once, told to the commercial, lifted again."""

from uuid import uuid4

import pytest

from tests.conftest import NOW, Cast
from tests.mail_server import MailServer
from tests.services.messages.conftest import Desk
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.messages import Suppression, SuppressionReason
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.messages import suppressing


def test_a_dead_address_becomes_a_task_of_the_commercial_once(desk: Desk, cast: Cast, mail: MailServer) -> None:
    desk.client.commercial_id = cast.sales_rep.id
    messages = [desk.write() for _ in range(2)]
    for message in messages:
        suppressing.suppress("lea@example.org", SuppressionReason.HARD_BOUNCE, message_id=message.id, at=NOW)
    [task] = db.session.query(Task)
    assert (task.client_id, task.user_id) == (desk.client.id, cast.sales_rep.user_id)
    assert "lea@example.org" in task.title
    [event] = db.session.query(TimelineEvent).filter_by(kind=EventKind.ADDRESS_SUPPRESSED)
    assert event.client_id == desk.client.id
    assert db.session.query(Suppression).count() == 1


def test_a_complaint_is_nobody_s_task(desk: Desk) -> None:
    message = desk.write()
    suppressing.suppress("lea@example.org", SuppressionReason.COMPLAINT, message_id=message.id, at=NOW)
    assert db.session.query(Task).count() == 0


def test_a_suppression_is_lifted_and_may_come_back(desk: Desk, cast: Cast) -> None:
    assert suppressing.block("LEA@example.org ", by=cast.admin, at=NOW)
    assert not suppressing.block("lea@example.org", by=cast.admin, at=NOW)
    [shown] = suppressing.list_suppressions()
    assert (shown.address, shown.suppression.reason) == ("lea@example.org", SuppressionReason.BY_HAND)
    assert suppressing.lift(shown.suppression.id, by=cast.admin, at=NOW) == "lea@example.org"
    suppressing.lift(shown.suppression.id, by=cast.admin, at=NOW)
    assert suppressing.find_suppressed(["lea@example.org"]) == set()
    assert suppressing.block("lea@example.org", by=cast.admin, at=NOW)
    kinds = [event.kind for event in db.session.query(TimelineEvent).order_by(TimelineEvent.id)]
    assert kinds == [EventKind.ADDRESS_SUPPRESSED, EventKind.ADDRESS_LIFTED, EventKind.ADDRESS_SUPPRESSED]


def test_a_telephone_is_found_however_it_was_typed(desk: Desk, cast: Cast) -> None:
    suppressing.block("06 39 98 12 34", by=cast.admin, at=NOW)
    assert suppressing.find_suppressed(["+33639981234", "+33639981235"]) == {"+33639981234"}


@pytest.mark.parametrize("typed", ["", "personne", "a@", "12", "x" * 300 + "@example.org", "\x00@example.org"])
def test_what_is_no_address_is_refused(cast: Cast, typed: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        suppressing.block(typed, by=cast.admin, at=NOW)
    assert refusal.value.field == "address"


def test_suppressions_stay_within_the_organisation(desk: Desk, cast: Cast) -> None:
    suppressing.block("lea@example.org", by=cast.admin, at=NOW)
    [shown] = suppressing.list_suppressions()
    with tenancy.organisation(cast.other_organisation.id):
        assert suppressing.find_suppressed(["lea@example.org"]) == set()
        with pytest.raises(NotFoundError):
            suppressing.lift(shown.suppression.id, by=cast.outsider, at=NOW)
    with pytest.raises(NotFoundError):
        suppressing.lift(uuid4(), by=cast.admin, at=NOW)
