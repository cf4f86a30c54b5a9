"""The tab « Depanssur »: its numbers lead to their rows, within what each role may see."""

import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast, SignIn
from tests.factories import CommercialFactory
from tests.queries import recorded_queries
from tests.services.figures.cover_world import World
from webapp import clock, keeping
from webapp.services.figures import in_force

TAB = "/statistiques?onglet=depanssur&periode=annee&du=2026-01-01"
LINK = re.compile(r'<a href="([^"]+)" data-testid="figure-([^"]+)">')


@pytest.fixture
def world(cast: Cast) -> World:
    """Paid cycles, an accepted claim with money, and a refused one, of a commercial's client and of nobody's."""
    world = World(cast)
    for act, number, amount, days in [
        ("charge", 2, "118.80", 0),
        ("charge", 5, "61.07", 1),
        ("declare", 0, "180", 10),
        ("declare", 0, "420", 40),
        ("paid", 1, "100", 1),
        ("refund", 0, "9.99", 20),
    ]:
        world.do(act, number, amount, days)
    in_force.book()
    clock.start_at(world.at + timedelta(days=1))
    return world


def links(page: str) -> dict[str, str]:
    return {figure: unescape(address) for address, figure in LINK.findall(page)}


def test_each_number_opens_its_rows(world: World, admin_client: FlaskClient) -> None:
    with recorded_queries() as queries:
        page = admin_client.get(TAB).text
    assert len(queries) <= 12
    found = links(page)
    assert {"mrr", "primes", "charge", "paye", "acceptes", "refuses", "en-vigueur", "exposition", "creances"} <= set(
        found
    )
    for address in found.values():
        rows = admin_client.get(address)
        assert rows.status_code == 200
        amounts = re.findall(r'data-testid="figure-row" data-amount="([^"]+)"', rows.text)
        total = re.search(r'data-testid="total" data-amount="([^"]+)"', rows.text)
        assert total
        assert float(total[1]) == pytest.approx(sum(map(float, amounts)))
    assert 'data-testid="export"' in admin_client.get(found["primes"]).text
    path, query = found["primes"].split("?")
    sent = admin_client.post(f"{path}/exporter?{query}", data={"format": "csv"})
    assert sent.text.count("Prime acquise") == admin_client.get(found["primes"]).text.count('"figure-row"')


