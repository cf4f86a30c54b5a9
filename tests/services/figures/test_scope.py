"""Whose figures someone may see."""

from uuid import uuid4

from tests.conftest import Cast
from tests.factories import CommercialFactory, TeamFactory, TeamLeaderFactory
from webapp.extensions import db
from webapp.services.contracts.counting import count
from webapp.services.contracts.selection import OfTeam
from webapp.services.figures.scope import figures_scope


def test_a_commercial_sees_own_figures(cast: Cast) -> None:
    scope = figures_scope(cast.commercial)
    assert scope.view.sold_by == (cast.sales_rep.id,)
    assert scope.includes(cast.sales_rep.id)
    assert not scope.includes(uuid4())
    assert scope.label == "Vos chiffres"


def test_leading_a_team_without_being_a_manager_shows_nothing_more(cast: Cast) -> None:
    TeamLeaderFactory(team_id=TeamFactory().id, user_id=cast.commercial.id)
    assert figures_scope(cast.commercial).view.sold_by == (cast.sales_rep.id,)


def test_a_manager_sees_the_teams_led_and_own_figures(cast: Cast) -> None:
    south = TeamFactory(name="Équipe Sud")
    TeamLeaderFactory(team_id=south.id, user_id=cast.manager.id)
    own = CommercialFactory(user_id=cast.manager.id)
    scope = figures_scope(cast.manager)
    assert set(scope.view.sold_by) == {OfTeam(cast.sales_rep.team_id), OfTeam(south.id), own.id}  # type: ignore[arg-type]
    assert set(scope.members) == {cast.sales_rep.id, own.id}
    assert scope.label == "Équipe Nord · Équipe Sud · Vos chiffres"


def test_a_manager_in_the_team_led_counts_once(cast: Cast) -> None:
    CommercialFactory(user_id=cast.manager.id, team_id=cast.sales_rep.team_id)
    assert figures_scope(cast.manager).view.sold_by == (OfTeam(cast.sales_rep.team_id),)  # type: ignore[arg-type]


def test_a_manager_without_team_sees_no_figure_rather_than_all(cast: Cast) -> None:
    cast.outsider.roles = ["manager"]
    cast.colleague.roles = ["manager"]
    db.session.flush()
    scope = figures_scope(cast.manager.__class__(organisation_id=cast.organisation.id, id=uuid4(), roles=["manager"]))
    assert scope.label == "Aucun commercial"
    assert count(scope.view).contracts == 0
    assert scope.view.sold_by


def test_an_admin_sees_all(cast: Cast) -> None:
    scope = figures_scope(cast.admin)
    assert scope.is_all
    assert scope.view.sold_by == ()
    assert scope.includes(uuid4())
