"""A client's timeline, newest first, all of it or one kind of events."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.orm import selectinload

from webapp.extensions import db
from webapp.models.timeline import EventKind, TimelineEvent

EVENTS_PER_PAGE = 20


class EventFilter(StrEnum):
    """Kinds of events, as the address says them."""

    CHANGES = "modifications"
    SYNCS = "synchronisations"
    NOTES = "notes"
    CALLS = "appels"
    TASKS = "taches"
    CONTRACTS = "contrats"
    DOCUMENTS = "documents"
    SUBSCRIPTIONS = "abonnements"
    CHARGES = "prelevements"
    CONSENTS = "consentements"
    SHIPMENTS = "expeditions"
    COVERS = "couvertures"
    MESSAGES = "messages"
    OPERATIONS = "operations"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "taches": "Tâches",
            "prelevements": "Prélèvements",
            "expeditions": "Expéditions",
            "operations": "Opérations",
        }.get(self.value, self.value.capitalize())

    @property
    def kinds(self) -> Sequence[EventKind]:
        """The events that it lets through; what has no filter of its own is a change."""
        return [kind for kind in EventKind if _FILTERS.get(kind, EventFilter.CHANGES) is self]


_NEWEST = (
    select(TimelineEvent)
    .where(TimelineEvent.client_id == bindparam("client_id"))
    .options(selectinload(TimelineEvent.user), selectinload(TimelineEvent.message))
    .order_by(TimelineEvent.at.desc(), TimelineEvent.id.desc())
    .limit(EVENTS_PER_PAGE + 1)
)
_KINDS = {
    EventFilter.SYNCS: (
        EventKind.CLIENT_IMPORTED,
        EventKind.CLIENT_SYNCED,
        EventKind.CLIENT_LINKED,
        EventKind.CONTRACT_MISSING,
    ),
    EventFilter.OPERATIONS: (
        EventKind.CREATED_BY_OPERATION,
        EventKind.CHANGED_BY_OPERATION,
        EventKind.CLIENT_ARCHIVED,
        EventKind.CLIENT_RESTORED,
        EventKind.CLIENT_MERGED,
        EventKind.CLIENT_UNMERGED,
        EventKind.CLIENT_ERASED,
        EventKind.DATA_DISCLOSED,
    ),
    EventFilter.NOTES: (EventKind.NOTE,),
    EventFilter.CALLS: (EventKind.CALL,),
    EventFilter.COVERS: (
        EventKind.COVER_ADDED,
        EventKind.COVER_CHANGED,
        EventKind.RENUNCIATION_ENDED,
        EventKind.SALE_SIGNED,
        EventKind.CLAIM_DECLARED,
        EventKind.CLAIM_DECIDED,
        EventKind.CLAIM_CHANGED,
    ),
    EventFilter.TASKS: (EventKind.TASK_ADDED, EventKind.TASK_DONE, EventKind.TASK_REOPENED),
    EventFilter.CONTRACTS: (EventKind.CONTRACT_CREATED, EventKind.CONTRACT_UPDATED),
    EventFilter.DOCUMENTS: (
        EventKind.DOCUMENT_ADDED,
        EventKind.DOCUMENT_REMOVED,
        EventKind.DOCUMENT_CHANGED,
        EventKind.DOCUMENT_EXPIRED,
        EventKind.SIGNED_COPY_ADDED,
        EventKind.SIGNED_COPY_OPENED,
    ),
    EventFilter.SUBSCRIPTIONS: tuple(kind for kind in EventKind if kind.value.startswith("subscription_")),
    EventFilter.CHARGES: tuple(
        kind for kind in EventKind if kind.value.startswith(("charge_", "credit_note_", "refund_", "dunning_"))
    ),
    EventFilter.CONSENTS: tuple(kind for kind in EventKind if kind.value.startswith("consent_")),
    EventFilter.SHIPMENTS: tuple(kind for kind in EventKind if kind.value.startswith("shipment_")),
    EventFilter.MESSAGES: tuple(kind for kind in EventKind if kind.value.startswith(("message_", "address_"))),
}
_FILTERS = {kind: each for each, kinds in _KINDS.items() for kind in kinds}


@dataclass(frozen=True)
class Timeline:
    """Events, newest first; ``older`` names the last one where more follow."""

    events: list[TimelineEvent]
    older: UUID | None


def list_events(client_id: UUID, *, only: EventFilter | None = None, before: UUID | None = None) -> Timeline:
    """A page of the client's timeline, newest first, from the first or after the event ``before``."""
    events = _NEWEST
    if only:
        events = events.where(TimelineEvent.kind.in_(only.kinds))
    if before:
        last = select(TimelineEvent.at, TimelineEvent.id).where(
            TimelineEvent.client_id == client_id, TimelineEvent.id == before
        )
        events = events.where(tuple_(TimelineEvent.at, TimelineEvent.id) < last.scalar_subquery())
    page = list(db.session.scalars(events, {"client_id": client_id}))
    shown_events = page[:EVENTS_PER_PAGE]
    return Timeline(shown_events, shown_events[-1].id if len(page) > EVENTS_PER_PAGE else None)
