"""« Importer » in the browser's terms: file, columns, plan, result; who may, and who sees nothing."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.clients import Client, ClientStatus
from webapp.models.contracts import ContractLine
from webapp.models.imports import Import
from webapp.models.operations import Operation, OperationKind
from webapp.models.products import Product
from webapp.services.imports import commands
from webapp.services.imports.models_to_fill import EXAMPLE
from webapp.services.operations.carry_out import carry_out

FILE = (
    "Nom;Prénom;E-mail;Société\nDUPONT;Zoé;zoe@exemple.fr;\nMARTIN;Luc;luc@@exemple;\n"
    "DURAND;Ana;ana@exemple.fr;Ailleurs\n"
)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(document_store, "_folder", tmp_path)
    return iter(())


def _given(client: FlaskClient, content: str = FILE, name: str = "clients.csv") -> UUID:
    answer = client.post("/imports", data={"fichier": (io.BytesIO(content.encode()), name)})
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["Location"].rsplit("/", 1)[1])


def _read(import_id: UUID) -> None:
    commands.read(tenancy.current_organisation_id(), import_id)


def _carry_out() -> UUID:
    newest = select(Operation.id).where(Operation.kind == OperationKind.IMPORT).order_by(Operation.id.desc()).limit(1)
    operation_id = db.session.scalars(newest).one()
    carry_out(tenancy.current_organisation_id(), operation_id)
    return operation_id


def test_from_a_file_to_clients_and_its_rejects(cast: Cast, manager_client: FlaskClient) -> None:
    assert "Importer" in manager_client.get("/clients").text
    assert "Lire le fichier" in manager_client.get("/imports/nouveau").text
    import_id = _given(manager_client)
    address = f"/imports/{import_id}"
    assert "import-progress" in manager_client.get(address).text
    assert "import-progress" in manager_client.get(f"{address}?suivi=1", headers=HTMX).text
    _read(import_id)
    assert manager_client.get(f"{address}?suivi=1", headers=HTMX).headers["HX-Redirect"] == address
    assert "import-preview" in manager_client.get(address).text
    columns = manager_client.get(f"{address}/colonnes").text
    assert '<option value="client.email" selected>' in columns
    keys = ["client.last_name", "client.first_name", "client.email", "contract.company"]
    refused = manager_client.post(f"{address}/colonnes", data={"colonne": keys, "policy": "remplir"})
    assert (refused.status_code, "référence du contrat" in refused.text) == (422, True)
    keys[3] = ""
    planned = manager_client.post(
        f"{address}/colonnes", data={"colonne": keys, "policy": "remplir", "creates_clients": "1"}
    )
    assert planned.headers["Location"] == f"{address}/plan"
    assert "import-progress" in manager_client.get(f"{address}/plan").text
    assert "import-progress" in manager_client.get(f"{address}/plan?suivi=1", headers=HTMX).text
    operation_id = _carry_out()
    plan = manager_client.get(f"{address}/plan").text
    assert ("2 à créer, 1 en erreur" in plan, "import-rejects" in plan) == (True, True)
    items = manager_client.get(f"/operations/{operation_id}").text
    assert "E-mail\u202f: L’adresse e-mail n’est pas valide" in items
    assert ("À créer" in items, "Créé<" in items) == (True, False)
    manager_client.post(f"/operations/{operation_id}/appliquer")
    _carry_out()
    items = manager_client.get(f"/operations/{operation_id}").text
    assert ("À créer" in items, "Créé<" in items) == (False, True)
    assert items.index("DUPONT</ins>") < items.index("Zoé</ins>") < items.index("zoe@exemple.fr</ins>")
    with manager_client.get(f"{address}/rejets") as answer:
        rejects = answer.data.decode("utf-8-sig").splitlines()
    assert rejects[0] == "Nom;Prénom;E-mail;Société;Motif"
    assert rejects[1].startswith("MARTIN;Luc;luc@@exemple;;E-mail\u202f: L’adresse e-mail")
    assert len(rejects) == 2
    assert db.session.scalars(select(Client).where(Client.email == "zoe@exemple.fr")).one().first_name == "Zoé"
    for step, data in (("lecture", {}), ("colonnes", {"colonne": keys, "policy": "remplir"})):
        late = manager_client.post(f"{address}/{step}", data=data)
        assert (late.status_code, "déjà appliqué" in late.text, "steps-list" in late.text) == (409, True, True)


def test_a_file_that_is_gone_is_not_offered_to_be_read_again(cast: Cast, manager_client: FlaskClient) -> None:
    import_id = _given(manager_client)
    _read(import_id)
    address = f"/imports/{import_id}"
    assert "Relire ainsi" in manager_client.get(address).text
    db.session.execute(update(Import).where(Import.id == import_id).values(stored_as=None, file_key=None, reading=None))
    db.session.commit()
    page = manager_client.get(address).text
    assert "Relire ainsi" not in page
    assert "Déposer un autre fichier" in page


def test_a_person_decides_who_somebody_is(cast: Cast, manager_client: FlaskClient) -> None:
    twins = [
        factories.ClientFactory(last_name="DUPONT", first_name="", email="zoe@exemple.fr", phone=phone, city="Metz")
        for phone in ("+33612345678", None)
    ]
    import_id = _given(manager_client, "Nom;E-mail;Ville\nDUPONT;zoe@exemple.fr;Lyon\n")
    _read(import_id)
    address = f"/imports/{import_id}"
    keys = ["client.last_name", "client.email", "client.city"]
    manager_client.post(f"{address}/colonnes", data={"colonne": keys, "policy": "fichier", "creates_clients": "1"})
    _carry_out()
    page = manager_client.get(f"{address}/plan").text
    assert 'name="ligne-2"' in page
    assert ">DUPONT · zoe@exemple.fr · 06 12 34 56 78 · Metz</option>" in page
    assert ">DUPONT · zoe@exemple.fr · Metz</option>" in page
    assert "Voir le plan et l’appliquer" not in page  # there is nothing to apply yet
    manager_client.post(f"{address}/decisions", data={"ligne-2": str(twins[1].id)})
    operation_id = _carry_out()
    manager_client.post(f"/operations/{operation_id}/appliquer")
    _carry_out()
    db.session.expire_all()
    assert [each.city == "Lyon" for each in twins] == [False, True]


def _plan_with_product(client: FlaskClient, product: str) -> tuple[str, str]:
    """An import of a contract of that product: its address, and the page of its plan."""
    import_id = _given(client, f"Nom;E-mail;N° contrat;Produit\nDUPONT;zoe@exemple.fr;C-1;{product}\n")
    _read(import_id)
    keys = ["client.last_name", "client.email", "contract.reference", "contract.product"]
    address = f"/imports/{import_id}"
    client.post(f"{address}/colonnes", data={"colonne": keys, "policy": "fichier", "creates_clients": "1"})
    _carry_out()
    return address, client.get(f"{address}/plan").text


def test_a_person_says_which_product_a_foreign_name_is(cast: Cast, manager_client: FlaskClient) -> None:
    box = factories.ProductFactory(name="Box Énergie")
    address, page = _plan_with_product(manager_client, "Bocse")
    assert ("Ces produits n’existent pas" in page, "Ces sociétés n’existent pas" in page) == (True, False)
    assert f'<option value="{box.id}">Box Énergie</option>' in page
    manager_client.post(f"{address}/decisions", data={"produit": "Bocse", "produit_id": str(box.id)})
    operation_id = _carry_out()
    assert "Box Énergie</ins>" in manager_client.get(f"/operations/{operation_id}").text
    assert "Ces produits n’existent pas" not in manager_client.get(f"{address}/plan").text


def test_a_product_that_nobody_knows_is_made_from_the_plan_once(cast: Cast, manager_client: FlaskClient) -> None:
    """In an organisation that begins there is no product to choose."""
    address, page = _plan_with_product(manager_client, "Box thé")
    assert '<option value="non-expedie">Créer ce produit, qui ne s’expédie pas</option>' in page
    for _ in range(2):  # clicked twice
        manager_client.post(f"{address}/decisions", data={"produit": "Box thé", "produit_id": "non-expedie"})
        operation_id = _carry_out()
    made = db.session.scalars(select(Product).where(Product.name == "Box thé")).one()
    assert not made.is_shipped
    assert "Box thé</ins>" in manager_client.get(f"/operations/{operation_id}").text
    manager_client.post(f"/operations/{operation_id}/appliquer")
    _carry_out()
    assert db.session.scalars(select(ContractLine.product_id)).all() == [made.id]


def test_how_a_file_is_read_can_be_corrected(cast: Cast, manager_client: FlaskClient) -> None:
    import_id = _given(manager_client)
    _read(import_id)
    address = f"/imports/{import_id}"
    answer = manager_client.post(f"{address}/lecture", data={"separator": ",", "encoding": "utf-8", "header": "1"})
    assert answer.status_code == 303
    _read(import_id)
    assert "1 colonne<" in manager_client.get(address).text
    manager_client.post(f"{address}/lecture", data={"header": "4"})
    _read(import_id)
    page = manager_client.get(address).text
    assert ("aucune ligne sous" in page, 'name="header"' in page) == (True, True)
    wrong = manager_client.post(f"{address}/lecture", data={"separator": "x"})
    assert (wrong.status_code, "séparateur" in wrong.text) == (422, True)


def test_a_file_that_is_no_table_is_refused_where_it_was_given(cast: Cast, manager_client: FlaskClient) -> None:
    answer = manager_client.post("/imports", data={"fichier": (io.BytesIO(b"%PDF-1.4"), "a.pdf")})
    assert (answer.status_code, "ni un CSV" in answer.text) == (422, True)
    assert manager_client.post("/imports").status_code == 422


def test_models_can_be_downloaded(cast: Cast, manager_client: FlaskClient) -> None:
    assert manager_client.get("/imports/modele.csv").data.startswith(b"\xef\xbb\xbf")
    assert manager_client.get("/imports/modele.xlsx").data.startswith(b"PK")


def test_the_model_as_it_is_makes_an_active_client(cast: Cast, manager_client: FlaskClient) -> None:
    """Whoever comes with a contract of before is no prospect, whose data would be proposed for erasure one day."""
    import_id = _given(manager_client, manager_client.get("/imports/modele.csv").text)
    _read(import_id)
    address = f"/imports/{import_id}"
    page = manager_client.get(f"{address}/colonnes").text
    keys = re.findall(r'<option value="([\w.]+)" selected>', page)
    assert "client.status" in keys
    manager_client.post(
        f"{address}/colonnes", data={"colonne": list(EXAMPLE), "policy": "fichier", "creates_clients": "1"}
    )
    operation_id = _carry_out()
    manager_client.post(f"/operations/{operation_id}/appliquer")
    _carry_out()
    assert db.session.scalars(select(Client.status)).all() == [ClientStatus.ACTIVE]


def _undecided(client: FlaskClient, lines: int) -> str:
    """The address of an import whose lines each wait for a person, and one has a fault."""
    rows = []
    for number in range(lines):
        email = f"{lines}-{number}@exemple.fr"
        for _ in range(2):
            factories.ClientFactory(email=email)
        rows.append(f"DUPONT;{email};Lyon\n")
    import_id = _given(client, "Nom;E-mail;Ville\n" + "".join(rows) + "FAUX;faux@@exemple;Lyon\n")
    _read(import_id)
    address = f"/imports/{import_id}"
    keys = ["client.last_name", "client.email", "client.city"]
    client.post(f"{address}/colonnes", data={"colonne": keys, "policy": "fichier", "creates_clients": "1"})
    _carry_out()
    return address


@pytest.mark.parametrize(
    ("step", "expected"),
    [("", 2), ("?suivi=1", 2), ("/colonnes", 3), ("/plan", 5), ("/plan?suivi=1", 3), ("/rejets", 4)],
)
def test_the_pages_ask_as_much_for_many_lines_as_for_one(
    cast: Cast, manager_client: FlaskClient, step: str, expected: int
) -> None:
    def queries(lines: int) -> int:
        address = _undecided(manager_client, lines)
        db.session.commit()
        with recorded_queries() as statements:
            answer = manager_client.get(address + step, headers=HTMX if "suivi" in step else {})
        assert answer.status_code == 200
        answer.close()
        return len(statements)

    assert queries(1) == queries(12) == expected


def test_the_page_that_takes_a_file_asks_for_who_is_there_alone(cast: Cast, manager_client: FlaskClient) -> None:
    db.session.commit()
    with recorded_queries() as statements:
        assert manager_client.get("/imports/nouveau").status_code == 200
    assert len(statements) == 1


ADDRESSES = ("", "/colonnes", "/plan", "/rejets")


def test_commercials_do_not_import(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    import_id = _given(manager_client)
    assert "Importer" not in client.get("/clients").text
    assert client.get("/imports/nouveau").status_code == 403
    assert {client.get(f"/imports/{import_id}{each}").status_code for each in ADDRESSES} == {403}


def test_an_outsider_finds_nothing(cast: Cast, manager_client: FlaskClient, sign_in: SignIn) -> None:
    import_id = _given(manager_client)
    with tenancy.organisation(cast.other_organisation.id):
        stranger = sign_in(factories.UserFactory(roles=["admin"]))
    assert {stranger.get(f"/imports/{import_id}{each}").status_code for each in ADDRESSES} == {404}
    with tenancy.across_organisations():
        assert db.session.scalars(select(Import)).one().organisation_id == cast.organisation.id


class _Endless(io.RawIOBase):
    """A body that goes on as long as somebody reads; how much was read."""

    read_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = size if 0 <= size < 65536 else 65536
        self.read_bytes += size
        return b"x" * size


def test_two_hundred_megabytes_are_refused_before_they_are_read(cast: Cast, manager_client: FlaskClient) -> None:
    body = _Endless()
    environ = {"wsgi.input": body, "CONTENT_LENGTH": "200000000"}
    kind = "multipart/form-data; boundary=x"
    answer = manager_client.post("/imports", content_type=kind, environ_overrides=environ)
    assert (answer.status_code, "50\u202fMo au plus" in answer.text, body.read_bytes) == (413, True, 0)


def test_a_file_beyond_the_limit_of_other_forms_is_taken(app: Flask, cast: Cast, manager_client: FlaskClient) -> None:
    """As a browser sends it: the token stands in the form, which the CSRF check reads."""
    token = manager_client.environ_base.pop("HTTP_X_CSRFTOKEN")
    content = "Nom;E-mail\r\n" + "Durand;ana@exemple.fr\r\n" * 100_000
    parts = (("csrf_token", "", token), ("fichier", '; filename="a.csv"', content))
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n' for name, more, text in parts
    )
    answer = manager_client.post("/imports", data=f"{body}--x--", content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 303
