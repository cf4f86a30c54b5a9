"""The sync on the page: started by a click, followed to its end, and looked into afterwards."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries
from webapp import clock, queue
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, RunPhase, SyncItem, SyncRun, WinLeadPlusConfig
from webapp.services.winleadplus import field_changes, status

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)  # twelve o'clock in Paris
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def make_run(
    run_status: RunStatus = RunStatus.SUCCESS, *, ago: timedelta = timedelta(minutes=12), **values: object
) -> SyncRun:
    is_over = run_status is not RunStatus.RUNNING
    run = SyncRun(
        **{
            "trigger": RunTrigger.MANUAL,
            "status": run_status,
            "phase": RunPhase.DONE if is_over else RunPhase.APPLYING,
            "started_at": NOON - ago,
            "finished_at": NOON - ago if is_over else None,
        }
        | values
    )
    db.session.add(run)
    db.session.commit()
    return run


def make_item(run: SyncRun, kind: ItemKind = ItemKind.ERROR, **values: object) -> SyncItem:
    item = SyncItem(
        **{"run_id": run.id, "kind": kind, "external_id": str(uuid4().int % 10**9), "label": "DUPONT"} | values
    )
    db.session.add(item)
    db.session.commit()
    return item


def text_of(page: str) -> str:
    """What a reader sees of it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def toasts(page: str) -> list[tuple[str, str]]:
    """Kind and message of each toast."""
    found = re.findall(r'data-testid="toast"\s+data-kind="(\w+)".*?<p[^>]*>(.*?)</p>', page, re.DOTALL)
    return [(kind, text_of(message)) for kind, message in found]


# --- starting ---


def test_a_click_starts_a_run_and_answers_with_its_progress(cast: Cast, client: FlaskClient) -> None:
    page = client.post("/synchronisations", headers=HTMX)
    run = db.session.query(SyncRun).one()
    assert page.status_code == 202
    assert f'hx-get="/synchronisations/{run.id}"' in page.text
    assert 'data-status="running"' in page.text
    assert (run.trigger, run.requested_by_id, run.dry_run) == (RunTrigger.MANUAL, cast.commercial.id, False)
    assert len(queue.queue("sync").jobs) == 1


def test_without_script_a_click_leads_to_the_page_of_the_run(client: FlaskClient) -> None:
    answer = client.post("/synchronisations")
    run = db.session.query(SyncRun).one()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/synchronisations/{run.id}")
    page = client.get(answer.headers["Location"])
    assert "Actualiser" in page.text
    assert 'data-testid="sync-progress"' in page.text


def test_a_second_click_joins_the_run_under_way(client: FlaskClient, admin_client: FlaskClient) -> None:
    client.post("/synchronisations", headers=HTMX)
    page = admin_client.post("/synchronisations", headers=HTMX)
    run = db.session.query(SyncRun).one()
    assert page.status_code == 202
    assert f"/synchronisations/{run.id}" in page.text


def test_simulating_starts_a_dry_run(client: FlaskClient) -> None:
    client.post("/synchronisations", data={"essai": "1"}, headers=HTMX)
    assert db.session.query(SyncRun).one().dry_run


def test_every_role_may_start_a_run(cast: Cast, sign_in: SignIn) -> None:
    for user in (cast.commercial, cast.manager, cast.admin):
        assert sign_in(user).post("/synchronisations", headers=HTMX).status_code == 202


def test_a_stranger_is_sent_to_sign_in(stranger: FlaskClient) -> None:
    assert "/connexion" in stranger.post("/synchronisations", headers=HTMX).headers["HX-Redirect"]
    assert db.session.query(SyncRun).count() == 0


def test_where_the_integration_is_off_the_click_is_refused_in_a_sentence(client: FlaskClient) -> None:
    db.session.query(WinLeadPlusConfig).one().enabled = False
    db.session.commit()
    page = client.post("/synchronisations", headers=HTMX)
    assert page.status_code == 409
    assert "désactivée pour votre organisation" in page.text
    assert db.session.query(SyncRun).count() == 0


