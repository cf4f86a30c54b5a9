"""The pages of dunning: who sees them, what they show, what is refused."""

import io
import re
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from tests.services.dunning.world import DunningWorld
from tests.services.exports.wanting import csv_rows
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus, DunningSequence
from webapp.models.subscriptions import Subscription
from webapp.services.charges import decisions
from webapp.services.invoices import drafting, finalising

REFUSED = date(2026, 1, 31)
ADDRESSES = (
    "/relances",
    "/relances/lettres",
    "/relances/chiffres",
    "/relances/chiffres/creances",
    "/reglages/relances",
)


@pytest.fixture
def unpaid(world: DunningWorld) -> Subscription:
    """A subscription whose first charge was refused."""
    subscription = world.subscribe()
    world.refuse(subscription)
    return subscription


def _case_address(world: DunningWorld) -> str:
    return f"/relances/{world.case().id}"


def _give_to(client_id: UUID, commercial_id: UUID | None) -> None:
    client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
    client.commercial_id = commercial_id
    db.session.commit()


def _rows(page: str, testid: str) -> list[str]:
    return re.findall(rf'<tr[^>]*data-testid="{testid}"[^>]*>', page)


def _texts(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_outsider_sees_nothing_of_ours(outsider_client: FlaskClient, unpaid: Subscription, address: str) -> None:
    page = outsider_client.get(address)
    assert page.status_code == 200
    assert "24,00" not in page.text


@pytest.mark.parametrize("path", ["", "/dossier"])
def test_an_outsider_does_not_find_a_case(
    outsider_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    path: str,
) -> None:
    assert outsider_client.get(_case_address(world) + path).status_code == 404


WORDS = ("promesse", "echeancier", "contester", "reprendre", "envoyer", "passer", "perte", "contentieux")


@pytest.mark.parametrize("word", WORDS)
def test_an_outsider_decides_on_nothing(
    outsider_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    word: str,
) -> None:
    form = {"motif": "x", "jusquau": "2026-02-20", "premiere": "2026-02-20", "nombre": "2"}
    form["etape"] = str(world.case().next_step_id)
    assert outsider_client.post(f"{_case_address(world)}/{word}", data=form).status_code == 404
    assert (world.case().status, world.steps(None)) == (CaseStatus.OPEN, [])


@pytest.mark.parametrize("word", WORDS)
def test_a_commercial_decides_on_nothing(
    client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    cast: Cast,
    word: str,
) -> None:
    _give_to(unpaid.client_id, cast.sales_rep.id)
    assert client.post(f"{_case_address(world)}/{word}", data={"motif": "x"}).status_code == 403
    assert client.get(f"{_case_address(world)}/dossier").status_code == 403


@pytest.mark.parametrize("address", ["/relances/lettres", "/reglages/relances", "/reglages/relances/nouvelle"])
def test_a_commercial_does_not_reach_letters_and_sequences(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 403
    assert client.post("/relances/lettres/postees").status_code == 403
    assert client.post("/relances/lettres/imprimer").status_code == 403


def test_a_manager_does_not_change_sequences(manager_client: FlaskClient) -> None:
    assert manager_client.get("/reglages/relances").status_code == 403
    assert manager_client.get("/relances/lettres").status_code == 200


def test_a_commercial_reads_the_cases_of_the_own_clients_alone(
    client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    cast: Cast,
) -> None:
    assert client.get(_case_address(world)).status_code == 404
    assert not _rows(client.get("/relances?groupe=tous").text, "case-row")
    _give_to(unpaid.client_id, cast.sales_rep.id)
    page = client.get(_case_address(world)).text
    assert "24,00" in page
    assert "case-action" not in page
    assert len(_rows(client.get("/relances?groupe=tous").text, "case-row")) == 1


def test_what_is_to_be_done_today_comes_first(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    assert "Rien à traiter aujourd’hui" in manager_client.get("/relances").text
    assert len(_rows(manager_client.get("/relances?groupe=en-relance").text, "case-row")) == 1
    world.to_day(REFUSED + timedelta(days=3), 7)
    page = manager_client.get("/relances").text
    assert len(_rows(page, "case-row")) == 1
    assert 'data-amount="24.00"' in page


@pytest.mark.parametrize(
    ("query", "number"),
    [("etape=email", 1), ("etape=letter", 0), ("q=DUPONT", 1), ("q=Nobody", 0), ("etape=x&tri=y&apres=z&groupe=w", 1)],
)
def test_the_list_is_narrowed_by_what_the_address_says(
    manager_client: FlaskClient, unpaid: Subscription, query: str, number: int
) -> None:
    address = f"/relances?groupe=tous&{query}" if "groupe" not in query else f"/relances?{query}"
    page = manager_client.get(address)
    assert page.status_code == 200
    assert len(_rows(page.text, "case-row")) == (0 if "groupe=w" in query else number)


def test_a_case_is_found_by_its_number(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    found = manager_client.get(f"/relances?groupe=tous&q={world.case().code}", headers=HTMX)
    assert len(_rows(found.text, "case-row")) == 1
    assert "<html" not in found.text


def test_the_line_of_time_has_retries_and_steps_in_their_order(
    manager_client: FlaskClient,
    world: DunningWorld,
) -> None:
    world.refuse(world.subscribe(), "soft")
    page = manager_client.get(_case_address(world)).text
    to_come = page[page.index('data-testid="to-come"') : page.index('data-testid="past"')]
    text = _texts(to_come)
    assert text.index("Nouvelle tentative") < text.index("E-mail") < text.index("SMS") < text.index("Mise en demeure")
    assert "03/02/2026" in text


def test_a_promise_pauses_and_what_is_in_the_past_is_refused(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    address = f"{_case_address(world)}/promesse"
    for day in ("2026-01-30", "2027-01-30", "", "31/02/2026"):
        refused = manager_client.post(address, data={"jusquau": day})
        assert refused.status_code == 422
        assert 'id="jusquau-error"' in refused.text
    assert manager_client.post(address, data={"jusquau": "2026-02-15"}).status_code == 303
    assert (world.case().status, world.case().pause_until) == (CaseStatus.PAUSED, date(2026, 2, 15))
    assert "Promesse de paiement" in manager_client.get(_case_address(world)).text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"nombre": "1", "premiere": "2026-02-10"}, "nombre"),
        ({"nombre": "-3", "premiere": "2026-02-10"}, "nombre"),
        ({"nombre": "99999999999999999999", "premiere": "2026-02-10"}, "nombre"),
        ({"nombre": "25", "premiere": "2026-02-10"}, "nombre"),
        ({"nombre": "3", "premiere": "2026-01-01"}, "premiere"),
        ({"nombre": "3", "premiere": ""}, "premiere"),
        ({"nombre": "3", "premiere": "9999-12-31"}, "premiere"),
    ],
)
def test_a_plan_that_is_none_is_refused_beside_its_field(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    form: dict[str, str],
    field: str,
) -> None:
    refused = manager_client.post(f"{_case_address(world)}/echeancier", data=form)
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert world.case().status is CaseStatus.OPEN


def test_a_step_is_done_once_however_often_its_form_is_sent(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    form = {"etape": str(world.case().next_step_id)}
    address = f"{_case_address(world)}/envoyer"
    assert manager_client.post(address, data=form).status_code == 303
    assert manager_client.post(address, data=form).status_code == 409
    assert world.steps() == [("email", REFUSED)]
    assert manager_client.post(f"{_case_address(world)}/passer", data=form | {"motif": "x"}).status_code == 409


def test_a_step_of_a_closed_case_is_refused(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    form = {"etape": str(world.case().next_step_id)}
    written_off = manager_client.post(f"{_case_address(world)}/perte", data={"motif": "Insolvable"})
    assert written_off.status_code == 303
    refused = manager_client.post(f"{_case_address(world)}/envoyer", data=form)
    assert refused.status_code == 409
    assert "ne permet pas cette action" in refused.text


def test_letters_are_printed_in_one_file_and_posted_with_their_numbers(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    world.live_until(REFUSED + timedelta(days=10))
    page = manager_client.get("/relances/lettres").text
    [row] = _rows(page, "letter-row")
    message_id = re.search(r'data-message-id="([^"]+)"', row)[1]  # type: ignore[index]
    assert manager_client.post("/relances/lettres/postees").status_code == 422
    printed = manager_client.post("/relances/lettres/imprimer", data={"lettre": message_id})
    assert (printed.mimetype, printed.data[:4]) == ("application/pdf", b"%PDF")
    name = f"registered_{message_id}"
    refused = manager_client.post("/relances/lettres/postees", data={"lettre": message_id, name: "1A\0–é"})
    assert refused.status_code == 422
    assert "30 au plus" in refused.text
    assert 'aria-invalid="true"' in refused.text
    form = {"lettre": [message_id, "not-an-id"], f"registered_{message_id}": " 1a 123 456 7890 1 "}
    assert manager_client.post("/relances/lettres/postees", data=form).status_code == 303
    assert manager_client.post("/relances/lettres/postees", data=form).status_code == 422
    assert not _rows(manager_client.get("/relances/lettres").text, "letter-row")
    assert "1A12345678901" in manager_client.get(_case_address(world)).text


def test_the_dossier_holds_invoices_messages_and_proof(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    world.live_until(REFUSED + timedelta(days=10))
    world.post()
    answer = manager_client.get(f"{_case_address(world)}/dossier")
    assert answer.mimetype == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        names = archive.namelist()
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}
        summary = archive.read("Dossier.txt").decode()
        reminder = archive.read(next(name for name in names if name.startswith("Messages/01"))).decode()
    assert [name.rpartition(".")[2] for name in names if name.startswith("Messages/")] == ["txt", "txt", "pdf"]
    assert f"dossier {world.case().code}" in reminder
    assert "&#" not in reminder
    assert "Lettre" in summary
    assert "envoyé le 10/02/2026" in summary


def test_the_dossier_holds_the_invoice_of_what_came_back(manager_client: FlaskClient, world: DunningWorld) -> None:
    world.subscribe()
    world.run()
    world.reverse_latest()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    answer = manager_client.get(f"{_case_address(world)}/dossier")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        [name] = [name for name in archive.namelist() if name.startswith("Factures/")]
        assert archive.read(name).startswith(b"%PDF")


def test_the_dossier_costs_the_same_with_many_messages(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    world.live_until(REFUSED + timedelta(days=3))
    address = f"{_case_address(world)}/dossier"
    manager_client.get(address)
    with recorded_queries() as one:
        manager_client.get(address)
    world.live_until(REFUSED + timedelta(days=8))
    assert len(world.messages()) == 2
    with recorded_queries() as two:
        manager_client.get(address)
    assert len(two) == len(one)


def test_the_head_of_a_client_says_what_is_unpaid(
    client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    cast: Cast,
) -> None:
    page = client.get(f"/clients/{unpaid.client_id}").text
    assert "Impayé 24,00" in _texts(page)
    assert "mise en demeure" not in page
    assert _case_address(world) not in page, "the client is another commercial’s, and so is the case"
    _give_to(unpaid.client_id, cast.sales_rep.id)
    assert _case_address(world) in client.get(f"/clients/{unpaid.client_id}").text
    world.live_until(REFUSED + timedelta(days=10))
    world.post()
    assert "Montant dû : 24,00 €" in _texts(client.get(f"/clients/{unpaid.client_id}?onglet=activites").text)
    assert "mise en demeure envoyée le 10/02/2026" in _texts(client.get(f"/clients/{unpaid.client_id}").text)


def test_a_change_of_a_sequence_is_its_next_version(
    admin_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    [sequence] = db.session.scalars(select(DunningSequence)).all()
    address = f"/reglages/relances/{sequence.id}"
    form = {
        "nom": "Relances douces",
        "rang": ["0", "1"],
        "jour-0": "5",
        "action-0": "email:dunning_reminder",
        "lien-0": "1",
    }
    saved = admin_client.post(address, data=form)
    assert saved.status_code == 303
    newest = admin_client.get(saved.location).text
    assert "version 2" in newest
    assert re.search(r'name="lien-0"[^>]* checked', newest)
    assert not re.search(r'name="lien-1"[^>]* checked', newest)
    assert admin_client.post(address, data=form).status_code == 409
    assert world.case().sequence_id == sequence.id
    world.live_until(REFUSED + timedelta(days=4))
    assert world.steps() == [("email", REFUSED + timedelta(days=3))]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"nom": "x"}, "au moins une étape"),
        ({"nom": "", "rang": "0", "jour-0": "1", "action-0": "email:"}, "Donnez un nom"),
        ({"nom": "x", "rang": ["0", "1"], "jour-0": "5", "action-0": "email:", "jour-1": "4", "action-1": "sms:"},
         "ne peut pas venir après"),
        ({"nom": "x", "rang": "0", "jour-0": "-1", "action-0": "email:"}, "de 0 à 1000"),
        ({"nom": "x", "rang": "0", "jour-0": "9" * 40, "action-0": "email:"}, "nombre de jours"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "resume:"}, "suit le paiement"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "fly:"}, "Choisissez ce que fait"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "email:", "minimum-0": "-5"}, "montant minimum"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "email:", "minimum-0": "1e30"}, "montant"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "email:", "minimum-0": "abc"}, "Indiquez un montant"),
        ({"nom": "x", "rang": "0", "jour-0": "40", "action-0": "suspend:"}, "après une mise en demeure"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "task:"}, "ce qu’il y a à faire"),
        ({"nom": "x", "rang": "0", "jour-0": "1", "action-0": "task:", "titre-0": "y", "lien-0": "1"},
         "Seul un message"),
        ({"nom": "x", "assurance": "1", "rang": "0", "jour-0": "9", "action-0": "letter:formal_notice"}, "L113-3"),
    ],
)  # fmt: skip
def test_a_sequence_that_makes_no_sense_is_refused(
    admin_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
    form: dict[str, str],
    sentence: str,
) -> None:
    [sequence] = db.session.scalars(select(DunningSequence)).all()
    refused = admin_client.post(f"/reglages/relances/{sequence.id}", data=form)
    assert refused.status_code == 422
    assert sentence in _texts(refused.text)
    assert len(db.session.scalars(select(DunningSequence)).all()) == 1


