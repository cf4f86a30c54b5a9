"""``flask woocommerce events`` and ``retry``: what shops have told us, by hand. Bodies are shown on the page alone."""

import json
from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from webapp import clock, french
from webapp.cli.woocommerce_pulls import json_option, organisation_option, organisation_work, shop_option
from webapp.models.events import EventState
from webapp.models.woocommerce import WooCommerceEvent
from webapp.services.woocommerce import events_listing, pulls, reopening
from webapp.services.woocommerce.events_listing import EventRow, EventsView

MOST = 1_000
"""Events that one answer lists."""

state_option = click.option("--state", type=click.Choice([each.value for each in EventState]), help="Leur état.")
topic_option = click.option("--topic", help="Leur sujet, par exemple order.updated.")


def add_to(group: AppGroup) -> None:
    """Register both commands."""
    group.add_command(events)
    group.add_command(retry)


@click.command()
@organisation_option
@shop_option
@state_option
@topic_option
@click.option("--limit", type=click.IntRange(1, MOST), default=events_listing.PAGE_SIZE, show_default=True)
@click.option("--after", "cursor", help="La suite\u202f: ce que « next » disait.")
@json_option
def events(
    *,
    slug: str | None,
    name: str | None,
    state: str | None,
    topic: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Montre ce que les boutiques ont notifié, le plus récent d’abord, et ce qu’il en est advenu."""
    with organisation_work(slug):
        page = events_listing.list_events(_view(name, state, topic, cursor), size=limit)
        if as_json:
            content = {"events": [_told(row) for row in page.rows], "next": page.next_cursor}
            click.echo(json.dumps(content, ensure_ascii=False, indent=2))
            return
        for row in page.rows:
            click.echo(_line(row.event))
        if page.next_cursor:
            click.echo(f"La suite\u202f: --after {page.next_cursor}")


def _view(name: str | None, state: str | None, topic: str | None, cursor: str | None = None) -> EventsView:
    """Which events are meant. Raises NotFoundError where there is no such shop."""
    shop_id = pulls.find_shop_named(name).id if name else None
    return EventsView(state=EventState(state) if state else None, shop_id=shop_id, topic=topic, cursor=cursor)


def _told(row: EventRow) -> dict[str, Any]:
    event, ours = row
    return {
        "id": str(event.id),
        "shop": event.shop.source,
        "topic": event.topic,
        "kind": event.kind.value if event.kind else None,
        "resource_id": event.woo_id,
        "state": event.state.value,
        "reason": event.reason,
        "attempts": event.attempts,
        "received_at": event.received_at.isoformat(),
        "next_attempt_at": event.next_attempt_at.isoformat() if event.next_attempt_at else None,
        "ours": {"kind": ours.what, "id": str(ours.id)} if ours else None,
    }


def _line(event: WooCommerceEvent) -> str:
    resource = "–" if event.woo_id is None else f"n°\u00a0{event.woo_id}"
    told = [french.moment(event.received_at), event.shop.name, event.topic or "–", resource, event.state.label]
    return "  ".join([str(event.id), *told, event.reason or ""]).rstrip()


@click.command()
@click.argument("event_id", type=click.UUID, required=False)
@organisation_option
@shop_option
@state_option
@topic_option
@click.option("--all", "is_all", is_flag=True, help="Tous ceux, en échec ou en attente, que les filtres laissent.")
@json_option
def retry(
    *,
    event_id: UUID | None,
    slug: str | None,
    name: str | None,
    state: str | None,
    topic: str | None,
    is_all: bool,
    as_json: bool,
) -> None:
    """Fait reprendre un événement en échec ou en attente, ou tous (--all)\u202f; la file « webhooks » s’en charge."""
    if (event_id is None) is not is_all:
        raise click.ClickException("Donnez l’identifiant d’un événement, ou --all.")
    if event_id and (name or state or topic):
        raise click.ClickException("Les filtres vont avec --all.")
    with organisation_work(slug):
        number = _retry(event_id, name, state, topic)
        sentence = f"{french.counted(number, 'événement sera repris', 'événements seront repris')}."
        click.echo(json.dumps({"retried": number}) if as_json else sentence)


def _retry(event_id: UUID | None, name: str | None, state: str | None, topic: str | None) -> int:
    if event_id is None:
        return reopening.retry_all(_view(name, state, topic), at=clock.now())
    reopening.retry_event(event_id, at=clock.now())
    return 1
