"""The pages of shipments: read by all, acted on by managers, and found by nobody else."""

import html
import io
import re
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from demo.carrier import Carrier as Pretend
from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import ADDRESS, add_line, dispatch, make_batch, open_account, pack, parcels
from tests.services.fulfilment.packing import shipments as all_shipments
from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import FulfilmentBatch, ParcelStatus, Shipment, TrackingEvent
from webapp.services.fulfilment import handing_over, labelling, shipment_listing

pytestmark = pytest.mark.usefixtures("cast")


def one(cast: Cast) -> Shipment:
    return dispatch(pack(), cast.manager)[0]


def rows(page: str) -> list[str]:
    return re.findall(r'data-testid="shipment-row"\s+data-status="([^"]+)"', page)


def references(page: str) -> list[str]:
    return re.findall(r">(L\d{6}-\d{4})</a>", page)


def label_all(batch: FulfilmentBatch, account_id: object) -> None:
    labelling.carry_out(batch.organisation_id, account_id)  # type: ignore[arg-type]


# --- who ---


def test_everybody_reads_and_managers_act(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    shipment = one(cast)
    for path in ("/expeditions", f"/expeditions/{shipment.id}", f"/lots/{shipment.batch_id}?onglet=expeditions"):
        page = client.get(path).text
        assert "L000001-0001" in page
        assert "shipment-action" not in page
        assert "batch-action" not in page
    page = f"/expeditions/{shipment.id}"
    for word in ("adresse", "etiquette", "numero", "etat", "annuler"):
        assert client.post(f"{page}/{word}", data={"motif": "x"}).status_code == 403
    for word in ("expedition", "remise", "fin"):
        assert client.post(f"/lots/{shipment.batch_id}/{word}", data={"choix": "tout"}).status_code == 403
    assert 'data-action="annuler"' in manager_client.get(page).text
    assert 'data-action="hand-over"' in manager_client.get(f"/lots/{shipment.batch_id}?onglet=expeditions").text


def test_an_outsider_finds_nothing_and_changes_nothing(cast: Cast, outsider_client: FlaskClient) -> None:
    shipment, (parcel,) = one(cast), parcels()
    assert rows(outsider_client.get("/expeditions").text) == []
    for path in (
        f"/expeditions/{shipment.id}",
        f"/expeditions/{shipment.id}/colis/{parcel.id}/etiquette",
        f"/lots/{shipment.batch_id}?onglet=expeditions",
        f"/lots/{shipment.batch_id}/expedition",
    ):
        assert outsider_client.get(path).status_code == 404, path
    assert outsider_client.post(f"/expeditions/{shipment.id}/annuler", data={"motif": "x"}).status_code == 404
    for word in ("expedition", "remise", "fin"):
        data = {"choix": "tout"}
        assert outsider_client.post(f"/lots/{shipment.batch_id}/{word}", data=data).status_code == 404, word
    assert all_shipments()[0].status is ParcelStatus.LABELLED


# --- the list ---


def test_the_list_is_narrowed_and_searched(cast: Cast, client: FlaskClient) -> None:
    lea = factories.ClientFactory(last_name="DURAND")
    batch = make_batch(12)
    add_line(batch, 1, client_id=lea.id)
    add_line(batch, 2)
    first, second = dispatch(batch, cast.manager)
    handing_over.hand_over(batch.id, shipment_ids=[second.id], by=cast.manager, at=clock.now())
    parcels()[0].tracking_number = "ABC12345"
    db.session.commit()
    for query, found in {
        "": ["L000012-0002", "L000012-0001"],
        "?q=L000012-0001": ["L000012-0001"],
        "?q=l12-2": ["L000012-0002"],
        f"?q={first.code}": ["L000012-0001"],
        "?q=abc 123 45": ["L000012-0001"],
        "?q=durand": ["L000012-0001"],
        "?q=personne": [],
        "?statut=handed_over": ["L000012-0002"],
        f"?client={lea.id}": ["L000012-0001"],
        "?statut=gone": ["L000012-0002", "L000012-0001"],
        "?apres=nothing&q=%00%ED%A0%80": None,
    }.items():
        answer = client.get(f"/expeditions{query}")
        assert answer.status_code == 200, query
        assert found is None or references(answer.text) == found, query
    assert "Aucune expédition ne correspond." in client.get("/expeditions?q=personne").text


def test_pages_follow_each_other(cast: Cast, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment_listing.list_shipments, "__kwdefaults__", {"size": 2})
    batch = pack(5)
    dispatch(batch, cast.manager)
    for path, expected in (
        (f"/lots/{batch.id}?onglet=expeditions", [1, 2, 3, 4, 5]),
        ("/expeditions", None),
    ):
        address, seen = path, []
        while address:
            page = client.get(address, headers=HTMX).text
            seen += references(page)
            found = re.search(r'id="page-next"[^>]*?href="([^"]+)"', page, re.DOTALL)
            address = found[1].replace("&amp;", "&") if found else ""
        assert sorted(seen) == [f"L000001-{number:04}" for number in range(1, 6)]
        assert expected is None or seen == sorted(seen)


def test_the_number_of_queries_does_not_grow(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    counts = []
    for number, boxes in ((1, 2), (2, 20)):
        batch = pack(boxes, number=number)
        dispatch(batch, cast.manager)
        for path, browser in (("/expeditions", client), (f"/lots/{batch.id}?onglet=expeditions", manager_client)):
            browser.get(path)
            with recorded_queries() as queries:
                browser.get(path)
            counts.append(len(queries))
    assert counts[:2] == counts[2:]
    assert max(counts) <= 14


# --- one of them ---


def test_one_shipment_tells_all_of_it(cast: Cast, pretend: Pretend, manager_client: FlaskClient) -> None:
    account, batch = open_account(), make_batch()
    add_line(batch, 1, address={**ADDRESS, "instructions": "Code 12B"}, label="Café <moulu>")
    (shipment,) = dispatch(batch, cast.manager)
    label_all(batch, account.id)
    (parcel,) = parcels()
    db.session.add(TrackingEvent(parcel_id=parcel.id, at=clock.now(), code="PRIS", words="Colis pris en charge"))
    db.session.commit()
    page = manager_client.get(f"/expeditions/{shipment.id}").text
    for words in ("12 bis rue des Lilas", "Code 12B", "Café &lt;moulu&gt;", "600\u00a0g", "Colis pris en charge"):
        assert words in page, words
    answer = manager_client.get(f"/expeditions/{shipment.id}/colis/{parcel.id}/etiquette")
    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert manager_client.get(f"/expeditions/{shipment.id}/colis/{uuid4()}/etiquette").status_code == 404


def test_the_forms_of_one_shipment(cast: Cast, manager_client: FlaskClient) -> None:
    shipment = one(cast)
    page = f"/expeditions/{shipment.id}"
    assert 'name="line1"' in manager_client.get(f"{page}?action=adresse").text
    wrong = manager_client.post(f"{page}/adresse", data={**ADDRESS, "postcode": "1"})
    assert wrong.status_code == 422
    assert 'id="postcode-error"' in wrong.text
    assert 'value="12 bis rue des Lilas"' in wrong.text
    saved = manager_client.post(f"{page}/adresse", data={**ADDRESS, "city": "Roubaix"}, follow_redirects=True).text
    assert "Adresse de L000001-0001 corrigée." in saved
    assert "<del>Lille</del>" in saved
    assert manager_client.post(f"{page}/numero", data={"number": "=1"}).status_code == 422
    numbered = manager_client.post(f"{page}/numero", data={"number": "ABC12345"}, follow_redirects=True).text
    assert "ABC12345" in numbered
    assert manager_client.post(f"{page}/etat", data={"status": "delivered"}).status_code == 409
    assert manager_client.post(f"{page}/annuler", data={}).status_code == 422
    gone = manager_client.post(f"{page}/annuler", data={"motif": "Doublon"}, follow_redirects=True).text
    assert "Expédition L000001-0001 annulée" in gone
    assert manager_client.post(f"{page}/annuler", data={"motif": "Doublon"}).status_code == 409
    assert manager_client.post(f"{page}/rien", data={}).status_code == 404


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 5000, "a\nb", "=1+1"])
def test_whatever_is_written_is_answered(cast: Cast, manager_client: FlaskClient, text: str) -> None:
    page = f"/expeditions/{one(cast).id}"
    raw = text.encode("utf-8", "surrogatepass")
    for word, field in (("adresse", "line1"), ("numero", "number"), ("etat", "status"), ("annuler", "motif")):
        assert manager_client.post(f"{page}/{word}", data={field: raw}).status_code in (302, 303, 409, 422), word


