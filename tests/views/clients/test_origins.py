"""« D’où vient cette valeur ? » in the browser: a panel or a page, and a value put back; outsiders see nothing."""

from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, NOW, Cast
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import origins


def _changed_client(cast: Cast) -> Client:
    client: Client = factories.ClientFactory(city="Roubaix")
    event = TimelineEvent(
        client_id=client.id,
        kind=EventKind.CLIENT_UPDATED,
        at=NOW,
        user_id=cast.manager.id,
        changes={"city": ["Lille", "Roubaix"]},
    )
    db.session.add(event)
    db.session.commit()
    return client


def test_a_value_tells_where_it_comes_from_and_goes_back(
    cast: Cast, client: FlaskClient, outsider_client: FlaskClient
) -> None:
    changed = _changed_client(cast)
    address = f"/clients/{changed.id}/origine/city"
    shown = client.get(f"/clients/{changed.id}").text
    assert address in shown
    assert "Origine de la ville" in shown
    panel, page = client.get(address, headers=HTMX).text, client.get(address).text
    for text in (panel, page):
        assert "Lille" in text
        assert cast.manager.full_name in text
        assert "Remettre cette valeur" in text
    assert "<html" not in panel
    assert "<html" in page
    event_id = origins.find_origin(changed.id, "city").steps[0].event.id
    data = {"evenement": event_id, "version": changed.version}
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address, data=data).status_code == 404
    assert client.get(f"/clients/{changed.id}/origine/identity_card").status_code == 404
    stale = {**data, "version": changed.version - 1}
    assert client.post(address, data=stale).status_code == 409
    assert client.post(address, data=data).status_code == 303
    db.session.refresh(changed)
    assert changed.city == "Lille"
    assert client.post(address, data=data).status_code == 422  # it stands there already
    assert client.post(address, data={"evenement": "x"}).status_code == 422
