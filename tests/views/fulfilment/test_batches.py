"""The pages of batches: everybody reads, managers and admins act, an outsider finds nothing."""

import re
from datetime import date, timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from tests.services.exports.wanting import csv_rows
from tests.services.fulfilment.test_locking import origin, prefer
from tests.services.fulfilment.world import CUT_OFF, FulfilmentWorld
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.fulfilment import BatchStatus, BatchWork, FulfilmentBatchLine, LineFlag, LineStatus
from webapp.models.preferences import CutOff
from webapp.services.fulfilment import lock_runs


@pytest.fixture
def filled(world: FulfilmentWorld) -> FulfilmentWorld:
    """An open batch with two lines, of two clients."""
    origin(default="Brésil")
    prefer(world.subscribe(), 0, "Éthiopie")
    world.subscribe()
    world.charge_all()
    return world


def address(world: FulfilmentWorld, more: str = "") -> str:
    """Of the first batch."""
    return f"/lots/{world.batches()[0].id}{more}"


def hooks(page: str, name: str) -> list[dict[str, str]]:
    """The data attributes of every element with a hook."""
    tags = re.findall(rf'<\w+[^>]*data-testid="{name}"[^>]*>', page)
    return [dict(re.findall(r'data-([\w-]+)="([^"]*)"', tag)) for tag in tags]


# ---------------------------------------------------------------------------------------- reading


def test_the_open_batch_fills_up_in_sight_of_everybody(filled: FulfilmentWorld, client: FlaskClient) -> None:
    page = client.get("/lots").text
    assert [(row["status"], row["lines"]) for row in hooks(page, "batch-row")] == [("open", "2")]
    assert re.search(r"Verrouillage lundi 2 février à 12:00, dans 2 j [34] h", page)
    assert hooks(page, "take-up") == []


def test_the_open_batches_are_asked_for_by_themselves(filled: FulfilmentWorld, client: FlaskClient) -> None:
    part = client.get("/lots", headers={**HTMX, "HX-Target": "div#batches-open"}).text
    assert part.lstrip().startswith('<div id="batches-open"')
    assert 'hx-trigger="every 10s"' in part


def test_nothing_waits(world: FulfilmentWorld, client: FlaskClient) -> None:
    assert "Aucune échéance payée n’attend d’être préparée." in client.get("/lots").text


def test_past_batches_are_listed_with_their_counts(locked: FulfilmentWorld, client: FlaskClient) -> None:
    page = client.get("/lots").text
    assert [(row["status"], row["lines"]) for row in hooks(page, "batch-row")] == [("locked", "2")]


def test_the_lines_of_an_open_batch(filled: FulfilmentWorld, client: FlaskClient) -> None:
    page = client.get(address(filled)).text
    assert [row["status"] for row in hooks(page, "batch-line")] == ["pending", "pending"]
    assert {row["charge-id"] for row in hooks(page, "batch-line")} == {str(each.id) for each in filled.charges()}
    assert hooks(page, "batch-action") == hooks(page, "line-action") == []
    assert "Au verrouillage" in page


def test_the_lines_of_a_locked_batch_say_what_was_frozen(locked: FulfilmentWorld, client: FlaskClient) -> None:
    page = client.get(address(locked)).text
    assert [row["status"] for row in hooks(page, "batch-line")] == ["to_prepare", "to_prepare"]
    for words in (
        "L000001-0001",
        "L000001-0002",
        "Origine\u202f: Brésil",
        "Origine\u202f: Éthiopie",
        "12 bis rue des Lilas",
    ):
        assert words in page


def test_lines_are_found_by_reference_client_state_and_flag(locked: FulfilmentWorld, client: FlaskClient) -> None:
    first = locked.lines()[0]
    first.flag = LineFlag.REFUNDED
    db.session.commit()
    name = locked.client_of(locked.reload(first.charge.subscription)).last_name
    for query, expected in (
        (f"q=l000001-{first.consignment_no:04}", 1),
        ("q=L000002-0001", 0),
        (f"q={name}", 1),
        ("statut=to_prepare", 2),
        ("statut=shipped", 0),
        ("signalement=refunded", 1),
        ("statut=nimporte&signalement=%00&apres=%FF", 2),
    ):
        page = client.get(address(locked, f"?{query}")).text
        assert len(hooks(page, "batch-line")) == expected, query
    assert "Aucune ligne ne correspond." in client.get(address(locked, "?q=L000002-0001")).text


