"""The list of what payment providers have told us."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import contains_eager

from webapp.extensions import db
from webapp.models.provider_events import WebhookEvent, WebhookState
from webapp.models.providers import Provider, ProviderAccount
from webapp.services import keyset
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_RECEPTION = "-received_at"


@dataclass(frozen=True, kw_only=True)
class EventsView:
    """Which webhooks are shown; ``cursor`` is where the page starts."""

    state: WebhookState | None = None
    provider: Provider | None = None
    cursor: str | None = None


def select_all(view: EventsView) -> Select[*tuple[Any, ...]]:
    """Every webhook of a view in its order, joined with its account: an export adds the columns."""
    return _select(view).order_by(WebhookEvent.received_at.desc(), WebhookEvent.id.desc())


def _select(view: EventsView) -> Select[*tuple[Any, ...]]:
    statement = select(WebhookEvent).join(WebhookEvent.account)
    if view.state is not None:
        statement = statement.where(*_IN_STATE[view.state])
    if view.provider is not None:
        statement = statement.where(ProviderAccount.provider == view.provider)
    return statement


def list_events(view: EventsView, *, size: int = PAGE_SIZE) -> keyset.Page[WebhookEvent]:
    """The webhooks of the view, the latest first, each with its account. Those closed by a person count as handled."""
    statement = _select(view).options(contains_eager(WebhookEvent.account))

    def read(start: Position | None) -> Sequence[WebhookEvent]:
        page = keyset.cut(statement, [WebhookEvent.received_at, WebhookEvent.id], start, is_descending=True, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort=BY_RECEPTION, kind=datetime)
    return keyset.page(read, start, place=lambda each: (each.received_at, each.id), sort=BY_RECEPTION, size=size)


_IN_STATE = {
    WebhookState.WAITING: (WebhookEvent.handled_at.is_(None), WebhookEvent.error.is_(None)),
    WebhookState.FAILED: (WebhookEvent.handled_at.is_(None), WebhookEvent.error.is_not(None)),
    WebhookState.HANDLED: (WebhookEvent.handled_at.is_not(None),),
}