def test_clicking_without_end_is_slowed_down_per_user(client: FlaskClient, admin_client: FlaskClient) -> None:
    answers = [client.post("/synchronisations", headers=HTMX) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [202] * 10 + [429]
    assert [kind for kind, _ in toasts(answers[-1].text)] == ["error"]
    assert admin_client.post("/synchronisations", headers=HTMX).status_code == 202


# --- following ---


def test_progress_tells_phase_and_counts_and_asks_again(client: FlaskClient) -> None:
    run = make_run(RunStatus.RUNNING, done=120, created=110, skipped=10)
    page = client.get(f"/synchronisations/{run.id}", headers=HTMX).text
    assert "Enregistrement" in page
    assert "120 lus · 110 créés" in page
    assert 'data-created="110"' in page
    assert 'hx-trigger="every 1s"' in page
    assert toasts(page) == []


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ({"created": 250}, "success", "Sync terminée : 250 créés, 0 mis à jour, 0 ignorés"),
        ({"created": 1, "skipped": 249}, "success", "Sync terminée : 1 créé, 0 mis à jour, 249 ignorés"),
        (
            {"status": RunStatus.PARTIAL, "created": 240, "errors": 3, "conflicts": 2},
            "warning",
            "Sync terminée : 240 créés, 0 mis à jour, 0 ignorés, 3 en erreur, 2 à rattacher",
        ),
        (
            {"status": RunStatus.PARTIAL, "created": 150, "error": "La réponse a été coupée."},
            "warning",
            "Sync terminée : 150 créés, 0 mis à jour, 0 ignorés. La réponse a été coupée.",
        ),
        ({"status": RunStatus.FAILED, "error": "WinLeadPlus ne répond pas."}, "error", "WinLeadPlus ne répond pas."),
        (
            {"dry_run": True, "created": 250},
            "success",
            "Simulation terminée : 250 à créer, 0 à mettre à jour, 0 ignorés",
        ),
    ],
)
def test_the_end_of_a_run_is_told_in_a_toast(
    client: FlaskClient, values: dict[str, object], kind: str, sentence: str
) -> None:
    run = make_run(**({"run_status": values.pop("status", RunStatus.SUCCESS)} | values))  # type: ignore[arg-type]
    page = client.get(f"/synchronisations/{run.id}", headers=HTMX).text
    assert toasts(page) == [(kind, sentence)]
    assert "every 1s" not in page


def test_the_end_refreshes_the_clients_and_gives_the_button_back(client: FlaskClient) -> None:
    run = make_run(created=250)
    answer = client.get(f"/synchronisations/{run.id}", headers=HTMX)
    assert "clients:refresh" in answer.headers["HX-Trigger"]
    button = re.search(r'<form id="sync-start".*?</form>', answer.text, re.DOTALL)
    assert button
    assert "spin" not in button[0]
    assert f'data-run-id="{run.id}"' in answer.text


def test_a_simulation_leaves_the_clients_alone_and_opens_its_plan(client: FlaskClient) -> None:
    run = make_run(dry_run=True, created=3)
    answer = client.get(f"/synchronisations/{run.id}", headers=HTMX)
    assert "HX-Trigger" not in answer.headers
    assert re.search(rf'hx-get="/synchronisations/{run.id}/elements"\s+hx-trigger="load"', answer.text)


def test_while_a_run_is_under_way_the_button_turns(client: FlaskClient) -> None:
    run = make_run(RunStatus.RUNNING)
    page = client.get(f"/synchronisations/{run.id}", headers=HTMX).text
    assert re.search(r'<form id="sync-start".*?spin.*?</form>', page, re.DOTALL)