def test_lines_are_read_page_by_page(
    locked: FulfilmentWorld, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.services.fulfilment.listing.list_lines.__kwdefaults__", {"size": 1})
    first = client.get(address(locked)).text
    following = re.search(r'data-testid="next-page"[^>]*href="([^"]*)"', first)
    assert following
    second = client.get(following[1].replace("&amp;", "&")).text
    seen = [hooks(page, "batch-line")[0]["line-id"] for page in (first, second)]
    assert len(set(seen)) == 2
    assert "Début" in second


def test_filtering_gives_the_list_alone_with_its_buttons(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    part = manager_client.get(address(locked, "?statut=to_prepare"), headers=HTMX).text
    assert [button["action"] for button in hooks(part, "selection-action")] == ["preparer", "mettre-de-cote", "retirer"]


def test_entering_a_reason_presses_no_button_of_a_line(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    page = manager_client.get(address(locked)).text
    form = page[page.index('data-testid="lines-form"') :]
    first = re.search(r"<button[^>]*>", form)
    assert first
    assert " disabled" in first[0]


def test_filtering_gives_the_list_alone(locked: FulfilmentWorld, client: FlaskClient) -> None:
    part = client.get(address(locked, "?statut=prepared"), headers={**HTMX, "HX-Source": "form#lines-filters"})
    assert part.text.lstrip().startswith('<div id="lines-list"')
    assert part.headers["HX-Push-Url"].endswith("?statut=prepared")


def test_what_is_to_be_picked_and_boxes_that_are_the_same(locked: FulfilmentWorld, client: FlaskClient) -> None:
    page = client.get(address(locked, "?onglet=preparation")).text
    assert len(hooks(page, "picking-row")) == len(hooks(page, "box-row")) == 2
    assert hooks(page, "scan-form") == []


def test_what_is_set_aside_or_no_longer_paid_waits_in_its_tab(locked: FulfilmentWorld, client: FlaskClient) -> None:
    aside, flagged = locked.lines()
    aside.status, aside.reason, flagged.flag = LineStatus.SET_ASIDE, "Carton abîmé", LineFlag.REJECTED
    db.session.commit()
    page = client.get(address(locked, "?onglet=de-cote")).text
    assert sorted(row["status"] for row in hooks(page, "set-aside-row")) == ["set_aside", "to_prepare"]
    assert "Carton abîmé" in page
    assert "Rejeté" in page
    [place] = re.findall(r'data-testid="export"\s+href="([^"]*)"', page)
    assert f'href="{address(locked, "?onglet=de-cote")}">Revenir' in client.get(place).text
    heads, *rows = csv_rows(client.post(place, data={"format": "csv"}).data)
    assert sorted(row[heads.index("État")] for row in rows) == ["De côté", "À préparer"]


def test_what_came_too_late_is_said_on_both_pages(filled: FulfilmentWorld, client: FlaskClient) -> None:
    filled.subscribe()
    filled.run()
    filled.to_cut_off()
    filled.lock()
    filled.deliver()
    first, second = filled.batches()
    assert hooks(client.get(f"/lots/{first.id}").text, "missed")
    page = client.get(f"/lots/{second.id}").text
    assert hooks(page, "came-late")
    assert "Arrivée trop tard pour le lot précédent" in page


def test_pages_ask_the_same_of_many_lines_as_of_few(
    locked: FulfilmentWorld, client: FlaskClient, manager_client: FlaskClient
) -> None:
    def count(path: str, browser: FlaskClient) -> int:
        db.session.expire_all()
        with recorded_queries() as queries:
            assert browser.get(path).status_code == 200
        return len(queries)

    paths = [address(locked), address(locked, "?onglet=preparation"), address(locked, "?onglet=de-cote"), "/lots"]
    for path in paths:
        count(path, manager_client)
    before = [count(path, manager_client) for path in paths]
    for _ in range(4):
        locked.subscribe()
    locked.charge_all()
    locked.move_to(CUT_OFF + timedelta(days=8))
    locked.lock()
    batch_id = locked.batches()[0].id
    db.session.execute(update(FulfilmentBatchLine).values(flag=LineFlag.REJECTED))
    db.session.commit()
    second = locked.batches()[1].id
    after = [count(path.replace(str(batch_id), str(second)), manager_client) for path in paths]
    assert all(new <= old + 1 for old, new in zip(before, after, strict=True)), (before, after)
    assert max(after) <= 20


@pytest.mark.parametrize("path", ["", "?onglet=preparation", "?onglet=de-cote", "/avancement"])
def test_an_outsider_finds_no_batch(locked: FulfilmentWorld, outsider_client: FlaskClient, path: str) -> None:
    assert outsider_client.get(address(locked, path)).status_code == 404
    assert "L000001" not in outsider_client.get("/lots").text


def test_an_outsider_does_nothing(locked: FulfilmentWorld, outsider_client: FlaskClient) -> None:
    line = locked.lines()[0].id
    assert outsider_client.post(address(locked, "/verrouiller")).status_code == 404
    assert outsider_client.post(address(locked, "/scan"), data={"reference": "L000001-0001"}).status_code == 404
    answer = outsider_client.post(address(locked, "/lignes/preparer"), data={"ligne": str(line)})
    assert answer.status_code == 404
    company = factories.default_company().id
    answer = outsider_client.post(f"/lots/{company}/reprise", data={"depuis": "2026-01-31"})
    assert answer.status_code == 404
    assert set(locked.states()) == {LineStatus.TO_PREPARE}


def test_a_commercial_reads_only(locked: FulfilmentWorld, client: FlaskClient) -> None:
    for path in ("/verrouiller", "/scan", "/lignes/preparer"):
        assert client.post(address(locked, path)).status_code == 403
    assert client.post(f"/lots/{factories.default_company().id}/reprise").status_code == 403


# ---------------------------------------------------------------------------------------- locking


def test_a_manager_locks_and_is_told(filled: FulfilmentWorld, manager_client: FlaskClient) -> None:
    page = manager_client.get(address(filled)).text
    assert [button["action"] for button in hooks(page, "batch-action")] == ["lock"]
    answer = manager_client.post(address(filled, "/verrouiller"), headers=HTMX)
    assert answer.status_code == 202
    assert [box["status"] for box in hooks(answer.text, "lock-progress")] == ["running"]
    assert hooks(manager_client.get(address(filled)).text, "batch-action") == []
    part = manager_client.get(address(filled, "/avancement"), headers=HTMX).text
    assert "en attente d’un processus libre" in part
    lock_runs.carry_out(filled.organisation_id, filled.batches()[0].id)
    ended = manager_client.get(address(filled, "/avancement"), headers=HTMX)
    assert ended.headers["HX-Refresh"] == "true"
    assert "Lot n° 1 verrouillé\u202f: 2 lignes à préparer, 0 de côté." in manager_client.get(address(filled)).text


def test_a_lock_works_without_script(filled: FulfilmentWorld, manager_client: FlaskClient) -> None:
    answer = manager_client.post(address(filled, "/verrouiller"))
    assert (answer.status_code, answer.headers["Location"]) == (303, address(filled))
    assert hooks(manager_client.get(address(filled)).text, "lock-progress")
    assert filled.open_batch().work is BatchWork.LOCK


def test_a_second_lock_is_refused(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    answer = manager_client.post(address(locked, "/verrouiller"))
    assert answer.status_code == 409
    assert "Déjà verrouillé automatiquement le 02/02/2026 à 12:01." in answer.text


def test_an_empty_batch_is_not_locked(filled: FulfilmentWorld, manager_client: FlaskClient) -> None:
    db.session.execute(update(FulfilmentBatchLine).values(held_reason="À confirmer"))
    db.session.commit()
    answer = manager_client.post(address(filled, "/verrouiller"))
    assert answer.status_code == 409
    assert "Ce lot est vide\u202f: il n’y a rien à verrouiller." in answer.text


def test_a_lock_that_nobody_works_on_says_so(filled: FulfilmentWorld, manager_client: FlaskClient) -> None:
    manager_client.post(address(filled, "/verrouiller"))
    filled.wait(minutes=2)
    assert "Sans nouvelles du verrouillage" in manager_client.get(address(filled)).text


# ---------------------------------------------------------------------------------------- lines


def test_lines_are_held_by_a_selection_and_released_by_their_own_button(
    filled: FulfilmentWorld, manager_client: FlaskClient
) -> None:
    ids = [str(line.id) for line in filled.lines()]
    answer = manager_client.post(
        address(filled, "/lignes/retenir"), data={"ligne": ids, "motif": "À confirmer", "onglet": "lignes"}
    )
    assert answer.status_code == 303
    assert {line.held_reason for line in filled.lines()} == {"À confirmer"}
    page = manager_client.get(answer.headers["Location"]).text
    assert "2 lignes retenues." in page
    assert [button["action"] for button in hooks(page, "line-action")] == ["liberer", "liberer"]
    manager_client.post(address(filled, "/lignes/liberer"), data={"seule": ids[0], "ligne": ids})
    assert sorted(line.held_reason is None for line in filled.lines()) == [False, True]


def test_a_missing_reason_is_asked_for_and_the_choice_is_kept(
    filled: FulfilmentWorld, manager_client: FlaskClient
) -> None:
    line = str(filled.lines()[0].id)
    answer = manager_client.post(address(filled, "/lignes/retenir"), data={"ligne": line})
    assert answer.status_code == 422
    assert "Indiquez pourquoi." in answer.text
    assert len(re.findall(r'name="ligne"[^>]*checked', answer.text)) == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({}, 422),
        ({"ligne": "pas-un-numero"}, 422),
        ({"ligne": str(UUID(int=7))}, 404),
        ({"ligne": "\0", "motif": "\0"}, 422),
    ],
)
def test_lines_that_are_none(
    locked: FulfilmentWorld, manager_client: FlaskClient, data: dict[str, str], status: int
) -> None:
    assert manager_client.post(address(locked, "/lignes/preparer"), data=data).status_code == status
    assert manager_client.post(address(locked, "/lignes/chanter"), data=data).status_code == 404


def test_what_the_state_does_not_allow_is_refused(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    line = str(locked.lines()[0].id)
    answer = manager_client.post(address(locked, "/lignes/liberer"), data={"ligne": line})
    assert answer.status_code == 409
    assert "ne le permet pas" in answer.text


def test_what_is_set_aside_is_taken_back_or_carried_over(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    first, second = (str(line.id) for line in locked.lines())
    data = {"ligne": [first, second], "motif": "Rupture", "onglet": "lignes"}
    manager_client.post(address(locked, "/lignes/mettre-de-cote"), data=data)
    page = manager_client.get(address(locked, "?onglet=de-cote")).text
    assert {button["action"] for button in hooks(page, "line-action")} == {"reprendre", "reporter"}
    assert {button["action"] for button in hooks(page, "selection-action")} == {"reprendre", "reporter", "retirer"}
    answer = manager_client.post(address(locked, "/lignes/reprendre"), data={"seule": first, "onglet": "de-cote"})
    assert "onglet=de-cote" in answer.headers["Location"]
    manager_client.post(address(locked, "/lignes/reporter"), data={"seule": second, "onglet": "de-cote"})
    assert locked.states() == [LineStatus.TO_PREPARE, LineStatus.CARRIED_OVER, LineStatus.PENDING]


# ---------------------------------------------------------------------------------------- scan


def test_a_scan_marks_a_consignment_and_says_so(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    page = manager_client.get(address(locked, "?onglet=preparation")).text
    assert hooks(page, "scan-form")
    said = []
    for reference in ("L000001-0001", "L000001-0001", "L000009-0001"):
        part = manager_client.post(address(locked, "/scan"), data={"reference": reference}, headers=HTMX).text
        assert part.lstrip().startswith('<div id="preparation"')
        said.append(re.search(r'data-testid="scan-result"[^>]*>([^<]*)<', part)[1].strip())  # type: ignore[index]
    assert said == [
        "L000001-0001 est préparé.",
        "Déjà préparé\u202f: L000001-0001.",
        "Référence inconnue dans ce lot.",
    ]
    assert hooks(part, "prepared") == [{"testid": "prepared", "prepared": "1", "left": "1"}]


def test_a_scan_works_without_script(locked: FulfilmentWorld, manager_client: FlaskClient) -> None:
    assert manager_client.post(address(locked, "/scan"), data={"reference": "L000001-0001"}).status_code == 200
    assert manager_client.post(address(locked, "/scan"), data={"reference": "L000001-0001"}).status_code == 409
    answer = manager_client.post(address(locked, "/scan"), data={"reference": "\0"})
    assert answer.status_code == 422
    assert "Référence inconnue dans ce lot." in answer.text


# ---------------------------------------------------------------------------------------- taken up by hand


def test_what_was_paid_before_there_were_batches_is_taken_up_by_hand(
    world: FulfilmentWorld, manager_client: FlaskClient
) -> None:
    company = factories.default_company()
    cut_off = CutOff(company_id=company.id, is_active=False)
    db.session.add(cut_off)
    world.subscribe()
    world.charge_all()
    assert world.batches() == []
    cut_off.is_active = True
    db.session.commit()
    assert hooks(manager_client.get("/lots").text, "take-up")
    for written in ("", "2026-02-30", "2024-01-01", "2026-02-01", "\0"):
        answer = manager_client.post(f"/lots/{company.id}/reprise", data={"depuis": written})
        assert answer.status_code == 422
        assert "Indiquez une date des douze derniers mois." in answer.text
    answer = manager_client.post(f"/lots/{company.id}/reprise", data={"depuis": "2026-01-31"})
    assert answer.status_code == 303
    assert "1 ligne reprise." in manager_client.get("/lots").text
    assert world.states() == [LineStatus.PENDING]
    again = manager_client.post(f"/lots/{company.id}/reprise", data={"depuis": "2026-01-31"})
    assert again.status_code == 409
    assert manager_client.post(f"/lots/{new_id()}/reprise", data={"depuis": "2026-01-31"}).status_code == 404


def test_what_was_paid_earlier_is_left_out(world: FulfilmentWorld, manager_client: FlaskClient) -> None:
    company = factories.default_company()
    cut_off = CutOff(company_id=company.id, is_active=False)
    db.session.add(cut_off)
    world.subscribe()
    world.charge_all()
    world.wait(days=2)
    cut_off.is_active = True
    db.session.commit()
    manager_client.post(f"/lots/{company.id}/reprise", data={"depuis": "2026-02-01"})
    assert world.lines() == []


# ---------------------------------------------------------------------------------------- settings


def test_a_changed_cut_off_moves_that_of_the_open_batch(
    filled: FulfilmentWorld, admin_client: FlaskClient, cast: Cast
) -> None:
    company = factories.default_company()
    form = {"jour": "2", "heure": "09:00", "fuseau": "Europe/Paris", "actif": "1", "verrouiller": "1"}
    assert admin_client.post(f"/preferences/heures-limites/{company.id}", data=form).status_code == 303
    batch = filled.open_batch()
    assert batch.cutoff_at is not None
    assert batch.cutoff_at.astimezone(clock.PARIS).date() == date(2026, 2, 4)
    form.pop("actif")
    admin_client.post(f"/preferences/heures-limites/{company.id}", data=form)
    admin_client.post(f"/preferences/heures-limites/{company.id}/supprimer")
    assert filled.open_batch().cutoff_at == CUT_OFF
    assert filled.open_batch().status is BatchStatus.OPEN
