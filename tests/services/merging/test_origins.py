"""Where a value comes from, once two cards are one: the merge is named, and what the other card went through is not."""

from typing import Any

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.merging.test_merging import LATER, merged, unmerge
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import editing, origins
from webapp.services.clients.fields import ClientFields

Told = list[tuple[EventKind, Any, Any]]


def _card(cast: Cast, before: str, city: str, **values: Any) -> Client:
    """A client who was created with one town and edited to another."""
    client: Client = factories.ClientFactory(city=before, **values)
    db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED, at=NOW))
    db.session.commit()
    fields = ClientFields(**ClientFields.of(client).__dict__ | {"city": city})
    return editing.edit_client(
        client.id, fields, version=client.version, bank=None, confirmed=True, by=cast.admin, at=NOW
    )


def _told(client: Client, field: str) -> Told:
    db.session.expire_all()
    origin = origins.find_origin(client.id, field)
    assert origin.is_told
    return [(step.event.kind, step.before, step.after) for step in origin.steps]


def _own(before: str, after: str) -> Told:
    return [(EventKind.CLIENT_UPDATED, before, after), (EventKind.CLIENT_CREATED, None, None)]


def test_a_value_that_was_chosen_of_the_other_card_comes_from_the_merge(cast: Cast) -> None:
    kept, other = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras")
    operation = merged(kept, other, by=cast.admin, values={"address": other.id})
    step = origins.find_origin(kept.id, "city").steps[0]
    assert step.operation == operation.title
    assert _told(kept, "city") == [(EventKind.CLIENT_MERGED, "Lens", "Arras"), *_own("Lille", "Lens")]


def test_a_value_that_stayed_has_its_own_history(cast: Cast) -> None:
    kept, other = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras")
    merged(kept, other, by=cast.admin, values={"address": kept.id})
    assert _told(kept, "city") == _own("Lille", "Lens")


def test_a_merge_that_is_taken_back_gives_each_card_its_history_again(cast: Cast) -> None:
    kept, other = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras")
    operation = merged(kept, other, by=cast.admin, values={"address": other.id})
    unmerge(operation.id, cast.admin)
    taken_back = [(EventKind.CLIENT_UNMERGED, "Arras", "Lens"), (EventKind.CLIENT_MERGED, "Lens", "Arras")]
    assert _told(kept, "city") == [*taken_back, *_own("Lille", "Lens")]
    assert _told(other, "city") == _own("Douai", "Arras")


def test_of_a_merge_into_a_merged_card_nothing_comes_along(cast: Cast) -> None:
    first, second, third = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras"), _card(cast, "Rue", "Berck")
    merged(second, third, by=cast.admin, values={"address": third.id})
    merged(first, second, by=cast.admin, values={"address": first.id})
    assert _told(first, "city") == _own("Lille", "Lens")


def test_a_commercial_who_was_chosen_of_the_other_card_is_named(cast: Cast) -> None:
    commercial = factories.CommercialFactory()
    kept, other = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras", commercial_id=commercial.id)
    merged(kept, other, by=cast.admin, values={"commercial": other.id})
    assert _told(kept, "commercial_id")[0] == (EventKind.CLIENT_MERGED, None, commercial.full_name)


def test_a_value_that_a_merge_brought_is_put_back(cast: Cast) -> None:
    kept, other = _card(cast, "Lille", "Lens"), _card(cast, "Douai", "Arras")
    merged(kept, other, by=cast.admin, values={"address": other.id})
    step = origins.find_origin(kept.id, "city").steps[0]
    origins.put_back(kept.id, "city", step.event.id, version=kept.version, by=cast.admin, at=LATER)
    assert _told(kept, "city")[0] == (EventKind.CLIENT_UPDATED, "Arras", "Lens")
