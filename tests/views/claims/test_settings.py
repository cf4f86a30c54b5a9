"""Reserves by trade and their review: set by admins, used by the next file, followed up in the list."""

from datetime import timedelta
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast
from tests.services.claims.files import NOON, declare, entries_of, make_cover
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim, EntryKind
from webapp.models.covers import Cover, Trade
from webapp.services.claims import listing, money, working
from webapp.services.claims.listing import FollowUp

ADDRESS = "/dossiers/provisions"
FILTERING = {"HX-Request": "true", "HX-Source": "form#claims-filters"}
FORM = {trade.value: "200" for trade in Trade} | {"jours": "10"}
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


def reserve(claim: Claim) -> list[Decimal]:
    return entries_of(claim, EntryKind.RESERVE)


def test_what_is_set_is_the_reserve_of_the_next_file(admin_client: FlaskClient, cast: Cast, cover: Cover) -> None:
    before = declare(cover, cast.commercial, asked=None)
    assert reserve(before) == [Decimal(250)]  # in the code, while nobody has set it
    assert 'name="plumbing"' in admin_client.get(ADDRESS).text
    assert admin_client.post(ADDRESS, data=FORM | {"plumbing": "312,50"}).status_code == 303
    assert 'value="312,50"' in admin_client.get(ADDRESS).text
    after = declare(cover, cast.commercial, asked=None)
    assert reserve(after) == [Decimal("312.50")]
    assert reserve(before) == [Decimal(250)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"plumbing": ""}, "Plomberie"),
        ({"glazing": "-1"}, "Vitrerie"),
        ({"heating": "12,345"}, "Chauffage"),
        ({"heating": "cher"}, "Chauffage"),
        ({"heating": "9" * 40}, "Chauffage"),
        ({"jours": "0"}, "de 1 à 365"),
        ({"jours": "bientôt"}, "de 1 à 365"),
    ],
)
def test_what_is_no_amount_is_refused_at_its_field(
    admin_client: FlaskClient, values: dict[str, str], words: str
) -> None:
    answer = admin_client.post(ADDRESS, data=FORM | values)
    assert answer.status_code == 422
    assert answer.text.count(words) >= 2
    assert 'value="30"' in admin_client.get(ADDRESS).text


def test_settings_are_of_admins_and_of_one_organisation(
    client: FlaskClient, admin_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    assert client.get(ADDRESS).status_code == 403
    assert client.post(ADDRESS, data=FORM).status_code == 403
    admin_client.post(ADDRESS, data=FORM)
    assert 'value="10"' not in outsider_client.get(ADDRESS).text


def test_a_file_without_news_and_a_reserve_that_nobody_looked_at_are_on_the_list(
    client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    claim = declare(cover, cast.commercial)
    db.session.commit()

    def left(follow_up: FollowUp, days: int) -> bool:
        clock.start_at(NOON + timedelta(days=days))
        today = clock.today()
        view = listing.ClaimsView(follow_up=follow_up, untouched_since=follow_up.before(today))
        return [row.id for row in listing.list_claims(view).rows] == [claim.id]

    assert [left(FollowUp.NO_NEWS, days) for days in (7, 8)] == [False, True]
    assert [left(FollowUp.RESERVE, days) for days in (30, 31)] == [False, True]
    money.set_reserve(claim.id, Decimal(150), note="", version=None, by=cast.manager, at=clock.now())
    assert [left(FollowUp.RESERVE, days) for days in (31, 61, 62)] == [False, False, True]
    working.cancel(claim.id, reason="Erreur", version=None, by=cast.manager, at=clock.now())
    assert not left(FollowUp.RESERVE, 99)


def test_the_list_offers_both(client: FlaskClient, cast: Cast, cover: Cover) -> None:
    declare(cover, cast.commercial)
    page = client.get("/dossiers?suivi=provision").text
    assert "Provision à revoir" in page
    assert "DEP-2026-000001" not in page
    assert "DEP-2026-000001" in client.get("/dossiers").text
    assert client.get("/dossiers/exporter?suivi=provision").status_code == 200


def test_who_leads_a_team_finds_the_files_that_the_weekly_digest_counts(
    manager_client: FlaskClient, client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    declare(cover, cast.commercial)
    other = make_cover(cast.commercial)
    cover.client.commercial_id, other.client.commercial_id = cast.sales_rep.id, None
    declare(other, cast.commercial)
    db.session.commit()
    assert "DEP-2026-000002" in manager_client.get("/dossiers").text
    page = manager_client.get("/dossiers?equipe=1").text
    assert ("DEP-2026-000001" in page, "DEP-2026-000002" in page) == (True, False)
    assert manager_client.get("/dossiers/exporter?equipe=1").status_code == 200
    swapped = manager_client.get("/dossiers?equipe=1&metier=plumbing", headers=FILTERING)
    assert "equipe=1" in swapped.headers["HX-Push-Url"]
    page = client.get("/dossiers?equipe=1").text
    assert "DEP-2026-000002" in page, "who leads no team sees all"
    assert "Mon équipe" not in page
