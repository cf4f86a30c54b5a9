"""Changing a client: nothing is overwritten unseen, and the timeline tells what changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, CommercialFactory, TeamFactory, make_bank_account
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Client, ClientStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.banking import BankDetails
from webapp.services.clients.duplicates import SimilarClientsError
from webapp.services.clients.editing import edit_client, find_client
from webapp.services.clients.fields import ClientFields
from webapp.services.concurrent_edits import Difference, EditConflictError, merge

BEFORE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
IBAN = "FR1420041010050500013M02606"
Edit = Callable[..., Client]


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client to be changed."""
    client: Client = ClientFactory(last_name="DUPONT", email="elodie@example.org", changed_at=BEFORE)
    db.session.commit()
    return client


@pytest.fixture
def edit(cast: Cast, subject: Client) -> Edit:
    """Changes the client, as the commercial, from how it stands."""

    def edit(
        *, version: int = 1, bank: BankDetails | None = None, confirmed: bool = False, **changes: object
    ) -> Client:
        written = replace(ClientFields.of(subject), **changes)  # type: ignore[arg-type]
        return edit_client(
            subject.id, written, version=version, bank=bank, confirmed=confirmed, by=cast.commercial, at=AT
        )

    return edit


def _events(client: Client) -> list[TimelineEvent]:
    return db.session.query(TimelineEvent).filter_by(client_id=client.id).order_by(TimelineEvent.id).all()


def test_a_change_is_kept_and_told_old_to_new(edit: Edit, cast: Cast) -> None:
    client = edit(city="Roubaix", status=ClientStatus.ACTIVE, birth_date=date(1980, 2, 29))
    assert (client.city, client.version, client.changed_at) == ("Roubaix", 2, AT)
    (event,) = _events(client)
    assert (event.kind, event.user_id, event.at) == (EventKind.CLIENT_UPDATED, cast.commercial.id, AT)
    assert event.changes == {
        "city": ["Lille", "Roubaix"],
        "status": ["prospect", "active"],
        "birth_date": [None, "1980-02-29"],
    }


def test_a_change_of_commercial_is_told_by_name(edit: Edit, cast: Cast) -> None:
    client = edit(commercial_id=cast.sales_rep.id)
    (event,) = _events(client)
    assert event.changes == {"commercial": [None, cast.sales_rep.full_name]}


def test_the_present_commercial_stays_even_when_inactive(edit: Edit, subject: Client) -> None:
    gone = CommercialFactory(is_active=False)
    subject.commercial_id = gone.id
    db.session.flush()
    assert edit(city="Roubaix").commercial_id == gone.id


def test_an_unknown_commercial_is_refused(edit: Edit) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        edit(commercial_id=uuid4())
    assert refusal.value.field == "commercial_id"


def test_saving_without_a_change_changes_nothing(edit: Edit) -> None:
    client = edit(email=" Elodie@example.org")
    assert (client.version, client.changed_at) == (1, BEFORE)
    assert _events(client) == []


def test_an_older_version_overwrites_nothing(edit: Edit, subject: Client) -> None:
    edit(city="Roubaix")
    with pytest.raises(EditConflictError) as refusal:
        edit(version=1, city="Tourcoing")
    assert refusal.value.version == 2
    assert refusal.value.theirs.city == "Roubaix"
    assert find_client(subject.id).city == "Roubaix"


def test_an_old_version_is_found_out_even_when_the_row_was_read_before(edit: Edit, subject: Client) -> None:
    find_client(subject.id)
    db.session.connection().exec_driver_sql("UPDATE clients SET version = 5 WHERE id = %s", (subject.id,))
    with pytest.raises(EditConflictError):
        edit(version=1, city="Tourcoing")


def test_a_merge_keeps_my_changes_on_top_of_theirs() -> None:
    base = ClientFields(last_name="DUPONT", city="Lille", postcode="59000")
    mine = replace(base, last_name="DUPOND", city="Tourcoing")
    theirs = replace(base, city="Roubaix", postcode="59100")
    merged, differences = merge(base, mine, theirs)
    assert merged == ClientFields(last_name="DUPOND", city="Tourcoing", postcode="59100")
    assert differences == [
        Difference("postcode", "59000", "59100", "59000"),
        Difference("city", "Lille", "Roubaix", "Tourcoing"),
    ]
    assert [each.is_contested for each in differences] == [False, True]