def _exported(browser: FlaskClient, address: str) -> Decimal:
    """What the amounts of an export come to."""
    heads, *rows = csv_rows(browser.post(address, data={"format": "csv"}).data)
    place = heads.index("Montant")
    return sum((Decimal(row[place].replace(",", ".")) for row in rows), Decimal(0))


def test_figures_lead_to_their_rows_and_equal_them(
    admin_client: FlaskClient,
    world: DunningWorld,
    cast: Cast,
) -> None:
    for price in ("10.00", "20.00", "30.00"):
        world.refuse(world.subscribe(price, anchor=clock.today()))
        world.live_until(clock.today() + timedelta(days=31))
    paid = world.charges()[0]
    decisions.mark_paid(paid.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=cast.admin, at=clock.now())
    world.deliver()
    for charge in world.charges():
        drafting.draft_for_charge(charge, at=clock.now())
    finalising.finalise_drafts(cast.organisation.id, at=clock.now())
    page = admin_client.get("/relances/chiffres").text
    for age in ("0-30", "31-60", "61-90", "91"):
        figure = re.search(rf'data-age="{age}" data-amount="([^"]+)"', page)[1]  # type: ignore[index]
        rows = admin_client.get(f"/relances/chiffres/creances?age={age}").text
        assert sum(map(Decimal, re.findall(r'claim-row" data-amount="([^"]+)"', rows))) == Decimal(figure)
        assert f'data-amount="{figure}"' in rows
        assert _exported(admin_client, f"/relances/chiffres/creances/exporter?age={age}") == Decimal(figure)
    for step, figure in re.findall(r'data-step="([^"]+)"\s+data-amount="([^"]+)"', page):
        rows = admin_client.get(f"/relances/chiffres/creances?etape={step}&du=2026-01-01&au={clock.today()}").text
        assert sum(map(Decimal, re.findall(r'claim-row" data-amount="([^"]+)"', rows))) == Decimal(figure) > 0
        query = f"etape={step}&du=2026-01-01&au={clock.today()}"
        assert _exported(admin_client, f"/relances/chiffres/creances/exporter?{query}") == Decimal(figure)
    months = re.findall(r'data-month="([^"]+)"\s+data-receivables="([^"]+)"\s+data-revenue="([^"]+)"', page)
    assert len(months) == 12
    for month, receivables, revenue in months:
        for what, figure in (("creances", receivables), ("ventes", revenue)):
            rows = admin_client.get(f"/relances/chiffres/dso/{month}/{what}").text
            assert sum(map(Decimal, re.findall(r'dso-row" data-amount="([^"]+)"', rows))) == Decimal(figure)
            if month == months[0][0]:  # exports are paced
                assert _exported(admin_client, f"/relances/chiffres/dso/{month}/{what}/exporter") == Decimal(figure) > 0
    assert admin_client.get("/relances/chiffres/dso/2026-13/ventes").status_code == 404
    assert admin_client.get("/relances/chiffres/dso/2026-01/rien").status_code == 404


