"""Claim files: declared, read, decided by whom it may concern; the list of all, and its export."""

import re
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from tests.services.claims.files import NOON, declare, erase_decisions, make_cover
from tests.services.exports.wanting import csv_rows
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimEntry
from webapp.models.covers import Cover
from webapp.services.claims import listing, working
from webapp.services.claims.listing import ClaimsView
from webapp.views.claims.page import WORDS

FORM = {"metier": "plumbing", "jour": "2026-11-19", "declare": "2026-11-20", "canal": "phone", "montant": "420"}
MANAGED = ("accepter", "refuser", "confirmer", "paiement", "recuperation", "provision")
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


@pytest.fixture
def claim(cast: Cast, cover: Cover) -> Claim:
    """One of which 370 € are covered."""
    return declare(cover, cast.commercial, asked="420", words="Une fuite sous l’évier")


def act(browser: FlaskClient, claim: Claim, word: str, **values: Any) -> Any:
    db.session.expire_all()
    return browser.post(f"/dossiers/{claim.id}/{word}", data={"version": claim.version, "motif": "Motif"} | values)


def count(model: type[Any]) -> int | None:
    return db.session.scalar(select(func.count()).select_from(model))


def test_a_colleague_declares_a_claim_and_reads_what_was_decided(client: FlaskClient, cover: Cover) -> None:
    address = f"/couvertures/{cover.id}/sinistres/nouveau"
    assert address in client.get(f"/couvertures/{cover.id}").text
    assert address in client.get(f"/clients/{cover.client_id}?onglet=couverture").text
    token = re.search(r'name="jeton" value="([^"]+)"', client.get(address).text)
    assert token
    form = FORM | {"jeton": token[1], "mots": "<script>alert(1)</script>\nune fuite", "heure": "08:30"}
    answers = [client.post(address, data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].location == answers[1].location
    assert count(Claim) == 1
    page = client.get(answers[0].location).text
    assert 'data-status="accepted"' in page
    assert "370\u00a0€ pris en charge sur 420\u00a0€ demandés" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "19/11/2026 à 08:30" in page
    assert re.findall(
        r'data-testid="claim-left">\s*<th scope="row">([^<]+)</th>\s*<td[^>]*>([^<]+)</td>\s*<td[^>]*>([^<]+)', page
    ) == [
        ("Interventions", "3", "2"),
        ("Plafond annuel", "1\u202f200\u00a0€", "830\u00a0€"),
    ]
    assert "DEP-2026-000001" in client.get(f"/couvertures/{cover.id}").text
    timeline = client.get(f"/clients/{cover.client_id}?onglet=activites").text
    assert "Sinistre déclaré" in timeline
    assert "370,00\u00a0€" in timeline


def test_what_was_asked_is_carried_over_to_the_form(client: FlaskClient, cover: Cover) -> None:
    asked = client.get(f"/couvertures/{cover.id}/verifier?metier=plumbing&jour=2026-11-18&montant=99,50").text
    address = re.search(r'href="([^"]+)"\s*data-testid="declare-this"', asked)
    assert address
    form = client.get(address[1].replace("&amp;", "&")).text
    assert 'value="plumbing" selected' in form
    assert 'value="2026-11-18"' in form
    assert 'value="99,50"' in form


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"metier": "toiture"}, "Choisissez un métier"),
        ({"jour": ""}, "Indiquez le jour de l’événement"),
        ({"jour": "2026-02-29"}, "Indiquez une date valable"),
        ({"jour": "2026-11-21"}, "ne peut pas être dans le futur"),
        ({"declare": "2026-11-18"}, "ne peut pas précéder l’événement"),
        ({"heure": "25:61"}, "Indiquez une heure valable"),
        ({"heure": "10:00+01:00"}, "Indiquez une heure valable"),
        ({"montant": "-1"}, "ne peut pas être négatif"),
        ({"montant": "1000000,01"}, "1\u202f000\u202f000\u00a0€ au plus"),
        ({"montant": "1,005"}, "deux décimales"),
        ({"montant": "beaucoup"}, "Ce n’est pas un montant"),
        ({"canal": "pigeon"}, "Indiquez comment le client"),
        ({"logement": "x"}, "Choisissez un logement"),
        ({"logement": str(uuid4())}, "Choisissez un logement"),
        ({"mots": "x" * 5001}, "C’est trop long"),
    ],
)
def test_what_no_claim_can_say_is_refused_at_its_field(
    client: FlaskClient, cover: Cover, written: dict[str, str], sentence: str
) -> None:
    answer = client.post(f"/couvertures/{cover.id}/sinistres/nouveau", data=FORM | written)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert count(Claim) == 0


