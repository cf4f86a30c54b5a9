"""« Remettre ses données »: all of the person, nothing of anybody else, and a trace without data."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.rows import make_row
from tests.services.rights.markers import EMAIL, MARK, PARTY, mark_all
from tests.services.rights.test_list import TABLES
from webapp import tenancy
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.journal import JournalEntry, JournalKind
from webapp.models.personal_data import HOLDINGS
from webapp.services.clients import documents
from webapp.services.rights import disclosing
from webapp.services.rights.gathering import NOT_GIVEN, SECTIONS, gather
from webapp.services.rights.wording import LABELS, facts

OTHER = "autrepersonne"


def opened(chunks: Iterator[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(chunks)))


@pytest.fixture
def person(cast: Cast) -> Client:
    client: Client = factories.ClientFactory()
    mark_all(client, with_kept=False)
    factories.make_bank_account(client)
    other = factories.ClientFactory(last_name=OTHER, email=f"{OTHER}@example.fr", city=OTHER)
    documents.add_document(other.id, f"{OTHER}.pdf", b"%PDF-1.7 autre", by=cast.admin, at=NOW)
    documents.add_document(client.id, "contrat.pdf", b"%PDF-1.7 le mien", by=cast.admin, at=NOW)
    db.session.commit()
    return client


def test_every_table_of_personal_data_is_handed_out_or_says_why_not() -> None:
    given = {section.table for section in SECTIONS}
    assert given | NOT_GIVEN.keys() == HOLDINGS.keys()
    assert not given & NOT_GIVEN.keys()


def test_the_archive_holds_everything_and_nothing_of_another(cast: Cast, person: Client) -> None:
    archive = disclosing.disclose(person.id, by=cast.admin, at=NOW)
    assert archive.name == "donnees-2026-11-20.zip"
    with opened(archive.chunks) as given:
        assert given.testzip() is None
        names = given.namelist()
        assert names[:3] == ["LISEZ-MOI.txt", "Donnees.pdf", "donnees.json"]
        # Of the other document the file is gone.
        assert names[3:] == ["documents/001 contrat.pdf", f"factures/001 Facture {EMAIL}.pdf"]
        assert given.read(names[3]) == b"%PDF-1.7 le mien"
        assert given.read("Donnees.pdf").startswith(b"%PDF-")
        assert given.read(names[4]).startswith(b"%PDF-")
        words = given.read("donnees.json").decode()
    content: dict[str, Any] = orjson.loads(words)
    assert content["rubriques"].keys() == {section.table for section in SECTIONS}
    assert content["rubriques"]["clients"]["lignes"][0]["email"] == EMAIL
    assert "FR1420041010050500013M02606" in words  # it is theirs: in clear
    assert content["rubriques"]["messages"]["lignes"][0]["content"] == EMAIL
    assert content["rubriques"]["documents"]["lignes"][-1]["user"] == cast.admin.full_name
    assert OTHER not in words
    assert "stored_as" not in words


def test_the_pdf_reads_in_french(cast: Cast, person: Client) -> None:
    sections = list(gather([person.id]))
    html = disclosing.render(person, sections, ["documents/001 contrat.pdf"], at=NOW)
    for words in ("Identité et coordonnées", "Comptes bancaires", "Historique", "IBAN", "Résilié", MARK):
        assert words in html
    assert OTHER not in html
    assert "organisation_id" not in html
    empty = [section.title for section, rows in sections if rows and not any(set(row) & LABELS.keys() for row in rows)]
    assert empty == []


def test_the_pdf_tells_what_was_agreed_and_claimed() -> None:
    claim = {
        "trade": "plumbing",
        "event_on": date(2026, 11, 19),
        "words": "La fuite coule.",
        "asked": Decimal("120.50"),
    }
    assert list(facts("claims", claim)) == [
        ("Métier", ["Plomberie"]),
        ("Jour de l’événement", ["19/11/2026"]),
        ("Ce que dit le client", ["La fuite coule."]),
        ("Montant demandé", ["120,5"]),
    ]
    cover = {"concluded_on": date(2026, 10, 1), "effective_on": date(2026, 11, 1)}
    assert list(facts("covers", cover)) == [("Conclu le", ["01/10/2026"]), ("Prend effet le", ["01/11/2026"])]
    home = {"occupancy": "tenant", "access_notes": "Code 12A"}
    assert list(facts("covered_homes", home)) == [("Occupation", ["Locataire"]), ("Accès au logement", ["Code 12A"])]
    sale = {"home_address_line1": "3 rue du Port", "home_city": "Lille"}
    assert list(facts("cover_sales", sale)) == [
        ("Adresse du logement", ["3 rue du Port"]),
        ("Ville du logement", ["Lille"]),
    ]


def test_it_leaves_a_trace_without_data(cast: Cast, person: Client) -> None:
    before = set(db.session.scalars(select(JournalEntry.id)))
    disclosing.disclose(person.id, by=cast.admin, at=NOW)
    [entry] = [each for each in db.session.scalars(select(JournalEntry)) if each.id not in before]
    assert (entry.kind, entry.user_id) == (JournalKind.DISCLOSURE, cast.admin.id)
    assert entry.details == [["Fiche", str(person.id)], ["Documents", 1], ["Factures", 1]]


def test_documents_follow_part_by_part(cast: Cast, person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = db.session.scalars(select(Document).where(Document.name == "contrat.pdf")).one()
    path = document_store.path_of(stored.stored_as, organisation_id=cast.organisation.id)
    path.write_bytes(bytes(range(256)) * 40_000)  # ten million bytes
    monkeypatch.setattr(zipfile, "ZIP_DEFLATED", zipfile.ZIP_STORED)
    chunks = list(disclosing.disclose(person.id, by=cast.admin, at=NOW).chunks)
    assert len(chunks) > 100
    assert max(map(len, chunks)) < 1_000_000


def test_what_has_a_number_follows_printed_one_by_one(cast: Cast) -> None:
    client = factories.ClientFactory()
    about = {"client_id": client.id, "seller": PARTY, "buyer": PARTY, "series": "FA"}
    numbered = {"status": "issued", "issued_on": NOW.date(), "finalised_at": NOW}
    first = make_row(TABLES["invoices"], **about, **numbered, number=1, reference="FA-000001")
    corrects = {"corrects_id": first["id"], "series": "AV", "number": 1, "reference": "AV-000001", "total": -1}
    make_row(TABLES["invoices"], **{**about, **numbered, **corrects, "issued_on": date(2026, 11, 21)})
    make_row(TABLES["invoices"], **about, status="draft")
    archive = disclosing.disclose(client.id, by=cast.admin, at=NOW)
    db.session.expunge_all()  # the request is over
    chunks = list(archive.chunks)
    assert max(chunk.count(b"factures/0") for chunk in chunks[:-1]) == 1  # the last one has the list of all
    with opened(iter(chunks)) as given:
        names = given.namelist()[3:]
        assert names == ["factures/001 Facture FA-000001.pdf", "factures/002 Avoir AV-000001.pdf"]
        assert all(given.read(name).startswith(b"%PDF-") for name in names)


def test_admins_alone_and_only_of_their_organisation(cast: Cast, person: Client) -> None:
    for by in (cast.manager, cast.commercial):
        with pytest.raises(ForbiddenError):
            disclosing.disclose(person.id, by=by, at=NOW)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        disclosing.disclose(person.id, by=cast.outsider, at=NOW)
