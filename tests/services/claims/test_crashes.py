"""kill -9 before any commit, and two at once: nothing is half-written, nothing is given twice, no cap is exceeded."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.concurrency import at_once
from tests.conftest import Cast
from tests.forking import die_at, fork, was_killed
from tests.services.claims.files import HOME, NOON, counters_on, declare, make_cover
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimChange, ClaimDecision, ClaimEntry, ClaimStatus
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.claims import deciding, money, moving, working
from webapp.services.covers import loading
from webapp.services.covers import moving as homes
from webapp.services.covers.moving import ShownMove
from webapp.services.covers.selling import CoverRequest

LATER = NOON + timedelta(hours=1)
MODELS = (Claim, ClaimDecision, ClaimEntry, ClaimChange)


@pytest.fixture
def cast(committed: None) -> Cast:
    """The cast, really committed."""
    made: Cast = factories.make_cast(Cast)
    return made


def _user(user_id: UUID) -> User:
    return db.session.scalars(select(User).where(User.id == user_id)).one()


def _counted() -> dict[str, int]:
    counts = {model.__tablename__: db.session.scalar(select(func.count()).select_from(model)) or 0 for model in MODELS}
    told = select(func.count()).select_from(TimelineEvent).where(TimelineEvent.kind.startswith("claim"))
    counts["told"] = db.session.scalar(told) or 0
    db.session.rollback()
    return counts


def _killed_at(point: str, number: int, what: Callable[[], object]) -> bool:
    def work() -> None:
        die_at(point, number)
        what()

    return was_killed(fork(work))


@pytest.mark.parametrize("point", ["commit", "before_cursor_execute"])
def test_a_declaration_that_is_killed_is_written_whole_or_not_at_all(cast: Cast, point: str) -> None:
    cover_id, user_id = make_cover(cast.commercial).id, cast.commercial.id
    nothing, killed, token = _counted(), 0, uuid4()

    def work() -> None:
        declare(loading.find_cover(cover_id), _user(user_id), asked="420", token=token)

    for number in range(80):
        lived = not _killed_at(point, number, work)
        written = _counted()
        if lived:
            break
        killed += 1
        assert written == nothing, number
    assert killed >= (1 if point == "commit" else 25)
    work()
    assert _counted() == written, "pressed again, it is the one that stands"
    assert written == {"claims": 1, "claim_decisions": 1, "claim_entries": 2, "claim_changes": 2, "told": 2}
    assert counters_on(loading.find_cover(cover_id), NOON.date()).amount == 370


def _decisions(user_id: UUID) -> dict[str, Callable[[UUID, int], object]]:
    """What a person does with a file, as its form sends it."""

    def common(version: int) -> dict[str, Any]:
        return {"version": version, "by": _user(user_id), "at": LATER}

    return {
        "accept": lambda claim_id, seen: deciding.accept(claim_id, covered=Decimal(99), reason="x", **common(seen)),
        "refuse": lambda claim_id, seen: deciding.refuse(claim_id, reason="x", **common(seen)),
        "correct": lambda claim_id, seen: deciding.correct_asked(
            claim_id, asked=Decimal(300), reason="x", **common(seen)
        ),
        "cancel": lambda claim_id, seen: working.cancel(claim_id, reason="x", **common(seen)),
        "reserve": lambda claim_id, seen: money.set_reserve(claim_id, Decimal(1), note="", **common(seen)),
    }


@pytest.mark.parametrize("name", ["accept", "refuse", "correct", "cancel", "reserve"])
@pytest.mark.parametrize("point", ["commit", "before_cursor_execute"])
def test_a_decision_that_is_killed_is_written_whole_or_not_at_all(cast: Cast, name: str, point: str) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, "2026-02-01")
    deciding.contest(claim.id, reason="x", version=None, by=cast.manager, at=LATER)
    claim_id, seen, manager_id = claim.id, claim.version, cast.manager.id
    db.session.commit()
    before, killed = _counted(), 0

    def work() -> None:
        _decisions(manager_id)[name](claim_id, seen)

    for number in range(0, 80, 1 if point == "commit" else 5):
        lived = not _killed_at(point, number, work)
        if lived:
            break
        killed += 1
        assert _counted() == before, number
    assert killed >= (1 if point == "commit" else 3)
    written = _counted()
    assert written != before
    with pytest.raises(Exception, match="a changé depuis"):
        work()
    db.session.rollback()
    assert _counted() == written, "repeated, it changes nothing"


def test_two_claims_at_once_are_decided_one_after_the_other(app: Flask, cast: Cast) -> None:
    organisation_id, user_id = cast.organisation.id, cast.commercial.id
    cover_id = make_cover(cast.commercial, claims_per_year=2, cap_per_year=Decimal(600)).id
    db.session.commit()

    def work() -> None:
        declare(loading.find_cover(cover_id), _user(user_id), asked="450")

    assert at_once(app, organisation_id, *[work] * 4) == ["done"] * 4
    claims = db.session.scalars(select(Claim).where(Claim.cover_id == cover_id)).all()
    assert sorted(claim.covered for claim in claims) == [0, 0, 200, 400]
    assert sorted(claim.status for claim in claims) == [ClaimStatus.ACCEPTED] * 2 + [ClaimStatus.REFUSED] * 2
    assert len({claim.reference for claim in claims}) == 4
    assert len({claim.changed_at for claim in claims}) == 4, "each later than the one before it"
    counters = counters_on(loading.find_cover(cover_id), NOON.date())
    assert (counters.claims, counters.amount) == (2, 600)


def test_pressed_twice_at_once_it_declares_once(app: Flask, cast: Cast) -> None:
    organisation_id, user_id, token = cast.organisation.id, cast.commercial.id, uuid4()
    cover_id = make_cover(cast.commercial).id
    db.session.commit()

    def work() -> None:
        declare(loading.find_cover(cover_id), _user(user_id), token=token)

    assert at_once(app, organisation_id, work, work, work) == ["done"] * 3
    assert _counted()["claims"] == 1


def test_of_two_windows_one_decides(app: Flask, cast: Cast) -> None:
    organisation_id, manager_id = cast.organisation.id, cast.manager.id
    claim = declare(make_cover(cast.commercial), cast.commercial, "2026-02-01")
    deciding.contest(claim.id, reason="x", version=None, by=cast.manager, at=LATER)
    claim_id, seen = claim.id, claim.version
    db.session.commit()
    acts = _decisions(manager_id)
    ends = at_once(app, organisation_id, lambda: acts["accept"](claim_id, seen), lambda: acts["refuse"](claim_id, seen))
    assert ends == ["EditConflictError", "done"]
    decided = select(func.count()).select_from(TimelineEvent).where(TimelineEvent.kind == EventKind.CLAIM_DECIDED)
    assert db.session.scalar(decided) == 2


def test_a_move_that_is_killed_never_leaves_a_home_without_its_doubts(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, NOON.date(), home_id=cover.homes[0].home_id)
    for step in (working.start, working.close):
        step(claim.id, version=None, by=cast.manager, at=NOON)
    cover_id, user_id = cover.id, cast.manager.id
    asked = CoverRequest(version_id=None, home=replace(HOME, address_line1="8 quai"))
    shown = ShownMove(since=homes.preview_move(cover_id, asked, wished=None, at=LATER).since)
    db.session.commit()

    def stands() -> tuple[int, bool]:
        found = len(loading.find_cover(cover_id).homes), db.session.scalars(select(Claim.doubt)).one() is not None
        db.session.rollback()
        return found

    def work() -> None:
        moving.move(cover_id, asked, wished=None, shown=shown, by=_user(user_id), at=LATER)

    seen = []
    for number in range(10):
        lived = not _killed_at("commit", number, work)
        seen.append(stands())
        if lived:
            break
    assert set(seen) == {(1, False), (2, True)}