def test_an_outsider_finds_no_such_run(outsider_client: FlaskClient) -> None:
    run = make_run()
    assert outsider_client.get(f"/synchronisations/{run.id}").status_code == 404
    assert outsider_client.get(f"/synchronisations/{run.id}", headers=HTMX).status_code == 404
    assert outsider_client.get(f"/synchronisations/{run.id}/elements").status_code == 404
    assert str(run.id) not in outsider_client.get("/synchronisations").text


def test_an_unknown_run_is_not_found(client: FlaskClient) -> None:
    assert client.get(f"/synchronisations/{uuid4()}").status_code == 404
    assert client.get("/synchronisations/abc").status_code == 404


# --- the panel ---


def freshness(client: FlaskClient) -> str:
    page = client.get("/synchronisations", headers=HTMX).text
    found = re.search(r'id="sync-freshness".*?</summary>', page, re.DOTALL)
    assert found
    return text_of(found[0].partition(">")[2])


def test_freshness_says_when_the_last_success_was_and_when_the_next_run_comes(client: FlaskClient) -> None:
    make_run()
    assert freshness(client) == "dernière réussie il y a 12 min , prochaine à 13:00"


def test_freshness_before_the_first_run(client: FlaskClient) -> None:
    assert freshness(client) == "jamais synchronisé, prochaine à 13:00"


def test_freshness_names_a_failure_beside_the_last_success(client: FlaskClient) -> None:
    make_run(ago=timedelta(hours=2))
    make_run(RunStatus.FAILED, ago=timedelta(minutes=3), error="WinLeadPlus ne répond pas.")
    assert freshness(client).startswith("dernière tentative échouée il y a 3 min · dernière réussie il y a 2 h")


def test_a_simulation_is_no_success(client: FlaskClient) -> None:
    make_run(dry_run=True)
    assert freshness(client).startswith("jamais synchronisé")


def test_where_the_integration_is_off_the_panel_says_so_and_the_button_is_dead(client: FlaskClient) -> None:
    db.session.query(WinLeadPlusConfig).one().enabled = False
    db.session.commit()
    assert "désactivé" in freshness(client)
    page = client.get("/synchronisations").text
    assert re.search(r'data-testid="sync-button"\s+disabled', page)
    assert "Simuler" not in page


def test_runs_are_listed_with_who_counts_duration_and_reason(cast: Cast, client: FlaskClient) -> None:
    make_run(
        RunStatus.PARTIAL,
        created=240,
        errors=3,
        requested_by_id=cast.commercial.id,
        finished_at=NOON - timedelta(minutes=12) + timedelta(seconds=65),
        error="La réponse a été coupée.",
    )
    page = client.get("/synchronisations", headers=HTMX).text
    row = re.search(r'<tr data-testid="sync-run".*?</tr>', page, re.DOTALL)
    assert row
    assert 'data-status="partial"' in row[0]
    assert "status-yellow" in row[0]
    told = text_of(row[0])
    for part in ("Partielle", "La réponse a été coupée.", "Manuelle", cast.commercial.full_name, "240", "1 min 05 s"):
        assert part in told


def test_older_runs_come_page_by_page_each_once(client: FlaskClient) -> None:
    made = {str(make_run(ago=timedelta(hours=hours)).id) for hours in range(status.RUNS_SHOWN * 2 + 1)}
    seen: list[str] = []
    address: str | None = "/synchronisations"
    while address:
        page = client.get(address, headers=HTMX).text
        seen += re.findall(r'data-run-id="([^"]+)"', page)
        link = re.search(r'href="(/synchronisations\?avant=[^"]+)"', page)
        address = link[1] if link else None
    assert len(seen) == len(made)
    assert set(seen) == made


def test_the_panel_costs_the_same_whatever_the_number_of_runs(client: FlaskClient, cast: Cast) -> None:
    make_run(requested_by_id=cast.commercial.id)
    with recorded_queries() as few:
        client.get("/synchronisations", headers=HTMX)
    for hours in range(20):
        make_run(ago=timedelta(hours=hours), requested_by_id=cast.admin.id)
    with recorded_queries() as many:
        client.get("/synchronisations", headers=HTMX)
    assert len(few) == len(many) == 3  # the user, the configuration with the last success, the runs


