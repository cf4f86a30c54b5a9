"""The texts that clients agree to: ours to begin with, then versions that follow each other."""

from datetime import date, timedelta

import pytest

from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from tests.services.consents.conftest import note
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.consents import ConsentPurpose, ConsentWording
from webapp.services.consents.wordings import SHIPPED, NewerWordingError, PurposeWordings, list_wordings, publish

EMAIL = ConsentPurpose.PROSPECTION_EMAIL
TEXT = "J’accepte vos offres par e-mail, jusqu’à ce que je change d’avis."


def _email(cast: Cast) -> PurposeWordings:
    return next(each for each in list_wordings(at=NOW) if each.purpose is EMAIL)


def test_an_organisation_starts_from_ours_and_nothing_is_stored(cast: Cast) -> None:
    with recorded_queries() as queries:
        listed = list_wordings(at=NOW)
    assert len(queries) == 2
    assert {each.purpose: each.versions[0].text for each in listed} == SHIPPED
    assert all(each.present is each.versions[0] and each.latest_version == 1 for each in listed)
    assert db.session.query(ConsentWording).count() == 0


def test_a_new_version_follows_ours_and_leaves_what_was_agreed_to(subject: Client, cast: Cast) -> None:
    before = note(subject, cast, at=NOW - timedelta(hours=1))
    wording = publish(EMAIL, f"  {TEXT}\n", seen_version=1, by=cast.admin, at=NOW)
    assert (wording.version, wording.text, wording.user_id) == (2, TEXT, cast.admin.id)
    assert _email(cast).present is wording
    assert note(subject, cast, at=NOW).wording_id == wording.id
    assert before.wording is not None
    assert before.wording.text == SHIPPED[EMAIL]


def test_a_planned_one_holds_from_its_day_and_is_replaced_by_a_later_one_for_it(cast: Cast) -> None:
    planned = publish(EMAIL, TEXT, active_on=date(2026, 12, 1), seen_version=1, by=cast.admin, at=NOW)
    present = _email(cast).present
    assert present is not None
    assert present.version == 1
    better = publish(EMAIL, TEXT + " Merci.", active_on=date(2026, 12, 1), seen_version=2, by=cast.admin, at=NOW)
    later = next(each for each in list_wordings(at=NOW + timedelta(days=11)) if each.purpose is EMAIL)
    assert list(later.versions[:2]) == [better, planned]
    assert later.present is better


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"written": "Oui."}, "text"),
        ({"written": "x" * 2001}, "text"),
        ({"written": SHIPPED[EMAIL]}, "text"),
        ({"active_on": date(2026, 11, 19)}, "active_on"),
        ({"active_on": date(9999, 12, 31)}, "active_on"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(cast: Cast, values: dict[str, object], field: str) -> None:
    usual = {"written": TEXT, "seen_version": 1, "by": cast.admin, "at": NOW}
    with pytest.raises(InvalidInputError) as refused:
        publish(EMAIL, **(usual | values))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_text_that_its_writer_has_not_seen_is_not_replaced(cast: Cast) -> None:
    publish(EMAIL, TEXT, seen_version=1, by=cast.admin, at=NOW)
    with pytest.raises(NewerWordingError):
        publish(EMAIL, TEXT + " Merci.", seen_version=1, by=cast.admin, at=NOW)
