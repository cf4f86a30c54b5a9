"""What a person decides of a file: otherwise than the rules, with a reason, in the open; and nothing silently."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from tests.conftest import Cast
from tests.services.claims.files import NOON, counters_on, declare, entries_of, erase_decisions, make_cover
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimDecision, ClaimEntry, ClaimStatus, EntryKind
from webapp.models.covers import CoverCause, CoverFact, CoverKind, Trade
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.claims import deciding, doubting, recording, working
from webapp.services.claims.recording import ClaimStateError
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers.decisions import Decision, Outcome
from webapp.services.subscriptions import lifecycle

LATER = NOON + timedelta(hours=1)
EVENT = date(2026, 11, 19)


def last_decision(claim: Claim) -> ClaimDecision:
    statement = select(ClaimDecision).where(ClaimDecision.claim_id == claim.id)
    return db.session.scalars(statement.order_by(ClaimDecision.at.desc())).first()  # type: ignore[return-value]


def accept(claim: Claim, cast: Cast, covered: str | None = None, reason: str = "Geste commercial") -> Claim:
    amount = None if covered is None else Decimal(covered)
    return deciding.accept(claim.id, covered=amount, reason=reason, version=claim.version, by=cast.manager, at=LATER)


def contested(cast: Cast, asked: str | None = "200", day: str = "2026-02-01") -> Claim:
    """A claim within the waiting, refused, contested."""
    claim = declare(make_cover(cast.commercial), cast.commercial, day, asked)
    assert claim.status is ClaimStatus.REFUSED
    return deciding.contest(claim.id, reason="Il a raison", version=claim.version, by=cast.commercial, at=LATER)


def late(cast: Cast, asked: str | None = "420") -> Claim:
    """One that was declared late."""
    cover = make_cover(cast.commercial)
    return declare(cover, cast.commercial, "2026-10-01", asked, declared_on=date(2026, 11, 20))


def test_a_refusal_is_contested_and_accepted_against_the_rules_which_shows(cast: Cast) -> None:
    claim = contested(cast)
    assert claim.status is ClaimStatus.TO_REVIEW
    accept(claim, cast, "120.50")
    row = last_decision(claim)
    assert (row.is_override, row.status, row.covered) == (True, ClaimStatus.ACCEPTED, Decimal("120.50"))
    assert (row.reason, row.user_id) == ("Geste commercial", cast.manager.id)
    assert Decision.from_json(row.content).outcome is Outcome.REFUSED, "what the rules said stays to be read"
    assert (claim.covered, claim.deductible + claim.over) == (Decimal("120.50"), Decimal("79.50"))
    assert entries_of(claim, EntryKind.COVERED) == [Decimal("120.50")]
    assert counters_on(claim.cover, date(2026, 2, 1)).amount == Decimal("120.50")


def test_what_the_rules_leave_to_a_person_is_accepted_as_they_reckon_it(cast: Cast) -> None:
    claim = accept(late(cast), cast, reason="")
    row = last_decision(claim)
    assert (row.is_override, claim.covered, claim.deductible) == (False, 370, 50)
    other = accept(late(cast), cast, "400")
    assert last_decision(other).is_override


@pytest.mark.parametrize(
    ("covered", "reason", "field"),
    [
        ("200.01", "x", "covered"),
        ("0", "x", "covered"),
        ("-1", "x", "covered"),
        ("1.005", "x", "covered"),
        ("NaN", "x", "covered"),
        (None, "x", "covered"),
        ("100", " ", "reason"),
        ("100", "x" * 501, "reason"),
    ],
)
def test_what_nobody_may_accept(cast: Cast, covered: str | None, reason: str, field: str) -> None:
    claim = contested(cast)
    with pytest.raises(InvalidInputError) as refused:
        accept(claim, cast, covered, reason)
    assert refused.value.field == field
    assert db.session.scalar(select(func.count()).select_from(ClaimEntry)) == 0
    assert recording.find_claim(claim.id).status is ClaimStatus.TO_REVIEW


def test_without_an_amount_a_place_is_taken_and_the_amount_follows(cast: Cast) -> None:
    claim = contested(cast, asked=None)
    with pytest.raises(InvalidInputError):
        accept(claim, cast, "10")
    accept(claim, cast)
    assert claim.covered == 0
    assert counters_on(claim.cover, date(2026, 2, 1)).claims == 1


def test_a_person_refuses_what_the_rules_would_accept(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    deciding.contest(claim.id, reason="Fraude\u202f?", version=claim.version, by=cast.manager, at=LATER)
    assert (claim.status, claim.covered, counters_on(claim.cover, EVENT).claims) == (ClaimStatus.TO_REVIEW, 0, 0)
    with pytest.raises(InvalidInputError):
        deciding.refuse(claim.id, reason="", version=claim.version, by=cast.manager, at=LATER)
    deciding.refuse(claim.id, reason="Fraude", version=claim.version, by=cast.manager, at=LATER)
    assert (claim.status, last_decision(claim).is_override) == (ClaimStatus.REFUSED, True)
    assert sum(entries_of(claim, EntryKind.RESERVE)) == 0
    assert sum(entries_of(claim, EntryKind.COVERED)) == 0


def test_the_amount_changes_and_the_ledger_is_corrected_never_edited(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, asked="420")
    with pytest.raises(InvalidInputError, match="motif"):
        deciding.correct_asked(claim.id, asked=Decimal(300), reason="", version=None, by=cast.commercial, at=LATER)
    for asked in ("300", "900"):
        deciding.correct_asked(
            claim.id, asked=Decimal(asked), reason="Devis", version=None, by=cast.commercial, at=LATER
        )
    assert claim.status is ClaimStatus.ACCEPTED
    assert entries_of(claim, EntryKind.COVERED) == [370, -120, 250]
    assert (claim.covered, claim.deductible, claim.over) == (500, 50, 350)
    assert sum(entries_of(claim, EntryKind.RESERVE)) == 500
    assert counters_on(claim.cover, EVENT).amount == 500


@pytest.mark.parametrize("asked", [None, "-1", "1000000.01", "1.005", "NaN"])
def test_an_amount_that_is_none_corrects_nothing(cast: Cast, asked: str | None) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, asked="420")
    amount = None if asked is None else Decimal(asked)
    with pytest.raises(InvalidInputError) as refused:
        deciding.correct_asked(claim.id, asked=amount, reason="x", version=None, by=cast.commercial, at=LATER)
    assert refused.value.field == "asked"
    assert recording.find_claim(claim.id).asked == 420


def test_what_the_rules_no_longer_accept_goes_to_a_person(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, asked="420")
    deciding.correct_asked(claim.id, asked=Decimal(40), reason="Devis", version=None, by=cast.commercial, at=LATER)
    assert (claim.status, claim.covered) == (ClaimStatus.TO_REVIEW, 0)
    assert counters_on(claim.cover, EVENT).claims == 0


def test_a_stale_form_changes_nothing(cast: Cast) -> None:
    claim = late(cast)
    seen = claim.version
    accept(claim, cast)
    for stale in (
        lambda: deciding.refuse(claim.id, reason="x", version=seen, by=cast.manager, at=LATER),
        lambda: working.cancel(claim.id, reason="x", version=seen, by=cast.manager, at=LATER),
    ):
        with pytest.raises(EditConflictError):
            stale()
    assert recording.find_claim(claim.id).status is ClaimStatus.ACCEPTED


def test_states_follow_the_table_alone(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    common = {"version": None, "by": cast.manager, "at": LATER}
    with pytest.raises(ClaimStateError):
        accept(claim, cast)
    with pytest.raises(ClaimStateError, match="ne peut pas devenir «\u00a0Clos"):
        working.close(claim.id, **common)  # type: ignore[arg-type]
    with pytest.raises(ClaimStateError, match="clos"):
        working.reopen(claim.id, reason="x", **common)  # type: ignore[arg-type]
    working.start(claim.id, **common)  # type: ignore[arg-type]
    working.close(claim.id, **common)  # type: ignore[arg-type]
    with pytest.raises(ClaimStateError):
        working.cancel(claim.id, reason="x", **common)  # type: ignore[arg-type]
    with pytest.raises(ClaimStateError):
        deciding.correct_asked(claim.id, asked=Decimal(1), reason="x", **common)  # type: ignore[arg-type]


def test_a_closed_file_is_reopened_within_ninety_days(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    working.start(claim.id, version=None, by=None, at=LATER)
    working.close(claim.id, version=None, by=None, at=LATER)
    assert sum(entries_of(claim, EntryKind.RESERVE)) == 0
    closed_at = claim.closed_at
    assert closed_at is not None
    with pytest.raises(ClaimStateError, match="90 jours"):
        working.reopen(claim.id, reason="x", version=None, by=None, at=closed_at + timedelta(days=90, seconds=1))
    working.reopen(claim.id, reason="Fuite", version=None, by=None, at=closed_at + timedelta(days=90))
    assert (claim.status, claim.closed_at) == (ClaimStatus.IN_PROGRESS, None)


def test_a_file_without_an_amount_is_not_closed(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, asked=None)
    working.start(claim.id, version=None, by=None, at=LATER)
    with pytest.raises(ClaimStateError, match="montant demandé"):
        working.close(claim.id, version=None, by=None, at=LATER)


def test_a_canceled_file_gives_its_place_back_and_makes_the_refusal_after_it_doubtful(cast: Cast) -> None:
    cover = make_cover(cast.commercial, claims_per_year=1)
    first = declare(cover, cast.commercial, asked="420")
    second = declare(cover, cast.commercial, asked="200")
    assert second.status is ClaimStatus.REFUSED
    working.cancel(first.id, reason="Retiré", version=None, by=cast.commercial, at=LATER)
    assert counters_on(cover, EVENT).claims == 0
    assert second.doubt is not None
    assert "Serait aujourd’hui\u202f: accepté" in second.doubt
    assert second.status is ClaimStatus.REFUSED, "nothing is decided anew by itself"
    deciding.confirm(second.id, reason="Le client renonce", version=None, by=cast.manager, at=LATER)
    assert (second.doubt, second.status) == (None, ClaimStatus.REFUSED)
    assert last_decision(second).is_override
    doubting.look_again(cover.id, at=LATER)
    assert second.doubt is None, "what was confirmed is not doubted for the same reason again"


def test_a_doubtful_refusal_is_decided_anew(cast: Cast) -> None:
    cover = make_cover(cast.commercial, claims_per_year=1)
    first = declare(cover, cast.commercial, asked="420")
    second = declare(cover, cast.commercial, asked="200")
    working.cancel(first.id, reason="Retiré", version=None, by=cast.commercial, at=LATER)
    deciding.contest(second.id, reason="Une place est libre", version=None, by=cast.commercial, at=LATER)
    deciding.correct_asked(second.id, asked=Decimal(200), reason="", version=None, by=cast.commercial, at=LATER)
    assert (second.status, second.covered, second.doubt) == (ClaimStatus.ACCEPTED, 150, None)


def test_a_decision_of_a_person_is_not_doubtful_by_itself(cast: Cast) -> None:
    claim = contested(cast)
    accept(claim, cast, "100")
    doubting.look_again(claim.cover_id, at=LATER)
    assert claim.doubt is None
    with pytest.raises(ClaimStateError, match="pas en doute"):
        deciding.confirm(claim.id, reason="x", version=None, by=cast.manager, at=LATER)


def test_an_amount_that_is_corrected_makes_nothing_doubtful_that_it_does_not_touch(cast: Cast) -> None:
    cover = make_cover(cast.commercial, claims_per_year=10)
    first = declare(cover, cast.commercial, asked="450")
    second = declare(cover, cast.commercial, asked="450")
    third = declare(cover, cast.commercial, asked="550")
    assert third.covered == 400
    deciding.correct_asked(first.id, asked=Decimal(460), reason="Devis", version=None, by=cast.commercial, at=LATER)
    assert first.covered == 400, "no more is left of the year than what the others leave"
    assert (first.doubt, second.doubt, third.doubt) == (None, None, None)
    deciding.correct_asked(first.id, asked=Decimal(150), reason="Devis", version=None, by=cast.commercial, at=LATER)
    assert (first.doubt, second.doubt) == (None, None)
    assert third.doubt is not None
    assert "500\u00a0€ pris en charge" in third.doubt


def test_what_happens_to_the_cover_afterwards_makes_its_decisions_doubtful(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    fact = CoverFact(
        cover_id=claim.cover_id,
        cause=CoverCause.CORRECTION,
        kind=CoverKind.ENDED,
        since=NOON - timedelta(days=10),
        at=LATER,
    )
    db.session.add(fact)
    db.session.commit()
    doubting.look_again(claim.cover_id, at=LATER)
    assert claim.doubt is not None
    assert "Serait aujourd’hui\u202f: refusé" in claim.doubt


def test_the_outbox_tells_of_what_happens_to_a_subscription(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, "2026-11-19", at=NOON)
    lifecycle.cancel(claim.cover.subscription_id, reason="x", by=cast.commercial, at=NOON - timedelta(days=3))
    event = db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CANCELED)).one()
    for _ in range(2):
        doubting.follow(event)
    assert claim.doubt is not None
    assert claim.status is ClaimStatus.ACCEPTED


def test_what_was_erased_is_not_doubted(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    other = declare(claim.cover, cast.commercial)
    erase_decisions()
    assert last_decision(claim).content == {}
    doubting.look_again(claim.cover_id, at=LATER)
    assert (claim.doubt, other.doubt) == (None, None)
    working.cancel(claim.id, reason="Effacé", version=None, by=cast.manager, at=LATER)


def test_everything_is_told(cast: Cast) -> None:
    claim = contested(cast)
    accept(claim, cast, "100")
    kinds = list(db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == claim.client_id)))
    assert kinds.count(EventKind.CLAIM_DECIDED) == 2
    assert kinds.count(EventKind.CLAIM_CHANGED) == 1


def test_another_trade_by_an_option_is_written_with_its_option(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, trade=Trade.GLAZING)
    assert claim.status is ClaimStatus.REFUSED
    deciding.contest(claim.id, reason="x", version=None, by=cast.manager, at=LATER)
    accept(claim, cast, "100")
    assert counters_on(claim.cover, EVENT).amount == 100