def test_a_new_email_that_another_client_has_waits_for_confirmation(edit: Edit) -> None:
    ClientFactory(email="meme@example.org")
    db.session.commit()
    with pytest.raises(SimilarClientsError):
        edit(email="meme@example.org")
    assert edit(email="meme@example.org", confirmed=True).email == "meme@example.org"


def test_an_email_shared_all_along_is_not_asked_about_again(edit: Edit) -> None:
    ClientFactory(email="elodie@example.org")
    assert edit(city="Roubaix").city == "Roubaix"


def test_an_account_is_added_and_told_masked(edit: Edit) -> None:
    client = edit(bank=BankDetails(iban=IBAN))
    assert (client.version, client.changed_at) == (2, AT)
    (event,) = _events(client)
    assert (event.kind, event.changes) == (EventKind.IBAN_ADDED, {"iban": [None, "FR•• •••• 2606"]})


def test_an_account_that_the_client_has_is_not_added_twice(edit: Edit, subject: Client) -> None:
    make_bank_account(subject, IBAN)
    client = edit(bank=BankDetails(iban=IBAN))
    assert client.version == 1
    assert db.session.query(BankAccount).filter_by(client_id=client.id).count() == 1


def test_a_client_of_another_organisation_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        foreign = ClientFactory()
    with pytest.raises(NotFoundError):
        find_client(foreign.id)
    with pytest.raises(NotFoundError):
        edit_client(
            foreign.id,
            ClientFields(last_name="X"),
            version=1,
            bank=None,
            confirmed=True,
            by=cast.commercial,
            at=AT,
        )


def test_a_commercial_takes_nobody_elses_client(cast: Cast, subject: Client, edit: Edit) -> None:
    theirs: Client = ClientFactory(commercial_id=CommercialFactory().id)
    db.session.commit()
    for new in (cast.sales_rep.id, None):
        written = replace(ClientFields.of(theirs), commercial_id=new)
        with pytest.raises(InvalidInputError, match="Seul un manager") as refusal:
            edit_client(theirs.id, written, version=1, bank=None, confirmed=True, by=cast.commercial, at=AT)
        assert refusal.value.field == "commercial_id"
    with pytest.raises(InvalidInputError, match="que pour vous-même"):
        edit(commercial_id=CommercialFactory().id)
    assert edit(commercial_id=cast.sales_rep.id).commercial_id == cast.sales_rep.id


def test_a_manager_takes_no_client_from_a_team_that_others_lead(cast: Cast) -> None:
    elsewhere = CommercialFactory(team_id=TeamFactory(name="Sud").id)
    client: Client = ClientFactory(commercial_id=elsewhere.id)
    db.session.commit()
    written = replace(ClientFields.of(client), commercial_id=cast.sales_rep.id)
    with pytest.raises(InvalidInputError, match="ne dirigez pas") as refusal:
        edit_client(client.id, written, version=1, bank=None, confirmed=True, by=cast.manager, at=AT)
    assert refusal.value.field == "commercial_id"
    edited = edit_client(client.id, written, version=1, bank=None, confirmed=True, by=cast.admin, at=AT)
    assert edited.commercial_id == cast.sales_rep.id


@pytest.mark.parametrize("who", ["manager", "admin"])
def test_a_manager_or_admin_gives_a_client_to_another_commercial(cast: Cast, who: str) -> None:
    client: Client = ClientFactory(commercial_id=cast.sales_rep.id)
    db.session.commit()
    other = CommercialFactory()
    written = replace(ClientFields.of(client), commercial_id=other.id)
    edited = edit_client(client.id, written, version=1, bank=None, confirmed=True, by=getattr(cast, who), at=AT)
    assert edited.commercial_id == other.id
