"""What an operator tells of a claim, from its first word to what the client thought of it."""

from typing import Any
from uuid import UUID

OPERATOR = UUID("00000000-0000-7000-8000-000000000005")
FLOOR_OPERATOR = UUID("00000000-0000-7000-8000-000000000006")
"""The operator whose rows are the floor's."""
DAY = "2026-06-02"


def _event(kind: str, cover: int, revision: int, state: str, **more: Any) -> dict[str, Any]:
    claim = {
        "external_id": f"OP-{cover}",
        "revision": revision,
        "cover": f"V-{cover}",
        "state": state,
        "trade": "plumbing",
        "event_on": DAY,
        "declared_on": DAY,
        "asked": None,
        "words": "Fuite sous l’évier de la cuisine, le meuble est trempé.",
    }
    return {"version": "1", "type": kind, "data": {"claim": claim | more}}


def _visit(**more: str) -> dict[str, Any]:
    visit = {"external_id": "1", "scheduled_at": f"{DAY}T14:00:00+02:00", "craftsman": "Plomberie du Port"}
    return {"interventions": [visit | more]}


DONE = _visit(done_at=f"{DAY}T15:30:00+02:00", note="Joint changé.") | {"asked": "180.00"}
ANSWER = {"score": 9, "answered_at": "2026-06-05T10:00:00+02:00", "comment": "Rapide."}
EVENTS = (
    lambda cover: _event("claim.declared", cover, 1, "declared"),
    lambda cover: _event("intervention.scheduled", cover, 2, "in_progress", **_visit()),
    lambda cover: _event("intervention.done", cover, 3, "in_progress", **DONE),
    lambda cover: _event("claim.closed", cover, 4, "closed", **DONE),
    lambda cover: _event("satisfaction.answered", cover, 5, "closed", **DONE, satisfaction=ANSWER),
)
"""Of a claim, in their order: what makes each event, of the number of a cover."""
