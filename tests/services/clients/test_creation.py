"""Creating a client by hand."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

import pytest
from flask import Flask

from tests.concurrency import at_once
from tests.conftest import Cast
from tests.factories import ClientFactory, CommercialFactory, make_cast
from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Civility, Client, ClientStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.banking import BankDetails
from webapp.services.clients.creation import create_client
from webapp.services.clients.duplicates import SimilarClientsError
from webapp.services.clients.fields import ClientFields, find_own_commercial, list_commercials

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
Create = Callable[..., Client]


@pytest.fixture
def create(cast: Cast) -> Create:
    """Creates a client from fields, as the commercial."""

    def create(*, bank: BankDetails | None = None, confirmed: bool = False, **fields: object) -> Client:
        written = ClientFields(**{"last_name": "DURAND", **fields})  # type: ignore[arg-type]
        return create_client(written, bank=bank, confirmed=confirmed, by=cast.commercial, at=AT)

    return create


def test_a_client_is_kept_in_normal_form(create: Create, cast: Cast) -> None:
    client = create(
        civility=Civility.MRS,
        last_name="  DU\0RAND ",
        first_name="Zoé",
        email="Zoe.Durand@Example.org",
        phone="06 39 98 12 34",
        postcode="59 000",
        city=" Lille ",
        address_line1="",
        birth_date=date(1980, 2, 29),
        status=ClientStatus.ACTIVE,
        commercial_id=cast.sales_rep.id,
    )
    db.session.expire_all()
    assert (client.last_name, client.email, client.phone) == ("DURAND", "zoe.durand@example.org", "+33639981234")
    assert (client.postcode, client.city, client.address_line1) == ("59000", "Lille", None)
    assert client.source is None
    assert client.created_at == client.changed_at == AT
    assert client.organisation_id == cast.organisation.id


def test_the_creation_is_told_in_the_timeline(create: Create, cast: Cast) -> None:
    client = create()
    event = db.session.query(TimelineEvent).filter_by(client_id=client.id).one()
    assert (event.kind, event.user_id, event.at) == (EventKind.CLIENT_CREATED, cast.commercial.id, AT)


def test_a_first_name_alone_is_name_enough(create: Create) -> None:
    assert create(last_name="", first_name="Zoé").full_name == "Zoé"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("last_name", {"last_name": " \0 "}),
        ("last_name", {"last_name": "x" * 201}),
        ("email", {"email": "jean"}),
        ("phone", {"phone": "12"}),
        ("postcode", {"postcode": "ABC"}),
        ("birth_date", {"birth_date": date(2026, 11, 21)}),
        ("birth_date", {"birth_date": date(1899, 12, 31)}),
        ("commercial_id", {"commercial_id": uuid4()}),
    ],
)
def test_what_cannot_be_kept_is_refused_at_its_field(create: Create, field: str, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        create(**fields)
    assert refusal.value.field == field
    assert db.session.query(Client).count() == 0


def test_the_birth_date_is_judged_in_paris(create: Create, cast: Cast) -> None:
    late_evening = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # already the 21st in Paris
    written = ClientFields(last_name="NOUVEAU-NÉ", birth_date=date(2026, 11, 21))
    assert create_client(written, bank=None, confirmed=False, by=cast.commercial, at=late_evening)


def test_an_inactive_commercial_is_neither_offered_nor_taken(create: Create) -> None:
    gone = CommercialFactory(is_active=False)
    assert gone not in list_commercials()
    assert gone in list_commercials(including=gone.id)
    with pytest.raises(InvalidInputError):
        create(commercial_id=gone.id)


def test_a_commercial_of_another_organisation_is_not_taken(create: Create, cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        foreign = CommercialFactory()
    with pytest.raises(InvalidInputError):
        create(commercial_id=foreign.id)


def test_whoever_is_a_commercial_is_proposed_to_themselves(cast: Cast) -> None:
    assert find_own_commercial(cast.commercial) == cast.sales_rep.id
    assert find_own_commercial(cast.manager) is None


@pytest.mark.parametrize("same", [{"email": "Meme@example.org"}, {"phone": "06 39 98 00 01"}])
def test_a_client_like_another_waits_for_confirmation(create: Create, same: dict[str, str]) -> None:
    other = ClientFactory(email="meme@example.org", phone="+33639980001")
    db.session.commit()
    with pytest.raises(SimilarClientsError) as refusal:
        create(**same)
    assert [each.id for each in refusal.value.clients] == [other.id]
    assert create(confirmed=True, **same)


def test_a_client_of_another_organisation_is_like_nobody_here(create: Create, cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        ClientFactory(email="meme@example.org")
    assert create(email="meme@example.org")


def test_a_bank_account_comes_with_its_client(create: Create) -> None:
    client = create(bank=BankDetails(iban="fr14 2004 1010 0505 0001 3m02 606", bic="PSSTFRPPLIL", holder=" Z. DURAND "))
    account = db.session.query(BankAccount).filter_by(client_id=client.id).one()
    assert account.iban_masked == "FR•• •••• 2606"
    assert (account.reveal_iban(), account.reveal_bic()) == ("FR1420041010050500013M02606", "PSSTFRPPLIL")
    assert b"2004" not in account.iban
    kinds = {event.kind for event in db.session.query(TimelineEvent).filter_by(client_id=client.id)}
    assert kinds == {EventKind.CLIENT_CREATED, EventKind.IBAN_ADDED}


@pytest.mark.parametrize(
    ("field", "bank"),
    [
        ("iban", BankDetails(iban="FR00")),
        ("bic", BankDetails(iban="FR1420041010050500013M02606", bic="X")),
        ("iban", BankDetails(iban="BR1800360305000010009795493C1")),
        ("bic", BankDetails(iban="FR1420041010050500013M02606", bic="DEUTDEFF")),
        ("holder", BankDetails(iban="FR1420041010050500013M02606", holder="x" * 201)),
    ],
)
def test_a_broken_bank_account_leaves_no_client_behind(create: Create, field: str, bank: BankDetails) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        create(bank=bank)
    assert refusal.value.field == field
    assert db.session.query(Client).count() == 0


def test_a_form_that_is_sent_twice_at_once_makes_one_client(app: Flask, committed: None) -> None:
    cast: Cast = make_cast(Cast)
    organisation_id, by = cast.organisation.id, cast.commercial
    db.session.commit()
    db.session.refresh(by)
    db.session.expunge(by)
    written = ClientFields(last_name="DURAND", email="anne@example.org")
    sent = partial(create_client, written, bank=None, confirmed=False, by=by, at=AT)
    assert at_once(app, organisation_id, *[sent] * 4) == [*["SimilarClientsError"] * 3, "done"]
    assert db.session.query(Client).count() == 1