def test_the_clients_page_shows_what_was_sent(cast: Cast, client: FlaskClient) -> None:
    shipment = one(cast)
    page = client.get(f"/clients/{shipment.client_id}").text
    assert references(page) == ["L000001-0001"]
    assert "client-shipments" not in client.get(f"/clients/{factories.ClientFactory().id}").text


# --- lists of numbers ---


def test_a_list_of_numbers_is_looked_at_before_it_is_written(
    cast: Cast, client: FlaskClient, manager_client: FlaskClient
) -> None:
    dispatch(pack(2), cast.manager)
    assert client.get("/expeditions/numeros").status_code == 403
    assert 'type="file"' in manager_client.get("/expeditions/numeros").text
    assert manager_client.post("/expeditions/numeros").status_code == 422
    content = "référence;transporteur;numéro\nL000001-0001;La Poste;AB123456\nL000001-0002;;=1+1".encode("cp1252")
    looked = manager_client.post("/expeditions/numeros", data={"liste": (io.BytesIO(content), "suivi.csv")})
    assert re.findall(r'data-testid="tracking-line"\s+data-status="(\w+)"', looked.text) == ["success", "failed"]
    assert "Enregistrer 1 numéro" in looked.text
    assert parcels()[0].tracking_number is None
    text = html.unescape(re.findall(r'<textarea name="texte" hidden>(.*?)</textarea>', looked.text, re.DOTALL)[0])
    saved = manager_client.post("/expeditions/numeros/enregistrer", data={"texte": text}, follow_redirects=True).text
    assert "1 numéro enregistré." in saved
    assert parcels()[0].tracking_number == "AB123456"
    assert client.post("/expeditions/numeros/enregistrer", data={"texte": text}).status_code == 403
    assert manager_client.post("/expeditions/numeros/enregistrer", data={}).status_code == 422