# --- what a run did, prospect by prospect ---


def test_what_a_run_left_to_do_is_listed_with_its_reason(client: FlaskClient) -> None:
    run = make_run(RunStatus.PARTIAL, errors=1)
    make_item(run, external_id="4711", reason="Le prospect n’a ni nom ni prénom.")
    page = client.get(f"/synchronisations/{run.id}/elements", headers=HTMX).text
    assert re.search(r'data-external-id="4711"\s+data-kind="error"', page)
    assert "Le prospect n’a ni nom ni prénom." in page


def test_items_come_page_by_page_each_once(client: FlaskClient) -> None:
    run, other = make_run(errors=1), make_run(errors=1)
    made = {str(make_item(run, external_id=str(number)).id) for number in range(status.ITEMS_SHOWN * 2 + 1)}
    make_item(other)
    seen: list[str] = []
    address: str | None = f"/synchronisations/{run.id}/elements"
    while address:
        page = client.get(address, headers=HTMX).text
        seen += re.findall(r'id="sync-item-([0-9a-f-]{36})"', page)
        link = re.search(r'href="([^"]+apres=[^"]+)"', page)
        address = html.unescape(link[1]) if link else None
    assert len(seen) == len(made)
    assert set(seen) == made


@pytest.mark.parametrize(
    "query", ["genre=quatsch", "apres=quatsch", "apres=098c3cee-e943-41c6-9a45-2c94998542d4", "genre=crees&apres="]
)
def test_bad_query_values_are_ignored(client: FlaskClient, query: str) -> None:
    run = make_run(errors=1)
    make_item(run)
    assert client.get(f"/synchronisations/{run.id}/elements?{query}").status_code == 200
    assert client.get(f"/synchronisations?avant={query}").status_code == 200


def test_a_hostile_name_stays_text(client: FlaskClient) -> None:
    run = make_run(errors=1)
    make_item(run, label="<script>alert(1)</script>")
    page = client.get(f"/synchronisations/{run.id}/elements", headers=HTMX).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


# --- what a person ends ---

PROSPECT = {
    "idProspect": 4711,
    "nom": "MARCHAND",
    "prenom": "Jeanne",
    "email": "jeanne.marchand@example.org",
    "contrats": [{"id": 1, "titre": "8100001TEL", "statut": "Validé", "montant": 39.9}],
}


def make_open_item(run: SyncRun, kind: ItemKind = ItemKind.CONFLICT, **values: object) -> SyncItem:
    item_id = new_id()
    payload = field_changes.seal(
        json.dumps(PROSPECT),
        organisation_id=run.organisation_id,
        table_column="sync_items.payload",
        row_id=item_id,
    )
    return make_item(run, kind, id=item_id, external_id="4711", payload=payload, **values)


def address_of(item: SyncItem, action: str) -> str:
    return f"/synchronisations/{item.run_id}/elements/{item.id}/{action}"


def test_a_conflict_offers_its_candidates_and_a_new_client(client: FlaskClient) -> None:
    candidate = factories.ClientFactory(last_name="MARCHAND", first_name="Jean", city="Lille")
    run = make_run(RunStatus.PARTIAL, conflicts=1)
    item = make_open_item(run, candidate_ids=[candidate.id])
    page = client.get(f"/synchronisations/{run.id}/elements", headers=HTMX).text
    assert f"Rattacher à MARCHAND Jean ({candidate.email}, Lille)" in text_of(page)
    assert address_of(item, "rattacher") in page
    assert address_of(item, "creer") in page


