"""Events: what somebody outside told us, or is to be told, each a row that is worked on until it has come to its end.

``services/event_engine.py`` claims them, tries them again and lets them wait.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock, crypto
from webapp.models.base import Identified, stored_enum
from webapp.models.sealing import Sealing
from webapp.tenancy import OrganisationScoped


class EventState(StrEnum):
    """How far an event has come; see EVENT_TRANSITIONS."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DONE = "done"
    IGNORED = "ignored"
    WAITING = "waiting"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "received": "Reçu",
            "processing": "En traitement",
            "done": "Traité",
            "ignored": "Ignoré",
            "waiting": "En attente",
            "failed": "En échec",
        }[self.value]


EVENT_TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    EventState.RECEIVED: frozenset({EventState.PROCESSING}),
    EventState.PROCESSING: frozenset(
        {
            EventState.RECEIVED,  # tried again later: its lease ran out, or something failed that may pass
            EventState.DONE,
            EventState.IGNORED,
            EventState.WAITING,
            EventState.FAILED,
        }
    ),
    EventState.WAITING: frozenset({EventState.RECEIVED, EventState.IGNORED}),  # IGNORED: a person closes it
    EventState.FAILED: frozenset({EventState.RECEIVED, EventState.IGNORED}),
    EventState.DONE: frozenset(),
    EventState.IGNORED: frozenset(),
}


class Event(OrganisationScoped, Identified):
    """Mixin of a row that is worked on once, by one process at a time.

    ``reason`` says in French why it is IGNORED, WAITING or FAILED, or will be tried again. ``waits_for`` names what
    must come first: ``subscription:282``. ``next_attempt_at`` is when it is taken up by itself; empty where nothing
    happens until something comes, or a person decides. Whoever handles it holds ``lease_until`` and ``fence``;
    ``attempts`` counts those since something last came of it.
    """

    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    state: Mapped[EventState] = mapped_column(stored_enum(EventState), default=EventState.RECEIVED)
    reason: Mapped[str | None] = mapped_column(Text)
    waits_for: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    next_attempt_at: Mapped[datetime | None] = mapped_column(default=clock.now)
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    handled_at: Mapped[datetime | None]

    def can_become(self, state: EventState) -> bool:
        """Whether the table of transitions leads from the present state to ``state``."""
        return state in EVENT_TRANSITIONS[self.state]


class ReceivedEvent(Sealing, Event):
    """Mixin of an event with a body, sealed as it came, and emptied 90 days after ``handled_at``."""

    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    @classmethod
    def body_place(cls, organisation_id: UUID, event_id: UUID) -> str:
        """Where a sealed body belongs, as ``place_of("body")`` says: for statements that make rows without objects."""
        return f"{organisation_id}|{cls.__tablename__}.body|{event_id}"

    def keep_body(self, body: bytes) -> None:
        """Seal the bytes as they came."""
        self.body = crypto.keyring().encrypt(body, place=self.place_of("body"))

    def body_in_clear(self) -> bytes | None:
        """The bytes as they came; None once they are pruned."""
        return None if self.body is None else crypto.keyring().decrypt(self.body, place=self.place_of("body"))


def event_arguments(table: str) -> tuple[Any, ...]:
    """The constraints and indexes that the engine needs of every table of events."""
    return (
        CheckConstraint("reason IS NOT NULL OR state IN ('received', 'processing', 'done')", name="says_why"),
        CheckConstraint("(state = 'processing') = (lease_until IS NOT NULL)", name="leased_while_processing"),
        Index(
            f"ix_{table}_due",
            "organisation_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
        ),
        Index(f"ix_{table}_leased", "lease_until", postgresql_where=text("state = 'processing'")),
    )


def received_arguments(table: str, sender: str) -> tuple[Any, ...]:
    """The same of events with a body; ``sender`` is the column of whoever tells them."""
    return (
        *event_arguments(table),
        Index(
            f"ix_{table}_waiting",
            "organisation_id",
            sender,
            "waits_for",
            postgresql_where=text("waits_for IS NOT NULL"),
        ),
        Index(f"ix_{table}_received", "organisation_id", "received_at", "id"),
        Index(
            f"ix_{table}_prunable",
            "handled_at",
            postgresql_where=text("handled_at IS NOT NULL AND body IS NOT NULL"),
        ),
    )
