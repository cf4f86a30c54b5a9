"""« Documents à renouveler »: what expires, of the clients that one looks after: near dates, pages, files, roles."""

import re
from datetime import date, timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests import factories
from tests.conftest import Cast
from tests.queries import plan_of, recorded_queries
from tests.services.claims.files import declare, make_cover
from tests.services.exports.wanting import csv_rows
from webapp import clock
from webapp.extensions import db
from webapp.models.documents import Document
from webapp.services.clients import archiving, expiring
from webapp.services.clients.expiring import ExpiringView

FILE = {"content_type": "application/pdf", "size": 1, "stored_as": "x"}
ADDRESS = "/taches/documents"


def add(client_id: UUID, name: str, days: int | None, **values: UUID) -> Document:
    """A document that is valid for so many days from today on."""
    valid_until = None if days is None else clock.today() + timedelta(days=days)
    document = Document(client_id=client_id, name=name, valid_until=valid_until, **FILE, **values)
    db.session.add(document)
    db.session.commit()
    return document


def of(commercial_id: UUID | None) -> UUID:
    """A client of the commercial."""
    client_id: UUID = factories.ClientFactory(last_name="Lefèvre", commercial_id=commercial_id).id
    return client_id


def names(browser: FlaskClient, query: str = "") -> list[str]:
    """The documents that the list shows."""
    page = browser.get(f"{ADDRESS}{query}")
    assert page.status_code == 200
    return re.findall(r'data-testid="expiring-row".*?onglet=documents">([^<]+)<', page.text, re.DOTALL)


def test_what_expires_first_is_first_and_filters_are_days_apart(client: FlaskClient, cast: Cast) -> None:
    subject = of(cast.sales_rep.id)
    for name, days in (("90", 90), ("hier", -1), ("jamais", None), ("91", 91), ("31", 31), ("30", 30), ("0", 0)):
        add(subject, name, days)
    assert names(client) == ["hier", "0", "30", "31", "90", "91"]
    assert names(client, "?echeance=expires") == ["hier"]
    assert names(client, "?echeance=30-jours") == ["0", "30"]
    assert names(client, "?echeance=90-jours") == ["0", "30", "31", "90"]
    assert names(client, "?echeance=x&piece=x&commercial=x&apres=x") == names(client)
    page = client.get(ADDRESS).text
    assert re.findall(r'data-validity="(\w+)"', page) == ["expired", "soon", "soon", "valid", "valid", "valid"]
    assert f'href="{ADDRESS}"' in client.get("/taches").text
    assert f'href="{ADDRESS}"' in client.get(f"/clients/{subject}?onglet=documents").text
    archiving.archive(subject, by=cast.commercial, at=clock.now())
    assert names(client) == [], "of an archived client nobody asks for anything"
    assert "Aucun document à renouveler." in client.get(ADDRESS).text


def test_each_role_sees_the_clients_that_it_looks_after(
    client: FlaskClient,
    manager_client: FlaskClient,
    admin_client: FlaskClient,
    outsider_client: FlaskClient,
    cast: Cast,
) -> None:
    other = factories.CommercialFactory(last_name="Ailleurs")
    db.session.commit()
    add(of(cast.sales_rep.id), "de l’équipe", 5)
    add(of(other.id), "d’un autre", 6)
    add(of(None), "de personne", 7)
    assert names(client) == names(manager_client) == ["de l’équipe"]
    assert names(client, f"?commercial={other.id}") == []
    assert names(admin_client) == ["de l’équipe", "d’un autre", "de personne"]
    assert names(admin_client, f"?commercial={other.id}") == ["d’un autre"]
    assert names(admin_client, "?q=lefevre&echeance=expires") == []
    assert names(outsider_client) == []
    files = [
        browser.post(f"{ADDRESS}/exporter{query}", data={"format": "csv"})
        for browser, query in ((client, ""), (admin_client, "?echeance=30-jours"))
    ]
    assert [len(csv_rows(file.data)) - 1 for file in files] == [1, 3]


def test_what_belongs_to_a_claim_file_leads_there(admin_client: FlaskClient, cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial)
    add(cover.client_id, "devis", 3, claim_id=claim.id)
    add(cover.client_id, "bail", 4)
    assert names(admin_client, "?piece=dossier") == ["devis"]
    assert names(admin_client, "?piece=client") == ["bail"]
    assert f'href="/dossiers/{claim.id}"' in admin_client.get(ADDRESS).text


def test_pages_follow_each_other_at_the_same_cost(client: FlaskClient, cast: Cast) -> None:
    subject = of(cast.sales_rep.id)
    add(subject, "un", 1)
    client.get(ADDRESS)
    with recorded_queries() as one:
        client.get(ADDRESS)
    day = clock.today()
    db.session.add_all(
        Document(client_id=subject, name=f"n{number}", valid_until=day, **FILE) for number in range(expiring.PAGE_SIZE)
    )
    db.session.commit()
    with recorded_queries() as many:
        first = client.get(ADDRESS).text
    assert len(many) == len(one)
    following = re.search(r'data-testid="next-page"\s+href="([^"]+)"', first)
    assert following is not None
    assert names(client, "?" + following[1].split("?")[1].replace("&amp;", "&")) == ["un"]


@pytest.mark.parametrize("expiry", [None, *expiring.Expiry])
def test_an_index_leads_to_the_first_page(cast: Cast, expiry: expiring.Expiry | None) -> None:
    db.session.execute(text("SET LOCAL enable_seqscan = off"))
    db.session.execute(text("SET LOCAL enable_sort = off"))  # a few rows are sorted as quickly
    plan = plan_of(expiring.select_all(ExpiringView(expiry=expiry), date(2026, 11, 30)).limit(50))
    assert "ix_documents_validity" in plan
    assert "Sort" not in plan
