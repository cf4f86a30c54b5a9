"""Teams: an admin says who is in them and who leads them, and figures follow."""

import re
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import Cast
from tests.factories import CommercialFactory, TeamFactory
from webapp.extensions import db
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.services import teams
from webapp.services.figures.scope import figures_scope
from webapp.services.teams import TeamExistsError


def team_of(commercial: Commercial) -> object:
    db.session.refresh(commercial)
    return commercial.team_id


def test_an_admin_makes_a_team_and_fills_it(cast: Cast, admin_client: FlaskClient) -> None:
    newcomer = CommercialFactory()
    assert admin_client.post("/equipes", data={"name": "  Sud "}).status_code == 303
    team = db.session.scalars(select(Team).where(Team.name == "Sud")).one()
    people = {
        "name": "Grand Sud",
        "membre": [str(newcomer.id), str(cast.sales_rep.id)],
        "responsable": [str(cast.manager.id)],
    }
    assert admin_client.post(f"/equipes/{team.id}", data=people).status_code == 303
    assert team_of(newcomer) == team_of(cast.sales_rep) == team.id
    assert set(figures_scope(cast.manager).members) == {newcomer.id, cast.sales_rep.id}
    page = admin_client.get("/equipes").text
    assert "Grand Sud" in page
    assert "Équipe «\u202fGrand Sud\u202f» enregistrée." in page


def test_who_is_unticked_is_in_no_team(cast: Cast, admin_client: FlaskClient) -> None:
    admin_client.post(f"/equipes/{cast.sales_rep.team_id}", data={"name": "Nord"})
    assert team_of(cast.sales_rep) is None
    assert db.session.scalars(select(TeamLeader)).all() == []
    assert figures_scope(cast.manager).members == {}


def test_a_team_done_away_with_leaves_its_commercials(cast: Cast, admin_client: FlaskClient) -> None:
    assert admin_client.post(f"/equipes/{cast.sales_rep.team_id}/suppression").status_code == 303
    assert team_of(cast.sales_rep) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("   ", "Donnez un nom"), ("x" * 101, "100 caractères au plus"), ("NORD", "Une équipe porte déjà ce nom.")],
)
def test_a_name_that_will_not_do_is_told_beside_it(
    cast: Cast, admin_client: FlaskClient, name: str, words: str
) -> None:
    page = admin_client.post("/equipes", data={"name": name})
    assert page.status_code in (409, 422)
    assert words in page.text
    assert 'aria-describedby="team-name-error"' in page.text


@pytest.mark.parametrize("name", ["   ", "x" * 101, "NORD", "Nord"])
def test_a_team_that_cannot_be_called_so_keeps_what_was_ticked(
    cast: Cast, admin_client: FlaskClient, name: str
) -> None:
    other = TeamFactory(name="Ouest")
    db.session.commit()
    ticked = {"name": name, "membre": str(cast.sales_rep.id), "responsable": str(cast.manager.id)}
    page = admin_client.post(f"/equipes/{other.id}", data=ticked)
    assert page.status_code in (409, 422)
    form = page.text.split(f'id="equipe-{other.id}"')[1].split("</section>")[0]
    assert f'aria-describedby="name-{other.id}-error"' in form
    assert len(re.findall("checked", form)) == 2
    assert team_of(cast.sales_rep) != other.id


def test_the_same_name_given_twice_at_once_is_refused(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams, "_refuse_taken", lambda *_args, **_names: None)  # neither saw the other
    with pytest.raises(TeamExistsError):
        teams.create_team("Nord", by=cast.admin)


def test_ids_of_nobody_here_are_passed_over(cast: Cast, admin_client: FlaskClient) -> None:
    strangers = {"name": "Nord", "membre": [str(uuid4()), "nul"], "responsable": [str(cast.outsider.id)]}
    assert admin_client.post(f"/equipes/{cast.sales_rep.team_id}", data=strangers).status_code == 303
    assert db.session.scalars(select(TeamLeader)).all() == []


def test_teams_are_for_admins(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    address = f"/equipes/{cast.sales_rep.team_id}"
    for browser in (client, manager_client):
        assert browser.get("/equipes").status_code == browser.get(address).status_code == 403
        for target in ("/equipes", address, f"{address}/suppression"):
            assert browser.post(target, data={"name": "Nord"}).status_code == 403
    assert team_of(cast.sales_rep) is not None


def test_an_outsider_finds_no_such_team(cast: Cast, outsider_client: FlaskClient) -> None:
    address = f"/equipes/{cast.sales_rep.team_id}"
    assert "Nord" not in outsider_client.get("/equipes").text
    for target in (address, f"{address}/suppression"):
        assert outsider_client.post(target, data={"name": "Nord"}).status_code == 404
    assert outsider_client.get(address).status_code == 404


def test_the_address_of_a_refused_form_leads_back_to_it(cast: Cast, admin_client: FlaskClient) -> None:
    address = f"/equipes/{cast.sales_rep.team_id}"
    assert admin_client.post(address, data={"name": ""}).status_code == 422
    assert admin_client.get(address).location == f"/equipes#equipe-{cast.sales_rep.team_id}"
