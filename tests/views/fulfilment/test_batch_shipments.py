"""A batch from its dispatch to its end, as a manager clicks it."""

import re

import pytest
from flask.testing import FlaskClient

from demo.carrier import Carrier as Pretend
from tests.conftest import HTMX, Cast
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import add_line, make_batch, open_account, pack, parcels, shipments
from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus, LineStatus, ParcelStatus
from webapp.services.fulfilment import batches, dispatching, labelling

pytestmark = pytest.mark.usefixtures("cast")


def actions(page: str) -> list[str]:
    return re.findall(r'data-testid="batch-action"\s+data-action="([^"]+)"', page)


def test_from_locked_to_completed(cast: Cast, manager_client: FlaskClient) -> None:
    batch = pack(2)
    page = f"/lots/{batch.id}"
    assert actions(manager_client.get(f"{page}?onglet=expeditions").text) == ["dispatch"]
    asked = manager_client.post(f"{page}/expedition", headers=HTMX)
    assert asked.status_code == 202
    assert "Le lot part en expédition." in asked.text
    assert 'hx-trigger="every 1s"' in manager_client.get(f"{page}/expedition", headers=HTMX).text
    assert actions(manager_client.get(f"{page}?onglet=expeditions").text) == []
    dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    done = manager_client.get(f"{page}/expedition", headers=HTMX)
    assert done.headers["HX-Refresh"] == "true"
    assert actions(manager_client.get(f"{page}?onglet=expeditions").text) == ["hand-over", "complete"]
    again = manager_client.post(f"{page}/expedition")
    assert again.status_code == 409
    assert "Déjà expédié par" in again.text
    assert manager_client.post(f"{page}/fin").status_code == 409
    first = shipments()[0].id
    handed = manager_client.post(f"{page}/remise", data={"expedition": str(first)}, follow_redirects=True)
    assert "1 expédition remise au transporteur." in handed.text
    nothing = manager_client.post(f"{page}/remise", data={"expedition": "x"}, follow_redirects=True)
    assert "Cochez au moins une expédition." in nothing.text
    manager_client.post(f"{page}/remise", data={"choix": "tout"})
    assert {each.status for each in shipments()} == {ParcelStatus.HANDED_OVER}
    ended = manager_client.post(f"{page}/fin", follow_redirects=True).text
    assert "Lot n°\u00a01 terminé." in ended
    assert actions(ended) == []
    assert batches.find_batch(batch.id).status is BatchStatus.COMPLETED


def test_what_is_not_prepared_is_decided_in_the_same_form(cast: Cast, manager_client: FlaskClient) -> None:
    batch = pack(1)
    line = add_line(batch, 2, status=LineStatus.TO_PREPARE)
    db.session.commit()
    page = f"/lots/{batch.id}"
    assert "1 ligne n’est pas préparée" in manager_client.get(f"{page}?onglet=expeditions").text
    refused = manager_client.post(f"{page}/expedition")
    assert refused.status_code == 409
    assert 'id="restes-error"' in refused.text
    nameless = manager_client.post(f"{page}/expedition", data={"restes": "mettre-de-cote"})
    assert nameless.status_code == 422
    assert 'id="motif-error"' in nameless.text
    data = {"restes": "mettre-de-cote", "motif": "Rupture"}
    assert manager_client.post(f"{page}/expedition", data=data).status_code == 303
    db.session.refresh(line)
    assert line.status is LineStatus.SET_ASIDE


def test_an_open_batch_is_not_dispatched(cast: Cast, manager_client: FlaskClient) -> None:
    batch = make_batch(status=BatchStatus.OPEN)
    db.session.commit()
    answer = manager_client.post(f"/lots/{batch.id}/expedition")
    assert answer.status_code == 409
    assert "encore ouvert" in answer.text
    assert actions(manager_client.get(f"/lots/{batch.id}?onglet=expeditions").text) == ["lock"]


def test_why_a_dispatch_came_to_nothing_is_told(cast: Cast, manager_client: FlaskClient) -> None:
    batch = pack(1)
    page = f"/lots/{batch.id}"
    manager_client.post(f"{page}/expedition")
    dispatching._end(batch.id, "Une erreur inattendue.")
    answer = manager_client.get(f"{page}/expedition", headers=HTMX)
    assert answer.headers["HX-Refresh"] == "true"
    shown = manager_client.get(f"{page}?onglet=expeditions").text
    assert "Une erreur inattendue." in shown
    assert actions(shown) == ["dispatch"]


def test_a_carrier_that_does_not_answer_is_told(cast: Cast, pretend: Pretend, manager_client: FlaskClient) -> None:
    account, batch = open_account(), pack(20)
    page = f"/lots/{batch.id}"
    pretend.order({"mode": "down"})
    manager_client.post(f"{page}/expedition")
    dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    assert "Les étiquettes sont demandées" in manager_client.get(f"{page}/expedition", headers=HTMX).text
    labelling.carry_out(batch.organisation_id, account.id)
    shown = manager_client.get(f"{page}?onglet=expeditions").text
    assert "Bac à sable ne répond pas" in shown
    assert 'hx-trigger="every 1s"' not in shown
    assert 'data-testid="undecided"' in shown
    assert {each.status for each in parcels()} <= {ParcelStatus.UNKNOWN, ParcelStatus.TO_LABEL}


def test_an_account_that_is_switched_off_is_told(cast: Cast, pretend: Pretend, manager_client: FlaskClient) -> None:
    account, batch = open_account(), pack(1)
    manager_client.post(f"/lots/{batch.id}/expedition")
    dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    account.is_active = False
    db.session.commit()
    shown = manager_client.get(f"/lots/{batch.id}?onglet=expeditions").text
    assert "Le compte Bac à sable est désactivé" in shown
    assert 'hx-trigger="every 1s"' not in shown
