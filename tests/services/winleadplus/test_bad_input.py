"""One bad row costs at most one row, with its reason; a bad answer ends the run with a sentence."""

import orjson
import pytest
from sqlalchemy import func, select

from demo.hostile_prospects import hostile_rows
from demo.prospects import prospects
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import all_clients, client_of, contract, items, lines_of, reasons
from tests.services.winleadplus.raw import contract as raw_contract
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus import config

NARROW = "\u202f"
NO_CONTRACT = f"Aucun contrat{NARROW}: ce prospect n’est pas importé."


def test_a_hostile_answer_costs_the_bad_rows_only(winleadplus: Upstream, sync: Sync) -> None:
    healthy = list(prospects(20))
    borrowed = (healthy[0].get("contrats") or healthy[0]["Souscription"][0]["contrats"])[0]["titre"]
    winleadplus.serve([*healthy[:10], *hostile_rows(borrowed), *healthy[10:]])
    run = sync()
    assert run.status is RunStatus.PARTIAL
    assert reasons(run, ItemKind.ERROR) == {
        "#11": f"Ce n’est pas un prospect{NARROW}: un objet était attendu.",
        "#12": f"Ce n’est pas un prospect{NARROW}: un objet était attendu.",
        "#13": f"Ce n’est pas un prospect{NARROW}: un objet était attendu.",
        "#14": f"Prospect sans idProspect{NARROW}: il ne pourrait pas être reconnu.",
        "#16": f"idProspect illisible («{NARROW}abc{NARROW}»).",
        "900005": "Prospect sans nom ni prénom.",
        "900006": "Prospect sans nom ni prénom.",
        "900035": f"La référence de contrat {borrowed} appartient déjà à un autre client.",
    }
    assert reasons(run, ItemKind.SKIPPED) == {"900032": NO_CONTRACT, "900033": NO_CONTRACT}
    assert (run.errors, run.skipped, run.conflicts) == (8, 2, 0)
    assert run.created == len(all_clients())
    assert run.warnings == len(items(run, ItemKind.WARNING))
    assert client_of(900004).last_name == "DERNIER"
    assert client_of(900018).id != client_of(900019).id
    assert client_of(900051).full_name == "NULICI Bel[31m"
    assert client_of(900052).full_name == "<script>alert('nom')</script> <img src=x onerror=alert(1)>"
    assert len(client_of(900055).last_name) == 200


@pytest.mark.parametrize("number", [None, "abc", -1, 2**63])
def test_a_prospect_without_a_usable_id_is_told_by_its_name(winleadplus: Upstream, sync: Sync, number: object) -> None:
    winleadplus.serve([first() | {"idProspect": number}])
    (item,) = items(sync(), ItemKind.ERROR)
    assert item.label == "HAMDANI Karim"


def test_the_hostile_answer_again_repeats_errors_and_skips_the_rest(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([*prospects(5), *hostile_rows("8100000TEL")])
    before = sync()
    run = sync()
    assert (run.status, run.errors, run.warnings) == (RunStatus.PARTIAL, before.errors, 0)
    assert counts(run) == (0, 0, before.created + before.skipped)
    assert all(item.resolved_at for item in items(before, ItemKind.ERROR))


@pytest.mark.parametrize("number", [1, 400])
def test_the_last_of_two_rows_with_one_id_counts_once(winleadplus: Upstream, sync: Sync, number: int) -> None:
    others = [first(100 + each, telephone=None) for each in range(number)]
    winleadplus.serve([first(1, nom="PREMIER"), *others, first(1, nom="DERNIER")])
    run = sync()
    assert (run.status, counts(run), run.done) == (RunStatus.SUCCESS, (number + 1, 0, 0), number + 1)
    assert client_of(1).last_name == "DERNIER"
    again = sync()
    assert counts(again) in [(0, 1, number), (0, 0, number + 1)]
    assert client_of(1).last_name == "DERNIER"


def test_a_repeated_id_whose_first_row_was_bad_is_counted_by_its_last(winleadplus: Upstream, sync: Sync) -> None:
    others = [first(100 + each) for each in range(400)]
    winleadplus.serve([first(1, nom=None, prenom=None), *others, first(1)])
    run = sync()
    assert (run.status, counts(run), run.errors) == (RunStatus.SUCCESS, (401, 0, 0), 0)
    assert items(run, ItemKind.ERROR) == []


def test_a_repeated_id_whose_last_row_is_bad_keeps_the_client_and_says_so(winleadplus: Upstream, sync: Sync) -> None:
    others = [first(100 + each) for each in range(400)]
    winleadplus.serve([first(1), *others, first(1, nom=None, prenom=None)])
    run = sync()
    assert (run.status, run.created, run.errors) == (RunStatus.PARTIAL, 401, 1)
    assert reasons(run, ItemKind.ERROR) == {"1": "Prospect sans nom ni prénom."}


def test_a_known_prospect_in_error_is_tried_again_though_it_did_not_change(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    stolen = first(2, contrats=[raw_contract("2WNC"), raw_contract("1WNC")])
    winleadplus.serve([first(1), stolen])
    for _ in range(2):
        run = sync()
        assert (run.status, counts(run), run.errors) == (RunStatus.PARTIAL, (0, 0, 1), 1)
    db.session.delete(contract("1WNC"))
    db.session.commit()
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.SUCCESS, (0, 1, 1))


def test_two_new_prospects_with_one_reference_are_one_client_and_one_error(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, contrats=[raw_contract("R")]), first(2, contrats=[raw_contract("R")])])
    run = sync()
    assert (counts(run), list(reasons(run, ItemKind.ERROR))) == ((1, 0, 0), ["2"])
    assert db.session.scalar(select(func.count()).select_from(Client)) == 1