def test_what_is_kept_is_told_anew_once_something_changed(
    world: World, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LONG", 0)
    address = links(admin_client.get(TAB).text)["nouveaux"]
    clock.start_at(clock.now() + timedelta(minutes=5))
    page = admin_client.get(address).text
    assert 'data-testid="total" data-amount="240.00"' in page
    assert 'data-testid="known-at"' in page
    world.do("pause", 0, "1", 3)
    for _ in ("waiting", "booked"):
        page = admin_client.get(address).text
        assert 'data-testid="total" data-amount="120.00"' in page
        assert sorted(re.findall(r'data-testid="figure-row" data-amount="([^"]+)"', page)) == ["0.00", "120.00"]
        in_force.book()


def test_whoever_looks_sees_what_is_theirs(world: World, cast: Cast, sign_in: SignIn) -> None:
    """The first cover counts for the commercial, the second for nobody."""
    seen = {}
    for user in (cast.commercial, cast.manager, cast.admin, cast.colleague, cast.outsider):
        address = links(sign_in(user).get(TAB).text)["en-vigueur"]
        rows = sign_in(user).get(address).text
        seen[user.id] = rows.count('data-testid="figure-row"')
    assert seen == {
        cast.commercial.id: 1,
        cast.manager.id: 1,
        cast.admin.id: 2,
        cast.colleague.id: 0,
        cast.outsider.id: 0,
    }


def test_filters_narrow_and_stay(world: World, cast: Cast, admin_client: FlaskClient) -> None:
    page = admin_client.get(f"{TAB}&formule={world.sold[0].plan_id}&metier=plumbing").text
    assert "metier=plumbing" in links(page)["primes"]
    assert admin_client.get(links(page)["en-vigueur"]).text.count('data-testid="figure-row"') == 1
    none = admin_client.get(f"{TAB}&metier=glazing").text
    assert 'data-testid="figure-charge">—</a>' in none


def test_what_is_not_there_or_beyond_ones_scope(world: World, cast: Cast, sign_in: SignIn) -> None:
    mine, outsider = sign_in(cast.commercial), sign_in(cast.outsider)
    other = CommercialFactory()
    for page in (TAB, "/statistiques/depanssur/ecritures/primes?"):
        assert outsider.get(f"{page}&formule={world.sold[0].plan_id}").status_code == 404
        assert outsider.get(f"{page}&commercial={cast.sales_rep.id}").status_code == 404
        assert mine.get(f"{page}&commercial={uuid4()}").status_code == 404
        assert mine.get(f"{page}&commercial={other.id}").status_code == 403
        assert mine.get(f"{page}&commercial={cast.sales_rep.id}").status_code == 200
    assert mine.get("/statistiques/depanssur/ecritures/mrr").status_code == 404
    assert mine.get("/statistiques/depanssur/clients/rien").status_code == 404


def test_chosen_days_are_widened_to_their_months(world: World, admin_client: FlaskClient) -> None:
    page = admin_client.get("/statistiques?onglet=depanssur&du=2026-01-15&au=2026-02-03").text
    assert "du 01/01/2026 au 28/02/2026" in page


def test_an_admin_closes_months_and_nobody_else(world: World, cast: Cast, sign_in: SignIn) -> None:
    for user in (cast.commercial, cast.manager):
        for method in ("get", "post"):
            assert getattr(sign_in(user), method)("/statistiques/depanssur/mois").status_code == 403
        assert sign_in(user).get("/statistiques/depanssur/mois/2026-01-01").status_code == 403
    admin = sign_in(cast.admin)
    assert admin.get("/statistiques/depanssur/mois/2026-01-01").status_code == 404
    assert "Clôturer janvier 2026" in admin.get("/statistiques/depanssur/mois").text
    for month, status in {"2026-02-01": 409, "2026-01-01": 303, "rien": 422}.items():
        assert admin.post("/statistiques/depanssur/mois", data={"mois": month}).status_code == status
    assert "janvier 2026" in admin.get("/statistiques/depanssur/mois").text
    page = admin.get("/statistiques/depanssur/mois/2026-01-01").text
    assert 'data-testid="unchanged"' in page
    assert "Janvier 2026, mois clôturé" in page, "« Clôture de » does not go with every month: avril, août, octobre"
    assert f", par {cast.admin.full_name}" in page
    assert f" , par {cast.admin.full_name}" not in page
    assert "clôturés jusqu’en janvier 2026" in sign_in(cast.commercial).get(TAB).text
    outsider = sign_in(cast.outsider)
    assert outsider.get("/statistiques/depanssur/mois/2026-01-01").status_code in (403, 404)


def test_the_figures_as_files(world: World, cast: Cast, sign_in: SignIn) -> None:
    query = TAB.partition("?")[2]
    lines = sign_in(cast.admin).get(f"/statistiques/depanssur/chiffres.csv?{query}").text.splitlines()
    assert lines[0].startswith("\ufeffPériode;Prime acquise HT;Payé")
    assert lines[1].startswith("2026;")
    assert len(lines) == 14
    mine = sign_in(cast.commercial).get(f"/statistiques/depanssur/chiffres.csv?{query}").text.splitlines()
    assert mine[1] != lines[1]
    assert sign_in(cast.admin).get(f"/statistiques/depanssur/chiffres.xlsx?{query}").data[:2] == b"PK"
    page = sign_in(cast.manager).get(f"/statistiques/depanssur/tableau.pdf?{query}")
    assert page.mimetype == "application/pdf"
    assert page.data.startswith(b"%PDF")
    assert page.data.count(b"/Type /Page\n") <= 1
