"""Handling: what an operator tells becomes a file, decided by our rules, and moves it on."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.claims.files import declare, entries_of, make_cover
from tests.services.operators.events import claim_of, file_of, hear, latest, make_operator, tell
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import (
    Claim,
    ClaimChannel,
    ClaimIntervention,
    ClaimSatisfaction,
    ClaimStatus,
    EntryKind,
    ReportedState,
)
from webapp.models.covers import Cover
from webapp.models.events import EventState
from webapp.models.operators import CoverOperator
from webapp.services import event_engine
from webapp.services.claims import deciding, doubting, money
from webapp.services.operators import handling

DONE, IGNORED, WAITING, FAILED = EventState.DONE, EventState.IGNORED, EventState.WAITING, EventState.FAILED
VISIT = {"external_id": "v1", "scheduled_at": "2026-11-21T09:00:00+01:00", "craftsman": "K. Benali"}
ANSWER = {"score": 9, "answered_at": "2026-11-20T09:00:00+01:00", "comment": "<b>Parfait</b>"}


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


@pytest.fixture
def operator(cast: Cast) -> CoverOperator:
    return make_operator(cast.admin)


def told(claim: Claim) -> tuple[ClaimStatus, Decimal, Decimal]:
    return claim.status, claim.covered, claim.deductible


def test_a_claim_that_is_declared_gets_a_file_decided_by_our_rules(cover: Cover, operator: CoverOperator) -> None:
    event = hear(operator, claim_of(cover))
    claim = file_of()
    assert (event.state, event.claim_id, event.reason) == (DONE, claim.id, None)
    assert told(claim) == (ClaimStatus.ACCEPTED, Decimal(370), Decimal(50))
    assert (claim.channel, claim.operator_id, claim.revision) == (ClaimChannel.OPERATOR, operator.id, 1)
    assert claim.words == "Fuite sous l’évier."


def test_the_whole_life_of_a_file(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1, asked=None))
    assert told(file_of()) == (ClaimStatus.ACCEPTED, Decimal(0), Decimal(0))
    hear(operator, claim_of(cover, 2, asked=None, state="in_progress", interventions=[VISIT]), "intervention.scheduled")
    assert file_of().status is ClaimStatus.IN_PROGRESS
    visit = db.session.scalars(select(ClaimIntervention)).one()
    assert (visit.external_id, visit.craftsman, visit.done_at) == ("v1", "K. Benali", None)
    done = [VISIT | {"done_at": "2026-11-20T09:30:00+01:00"}]
    hear(operator, claim_of(cover, 4, state="in_progress", interventions=done), "intervention.done")
    assert told(file_of()) == (ClaimStatus.IN_PROGRESS, Decimal(370), Decimal(50))
    hear(operator, claim_of(cover, 5, state="closed", interventions=done), "claim.closed")
    claim = file_of()
    assert (claim.status, sum(entries_of(claim, EntryKind.RESERVE))) == (ClaimStatus.CLOSED, 0)
    closed = claim_of(cover, 6, state="closed", interventions=done, satisfaction=ANSWER)
    assert hear(operator, closed, "satisfaction.answered").state is DONE
    answer = db.session.scalars(select(ClaimSatisfaction)).one()
    assert (answer.score, answer.comment, answer.client_id) == (9, "<b>Parfait</b>", claim.client_id)
    hear(operator, claim_of(cover, 7, state="in_progress", asked="640.00"), "claim.reopened")
    claim = file_of()
    assert (claim.status, claim.covered, claim.over) == (ClaimStatus.IN_PROGRESS, Decimal(500), Decimal(90))
    assert sum(entries_of(claim, EntryKind.RESERVE)) == 500
    assert db.session.scalars(select(ClaimIntervention)).all() == [], "what is no longer told is not there"


def test_older_and_equal_revisions_change_nothing_and_say_so(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 5))
    for revision in (5, 4):
        event = hear(operator, claim_of(cover, revision, asked="10.00", state="canceled"))
        assert (event.state, event.claim_id) == (IGNORED, file_of().id)
        assert event.reason == f"Révision {revision}\u202f: la révision 5 du dossier est déjà connue."
    assert told(file_of()) == (ClaimStatus.ACCEPTED, Decimal(370), Decimal(50))


def test_what_is_told_of_a_cover_that_nobody_knows_waits_for_it(cast: Cast, operator: CoverOperator) -> None:
    first = make_cover(cast.commercial)
    number = first.number + 1
    event = hear(operator, claim_of(f"V-{number}"))
    assert (event.state, event.waits_for) == (WAITING, f"cover:{number}")
    assert event.reason == f"La couverture V-{number} n’existe pas (encore) ici."
    handling.sweep(at=clock.now())
    assert latest().state is WAITING
    second = make_cover(cast.commercial)
    assert second.number == number
    handling.sweep(at=clock.now())
    handling.handle_due(operator.organisation_id)
    assert (latest().state, file_of().cover_id) == (DONE, second.id)


def test_a_correction_is_decided_anew_also_where_the_rules_refuse_then(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    hear(operator, claim_of(cover, 2, asked="30.00"))
    assert told(file_of()) == (ClaimStatus.REFUSED, Decimal(0), Decimal(0))
    hear(operator, claim_of(cover, 3, trade="glazing"))
    assert file_of().status is ClaimStatus.REFUSED
    hear(operator, claim_of(cover, 4, asked="180.00", event_on="2026-11-18", event_time="10:30"))
    claim = file_of()
    assert told(claim) == (ClaimStatus.ACCEPTED, Decimal(130), Decimal(50))
    assert sum(entries_of(claim, EntryKind.COVERED)) == 130
    doubting.look_again(cover.id, at=clock.now())
    assert file_of().doubt is None


@pytest.mark.parametrize(
    ("kept", "said", "doubted"),
    [
        ("1", {"state": "canceled"}, True),
        ("1", {"state": "closed"}, False),
        ("2", {"asked": "200.00"}, True),
        ("2", {"words": "Fuite dans la salle de bain."}, False),
    ],
    ids=["canceled", "closed", "corrected", "reworded"],
)
def test_what_an_operator_takes_back_makes_the_decision_after_it_doubtful(
    cast: Cast, operator: CoverOperator, kept: str, said: dict[str, Any], doubted: bool
) -> None:
    cover = make_cover(cast.commercial, claims_per_year=int(kept), cap_per_year=Decimal(500))
    hear(operator, claim_of(cover, 1))
    hear(operator, claim_of(cover, 1, external_id="OP-2"))
    before = told(file_of("OP-2"))
    hear(operator, claim_of(cover, 2, **said))
    claim = file_of("OP-2")
    assert (claim.doubt is not None, told(claim)) == (doubted, before), "nothing is decided anew by itself"


def test_what_a_person_decided_goes_back_to_one(cast: Cast, cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1, trade="glazing"))
    deciding.contest(file_of().id, reason="Geste", version=None, by=cast.manager, at=clock.now())
    deciding.accept(file_of().id, covered=Decimal(100), reason="Geste", version=None, by=cast.manager, at=clock.now())
    hear(operator, claim_of(cover, 2, trade="glazing", state="in_progress"))
    assert told(file_of())[:2] == (ClaimStatus.IN_PROGRESS, Decimal(100)), "nothing that matters has changed"
    hear(operator, claim_of(cover, 3, trade="glazing", asked="90.00", state="in_progress"))
    assert told(file_of())[:2] == (ClaimStatus.TO_REVIEW, Decimal(0))
    assert file_of().reported_state is ReportedState.IN_PROGRESS


def test_what_a_person_is_to_look_at_is_not_accepted_past_them(
    cast: Cast, cover: Cover, operator: CoverOperator
) -> None:
    hear(operator, claim_of(cover, 1))
    deciding.contest(file_of().id, reason="Suspect", version=None, by=cast.manager, at=clock.now())
    hear(operator, claim_of(cover, 2, asked="430.00"))
    assert told(file_of())[:2] == (ClaimStatus.TO_REVIEW, Decimal(0))


def test_nothing_is_kept_of_what_is_told_of_an_erased_client(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    cover.client.erased_at = clock.now()
    db.session.commit()
    event = hear(operator, claim_of(cover, 2, words="Chez Mme Lefèvre"))
    assert (event.state, event.reason, event.body_in_clear()) == (IGNORED, handling.ERASED_HERE, None)
    assert file_of().revision == 1


def test_a_refused_file_stays_refused_whatever_the_operator_does(cover: Cover, operator: CoverOperator) -> None:
    for revision, state in enumerate(("declared", "in_progress", "closed"), start=1):
        assert hear(operator, claim_of(cover, revision, trade="glazing", state=state)).state is DONE
        assert file_of().status is ClaimStatus.REFUSED
    assert file_of().reported_state is ReportedState.CLOSED
    hear(operator, claim_of(cover, 4, trade="glazing", state="canceled"))
    assert file_of().status is ClaimStatus.CANCELED


def test_a_canceled_file_is_over(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    hear(operator, claim_of(cover, 2, state="canceled"))
    assert told(file_of()) == (ClaimStatus.CANCELED, Decimal(0), Decimal(0))
    event = hear(operator, claim_of(cover, 3))
    assert (event.state, event.reason) == (
        FAILED,
        "Ce dossier est annulé\u202f: un dossier annulé ne se rouvre pas.",
    )
    assert file_of().revision == 2


def test_what_was_paid_is_not_canceled(cast: Cast, cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    money.add_paid(file_of().id, Decimal(100), note="", version=None, by=cast.manager, at=clock.now())
    event = hear(operator, claim_of(cover, 2, state="canceled"))
    assert event.state is FAILED
    assert "déjà payés" in (event.reason or "")
    assert file_of().status is ClaimStatus.ACCEPTED


def test_a_file_does_not_change_its_cover(cast: Cast, cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    event = hear(operator, claim_of(make_cover(cast.commercial), 2))
    assert (event.state, file_of().cover_id) == (FAILED, cover.id)
    assert event.claim_id == file_of().id, "who reads the refusal finds the file"
    assert "autre couverture" in (event.reason or "")


def test_it_reopens_within_ninety_days(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1, state="closed"))
    clock.start_at(clock.now() + timedelta(days=91))
    event = hear(operator, claim_of(cover, 2, state="in_progress"), "claim.reopened")
    assert event.state is FAILED
    assert "plus de 90 jours" in (event.reason or "")
    assert file_of().status is ClaimStatus.CLOSED


def test_two_operators_may_have_the_same_number(cast: Cast, cover: Cover, operator: CoverOperator) -> None:
    other = make_operator(cast.admin, "Serruriers")
    hear(operator, claim_of(cover, 1))
    hear(other, claim_of(cover, 1, asked="80.00"))
    claims = db.session.scalars(select(Claim).where(Claim.external_id == "OP-1")).all()
    assert {each.operator_id for each in claims} == {operator.id, other.id}


def test_a_file_that_was_declared_here_becomes_the_operators(cast: Cast, cover: Cover, operator: CoverOperator) -> None:
    claim = declare(cover, cast.commercial, words="Ce que le client nous a dit")
    claim.operator_id = operator.id
    db.session.commit()
    event = hear(operator, claim_of(cover, 1, reference=claim.reference, asked="200.00", words="Autre"))
    assert (event.state, event.claim_id) == (DONE, claim.id)
    taken = file_of()
    assert (taken.id, taken.channel, taken.words) == (claim.id, ClaimChannel.PHONE, "Ce que le client nous a dit")


def test_what_fails_unexpectedly_is_tried_again(
    cover: Cover, operator: CoverOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(handling.reported, "apply", fail)
        event = hear(operator, claim_of(cover, 1))
    assert (event.state, event.attempts) == (EventState.RECEIVED, 1)
    assert event.reason == event_engine.UNEXPECTED.format(kind="RuntimeError")
    clock.start_at(clock.now() + event_engine.RETRIES[0])
    handling.handle_due(operator.organisation_id)
    assert (latest().state, file_of().revision) == (DONE, 1)


def test_bodies_are_emptied_after_ninety_days(cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover, 1))
    assert handling.prune(at=clock.now() + timedelta(days=89)) == 0
    assert handling.prune(at=clock.now() + timedelta(days=91)) == 1


def test_a_bell_that_was_not_heard_is_rung_again(cover: Cover, operator: CoverOperator) -> None:
    tell(operator, claim_of(cover, 1))
    assert handling.sweep(at=clock.now()) == 0
    assert handling.sweep(at=clock.now() + event_engine.PATIENCE) == 1
