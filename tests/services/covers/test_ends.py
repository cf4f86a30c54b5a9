"""When a termination ends a cover, by its ground, to the day."""

from dataclasses import replace
from datetime import date

import pytest

from webapp.errors import InvalidInputError
from webapp.models.covers import CoverNature, TerminationChannel, TerminationGround
from webapp.services.covers.ends import Promise, Request, end_of

TODAY = date(2026, 11, 20)
INSURANCE = Promise(CoverNature.INSURANCE, date(2025, 1, 5), date(2025, 1, 10), 12, 30)
SERVICE = replace(INSURANCE, nature=CoverNature.SERVICE, notice_days=10, commitment_months=24)
G = TerminationGround


def asked(ground: G | None, *, received: str = "2026-11-20", event: str | None = None) -> Request:
    return Request(
        channel=TerminationChannel.LETTER,
        ground=ground,
        received_on=date.fromisoformat(received),
        event_on=date.fromisoformat(event) if event else None,
    )


@pytest.mark.parametrize(
    ("promise", "request_", "due_on"),
    [
        # The whole notice lies before the anniversary: received on 10 December, its thirty days end on 9 January.
        (INSURANCE, asked(G.ANNIVERSARY), "2027-01-10"),
        (replace(INSURANCE, notice_days=50), asked(G.ANNIVERSARY), "2027-01-10"),
        (replace(INSURANCE, notice_days=51), asked(G.ANNIVERSARY), "2028-01-10"),
        (replace(INSURANCE, effective_on=date(2024, 2, 29)), asked(G.ANNIVERSARY), "2027-02-28"),
        (replace(INSURANCE, commitment_months=36), asked(G.ANNIVERSARY), "2028-01-10"),
        # A month in full days, clamped as months are.
        (INSURANCE, asked(G.AFTER_A_YEAR), "2026-12-21"),
        (INSURANCE, asked(G.AFTER_A_YEAR, received="2026-10-31"), "2026-12-01"),
        (replace(INSURANCE, concluded_on=date(2025, 11, 20)), asked(G.AFTER_A_YEAR), "2026-12-21"),
        (replace(SERVICE, commitment_months=12), asked(G.AFTER_A_YEAR), "2026-12-01"),
        (INSURANCE, asked(G.MOVE, event="2026-11-01"), "2026-12-21"),
        (INSURANCE, asked(G.MOVE, event="2026-08-20"), "2026-12-21"),
        (INSURANCE, asked(G.MOVE, event="2027-02-15"), "2027-02-16"),
        (SERVICE, asked(G.MOVE, event="2026-11-01"), "2026-12-01"),
        (INSURANCE, asked(G.LOSS, event="2026-11-18"), "2026-11-19"),
        (INSURANCE, asked(G.FRAUD), "2026-11-20"),
        (INSURANCE, asked(G.AGREED, event="2026-12-24"), "2026-12-24"),
        (replace(INSURANCE, noticed_on=date(2026, 10, 10)), asked(G.UNPAID), "2026-11-20"),
        (replace(SERVICE, noticed_on=date(2026, 11, 19)), asked(G.UNPAID), "2026-11-20"),
    ],
)
def test_the_ground_says_when_it_ends(promise: Promise, request_: Request, due_on: str) -> None:
    end = end_of(request_, promise, today=TODAY)
    assert end.due_on == date.fromisoformat(due_on)
    assert end.ends_on == max(end.due_on, TODAY)
    assert len(end.lines) == 2 or end.lines[0]


def test_what_is_written_down_late_ends_today_and_names_the_day_it_was_due() -> None:
    end = end_of(asked(G.AFTER_A_YEAR, received="2026-09-01"), INSURANCE, today=TODAY)
    assert (end.due_on, end.ends_on) == (date(2026, 10, 2), TODAY)
    assert "02/10/2026" in end.lines[1]


@pytest.mark.parametrize(
    ("promise", "request_", "field", "words"),
    [
        (INSURANCE, asked(None), "ground", "motif"),
        (INSURANCE, replace(asked(G.MOVE), channel=None), "channel", "moyen"),
        (INSURANCE, asked(G.FRAUD, received="2026-11-21"), "received_on", "au plus tard"),
        (INSURANCE, replace(asked(G.FRAUD), received_on=None), "received_on", "réception"),
        (replace(INSURANCE, concluded_on=date(2025, 11, 21)), asked(G.AFTER_A_YEAR), "ground", "21/11/2026"),
        (SERVICE, asked(G.AFTER_A_YEAR), "ground", "05/01/2027"),
        (INSURANCE, asked(G.MOVE), "event_on", "déménagement"),
        (INSURANCE, asked(G.MOVE, event="2026-08-19"), "event_on", "trois mois"),
        (INSURANCE, asked(G.LOSS, event="2026-11-21"), "event_on", "perdu"),
        (INSURANCE, asked(G.AGREED, event="2026-11-19"), "event_on", "convenue"),
        (INSURANCE, asked(G.UNPAID), "ground", "mise en demeure"),
        (replace(INSURANCE, noticed_on=date(2026, 10, 11)), asked(G.UNPAID), "ground", "à partir du 21/11/2026"),
    ],
)
def test_what_ends_nothing_says_why(promise: Promise, request_: Request, field: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as refusal:
        end_of(request_, promise, today=TODAY)
    assert refusal.value.field == field
