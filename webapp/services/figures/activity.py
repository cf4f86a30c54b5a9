"""What happened lately, to any client: the feed of the dashboard, and what one commercial did."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.timeline import TimelineEvent

FEED_SIZE = 8
PAGE_SIZE = 50


@dataclass(frozen=True)
class Activity:
    """An event, and the client whom it happened to."""

    event: TimelineEvent
    client: Client


@dataclass(frozen=True)
class Activities:
    """A page of events, newest first; ``older`` names the last one where more follow."""

    rows: list[Activity]
    older: UUID | None


def list_activities(*, by: UUID | None = None, before: UUID | None = None, limit: int = PAGE_SIZE) -> Activities:
    """The newest events, or those after the event ``before``; ``by`` a user, or anybody's."""
    newest_first = (TimelineEvent.at.desc(), TimelineEvent.id.desc())
    statement = (
        select(TimelineEvent, Client)
        .join(
            Client,
            linked(Client, TimelineEvent.client_id),
        )
        .options(joinedload(TimelineEvent.user))
        .order_by(*newest_first)
        .limit(limit + 1)
    )
    if by:
        statement = statement.where(TimelineEvent.user_id == by)
    if before:
        last = select(TimelineEvent.at, TimelineEvent.id).where(TimelineEvent.id == before)
        statement = statement.where(tuple_(TimelineEvent.at, TimelineEvent.id) < last.scalar_subquery())
    activities = [Activity(event, client) for event, client in db.session.execute(statement)]
    page = activities[:limit]
    return Activities(page, page[-1].event.id if len(activities) > limit else None)
