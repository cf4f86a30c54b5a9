"""« Simuler » tells what a run would do, field by field, and does none of it."""

from collections import Counter

import pytest
from sqlalchemy import text

from demo.hostile_prospects import hostile_rows
from demo.prospects import prospects
from tests import factories
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import client_of, items, reasons
from tests.services.winleadplus.raw import IBAN, contract, first, second
from tests.upstream import Upstream
from webapp.extensions import db
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, SyncRun
from webapp.services.winleadplus import config, field_changes, progress
from webapp.services.winleadplus.field_changes import Change

NARROW = "\u202f"
WRITTEN = (
    "clients", "contracts", "contract_lines", "bank_accounts", "mandates", "products", "commercials", "users",
    "sync_mappings", "timeline_events",
)  # fmt: skip


def _rows() -> dict[str, list[str]]:
    return {
        table: sorted(str(row) for row in db.session.execute(text(f"SELECT t.*, xmin FROM {table} t")))
        for table in WRITTEN
    }


def _plan(run: SyncRun, *kinds: ItemKind) -> dict[str, list[Change]]:
    return {item.external_id: field_changes.changes_of(item) for item in items(run, *kinds)}


def test_a_dry_run_writes_nothing_but_its_plan(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    last_synced_at = config.find().last_synced_at
    before = _rows()
    winleadplus.serve([first(1, ville="Roubaix"), second(3)])
    run = sync(dry_run=True)
    assert (run.status, counts(run)) == (RunStatus.SUCCESS, (1, 1, 0))
    assert _rows() == before
    assert config.find().last_synced_at == last_synced_at


def test_the_plan_tells_field_by_field(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve(
        [
            first(1, ville="Roubaix", contrats=[contract("1WNC", montant=3)], abonnements=[]),
            second(2, identityCard={"numero": "X"}),
        ]
    )
    run = sync(dry_run=True)
    assert _plan(run, ItemKind.UPDATED) == {
        "1": [
            Change("Ville", "Lille", "Roubaix"),
            Change(f"Contrat 1WNC{NARROW}: montant", "2,20\u00a0€", "3,00\u00a0€"),
            Change(f"Contrat 1WNC{NARROW}: lignes", "Télécâble Sat (2,20\u00a0€)", None),
        ]
    }
    assert _plan(run, ItemKind.CREATED)["2"] == [
        Change("Nom", None, "LEFÈVRE"),
        Change("Prénom", None, "Anaïs"),
        Change("E-mail", None, "anais.2@example.org"),
        Change("Téléphone", None, "06 39 98 11 22"),
        Change("Adresse", None, "3 quai de la Loire"),
        Change("Code postal", None, "44000"),
        Change("Ville", None, "Nantes"),
        Change("Pays", None, "FR"),
        Change("Statut", None, "Prospect"),
        Change("Commercial", None, "John Doe"),
        Change("Pièce d’identité", None, "••••"),
        Change(f"Contrat 2TEL{NARROW}: statut", None, "En attente"),
        Change(f"Contrat 2TEL{NARROW}: montant", None, "29,99\u00a0€"),
        Change(f"Contrat 2TEL{NARROW}: signature", None, "07/02/2026"),
        Change("IBAN", None, "FR•• •••• 0189"),
    ]


def test_the_plan_is_what_the_run_then_does(winleadplus: Upstream, sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_BATCH", 10)
    monkeypatch.setattr(progress, "BATCH", 20)
    winleadplus.serve([first(1), *prospects(10)])
    sync()
    factories.ClientFactory(email="shared@example.org")
    for _ in range(2):
        factories.ClientFactory(email="twice@example.org")
    db.session.commit()
    filler = [first(300 + number) for number in range(60)]
    winleadplus.serve(
        [
            *prospects(12, changed={3: 1}),
            first(1, ville="Roubaix", informationsPaiement=[{"iban": IBAN}]),
            first(2, email="shared@example.org"),
            *filler,
            first(3, email="shared@example.org"),
            first(4, email="twice@example.org"),
            first(5, contrats=[contract("300WNC")]),
            *hostile_rows("8100000TEL"),
        ]
    )
    planned, done = sync(dry_run=True), sync()

    def told(run: SyncRun) -> Counter[tuple[str, str, str | None]]:
        return Counter((item.external_id, item.kind.value, item.reason) for item in items(run, *ItemKind))

    assert told(planned) == told(done)
    assert counts(planned) == counts(done)
    assert _plan(planned, ItemKind.UPDATED) == _plan(done, ItemKind.UPDATED)
    assert client_of(2).source is None


def test_a_dry_run_flags_nobody(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    before = _rows()
    winleadplus.serve([first(1)])
    assert counts(sync(dry_run=True)) == (0, 0, 1)
    assert _rows() == before


def test_a_dry_run_leaves_the_open_items_of_others(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, nom=None, prenom=None)])
    real = sync()
    sync(dry_run=True)
    (item,) = items(real, ItemKind.ERROR)
    assert item.resolved_at is None
    assert reasons(real, ItemKind.ERROR) == {"1": "Prospect sans nom ni prénom."}


def test_plans_are_encrypted(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, nom="TRÈSSECRET", informationsPaiement=[{"iban": IBAN}])])
    (item,) = items(sync(dry_run=True), ItemKind.CREATED)
    assert item.after is not None
    assert IBAN.encode() not in item.after
    assert b"SECRET" not in item.after
