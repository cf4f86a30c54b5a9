"""A list by its pages: sent, shown, applied; its rejects as a file."""

import io

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from tests.services.mandates.conftest import bank_account, declared, owner
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateImport, MandateStatus
from webapp.models.clients import Client

__all__ = ["bank_account", "declared", "owner"]
ADDRESS = "/prelevements/mandats/listes"


def send(browser: FlaskClient, text: str) -> TestResponse:
    return browser.post(ADDRESS, data={"liste": FileStorage(io.BytesIO(text.encode()), "mandats.csv")})


def test_a_list_is_shown_applied_and_its_rejects_downloaded(
    manager_client: FlaskClient, owner: Client, declared: Mandate
) -> None:
    assert ADDRESS in manager_client.get("/prelevements/mandats").text
    answer = send(manager_client, f"Client;RUM;Date\n{owner.id};R-1;03/11/2026\n=1+1;R-2;03/11/2026")
    assert answer.status_code == 303
    page = manager_client.get(answer.location).text
    assert (page.count("import-good"), page.count("import-refused"), "import-apply" in page) == (1, 1, True)
    for _ in range(2):
        assert manager_client.post(f"{answer.location}/application").status_code == 303
    page = manager_client.get(answer.location).text
    assert ("import-apply" in page, "Appliquée le" in page) == (False, True)
    db.session.expire_all()
    assert declared.status is MandateStatus.ACTIVE
    file = manager_client.get(f"{answer.location}/rejets.csv")
    assert file.mimetype == "text/csv"
    assert ";'=1+1;" in file.text
    assert "code postal" in file.text


def test_what_is_no_list_is_refused_at_its_field(manager_client: FlaskClient) -> None:
    for answer in (send(manager_client, "x"), manager_client.post(ADDRESS)):
        assert (answer.status_code, 'id="liste-error"' in answer.text) == (422, True)


def test_a_commercial_is_refused_and_an_outsider_finds_nothing(
    client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient, owner: Client, declared: Mandate
) -> None:
    send(manager_client, f"Client;RUM;Date\n{owner.id};R-1;03/11/2026")
    kept = db.session.scalars(select(MandateImport)).one()
    for path in ("", f"/{kept.id}", f"/{kept.id}/rejets.csv"):
        assert client.get(f"{ADDRESS}{path}").status_code == 403
        assert outsider_client.get(f"{ADDRESS}{path}").status_code == (404 if path else 200)
    assert client.post(f"{ADDRESS}/{kept.id}/application").status_code == 403
    assert outsider_client.post(f"{ADDRESS}/{kept.id}/application").status_code == 404
    assert send(client, "x").status_code == 403
    db.session.expire_all()
    assert declared.status is MandateStatus.DECLARED
