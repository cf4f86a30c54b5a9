"""A client's profile: all of it, in a fixed number of queries, as far as the viewer may see."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, ContractFactory, ContractLineFactory, make_bank_account
from tests.queries import recorded_queries
from webapp import crypto
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import SyncMapping
from webapp.services.clients.profile import find_profile
from webapp.services.clients.timeline import EVENTS_PER_PAGE, list_events

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
IBANS = ("FR1420041010050500013M02606", "DE89370400440532013000")


def _with_everything(cast: Cast, times: int) -> Client:
    client: Client = ClientFactory(commercial_id=cast.sales_rep.id)
    db.session.add(SyncMapping(external_id=uuid4().hex, client_id=client.id, synced_at=AT))
    for number in range(times):
        account = make_bank_account(client, IBANS[number])
        db.session.add(Mandate(client_id=client.id, bank_account_id=account.id, status=MandateStatus.ACTIVE))
        contract = ContractFactory(
            client_id=client.id, commercial_id=cast.sales_rep.id, signed_at=AT + timedelta(days=number)
        )
        ContractLineFactory(contract_id=contract.id)
        ContractLineFactory(contract_id=contract.id)
        db.session.add(
            TimelineEvent(
                client_id=client.id, kind=EventKind.CLIENT_UPDATED, user_id=cast.commercial.id, at=AT, changes={}
            )
        )
    db.session.commit()
    return client


def _number_of_queries(client_id: object, cast: Cast) -> int:
    db.session.expunge_all()
    with recorded_queries() as queries:
        profile = find_profile(client_id, viewer=cast.admin)  # type: ignore[arg-type]
        for contract in profile.contracts:
            assert contract.lines
            assert contract.commercial
        assert [event.user.full_name for event in profile.timeline.events if event.user]
    return len(queries)


def test_the_number_of_queries_does_not_grow(cast: Cast) -> None:
    db.session.refresh(cast.admin)
    few, many = _with_everything(cast, 1).id, _with_everything(cast, 2).id
    db.session.refresh(cast.admin)
    assert _number_of_queries(few, cast) == _number_of_queries(many, cast) <= 10


def test_a_profile_holds_what_belongs_to_the_client_alone(cast: Cast) -> None:
    client = _with_everything(cast, 2)
    _with_everything(cast, 1)
    profile = find_profile(client.id, viewer=cast.admin)
    assert profile.commercial is not None
    assert profile.commercial.id == cast.sales_rep.id
    assert profile.synced_at == AT
    assert [len(entry.mandates) for entry in profile.accounts] == [1, 1]
    assert [contract.signed_on for contract in profile.contracts] == [(AT + timedelta(days=1)).date(), AT.date()]
    assert len(profile.timeline.events) == 2


def test_a_client_of_nothing_has_an_empty_profile(cast: Cast) -> None:
    profile = find_profile(ClientFactory().id, viewer=cast.commercial)
    assert (profile.commercial, profile.synced_at, profile.accounts, profile.contracts) == (None, None, [], [])
    assert (profile.timeline.events, profile.timeline.older) == ([], None)


def test_the_timeline_goes_on_where_it_stopped(cast: Cast) -> None:
    client = ClientFactory()
    same_instant = EVENTS_PER_PAGE + 5
    for number in range(2 * EVENTS_PER_PAGE + 3):
        at = AT if number < same_instant else AT + timedelta(minutes=number)
        db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_UPDATED, at=at))
    db.session.flush()
    seen: list[TimelineEvent] = []
    before = None
    for _ in range(3):
        page = list_events(client.id, before=before)
        seen += page.events
        before = page.older
    assert before is None
    assert len({event.id for event in seen}) == len(seen) == 2 * EVENTS_PER_PAGE + 3
    assert seen == sorted(seen, key=lambda event: (event.at, event.id), reverse=True)


def test_an_unknown_place_in_the_timeline_leads_to_nothing(cast: Cast) -> None:
    client = ClientFactory()
    db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED))
    db.session.flush()
    assert list_events(client.id, before=uuid4()).events == []


def test_the_page_says_that_there_is_an_identity_card_and_not_what_it_says(cast: Cast) -> None:
    client = ClientFactory(identity_card=None)
    assert find_profile(client.id, viewer=cast.admin).has_identity_card is False
    client.identity_card = crypto.seal("{}", place=client.place("identity_card"))
    db.session.flush()
    assert find_profile(client.id, viewer=cast.admin).has_identity_card is True


def test_an_unknown_client_is_not_found(cast: Cast) -> None:
    with pytest.raises(NotFoundError):
        find_profile(uuid4(), viewer=cast.admin)
