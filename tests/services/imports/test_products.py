"""A line of a file gives its contract one product: planned, applied and undone with the contract."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.imports.conftest import applied, items_of, kept, planned, told
from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways.spreadsheets import Cell
from webapp.models.contracts import Contract
from webapp.models.products import Product
from webapp.services.contracts import editing
from webapp.services.contracts.fields import ContractFields, ContractLineFields
from webapp.services.imports import columns, commands, transforms
from webapp.services.imports.comparing import SEVERAL_LINES
from webapp.services.operations import carry_out as carrying
from webapp.services.operations import undoing
from webapp.services.operations.carry_out import carry_out
from webapp.services.operations.wording import Names, changes_of

HEAD = "Nom;E-mail;N° contrat;Produit;Quantité;Prix unitaire HT\n"
Lines = list[tuple[Any, ...]]


@pytest.fixture
def box(cast: Cast) -> Product:
    return factories.ProductFactory(name="Box Énergie")


@pytest.fixture
def coffret(cast: Cast) -> Product:
    return factories.ProductFactory(name="Coffret")


def _row(number: int, product: str, quantity: str = "", price: str = "") -> str:
    return f"Durand;c{number}@exemple.fr;K-{number};{product};{quantity};{price}\n"


def _contract(number: int, *lines: dict[str, Any]) -> Contract:
    client = factories.ClientFactory(last_name="Durand", first_name="", email=f"c{number}@exemple.fr")
    contract: Contract = factories.ContractFactory(client_id=client.id, reference=f"K-{number}", changed_at=NOW)
    for position, line in enumerate(lines):
        factories.ContractLineFactory(contract_id=contract.id, position=position, **line)
    return contract


def _line(product: Product, **more: Any) -> dict[str, Any]:
    return {"product_id": product.id, "label": product.name, **more}


def _lines() -> dict[str, Lines]:
    """By reference: the lines, and what the contract says that it sells."""
    db.session.expire_all()
    found: dict[str, Lines] = {}
    for contract in db.session.scalars(select(Contract).order_by(Contract.reference)):
        assert {*contract.product_ids} == {each.product_id for each in contract.lines if each.product_id}
        found[contract.reference] = [
            (
                each.label,
                each.product_id,
                str(each.quantity.normalize()),
                None if each.unit_price is None else str(each.unit_price),
            )
            for each in contract.lines
        ]
    return found


def _undone(operation_id: UUID, cast: Cast) -> UUID:
    undo_id = undoing.plan_undo(operation_id, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), undo_id)
    assert applied(undo_id, cast.admin).left_out == 0
    return undo_id


def _cases(box: Product, coffret: Product) -> str:
    """A contract that is new, one without lines, three with one, one with two."""
    _contract(2)
    _contract(3, _line(box, quantity="2", unit_price="9.9000"))
    _contract(4, _line(box, quantity="2"))
    _contract(5, _line(box), _line(coffret))
    _contract(6, _line(box))
    return HEAD + (
        _row(1, "BOX ENERGIE", "1,5", "12,3456")
        + _row(2, "box énergie")
        + _row(3, "Coffret", "3", "0")
        + _row(4, "Box Énergie", "", "7,50")
        + _row(5, "Coffret", "4", "1,00")
        + _row(6, "Coffret", "1", "3")
    )


@pytest.mark.parametrize("policy", ["fichier", "remplir", "crm"])
def test_a_plan_is_what_is_written_and_what_is_undone(
    cast: Cast, box: Product, coffret: Product, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "CHUNK", 3)
    content = _cases(box, coffret)
    before = _lines()
    operation_id = planned(content, cast.admin, policy=policy)
    assert _lines() == before
    done = applied(operation_id, cast.admin)
    assert (done.errors, done.left_out) == (0, 0)
    k1: Lines = [("Box Énergie", box.id, "1.5", "12.3456")]
    k2: Lines = [("Box Énergie", box.id, "1", None)]
    k3: Lines = [("Coffret", coffret.id, "3", "0.0000")]
    k4: Lines = [("Box Énergie", box.id, "2", "7.5000")]
    k6: Lines = [("Coffret", coffret.id, "1", "3.0000")]
    assert _lines() == before | {
        "fichier": {"K-1": k1, "K-2": k2, "K-3": k3, "K-4": k4, "K-6": k6},
        "remplir": {"K-1": k1, "K-2": k2, "K-4": k4},
        "crm": {"K-1": k1},
    }[policy]  # fmt: skip
    several = [item.reason for item in items_of(operation_id) if item.label == "K-5"]
    assert several == [None if policy == "crm" else SEVERAL_LINES]
    again = planned(content, cast.admin, policy=policy)
    assert {action for _, _, action in told(again)} == {"nothing"}
    _undone(operation_id, cast)
    assert _lines() == before


def test_a_change_is_told_before_and_after(cast: Cast, box: Product, coffret: Product) -> None:
    operation_id = planned(_cases(box, coffret), cast.admin)
    (item,) = [item for item in items_of(operation_id) if item.label == "K-3"]
    assert [tuple(each) for each in changes_of(item.target, item.before, item.after, Names())] == [
        ("Produit", "Box Énergie", "Coffret"),
        ("Quantité", "2", "3"),
        ("Prix unitaire HT", "9,90", "0,00"),
    ]


def test_a_line_that_somebody_changed_meanwhile_stays(cast: Cast, box: Product, coffret: Product) -> None:
    kept_ones = _cases(box, coffret)
    operation_id = planned(kept_ones, cast.admin)
    _edit("K-2", ContractLineFields(label="À la main"), cast=cast)
    assert applied(operation_id, cast.admin).left_out == 1
    for reference in ("K-1", "K-3"):
        _edit(reference, ContractLineFields(label="Coffret", unit_price=Decimal(5)), cast=cast)
    edited = _lines()
    undo_id = undoing.plan_undo(operation_id, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), undo_id)
    applied(undo_id, cast.admin)
    after = _lines()
    assert after["K-4"] == [("Box Énergie", box.id, "2", None)]
    assert [after[name] for name in ("K-1", "K-2", "K-3")] == [edited[name] for name in ("K-1", "K-2", "K-3")]


def _edit(reference: str, *lines: ContractLineFields, cast: Cast) -> None:
    db.session.expire_all()
    contract = db.session.scalars(select(Contract).where(Contract.reference == reference)).one()
    fields = ContractFields(**{**vars(ContractFields.of(contract)), "lines": lines})
    later = NOW.replace(microsecond=7)
    editing.edit_contract(contract.id, fields, seen=contract.changed_at, by=cast.admin, at=later)


def test_an_unknown_product_is_refused_at_its_cell_and_can_be_mapped(cast: Cast, box: Product) -> None:
    import_id = kept(HEAD + _row(1, "Bocse", "2") + _row(2, "", "2"), cast.admin)
    found = commands.find(import_id, by=cast.admin)
    rules = {"policy": "fichier", "creates_clients": True}
    operation_id = commands.match(import_id, found.columns, rules, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), operation_id)
    assert [item.reason for item in items_of(operation_id)] == [
        "Produit\u202f: Ce produit n’existe pas\u202f: dites sous le plan lequel c’est, ou créez-le.",
        "Produit\u202f: Indiquez le produit qui a cette quantité ou ce prix.",
    ]
    with pytest.raises(InvalidInputError) as refusal:
        commands.decide(import_id, {}, {}, products={"Bocse": str(UUID(int=7))}, by=cast.admin, at=NOW)
    assert refusal.value.field == "product_id"
    operation_id = commands.decide(import_id, {}, {}, products={"Bocse": str(box.id)}, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), operation_id)
    applied(operation_id, cast.admin)
    assert _lines() == {"K-1": [("Box Énergie", box.id, "2", None)]}


def test_two_products_of_one_folded_name_are_told_by_the_exact_one(cast: Cast) -> None:
    for name in ("Box", "Box +"):
        factories.ProductFactory(name=name)
    operation_id = planned(HEAD + _row(1, "Box +") + _row(2, "BOX"), cast.admin)
    assert [action for _, _, action in told(operation_id)] == ["create", "create", "error"]


@pytest.mark.parametrize("count", [2, 40])
def test_lines_are_written_by_sets(cast: Cast, box: Product, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(0, count, 2):
        _contract(number, _line(box))
    operation_id = planned(HEAD + "".join(_row(number, "Box Énergie", "3") for number in range(count)), cast.admin)
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def counting(self: Any, query: Any, *rest: Any, **more: Any) -> Any:
        statements.append(query if isinstance(query, str | bytes) else query.as_string(self))
        return execute(self, query, *rest, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", counting)
    assert applied(operation_id, cast.admin).left_out == 0
    assert sum("INSERT INTO contract_lines" in each for each in statements) == 2  # of contracts created, and changed
    assert {lines[0][2] for lines in _lines().values()} == {"3"}


NBSP = "\u00a0"
REFUSED = "refused"


@pytest.mark.parametrize(
    ("cell", "quantity", "price"),
    [
        ("", None, None),
        ("2", "2", "2"),
        (2.0, "2", "2"),
        (0.1 + 0.2, "0.3", "0.3"),
        ("1,5", "1.5", "1.5"),
        (f"1{NBSP}234,50 €", "1234.5", "1234.5"),
        ("0", REFUSED, "0"),
        ("-1", REFUSED, REFUSED),
        ("0,1234", REFUSED, "0.1234"),
        (0.12345, REFUSED, REFUSED),
        ("1.234", REFUSED, REFUSED),
        (1e10, REFUSED, REFUSED),
        (1e-10, REFUSED, "0"),
        ("deux", REFUSED, REFUSED),
    ],
)
def test_cells_of_quantities_and_prices(cell: Cell, quantity: str | None, price: str | None) -> None:
    def read(reader: Any) -> Any:
        try:
            found = reader(cell)
        except InvalidInputError:
            return REFUSED
        return found and float(found)

    for reader, expected in ((transforms.read_quantity, quantity), (transforms.read_unit_price, price)):
        assert read(reader) == (expected if expected in (None, REFUSED) else float(expected))


def test_headings_and_mappings() -> None:
    keys = ["contract.reference", "contract.product", "contract.quantity", "contract.unit_price"]
    assert columns.guess(["Contract number", "Product", "Qty", "Unit price"]) == keys
    assert columns.guess(["N° contrat", "PRODUIT", "Qté", "P.U. HT"]) == keys
    assert columns.guess(["Référence", "Client", "Produit"])[2] is None  # our own list: several in one cell
    assert len(columns.faults_of_mapping([keys[0], "contract.quantity"])) == 1
