"""The versions of texts: what ships to begin with, a company's own before all, never changed, one after another."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text as sql
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import Channel, MessageKind, MessageTemplate
from webapp.services.messages.rendering import Text, WrongTextError
from webapp.services.messages.templates import (
    FROM_THE_START,
    NewerTextError,
    diff,
    find_version,
    follow_all,
    list_in_use,
    list_versions,
    load_in_use,
    save,
    text_of,
)
from webapp.services.messages.texts import SHIPPED

EMAIL, SMS, LETTER = Channel.EMAIL, Channel.SMS, Channel.LETTER
NOTICE, WELCOME = MessageKind.SEPA_NOTICE, MessageKind.WELCOME
TEXT = Text("Bienvenue", "Bonjour {{ nom_complet }}")


@pytest.fixture
def company_id(cast: Cast) -> UUID:
    """The company that the organisation has."""
    return factories.default_company().id


def in_use(company_id: UUID, kind: MessageKind = WELCOME) -> Text:
    return load_in_use([(kind, EMAIL, company_id)], at=NOW)[kind, EMAIL, company_id].text


def test_what_ships_is_in_use_and_stored_once(company_id: UUID) -> None:
    wanted = [(kind, channel, company_id) for kind, channel in SHIPPED]
    with recorded_queries() as queries:
        first = load_in_use(wanted, at=NOW)
    assert len(queries) <= 3
    assert {(kind, channel): found.text for (kind, channel, _), found in first.items()} == SHIPPED
    with recorded_queries() as queries:
        assert load_in_use(wanted, at=NOW) == first
    assert len(queries) == 1
    assert db.session.query(MessageTemplate).count() == len(SHIPPED)


def test_a_channel_without_a_text_is_absent(company_id: UUID) -> None:
    assert load_in_use([(MessageKind.INVOICE, SMS, company_id)], at=NOW) == {}
    assert load_in_use([], at=NOW) == {}


def test_a_companys_own_text_comes_before_that_of_all(cast: Cast, company_id: UUID) -> None:
    other = factories.CompanyFactory(name="Autre")
    for_all = save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.admin, at=NOW)
    own = save(WELCOME, EMAIL, other.id, Text("À nous", "x"), seen_version=0, by=cast.admin, at=NOW)
    assert for_all is not None
    assert own is not None
    assert (for_all.version, own.version) == (2, 1)
    found = load_in_use([(WELCOME, EMAIL, company_id), (WELCOME, EMAIL, other.id)], at=NOW)
    assert found[WELCOME, EMAIL, company_id] == (for_all.id, TEXT)
    assert found[WELCOME, EMAIL, other.id] == (own.id, ("À nous", "x"))
    assert list_in_use(at=NOW) == {(WELCOME, EMAIL, None): 2, (WELCOME, EMAIL, other.id): 1}


def test_a_company_with_its_own_text_alone_leaves_the_others_what_ships(cast: Cast, company_id: UUID) -> None:
    other = factories.CompanyFactory(name="Autre")
    save(WELCOME, EMAIL, other.id, Text("À nous", "x"), seen_version=0, by=cast.admin, at=NOW)
    found = load_in_use([(WELCOME, EMAIL, company_id), (WELCOME, EMAIL, other.id)], at=NOW)
    assert found[WELCOME, EMAIL, company_id].text == SHIPPED[WELCOME, EMAIL]
    assert found[WELCOME, EMAIL, other.id].text.subject == "À nous"


def test_a_planned_version_is_in_use_from_its_day(cast: Cast, company_id: UUID) -> None:
    save(WELCOME, EMAIL, None, TEXT, active_on=date(2026, 12, 1), seen_version=1, by=cast.admin, at=NOW)
    assert in_use(company_id) == SHIPPED[WELCOME, EMAIL]
    place = (WELCOME, EMAIL, company_id)
    assert load_in_use([place], at=NOW + timedelta(days=11))[place].text == TEXT
    listed = list_versions(WELCOME, EMAIL, None, at=NOW)
    assert [version.version for version in listed.versions] == [2, 1]
    assert listed.present is listed.versions[1]
    assert listed.latest == 2


def test_before_the_first_use_what_ships_is_listed_and_not_stored(cast: Cast, company_id: UUID) -> None:
    listed = list_versions(WELCOME, EMAIL, None, at=NOW)
    assert listed.present is not None
    assert (text_of(listed.present), listed.latest) == (SHIPPED[WELCOME, EMAIL], 1)
    assert listed.present.active_from == FROM_THE_START
    own = list_versions(WELCOME, EMAIL, company_id, at=NOW)
    assert (own.versions, own.present, own.latest) == ([], None, 0)
    assert text_of(find_version(WELCOME, EMAIL, None, 1)) == SHIPPED[WELCOME, EMAIL]
    assert db.session.query(MessageTemplate).count() == 0


def test_an_older_text_comes_back_as_a_new_version(cast: Cast, company_id: UUID) -> None:
    save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.admin, at=NOW)
    again = text_of(find_version(WELCOME, EMAIL, None, 1))
    back = save(WELCOME, EMAIL, None, again, seen_version=2, by=cast.admin, at=NOW)
    assert back is not None
    assert back.version == 3
    assert in_use(company_id) == SHIPPED[WELCOME, EMAIL]


def test_the_same_text_saves_nothing(cast: Cast) -> None:
    assert save(WELCOME, EMAIL, None, SHIPPED[WELCOME, EMAIL], seen_version=1, by=cast.admin, at=NOW) is None
    written = Text(" Bienvenue ", "Bonjour {{ nom_complet }}  \r\n")
    assert save(WELCOME, EMAIL, None, written, seen_version=1, by=cast.admin, at=NOW) is not None
    assert save(WELCOME, EMAIL, None, TEXT, seen_version=2, by=cast.admin, at=NOW) is None
    assert list_versions(WELCOME, EMAIL, None, at=NOW).latest == 2


def test_the_same_text_sooner_is_a_version(cast: Cast, company_id: UUID) -> None:
    save(WELCOME, EMAIL, None, TEXT, active_on=date(2026, 12, 1), seen_version=1, by=cast.admin, at=NOW)
    assert save(WELCOME, EMAIL, None, TEXT, seen_version=2, by=cast.admin, at=NOW) is not None
    assert in_use(company_id) == TEXT


@pytest.mark.parametrize(
    ("text", "active_on", "field"),
    [
        (Text("", "x"), None, "subject"),
        (Text("a\nb", "x"), None, "subject"),
        (Text("x", " \r\n"), None, "body"),
        (Text("x", "{{ nomm }}"), None, "body"),
        (TEXT, date(2026, 11, 19), "active_on"),
        (TEXT, date(2200, 1, 1), "active_on"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_kept(
    cast: Cast, text: Text, active_on: date | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        save(WELCOME, EMAIL, None, text, active_on=active_on, seen_version=1, by=cast.admin, at=NOW)
    assert caught.value.field == field
    assert isinstance(caught.value, WrongTextError) == (field != "active_on")
    assert db.session.query(MessageTemplate).count() == 0


def test_nobody_overwrites_what_they_have_not_seen(cast: Cast) -> None:
    save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.admin, at=NOW)
    with pytest.raises(NewerTextError):
        save(WELCOME, EMAIL, None, Text("x", "y"), seen_version=1, by=cast.admin, at=NOW)
    assert list_versions(WELCOME, EMAIL, None, at=NOW).latest == 2


def test_what_is_not_ours_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        stranger = factories.CompanyFactory(name="Ailleurs").id
        save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.outsider, at=NOW)
    for company_id in (stranger, new_id()):
        with pytest.raises(NotFoundError):
            save(WELCOME, EMAIL, company_id, TEXT, seen_version=0, by=cast.admin, at=NOW)
    with pytest.raises(NotFoundError):
        save(WELCOME, SMS, None, TEXT, seen_version=0, by=cast.admin, at=NOW)
    with pytest.raises(NotFoundError):
        find_version(WELCOME, EMAIL, None, 2)
    assert list_versions(WELCOME, EMAIL, None, at=NOW).latest == 1


@pytest.mark.parametrize("column", ["subject", "body", "version", "active_from"])
def test_a_version_never_changes(cast: Cast, column: str) -> None:
    version = save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.admin, at=NOW)
    assert version is not None
    values = {"subject": "x", "body": "x", "version": 9, "active_from": FROM_THE_START}
    with pytest.raises(DBAPIError), db.session.begin_nested():
        db.session.execute(update(MessageTemplate).values({column: values[column]}))
    assert db.session.scalar(sql("SELECT max(version) FROM message_templates")) == 2


def test_a_diff_goes_line_by_line() -> None:
    assert diff(Text("A", "un\ndeux\ntrois"), Text("B", "un\ntrois\nquatre")) == [
        ("-", "A"),
        ("+", "B"),
        ("=", ""),
        ("=", "un"),
        ("-", "deux"),
        ("=", "trois"),
        ("+", "quatre"),
    ]
    assert diff(Text("", "a"), Text("", "a")) == [("=", "a")]


class TestFollowingThatOfAllAgain:
    def test_from_then_on_the_text_of_all_is_used_and_history_is_kept(self, cast: Cast, company_id: UUID) -> None:
        save(WELCOME, EMAIL, company_id, Text("À nous", "x"), seen_version=0, by=cast.admin, at=NOW)
        given_up = follow_all(WELCOME, EMAIL, company_id, seen_version=1, by=cast.admin, at=NOW)
        assert given_up is not None
        assert in_use(company_id) == SHIPPED[WELCOME, EMAIL]
        assert (WELCOME, EMAIL, company_id) not in list_in_use(at=NOW)
        save(WELCOME, EMAIL, None, TEXT, seen_version=1, by=cast.admin, at=NOW)
        assert in_use(company_id) == TEXT, "what all get from now on, too"
        versions = list_versions(WELCOME, EMAIL, company_id, at=NOW)
        assert ([each.version for each in versions.versions], versions.newest_text) == ([2, 1], None)
        assert text_of(find_version(WELCOME, EMAIL, company_id, 1)) == ("À nous", "x")

    def test_twice_or_without_a_text_of_its_own_it_changes_nothing(self, cast: Cast, company_id: UUID) -> None:
        assert follow_all(WELCOME, EMAIL, company_id, seen_version=0, by=cast.admin, at=NOW) is None
        save(WELCOME, EMAIL, company_id, TEXT, seen_version=0, by=cast.admin, at=NOW)
        assert follow_all(WELCOME, EMAIL, company_id, seen_version=1, by=cast.admin, at=NOW) is not None
        with pytest.raises(NewerTextError):
            follow_all(WELCOME, EMAIL, company_id, seen_version=1, by=cast.admin, at=NOW)
        assert follow_all(WELCOME, EMAIL, company_id, seen_version=2, by=cast.admin, at=NOW) is None

    def test_what_was_to_come_does_not_come(self, cast: Cast, company_id: UUID) -> None:
        save(WELCOME, EMAIL, company_id, TEXT, seen_version=0, active_on=date(2027, 1, 1), by=cast.admin, at=NOW)
        follow_all(WELCOME, EMAIL, company_id, seen_version=1, by=cast.admin, at=NOW)
        later = NOW + timedelta(days=365)
        found = load_in_use([(WELCOME, EMAIL, company_id)], at=later)
        assert found[WELCOME, EMAIL, company_id].text == SHIPPED[WELCOME, EMAIL]

    def test_what_was_written_is_taken_up_again(self, cast: Cast, company_id: UUID) -> None:
        save(WELCOME, EMAIL, company_id, TEXT, seen_version=0, by=cast.admin, at=NOW)
        follow_all(WELCOME, EMAIL, company_id, seen_version=1, by=cast.admin, at=NOW)
        save(WELCOME, EMAIL, company_id, TEXT, seen_version=2, by=cast.admin, at=NOW)
        assert in_use(company_id) == TEXT

    def test_a_company_of_others_does_not_exist(self, cast: Cast, company_id: UUID) -> None:
        with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
            follow_all(WELCOME, EMAIL, company_id, seen_version=0, by=cast.outsider, at=NOW)