def test_prospects_without_contract_are_ignored_unless_the_setting_says_otherwise(
    winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1, contrats=[], abonnements=[]), first(2)])
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.SUCCESS, (1, 0, 1))
    config.change(import_without_contracts=True)
    assert counts(sync()) == (1, 0, 1)
    assert client_of(1).contracts_count == 0


def test_a_contract_without_reference_leaves_a_client_without_contract(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, contrats=[raw_contract("")])])
    run = sync()
    assert (run.status, counts(run), run.warnings) == (RunStatus.SUCCESS, (1, 0, 0), 1)
    assert client_of(1).contracts_count == 0


def test_a_row_that_is_no_json_costs_itself_only(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.body = b"[" + orjson.dumps(first(1)) + b',{"idProspect": oups},' + orjson.dumps(first(2)) + b"]"
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.PARTIAL, (2, 0, 0))
    assert reasons(run, ItemKind.ERROR) == {"#2": "Ce prospect n’est pas lisible (JSON non valide)."}


def test_a_cut_answer_applies_what_came_whole_and_ends_partial(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2), first(3)])
    sync()
    whole = orjson.dumps([first(1), first(2, ville="Roubaix"), first(3)])
    winleadplus.body = whole[: -len(orjson.dumps(first(3))) // 2]
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.PARTIAL, (0, 1, 1))
    assert run.error == (
        f"La réponse de WinLeadPlus s’est interrompue{NARROW}: la suite de la liste manque. "
        "Relancez la synchronisation."
    )
    assert client_of(2).city == "Roubaix"
    assert config.find().last_synced_at is not None


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, b"", "WinLeadPlus a refusé l’accès."),
        (403, b"", "WinLeadPlus a refusé l’accès."),
        (404, b"", "(réponse 404)"),
        (200, b"<html><body>Maintenance</body></html>", "par une page ou un texte au lieu de ses prospects"),
        (200, b"pas du JSON", "par une page ou un texte au lieu de ses prospects"),
        (200, b'{"message": "bonjour"}', "n’est pas une liste de prospects"),
        (200, b"", "réponse vide ou illisible"),
    ],
)
def test_an_answer_that_cannot_be_used_fails_the_run_and_touches_nobody(
    winleadplus: Upstream, sync: Sync, status: int, body: bytes, sentence: str
) -> None:
    winleadplus.serve([first(1)])
    sync()
    last_synced_at = config.find().last_synced_at
    winleadplus.status, winleadplus.body = status, body
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.FAILED, (0, 0, 0))
    assert sentence in (run.error or "")
    assert config.find().last_synced_at == last_synced_at
    assert client_of(1).city == "Lille"


def test_a_switched_off_organisation_is_not_asked(winleadplus: Upstream, sync: Sync) -> None:
    config.change(enabled=False)
    with pytest.raises(Exception, match="désactivée pour votre organisation"):
        sync()
    assert winleadplus.requests == []


def test_lines_keep_their_price_category_and_product(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2, abonnements=[{"nom": "TÉLÉCABLE sat", "prix_base": "2,20"}])])
    sync()
    (one,), (two,) = lines_of("1WNC"), lines_of("2WNC")
    assert one.details == {"category": "Divertissement", "offer_id": "9"}
    assert one.product_id == two.product_id is not None
    assert contract("1WNC").product_ids == [one.product_id]


def test_ten_megabytes_in_one_string_cost_at_most_one_row(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2, prenom="A" * 10_000_000), first(3)])
    run = sync()
    assert (run.status, counts(run), run.warnings) == (RunStatus.SUCCESS, (3, 0, 0), 1)
    assert len(client_of(2).first_name) == 200


def test_thousands_of_prospects_are_imported_and_skipped(winleadplus: Upstream, sync: Sync) -> None:
    """The way through every size of batch; bench/sync.py imports 100,000 and 1,000,000."""
    number = 2_000
    winleadplus.serve(list(prospects(number)))
    assert counts(sync()) == (number, 0, 0)
    assert db.session.scalar(select(func.count()).select_from(Client)) == number
    counted = select(func.count()).select_from(Contract)
    assert db.session.scalar(counted) == db.session.scalar(select(func.sum(Client.contracts_count)))
    assert counts(sync()) == (0, 0, number)


def test_a_hundred_thousand_prospects_are_read_to_the_last(winleadplus: Upstream, sync: Sync) -> None:
    """Nearly all without contract, so that reading and deciding are what takes the time."""
    many = (b'{"idProspect":%d,"nom":"NOM","prenom":"Prenom"}' % number for number in range(1, 100_000))
    winleadplus.body = b"[" + b",".join(many) + b"," + orjson.dumps(first(100_000)) + b"]"
    run = sync()
    assert (run.status, counts(run), run.done) == (RunStatus.SUCCESS, (1, 0, 99_999), 100_000)
    assert 1000 <= len(items(run, ItemKind.SKIPPED)) < 5000