def test_linking_ends_the_conflict_and_refreshes_the_clients(client: FlaskClient) -> None:
    candidate = factories.ClientFactory(email=None)
    item = make_open_item(make_run(RunStatus.PARTIAL, conflicts=1), candidate_ids=[candidate.id])
    answer = client.post(address_of(item, "rattacher"), data={"client": str(candidate.id)}, headers=HTMX)
    assert toasts(answer.text) == [("success", "Prospect rattaché.")]
    assert "clients:refresh" in answer.headers["HX-Trigger"]
    assert "Traité le" in answer.text
    assert "Rattacher à" not in answer.text
    db.session.refresh(candidate)
    assert candidate.email == "jeanne.marchand@example.org"


def test_linking_without_naming_a_client_is_refused(client: FlaskClient) -> None:
    item = make_open_item(make_run(RunStatus.PARTIAL, conflicts=1))
    assert client.post(address_of(item, "rattacher"), data={"client": "quatsch"}, headers=HTMX).status_code == 422


def test_creating_ends_the_conflict_with_a_client_of_its_own(client: FlaskClient) -> None:
    other = factories.ClientFactory(email="jeanne.marchand@example.org")
    item = make_open_item(make_run(RunStatus.PARTIAL, conflicts=1), candidate_ids=[other.id])
    assert client.post(address_of(item, "creer"), headers=HTMX).status_code == 200
    assert db.session.query(Client).filter_by(email="jeanne.marchand@example.org").count() == 2


def test_trying_again_imports_what_can_be_imported_now(client: FlaskClient) -> None:
    item = make_open_item(make_run(RunStatus.PARTIAL, errors=1), ItemKind.ERROR)
    answer = client.post(address_of(item, "reessayer"), headers=HTMX)
    assert toasts(answer.text) == [("success", "Prospect importé.")]
    assert db.session.query(Client).filter_by(last_name="MARCHAND").count() == 1


def test_without_script_ending_an_item_leads_back_to_the_list(client: FlaskClient) -> None:
    item = make_open_item(make_run(RunStatus.PARTIAL, errors=1), ItemKind.ERROR)
    answer = client.post(address_of(item, "reessayer"))
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/synchronisations/{item.run_id}/elements")


def test_what_was_ended_cannot_be_ended_again(client: FlaskClient) -> None:
    item = make_open_item(make_run(RunStatus.PARTIAL, errors=1), ItemKind.ERROR)
    client.post(address_of(item, "reessayer"), headers=HTMX)
    again = client.post(address_of(item, "reessayer"), headers=HTMX)
    assert again.status_code == 409
    assert toasts(again.text) == [("error", "Cet élément a déjà été traité.")]


def test_a_simulation_offers_nothing_to_end(client: FlaskClient) -> None:
    run = make_run(dry_run=True, errors=1)
    make_open_item(run, ItemKind.ERROR)
    assert "Réessayer" not in client.get(f"/synchronisations/{run.id}/elements", headers=HTMX).text


@pytest.mark.parametrize("action", ["rattacher", "creer", "reessayer"])
def test_an_outsider_cannot_end_anything(client: FlaskClient, outsider_client: FlaskClient, action: str) -> None:
    run, elsewhere = make_run(RunStatus.PARTIAL, errors=1), make_run(RunStatus.PARTIAL, errors=1)
    item = make_open_item(run)
    data = {"client": str(uuid4())}
    assert outsider_client.post(address_of(item, action), data=data, headers=HTMX).status_code == 404
    misplaced = f"/synchronisations/{elsewhere.id}/elements/{item.id}/{action}"
    assert client.post(misplaced, data=data, headers=HTMX).status_code == 404


def test_candidates_cost_one_query_however_many(client: FlaskClient) -> None:
    run = make_run(RunStatus.PARTIAL, conflicts=10)
    address = f"/synchronisations/{run.id}/elements"
    make_item(run, ItemKind.CONFLICT, candidate_ids=[factories.ClientFactory().id])
    with recorded_queries() as few:
        client.get(address, headers=HTMX)
    for _ in range(10):
        make_item(run, ItemKind.CONFLICT, candidate_ids=[factories.ClientFactory().id for _ in range(3)])
    with recorded_queries() as many:
        client.get(address, headers=HTMX)
    assert len(few) == len(many) == 4  # the user, the run, its items, their candidates


