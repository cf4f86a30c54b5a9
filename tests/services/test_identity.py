"""Accounts: made, announced, taken over, never moved."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.gateways.identity import Identity, SessionEndedError
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.organisations import Organisation
from webapp.services import identity

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


def a_person(**values: Any) -> Identity:
    known = {
        "issuer": factories.ISSUER,
        "subject": "subject-1",
        "email": "camille@example.org",
        "email_verified": True,
        "first_name": "Camille",
        "last_name": "Roux",
        "roles": frozenset({"manager"}),
        "organisation": None,
    }
    return Identity(**{**known, **values})


def sign_in(cast: Cast, **values: Any) -> User:
    person = a_person(**{"organisation": cast.organisation.slug, **values})
    return identity.sign_in(person, default_organisation="", at=AT)


def commercial_of(user: User) -> Commercial | None:
    return db.session.scalar(select(Commercial).where(Commercial.user_id == user.id))


def test_the_first_sign_in_makes_the_user(cast: Cast) -> None:
    user = sign_in(cast)
    assert (user.issuer, user.subject, user.email) == (factories.ISSUER, "subject-1", "camille@example.org")
    assert (user.full_name, user.organisation_id) == ("Camille Roux", cast.organisation.id)
    assert user.last_seen_at == AT


def test_the_second_sign_in_finds_the_same_user_and_brings_it_up_to_date(cast: Cast) -> None:
    first = sign_in(cast)
    second = sign_in(cast, last_name="Roux-Martin", roles=frozenset({"admin"}))
    assert (second.id, second.last_name, second.roles) == (first.id, "Roux-Martin", ["admin"])


def test_only_the_roles_that_the_crm_knows_are_kept(cast: Cast) -> None:
    assert sign_in(cast, roles=frozenset({"offline_access", "manager", "ADMIN", "root"})).roles == ["manager"]


def test_the_same_subject_of_another_issuer_is_somebody_else(cast: Cast) -> None:
    assert sign_in(cast).id != sign_in(cast, issuer="https://other.example").id


def test_the_token_may_name_the_organisation(cast: Cast) -> None:
    user = sign_in(cast, organisation=cast.other_organisation.slug)
    assert user.organisation_id == cast.other_organisation.id


def test_an_unknown_organisation_is_refused(cast: Cast) -> None:
    with pytest.raises(identity.UnknownOrganisationError):
        sign_in(cast, organisation="nowhere")


def test_a_user_is_not_moved_to_another_organisation_by_a_claim(cast: Cast) -> None:
    user = sign_in(cast)
    with pytest.raises(identity.OtherOrganisationError):
        sign_in(cast, organisation=cast.other_organisation.slug)
    db.session.refresh(user)
    assert user.organisation_id == cast.organisation.id


def announce(**values: Any) -> User:
    user: User = factories.UserFactory(issuer=None, **values)
    return user


def test_an_announced_user_is_taken_over_by_subject(cast: Cast) -> None:
    announced = announce(subject="subject-1", email="old@example.org")
    user = sign_in(cast, email_verified=False)
    assert (user.id, user.issuer, user.email) == (announced.id, factories.ISSUER, "camille@example.org")


def test_an_announced_user_is_taken_over_by_verified_email_whatever_its_case(cast: Cast) -> None:
    announced = announce(subject=None, email="Camille@Example.org")
    user = sign_in(cast)
    assert (user.id, user.subject) == (announced.id, "subject-1")


def test_an_unverified_email_takes_nothing_over(cast: Cast) -> None:
    announced = announce(subject=None, email="camille@example.org")
    assert sign_in(cast, email_verified=False).id != announced.id


def test_an_announced_user_is_taken_over_once(cast: Cast) -> None:
    announce(subject=None, email="camille@example.org")
    assert sign_in(cast, subject="subject-1").id != sign_in(cast, subject="subject-2").id


def test_two_announced_users_with_one_email_are_no_guess(cast: Cast) -> None:
    announced = {announce(subject=None, email="camille@example.org").id for _ in range(2)}
    assert sign_in(cast).id not in announced


def test_another_organisations_announced_user_is_left_alone(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        announced = announce(subject="subject-1", email="camille@example.org")
    assert sign_in(cast).id != announced.id


def test_a_commercial_known_by_the_subject_is_joined(cast: Cast) -> None:
    known = factories.CommercialFactory(external_id="subject-1", email="other@example.org")
    commercial = commercial_of(sign_in(cast, roles=frozenset({"commercial"})))
    assert commercial is not None
    assert commercial.id == known.id


def test_a_commercial_known_by_a_verified_email_is_joined_and_keeps_its_foreign_id(cast: Cast) -> None:
    known = factories.CommercialFactory(external_id="upstream-7", email="camille@example.org")
    commercial = commercial_of(sign_in(cast, roles=frozenset({"commercial"})))
    assert commercial is not None
    assert (commercial.id, commercial.external_id) == (known.id, "upstream-7")


def test_a_commercial_is_not_joined_by_an_unverified_email(cast: Cast) -> None:
    known = factories.CommercialFactory(email="camille@example.org")
    commercial = commercial_of(sign_in(cast, roles=frozenset({"commercial"}), email_verified=False))
    assert commercial is not None
    assert commercial.id != known.id


def test_a_commercial_who_has_a_user_is_not_joined_to_another(cast: Cast) -> None:
    taken = factories.CommercialFactory(email="camille@example.org", user_id=cast.admin.id)
    commercial = commercial_of(sign_in(cast, roles=frozenset({"commercial"})))
    assert commercial is not None
    assert commercial.id != taken.id
    assert taken.user_id == cast.admin.id


def test_a_commercial_announced_after_the_first_sign_in_is_joined_at_the_next(cast: Cast) -> None:
    """The sync made both, while the user's role was still another."""
    user = sign_in(cast)
    announced = announce(subject="subject-1")
    known = factories.CommercialFactory(external_id="subject-1", user_id=announced.id)
    sign_in(cast, roles=frozenset({"commercial"}))
    assert known.user_id == user.id


