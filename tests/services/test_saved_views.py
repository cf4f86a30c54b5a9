"""Saved views: whose they are, who sees and changes them, and what each user makes of them."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from tests import factories
from tests.concurrency import at_once
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.saved_views import Density, SavedList, SavedView
from webapp.services import saved_views
from webapp.services.saved_views import ViewState, VisibleView

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CLIENTS = SavedList.CLIENTS


def _create(by: User, name: str = "Mes prospects", of_list: SavedList = CLIENTS, **values: Any) -> VisibleView:
    state = ViewState("statut=prospect&tri=-nom", ("nom", "email"), Density.COMPACT)
    return saved_views.create(of_list, state, name=name, by=by, at=NOW, **values)


def _names(by: User, of_list: SavedList = CLIENTS) -> list[str]:
    return [view.name for view in saved_views.list_visible(of_list, by=by)]


def test_what_was_kept_is_found_again_under_a_readable_address(cast: Cast) -> None:
    made = _create(cast.commercial, "Mes prospects à Évry, œuvre n°1")
    found = saved_views.find(CLIENTS, "mes-prospects-a-evry-oeuvre-n1", by=cast.commercial)
    assert found == made
    assert found.state == ViewState("statut=prospect&tri=-nom", ("nom", "email"), Density.COMPACT)
    assert (found.is_own, found.may_change, found.is_shared, found.is_pinned, found.is_default) == (
        *(True, True, False),
        *(True, False),
    )


@pytest.mark.parametrize(
    ("name", "slug"), [("Tous", "vue-tous"), ("ЮРИЙ", "vue"), ("  a  b ", "a-b"), ("x" * 60, "x" * 60), ("%/?&", "vue")]
)
def test_every_name_has_an_address(cast: Cast, name: str, slug: str) -> None:
    assert _create(cast.commercial, name).slug == slug


def test_an_address_is_one_views_in_a_list_and_stays_with_another_name(cast: Cast) -> None:
    first, second = _create(cast.commercial), _create(cast.manager)
    other_list = _create(cast.commercial, of_list=SavedList.CONTRACTS)
    assert [view.slug for view in (first, second, other_list)] == ["mes-prospects", "mes-prospects-2", "mes-prospects"]
    renamed = saved_views.rename(CLIENTS, first.id, name="Prospects", is_shared=True, by=cast.commercial)
    assert (renamed.slug, renamed.name, renamed.is_shared) == ("mes-prospects", "Prospects", True)


class TestWhoSees:
    def test_a_private_one_is_its_owners_alone(self, cast: Cast) -> None:
        view = _create(cast.commercial)
        for other in (cast.colleague, cast.manager, cast.admin):
            assert _names(other) == []
            for act in (
                lambda other=other: saved_views.find(CLIENTS, view.slug, by=other),
                lambda other=other: saved_views.rename(CLIENTS, view.id, name="À moi", is_shared=True, by=other),
                lambda other=other: saved_views.keep_state(CLIENTS, view.id, ViewState(), by=other),
                lambda other=other: saved_views.remove(CLIENTS, view.id, by=other),
                lambda other=other: saved_views.pin(CLIENTS, view.id, is_pinned=True, by=other),
                lambda other=other: saved_views.set_default(CLIENTS, view.id, is_default=True, by=other),
            ):
                with pytest.raises(NotFoundError):
                    act()

    def test_a_shared_one_is_everybodys_to_see_and_its_owners_to_change(self, cast: Cast) -> None:
        view = _create(cast.commercial, is_shared=True)
        for other in (cast.colleague, cast.manager, cast.admin):
            seen = saved_views.find(CLIENTS, view.slug, by=other)
            assert (seen.owner, seen.may_change, seen.is_pinned) == (cast.commercial.full_name, False, False)
            for act in (
                lambda other=other: saved_views.rename(CLIENTS, view.id, name="À moi", is_shared=False, by=other),
                lambda other=other: saved_views.keep_state(CLIENTS, view.id, ViewState(), by=other),
                lambda other=other: saved_views.remove(CLIENTS, view.id, by=other),
            ):
                with pytest.raises(ForbiddenError):
                    act()

    def test_another_organisation_sees_nothing(self, cast: Cast) -> None:
        view = _create(cast.commercial, is_shared=True)
        with tenancy.organisation(cast.other_organisation.id):
            assert _names(cast.outsider) == []
            with pytest.raises(NotFoundError):
                saved_views.find(CLIENTS, view.slug, by=cast.outsider)
            with pytest.raises(NotFoundError):
                saved_views.remove(CLIENTS, view.id, by=cast.outsider)

    @pytest.mark.parametrize("left", ["no role", "inactive", "deleted"])
    def test_a_shared_one_of_somebody_who_left_is_the_admins(self, cast: Cast, left: str) -> None:
        view = _create(cast.commercial, is_shared=True)
        _create(cast.commercial, "Secrète")
        if left == "no role":
            cast.commercial.roles = []
        elif left == "inactive":
            cast.sales_rep.is_active = False
        db.session.flush()
        if left == "deleted":
            db.session.execute(delete(User).where(User.id == cast.commercial.id))
        db.session.commit()
        for other, may_change in ((cast.manager, False), (cast.admin, True)):
            assert _names(other) == ["Mes prospects"]
            seen = saved_views.find(CLIENTS, view.slug, by=other)
            assert (seen.owner, seen.may_change) == ("", may_change)
        with pytest.raises(ForbiddenError):
            saved_views.rename(CLIENTS, view.id, name="Pour nous", is_shared=True, by=cast.manager)
        saved_views.rename(CLIENTS, view.id, name="Pour nous", is_shared=True, by=cast.admin)
        assert saved_views.remove(CLIENTS, view.id, by=cast.admin) == "Pour nous"

    def test_views_of_charges_are_for_those_who_handle_them(self, cast: Cast) -> None:
        with pytest.raises(ForbiddenError):
            _create(cast.commercial, of_list=SavedList.CHARGES)
        assert _create(cast.manager, of_list=SavedList.CHARGES).is_own


class TestMarks:
    def test_tabs_and_defaults_are_each_users_own(self, cast: Cast) -> None:
        view = _create(cast.commercial, is_shared=True, is_pinned=False)
        saved_views.pin(CLIENTS, view.id, is_pinned=True, by=cast.manager)
        saved_views.set_default(CLIENTS, view.id, is_default=True, by=cast.manager)
        assert [(each.is_pinned, each.is_default) for each in saved_views.list_visible(CLIENTS, by=cast.manager)] == [
            (True, True)
        ]
        assert [
            (each.is_pinned, each.is_default) for each in saved_views.list_visible(CLIENTS, by=cast.commercial)
        ] == [(False, False)]

    def test_a_list_has_one_default(self, cast: Cast) -> None:
        first = _create(cast.commercial, "Un", is_default=True)
        second = _create(cast.commercial, "Deux", is_default=True)
        _create(cast.commercial, "Trois", SavedList.CONTRACTS, is_default=True)
        assert [view.id for view in saved_views.list_visible(CLIENTS, by=cast.commercial) if view.is_default] == [
            second.id
        ]
        for _ in range(2):
            saved_views.set_default(CLIENTS, first.id, is_default=True, by=cast.commercial)
        saved_views.set_default(CLIENTS, second.id, is_default=False, by=cast.commercial)
        seen = {view.id: view.is_default for view in saved_views.list_visible(CLIENTS, by=cast.commercial)}
        assert seen == {first.id: True, second.id: False}

    def test_they_go_with_the_view(self, cast: Cast) -> None:
        view = _create(cast.commercial, is_shared=True, is_default=True)
        saved_views.pin(CLIENTS, view.id, is_pinned=True, by=cast.manager)
        saved_views.remove(CLIENTS, view.id, by=cast.commercial)
        assert _names(cast.manager) == _names(cast.commercial) == []


class TestRefusals:
    @pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b"])
    def test_a_name_is_needed_and_short(self, cast: Cast, name: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            _create(cast.commercial, name)
        assert refused.value.field == "nom"
        assert _names(cast.commercial) == []

    def test_the_same_form_sent_twice_makes_one(self, cast: Cast) -> None:
        view = _create(cast.commercial)
        with pytest.raises(InvalidInputError, match="déjà une vue de ce nom"):
            _create(cast.commercial, "mes PROSPECTS")
        saved_views.rename(CLIENTS, view.id, name="Mes Prospects", is_shared=False, by=cast.commercial)
        assert _names(cast.commercial) == ["Mes Prospects"]

    def test_views_and_their_filters_have_an_end(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        view = _create(cast.commercial)
        long = ViewState("commercial=" + "x" * saved_views.QUERY_LENGTH)
        with pytest.raises(InvalidInputError):
            saved_views.create(CLIENTS, long, name="Longue", by=cast.commercial, at=NOW)
        with pytest.raises(InvalidInputError):
            saved_views.keep_state(CLIENTS, view.id, long, by=cast.commercial)
        monkeypatch.setattr(saved_views, "MOST", 1)
        with pytest.raises(InvalidInputError, match="déjà 1 vues"):
            _create(cast.commercial, "Une de trop")


def test_what_filters_name_and_is_no_more_is_told(cast: Cast) -> None:
    gone, team = str(uuid4()), factories.TeamFactory()
    there = [("commercial", str(cast.sales_rep.id)), ("commercial", f"equipe-{team.id}"), ("equipe", str(team.id))]
    lost = {("commercial", gone), ("commercial", f"equipe-{gone}"), ("societe", gone), ("client", gone)}
    unread = [("q", gone), ("contrat", "avec"), ("statut", "perdu")]
    with recorded_queries() as queries:
        assert saved_views.find_gone([*there, *lost, *unread]) == lost
    assert len(queries) == 4
    with tenancy.organisation(cast.other_organisation.id):
        assert saved_views.find_gone(there) == set(there)


def test_listing_is_one_statement_however_many_there_are(cast: Cast) -> None:
    for name in "abcdef":
        _create(cast.commercial, name, is_shared=True)
    db.session.refresh(cast.manager)
    with recorded_queries() as queries:
        assert len(saved_views.list_visible(CLIENTS, by=cast.manager)) == 6
    assert len(queries) == 1


def test_one_name_given_twice_at_once_is_one_view(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    organisation_id, by = cast.organisation.id, cast.commercial
    db.session.commit()
    db.session.refresh(by)
    db.session.expunge(by)
    sent = partial(saved_views.create, SavedList.CLIENTS, ViewState("statut=active"), name="Actifs", by=by, at=NOW)
    assert at_once(app, organisation_id, *[sent] * 4) == [*["InvalidInputError"] * 3, "done"]
    assert db.session.scalars(select(func.count()).select_from(SavedView)).one() == 1