def test_changes_are_told_field_by_field_and_ibans_stay_masked(client: FlaskClient) -> None:
    run, item_id = make_run(dry_run=True, updated=1), new_id()

    def sealed(column: str, value: dict[str, str]) -> bytes:
        where = {"organisation_id": run.organisation_id, "table_column": f"sync_items.{column}", "row_id": item_id}
        return field_changes.seal(value, **where)  # type: ignore[arg-type]

    before = sealed("before", {"city": "Lille"})
    after = sealed("after", {"city": "Roubaix", "iban": "FR1420041010050500013M02606"})
    make_item(run, ItemKind.UPDATED, id=item_id, before=before, after=after)
    page = text_of(client.get(f"/synchronisations/{run.id}/elements", headers=HTMX).text)
    assert "Ville Lille → Roubaix" in page
    assert "IBAN FR•• •••• 2606" in page
    assert "FR1420041010" not in page


def test_absences_are_confirmed_and_runs_stopped_by_whoever_may(
    cast: Cast, client: FlaskClient, admin_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    run = SyncRun(
        trigger=RunTrigger.MANUAL,
        status=RunStatus.PARTIAL,
        phase=RunPhase.DONE,
        absent=30,
        started_at=clock.now(),
        finished_at=clock.now(),
    )
    db.session.add(run)
    db.session.commit()
    address = f"/synchronisations/{run.id}"
    assert "Confirmer leur absence" in admin_client.get(f"{address}/elements?genre=absents").text
    assert "Confirmer leur absence" in admin_client.get(f"{address}/elements").text, "it is what is to be decided"
    assert "Confirmer leur absence" not in client.get(f"{address}/elements?genre=absents").text
    assert client.post(f"{address}/absences").status_code == 403
    for verb in ("absences", "arreter"):
        assert outsider_client.post(f"{address}/{verb}").status_code == 404
    assert admin_client.post(f"{address}/absences").status_code == 303
    assert "Confirmer leur absence" not in admin_client.get(f"{address}/elements?genre=absents").text
    running = SyncRun(trigger=RunTrigger.MANUAL, requested_by_id=cast.commercial.id, started_at=clock.now())
    db.session.add(running)
    db.session.commit()
    assert "sync-stop" in client.get(f"/synchronisations/{running.id}").text
    assert client.post(f"/synchronisations/{running.id}/arreter", headers=HTMX).status_code == 200
    assert "Arrêt demandé" in client.get(f"/synchronisations/{running.id}").text


def test_a_run_is_undone_from_its_page_by_managers_alone(
    client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    run = make_run(created=1, done=1)
    address = f"/synchronisations/{run.id}"
    for page in (address, f"{address}/elements"):
        assert "Annuler cette synchronisation" in manager_client.get(page).text
        assert "Annuler cette synchronisation" not in client.get(page).text
    assert client.post(f"{address}/annuler").status_code == 403
    assert outsider_client.post(f"{address}/annuler").status_code in (403, 404)
    answer = manager_client.post(f"{address}/annuler")
    assert answer.status_code == 303
    operation = manager_client.get(answer.headers["Location"]).text
    assert "la synchronisation annulée" in operation
    page = manager_client.get(address).text
    assert "Annuler cette synchronisation" not in page
    assert answer.headers["Location"] in page


def test_a_run_that_wrote_nothing_or_long_ago_offers_no_undo(manager_client: FlaskClient) -> None:
    for run in (make_run(), make_run(created=1, dry_run=True), make_run(created=1, ago=timedelta(days=31))):
        assert "Annuler cette synchronisation" not in manager_client.get(f"/synchronisations/{run.id}").text
        assert manager_client.post(f"/synchronisations/{run.id}/annuler").status_code == 409