def test_managers_decide_against_the_rules_and_write_money(
    client: FlaskClient, manager_client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    claim = declare(cover, cast.commercial, "2026-02-01")
    assert act(client, claim, "revoir", motif="Il conteste").status_code == 303
    for word in MANAGED:
        assert act(client, claim, word, montant="10").status_code == 403, word
    assert 'data-action="accepter"' not in client.get(f"/dossiers/{claim.id}").text
    assert 'data-action="accepter"' in manager_client.get(f"/dossiers/{claim.id}").text
    refused = act(manager_client, claim, "accepter", montant="201")
    assert refused.status_code == 422
    assert "ne dépasse pas les 200\u00a0€ demandés" in refused.text
    assert act(manager_client, claim, "accepter", montant="120", motif="Geste commercial").status_code == 303
    page = client.get(f"/dossiers/{claim.id}").text
    assert 'data-is-override="true"' in page
    assert "Dérogation par" in page
    assert "Geste commercial" in page
    assert "Ce que prévoient les règles" in page
    for word, amount in (("provision", "150"), ("paiement", "100"), ("recuperation", "40")):
        assert act(manager_client, claim, word, montant=amount).status_code == 303, word
    sums = re.findall(r'data-name="([^"]+)">\s*([^<]*?)\s*</dd>', manager_client.get(f"/dossiers/{claim.id}").text)
    assert dict(sums) == {
        "Pris en charge": "120,00\u00a0€",
        "Franchise": "0,00\u00a0€",
        "Au-delà des plafonds": "80,00\u00a0€",
        "Payé": "100,00\u00a0€",
        "Récupéré": "40,00\u00a0€",
        "Provision": "50,00\u00a0€",
    }


def test_a_file_on_its_way(client: FlaskClient, claim: Claim) -> None:
    for word, status in (
        ("commencer", "in_progress"),
        ("clore", "closed"),
        ("rouvrir", "in_progress"),
        ("annuler", "canceled"),
    ):
        assert f'action={word}"' in client.get(f"/dossiers/{claim.id}").text
        assert act(client, claim, word).status_code == 303, word
        assert f'data-status="{status}"' in client.get(f"/dossiers/{claim.id}").text
    again = act(client, claim, "commencer")
    assert again.status_code == 409
    assert "ne peut pas devenir" in again.text
    assert act(client, claim, "inconnu").status_code == 404


def test_a_stale_form_is_refused_and_keeps_what_was_written(client: FlaskClient, claim: Claim) -> None:
    answer = act(client, claim, "corriger", version=1, montant="77,77")
    assert answer.status_code == 409
    assert "a changé depuis que vous l’avez ouvert" in answer.text
    assert 'value="77,77"' in answer.text
    assert act(client, claim, "corriger", montant="300").status_code == 303


def test_what_became_doubtful_is_shown_and_confirmed(
    cast: Cast, client: FlaskClient, manager_client: FlaskClient
) -> None:
    cover = make_cover(cast.commercial, claims_per_year=1)
    first, second = declare(cover, cast.commercial, asked="420"), declare(cover, cast.commercial)
    working.cancel(first.id, reason="Retiré", version=None, by=cast.commercial, at=NOON)
    page = client.get(f"/dossiers/{second.id}").text
    assert "À revoir\u202f: Décidé\u202f: refusé" in page
    assert "En attente\u202f: nous" in page
    assert "À revoir" in client.get("/dossiers?attente=us").text
    to_review = client.get("/dossiers?etat=to_review").text
    assert [second.reference in to_review, first.reference in to_review] == [True, False]
    assert act(manager_client, second, "confirmer", motif="Il renonce").status_code == 303
    assert 'data-testid="claim-doubt"' not in client.get(f"/dossiers/{second.id}").text


def test_a_home_that_was_another_one_makes_a_closed_file_doubtful(
    cast: Cast, client: FlaskClient, cover: Cover
) -> None:
    claim = declare(cover, cast.commercial, home_id=cover.homes[0].home_id)
    moved = {"type": "flat", "occupation": "owner", "adresse": "8 quai", "code_postal": "59000", "ville": "Lille"}
    address = f"/couvertures/{cover.id}/logement"
    refused = client.post(address, data=moved | {"depuis": "2026-11-01"})
    assert refused.status_code == 409
    assert f"Un sinistre est en cours ({claim.reference})" in refused.text
    for word in ("commencer", "clore"):
        assert act(client, claim, word).status_code == 303
    since = {"depuis": "2026-11-01", "montre": "2026-11-01"}
    assert client.post(address, data=moved | since).status_code == 303
    assert "Serait aujourd’hui\u202f: refusé (logement couvert)" in client.get(f"/dossiers/{claim.id}").text


def test_a_decision_that_was_erased_with_its_client(client: FlaskClient, claim: Claim) -> None:
    erase_decisions()
    page = client.get(f"/dossiers/{claim.id}")
    assert page.status_code == 200
    assert "Décision effacée avec le client" in page.text


def test_an_outsider_finds_no_file_of_ours(outsider_client: FlaskClient, claim: Claim) -> None:
    assert outsider_client.get(f"/dossiers/{claim.id}").status_code == 404
    for word in WORDS:
        assert act(outsider_client, claim, word, montant="10").status_code == 404, word
    address = f"/couvertures/{claim.cover_id}/sinistres/nouveau"
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address, data=FORM).status_code == 404
    assert claim.reference not in outsider_client.get("/dossiers").text
    assert len(csv_rows(outsider_client.post("/dossiers/exporter", data={"format": "csv"}).data)) == 1
    assert count(ClaimEntry) == 2


