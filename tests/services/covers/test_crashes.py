"""kill -9 before any commit of a termination, of what is put on a claim file, and of what the timetable does about
covers: all of it is written, once, or nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.forking import lives
from tests.services.claims.files import EFFECTIVE, HOME, NOON, declare, evening_of, make_cover
from webapp.extensions import db
from webapp.models.covers import (
    Cover,
    CoverCapAlert,
    CoverHome,
    CoverPlanVersion,
    CoverTermination,
    CoverWithdrawnPeriod,
    TerminationChannel,
    TerminationGround,
)
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.messages import Message
from webapp.models.outbox import OutboxEvent
from webapp.models.tasks import Task
from webapp.models.timeline import TimelineEvent
from webapp.services.claims import notes
from webapp.services.covers import alerts, changing, ending, loading, moving, planned, renouncing, selling
from webapp.services.covers.ends import Request
from webapp.services.covers.moving import ShownMove
from webapp.services.covers.pricing import Confirmed
from webapp.services.covers.selling import CoverRequest
from webapp.services.message_triggers import covers
from webapp.services.subscriptions.means import PaymentFields

MOVE = Request(
    channel=TerminationChannel.LETTER,
    ground=TerminationGround.MOVE,
    received_on=date(2026, 11, 20),
    event_on=date(2026, 11, 15),
    note="",
)
TABLES = (
    CoverHome,
    CoverTermination,
    CoverCapAlert,
    CoverWithdrawnPeriod,
    Document,
    Message,
    OutboxEvent,
    Task,
    TimelineEvent,
)


def make_pending() -> Cover:
    """A cover that awaits its first payment, in a zone; another one is dearer."""
    plan = factories.CoverPlanFactory(label="Sérénité", code="SERENITE")
    zones = {"59": "12.00", "76": "18.00"}
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(plan_id=plan.id, price=None, zones=zones)
    client_id = factories.ClientFactory().id
    db.session.commit()
    asked = CoverRequest(version_id=version.id, home=HOME)
    by = db.session.scalars(select(User).limit(1)).one()
    return selling.sell_cover(client_id, asked, frequency="monthly", payment=PaymentFields(), by=by, at=NOON)


def plan_a_cheaper_one(pending: Cover) -> dict[str, Any]:
    """Let the cover change to a cheaper plan; returns what takes it back."""
    label = pending.periods[-1].version.plan.label
    factories.ChargeFactory(subscription_id=pending.subscription_id, client_id=pending.client_id, cycle_no=0)
    cheaper: CoverPlanVersion = factories.CoverPlanVersionFactory(
        plan_id=factories.CoverPlanFactory(label=f"{label} moins").id, price=Decimal(5)
    )
    db.session.commit()
    by = db.session.scalars(select(User).limit(1)).one()
    confirmed = Confirmed(
        shown=Decimal(0), change_id=uuid4(), version=loading.find_cover(pending.id).subscription.version
    )
    cover = changing.change_plan(pending.id, cheaper.id, confirmed, by=by, at=NOON)
    coming = cover.periods[-1]
    version = cover.subscription.version
    db.session.commit()
    return {"version_id": coming.version_id, "since": coming.since, "version": version}


def _user(user_id: UUID) -> User:
    return db.session.scalars(select(User).where(User.id == user_id)).one()


def _written() -> dict[str, int]:
    counts = {each.__tablename__: db.session.scalar(select(func.count()).select_from(each)) or 0 for each in TABLES}
    db.session.rollback()
    return counts


def _check(act: Callable[[], object], added: dict[str, int], *, again: bool = True) -> None:
    """Kill ``act`` before each commit in turn; then it lives, and adds just this. ``again``, it adds nothing."""
    before = _written()
    for fatal in count():
        lived = lives(act, fatal=fatal)
        after = {name: number - before[name] for name, number in _written().items() if number != before[name]}
        if lived:
            break
        assert after in ({}, added), f"killed before commit {fatal}"
    assert fatal >= 1
    assert after == added
    if again:
        act()
        db.session.commit()
        assert _written() == {name: number + added.get(name, 0) for name, number in before.items()}


def test_killed_before_any_commit_nothing_is_half_written(committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    cover = make_cover(cast.commercial)
    for day in ("2026-02-10", "2026-05-01"):
        claim = declare(cover, cast.commercial, day, "600")
    cover_id, claim_id, manager_id = cover.id, claim.id, cast.manager.id
    shown = ending.preview_termination(cover_id, MOVE, at=NOON).end.ends_on
    termination_id, tomorrow = uuid4(), NOON.date() + timedelta(days=1)
    db.session.commit()

    def terminate() -> None:
        by = _user(manager_id)
        ending.terminate(cover_id, MOVE, shown=shown, termination_id=termination_id, by=by, at=NOON)

    pending, further = (
        make_pending(),
        replace(HOME, address_line1="8 quai des Brumes", postcode="76600", city="Le Havre"),
    )
    asked = CoverRequest(version_id=None, home=further)
    found = moving.preview_move(pending.id, asked, wished=None, at=NOON)
    confirmed = Confirmed(shown=Decimal(0), change_id=uuid4(), version=pending.subscription.version)
    seen = ShownMove(since=found.since, monthly=found.monthly, confirmed=confirmed, is_agreed=True)
    pending_id = pending.id
    db.session.commit()

    def move() -> None:
        moving.move(pending_id, asked, wished=None, shown=seen, by=_user(manager_id), at=NOON + timedelta(minutes=1))

    def add_file() -> None:
        notes.add_file(claim_id, "photo.pdf", b"%PDF-1.7", by=_user(manager_id), at=NOON)

    _check(lambda: covers.tell_open(at=evening_of(date(2026, 2, 9))), {"messages": 1, "timeline_events": 1})
    _check(lambda: covers.tell_renewed(at=evening_of(date(2027, 1, 10))), {"messages": 1, "timeline_events": 1})
    _check(lambda: renouncing.tell_ended(at=evening_of(EFFECTIVE + timedelta(days=15))), {"timeline_events": 1})
    _check(
        lambda: alerts.raise_due(at=NOON),
        {"cover_cap_alerts": 1, "tasks": 1, "timeline_events": 1},
    )
    told = {"messages": 1, "outbox_events": 1, "timeline_events": 3}
    _check(move, {"cover_homes": 1, **told})
    taken_back = plan_a_cheaper_one(loading.find_cover(pending_id))
    _check(
        lambda: planned.keep_plan(pending_id, **taken_back, by=_user(manager_id), at=NOON + timedelta(minutes=2)),
        {"cover_withdrawn_periods": 1, "outbox_events": 1, "timeline_events": 2},
    )
    _check(terminate, {"cover_terminations": 1, "messages": 1, "outbox_events": 1, "timeline_events": 3})
    _check(lambda: notes.add_note(claim_id, "Vu", by=_user(manager_id), at=NOON), {"timeline_events": 1}, again=False)
    _check(
        lambda: notes.add_task(claim_id, "Voir", due_on=tomorrow, for_id=None, by=_user(manager_id), at=NOON),
        {"tasks": 1, "timeline_events": 1},
        again=False,
    )
    _check(add_file, {"documents": 1, "timeline_events": 1}, again=False)