def _count(client: FlaskClient, address: str) -> int:
    """How many statements a page costs."""
    with recorded_queries() as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_pages_cost_the_same_with_many_cases(manager_client: FlaskClient, world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    world.live_until(REFUSED + timedelta(days=10))
    addresses = ("/relances?groupe=tous", "/relances/lettres", "/relances/chiffres", "/relances/chiffres/creances")
    first = [_count(manager_client, address) for address in addresses]
    clock_day = clock.today()
    for _ in range(4):
        world.refuse(world.subscribe(anchor=clock_day))
    world.live_until(clock_day + timedelta(days=10))
    assert [_count(manager_client, address) for address in addresses] == first


def test_the_page_of_a_case_costs_the_same_with_much_in_it(
    manager_client: FlaskClient,
    world: DunningWorld,
    unpaid: Subscription,
) -> None:
    world.live_until(REFUSED + timedelta(days=10))
    address = _case_address(world)
    few = _count(manager_client, address)
    another = world.subscribe(anchor=clock.today())
    db.session.execute(
        Subscription.__table__.update().where(Subscription.id == another.id).values(client_id=unpaid.client_id)
    )
    db.session.commit()
    world.refuse(another)
    assert len(world.claims()) == 2
    world.live_until(clock.today() + timedelta(days=1))
    assert _count(manager_client, address) == few