def test_the_list_finds_files_by_client_reference_state_trade_plan_and_age(
    cast: Cast, client: FlaskClient, claim: Claim
) -> None:
    plan_id = claim.cover.periods[0].version.plan_id
    found = ("", "?q=lefev", "?q=DEP-2026-000001", "?q=dep+2026+1", "?etat=accepted", "?metier=plumbing")
    for query in (*found, f"?formule={plan_id}", "?attente=operator", "?avant=2026-11-20"):
        assert f'data-claim-id="{claim.id}"' in client.get(f"/dossiers{query}").text, query
    missed = ("?q=dupont", "?q=DEP-2025-000001", "?etat=refused", "?metier=glazing", f"?formule={uuid4()}")
    for query in (*missed, "?attente=us", "?avant=2026-11-19"):
        assert "Aucun dossier ne correspond" in client.get(f"/dossiers{query}").text, query
    fragment = client.get("/dossiers?etat=accepted", headers=HTMX).text
    assert fragment.lstrip().startswith('<div id="claims-list"')


def test_a_cover_tells_how_many_claims_it_has_and_leads_to_all(client: FlaskClient, cast: Cast, cover: Cover) -> None:
    declared = [declare(cover, cast.commercial, asked="60").reference for _ in range(11)]
    other = declare(make_cover(cast.commercial), cast.commercial)
    page = client.get(f"/couvertures/{cover.id}").text
    assert page.count('data-testid="claim-row"') == 10
    assert re.search(r"Sinistres\s*<span[^>]*>\s*11\b", page)
    assert f'href="/dossiers?q={cover.code}"' in page
    found = client.get(f"/dossiers?q={cover.code}").text
    assert all(reference in found for reference in declared)
    assert other.reference not in found


def test_the_list_is_walked_without_a_repeat(cast: Cast, cover: Cover) -> None:
    declared = {declare(cover, cast.commercial, date(2026, 11, day)).id for day in (16, 17, 17, 17, 18)}
    seen: list[UUID] = []
    page = listing.list_claims(ClaimsView(), size=2)
    while page.next_cursor:
        seen += [row.id for row in page.rows]
        page = listing.list_claims(ClaimsView(cursor=page.next_cursor), size=2)
    seen += [row.id for row in page.rows]
    assert (len(seen), set(seen)) == (5, declared)


def test_the_export_is_what_the_list_shows(cast: Cast, client: FlaskClient, cover: Cover) -> None:
    declare(cover, cast.commercial, asked="420")
    declare(cover, cast.commercial, "2026-02-01")
    address = re.search(r'href="(/dossiers/exporter[^"]*)"', client.get("/dossiers?etat=accepted").text)
    assert address
    (_, row) = csv_rows(client.post(address[1], data={"format": "csv"}).data)
    assert row[0] == "DEP-2026-000001"
    assert row[-3:] == ["Accepté", "420,00", "370,00"]


def test_pages_cost_a_fixed_number_of_queries(cast: Cast, client: FlaskClient, claim: Claim, cover: Cover) -> None:
    counts = []
    for _ in range(2):
        for _ in range(4):
            declare(cover, cast.commercial)
            act(client, claim, "corriger", montant=str(300 + len(counts)))
        lengths = []
        for path in ("/dossiers", f"/dossiers/{claim.id}", f"/couvertures/{claim.cover_id}"):
            client.get(path)
            with recorded_queries() as queries:
                assert client.get(path).status_code == 200
            lengths.append(len(queries))
        counts.append(lengths)
    assert counts[0] == counts[1]
    assert counts[0][0] <= 5
    assert counts[0][1] <= 12


def test_a_word_of_every_action() -> None:
    assert len(set(WORDS.values())) == len(WORDS) == 12