def test_a_commercial_nobody_knows_is_made_once(cast: Cast) -> None:
    for _ in range(2):
        user = sign_in(cast, roles=frozenset({"commercial"}))
    commercial = commercial_of(user)
    assert commercial is not None
    assert (commercial.external_id, commercial.full_name) == ("subject-1", "Camille Roux")


def test_a_subject_too_long_for_a_foreign_id_still_makes_a_commercial(cast: Cast) -> None:
    commercial = commercial_of(sign_in(cast, subject="s" * 200, roles=frozenset({"commercial"})))
    assert commercial is not None
    assert commercial.external_id is None


def test_a_manager_is_no_commercial(cast: Cast) -> None:
    assert commercial_of(sign_in(cast)) is None


def test_two_tabs_that_sign_in_for_the_first_time_make_one_user(app: Flask, committed: None) -> None:
    factories.OrganisationFactory(slug="demo")
    db.session.commit()
    together = threading.Barrier(4)

    def tab() -> None:
        with app.app_context():
            together.wait(5)
            person = a_person(roles=frozenset({"commercial"}))
            found.append(identity.sign_in(person, default_organisation="demo", at=AT).id)
            db.session.remove()

    found: list[Any] = []
    tabs = [threading.Thread(target=tab) for _ in range(4)]
    for thread in tabs:
        thread.start()
    for thread in tabs:
        thread.join(10)

    assert len(found) == 4
    assert len(set(found)) == 1
    with tenancy.across_organisations():
        assert db.session.scalar(select(func.count()).select_from(User)) == 1
        assert db.session.scalar(select(func.count()).select_from(Commercial)) == 1


def test_a_renewed_token_takes_roles_away_and_leaves_the_rest(cast: Cast) -> None:
    user = sign_in(cast)
    identity.renew(user.id, a_person(roles=frozenset(), email=None, first_name=""), at=AT)
    assert (user.roles, user.email, user.first_name) == ([], "camille@example.org", "Camille")


@pytest.mark.parametrize("change", [{"subject": "subject-2"}, {"issuer": "https://other.example"}])
def test_a_renewed_token_that_speaks_of_somebody_else_ends_the_session(cast: Cast, change: dict[str, str]) -> None:
    user = sign_in(cast)
    with pytest.raises(SessionEndedError):
        identity.renew(user.id, a_person(**change), at=AT)


def test_a_renewed_token_of_another_organisation_ends_the_session(cast: Cast) -> None:
    user = sign_in(cast)
    with pytest.raises(SessionEndedError, match="changé d’organisation"):
        identity.renew(user.id, a_person(organisation=cast.other_organisation.slug), at=AT)


def test_a_renewed_token_need_not_name_the_organisation(cast: Cast) -> None:
    """Some providers put it into the ID token alone."""
    user = sign_in(cast, organisation=cast.other_organisation.slug)
    with tenancy.organisation(cast.other_organisation.id):
        identity.renew(user.id, a_person(roles=frozenset({"admin"})), at=AT)
    assert user.roles == ["admin"]


@pytest.mark.parametrize("default", ["", "ours"])
def test_a_token_without_organisation_is_refused_once_there_are_several(cast: Cast, default: str) -> None:
    slug = cast.organisation.slug if default else ""
    with pytest.raises(identity.UnknownOrganisationError, match="ne nomme aucune organisation"):
        identity.sign_in(a_person(), default_organisation=slug, at=AT)


def test_a_token_without_organisation_belongs_to_the_only_one_if_the_settings_name_it(session: None) -> None:
    db.session.add(Organisation(slug="seule", name="Seule"))
    db.session.commit()
    with pytest.raises(identity.UnknownOrganisationError):
        identity.sign_in(a_person(), default_organisation="", at=AT)
    assert identity.sign_in(a_person(), default_organisation="seule", at=AT).organisation.slug == "seule"
