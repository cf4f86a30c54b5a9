"""Filters of clients by place, days, contact and what they have: what each finds, in every order, page by page."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import Base, new_id
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.messages import Channel, Message, MessageKind, MessageStatus
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, LastContact, TimelineEvent
from webapp.models.winleadplus import SyncMapping
from webapp.services import bulk, capped_counts
from webapp.services.clients import activities, listing
from webapp.services.clients.activities import Genre
from webapp.services.clients.listing import list_clients
from webapp.services.clients.selection import WITHOUT_COMMERCIAL, Asset, ClientSort, ClientsView, Days

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
CROWD = 700
PAGE_SIZE = 73
MOVE = """
CREATE FUNCTION pg_temp.move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE timeline_events SET client_id = NEW.target WHERE client_id = NEW.source AND at = NEW.at;
  RETURN NULL;
END $$
"""


@dataclass(frozen=True)
class Person:
    """A client of the crowd, and what stands in other tables about them."""

    columns: dict[str, Any]
    contact: datetime | None
    assets: frozenset[Asset]

    def __getattr__(self, name: str) -> Any:
        return self.columns[name]


def _insert(model: type[Base], rows: list[dict[str, Any]]) -> None:
    """Some hundreds in a statement: triggers of statements fire for each one."""
    for start in range(0, len(rows), 500):
        db.session.execute(insert(model).values(rows[start : start + 500]))


def _people(cast: Cast) -> list[Person]:
    draw = random.Random(14)
    commercials = [None, cast.sales_rep.id, *(factories.CommercialFactory().id for _ in range(3))]
    people = []
    for _ in range(CROWD):
        columns = {
            "organisation_id": cast.organisation.id,
            "id": new_id(),
            "last_name": draw.choice(["Martin", "MARTIN", "Marié", "", "Éric"]),
            "first_name": draw.choice(["", "Zoé"]),
            "email": draw.choice([None, "a@example.org", "b@example.org"]),
            "phone": draw.choice([None, "+33639980000"]),
            "city": draw.choice([None, "Lyon", "LYON 3e", "Lille", "Évry"]),
            "postcode": draw.choice([None, "69003", "69100", "59000"]),
            "commercial_id": draw.choice(commercials),
            "contracts_count": draw.choice([0, 0, 0, 1, 2]),
            "changed_at": NOW - timedelta(days=draw.randrange(40)),
            "created_at": NOW - timedelta(days=draw.randrange(40), hours=draw.randrange(24)),
        }
        contact = draw.choice([None, None, NOW - timedelta(days=draw.randrange(90))])
        assets = frozenset(asset for asset in Asset if draw.random() < 0.3)
        if not columns["contracts_count"]:
            assets -= {Asset.CONTRACT}
        others = assets - {Asset.EMAIL, Asset.PHONE}
        own = {Asset.EMAIL: columns["email"], Asset.PHONE: columns["phone"]}
        people.append(Person(columns, contact, others | {asset for asset, value in own.items() if value}))
    return people


@pytest.fixture
def crowd(cast: Cast) -> list[Person]:
    """Hundreds of people with many ties in every order."""
    people = _people(cast)
    # Tables that were filled just now have no statistics: without indexes, what joins them would go row by row.
    db.session.execute(text("SET LOCAL enable_seqscan = off"))
    # A trigger counts contracts.
    _insert(Client, [{**person.columns, "contracts_count": 0} for person in people])
    called = [
        {"organisation_id": cast.organisation.id, "id": new_id(), "client_id": person.id, "at": person.contact}
        for person in people
        if person.contact
    ]
    _insert(TimelineEvent, [{**row, "kind": EventKind.CALL, "changes": {}} for row in called])
    _give_assets(cast, people)
    return people


def _give_assets(cast: Cast, people: list[Person]) -> None:
    """What has the asset, and beside it what only looks like it: archived, revoked, ended."""
    company = factories.default_company().id

    def rows(
        asset: Asset, yes: dict[str, Any], no: dict[str, Any], **others: Callable[[], Any]
    ) -> list[dict[str, Any]]:
        return [
            {"organisation_id": cast.organisation.id, "id": new_id(), "client_id": person.id}
            | {name: make() for name, make in others.items()}
            | (yes if asset in person.assets else no)
            for place, person in enumerate(people)
            if asset in person.assets or place % 10 == 0
        ]

    sealed: dict[str, Callable[[], Any]] = {"iban": lambda: b"x", "iban_index": lambda: new_id().bytes}
    masked: dict[str, Callable[[], Any]] = {"iban_masked": lambda: "FR76 …"}
    accounts = rows(Asset.IBAN, {"archived_at": None}, {"archived_at": NOW}, **sealed, **masked)
    _insert(BankAccount, accounts)
    [account, *_] = accounts  # which one a mandate is on does not matter here
    mandates = rows(Asset.MANDATE, {"status": MandateStatus.ACTIVE}, {"status": MandateStatus.REVOKED})
    _insert(Mandate, [row | {"bank_account_id": account["id"]} for row in mandates])
    contracts = [
        {
            "organisation_id": cast.organisation.id,
            "id": new_id(),
            "client_id": person.id,
            "company_id": company,
            "reference": f"{person.id}-{number}",
            "status": ContractStatus.ACTIVE if Asset.CONTRACT in person.assets else ContractStatus.TERMINATED,
        }
        for person in people
        for number in range(person.contracts_count)
    ]
    _insert(Contract, contracts)
    _insert(
        Subscription,
        rows(
            Asset.SUBSCRIPTION,
            {"status": SubscriptionStatus.PAST_DUE},
            {"status": SubscriptionStatus.CANCELED},
            company_id=lambda: company,
            frequency=lambda: Frequency.MONTHLY,
            anchor_date=lambda: DAY,
        ),
    )


def _day(instant: datetime) -> date:
    return instant.astimezone(clock.PARIS).date()


LATELY = Days(DAY - timedelta(days=20), DAY - timedelta(days=5))
FILTERS: dict[str, tuple[dict[str, Any], Callable[[Person], bool]]] = {
    "town": ({"place": "lyon"}, lambda one: (one.city or "").lower().startswith("lyon")),
    "town with accents": ({"place": "EVRY"}, lambda one: one.city == "Évry"),
    "postcode": ({"place": "69"}, lambda one: (one.postcode or "").startswith("69")),
    "postcode, narrower": ({"place": "6900"}, lambda one: one.postcode == "69003"),
    "created": ({"created": LATELY}, lambda one: DAY - timedelta(20) <= _day(one.created_at) <= DAY - timedelta(5)),
    "created since": ({"created": Days(since=DAY)}, lambda one: _day(one.created_at) >= DAY),
    "changed": ({"changed": LATELY}, lambda one: DAY - timedelta(20) <= _day(one.changed_at) <= DAY - timedelta(5)),
    "changed until": ({"changed": Days(until=LATELY.since)}, lambda one: _day(one.changed_at) <= DAY - timedelta(20)),
    "in contact": (
        {"contacted": LATELY},
        lambda one: one.contact is not None and DAY - timedelta(20) <= _day(one.contact) <= DAY - timedelta(5),
    ),
    "silent": (
        {"silent_since": DAY - timedelta(days=30)},
        lambda one: one.contact is None or _day(one.contact) < DAY - timedelta(days=30),
    ),
    **{
        f"has {asset.value}": ({"having": frozenset({asset})}, lambda one, asset=asset: asset in one.assets)  # type: ignore[misc]
        for asset in Asset
    },
    **{
        f"lacks {asset.value}": ({"lacking": frozenset({asset})}, lambda one, asset=asset: asset not in one.assets)  # type: ignore[misc]
        for asset in Asset
    },
    "several together": (
        {"having": frozenset({Asset.IBAN}), "lacking": frozenset({Asset.CONTRACT}), "place": "l", "created": LATELY},
        lambda one: (
            Asset.IBAN in one.assets
            and Asset.CONTRACT not in one.assets
            and (one.city or "").lower().startswith("l")
            and DAY - timedelta(20) <= _day(one.created_at) <= DAY - timedelta(5)
        ),
    ),
}


def _walk(view: ClientsView) -> list[UUID]:
    found: list[UUID] = []
    while True:
        page = list_clients(view, columns=("nom",)).page
        found += [row.id for row in page.rows]
        if not page.next_cursor:
            return found
        view = replace(view, cursor=page.next_cursor)


@pytest.fixture
def _larger_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So that a walk through all is short; statements that are kept hold the size of a page."""
    monkeypatch.setattr(listing, "PAGE_SIZE", PAGE_SIZE)
    kept = (listing._plain_page, listing._plain_gathering)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


@pytest.mark.usefixtures("_larger_pages")
def test_each_filter_finds_its_clients_once_in_order(
    crowd: list[Person], cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each filter in an order of its own and one in all of them, walked and gathered: making the crowd takes long."""
    keys = db.session.execute(select(Client.id, Client.name_key, Client.city_key)).all()
    names, towns = {row.id: row.name_key for row in keys}, {row.id: row.city_key for row in keys}
    order: dict[ClientSort, Callable[[Person], Any]] = {
        ClientSort.NAME: lambda one: names[one.id],
        ClientSort.CITY: lambda one: towns[one.id],
        ClientSort.CHANGED: lambda one: one.changed_at,
        ClientSort.CONTRACTS: lambda one: one.contracts_count,
        ClientSort.CREATED: lambda one: one.created_at,
    }
    each_with_a_sort = [*zip(FILTERS, cycle(ClientSort)), *product(["several together"], ClientSort)]
    for cap, (name, sort) in product((1, 10_000), each_with_a_sort):
        monkeypatch.setattr(capped_counts, "COUNT_CAP", cap)
        changes, holds = FILTERS[name]
        matching = [person for person in crowd if holds(person)]
        assert 0 < len(matching) < CROWD, name
        expected = sorted(matching, key=lambda one: (order[sort.ascending](one), one.id), reverse=sort.is_descending)
        assert _walk(ClientsView(sort=sort, **changes)) == [one.id for one in expected], (name, sort, cap)
        assert list_clients(ClientsView(**changes), exact=True).total.number == len(matching), name
    _check_commercials(crowd, cast)
    _check_neighbours(cast)


def _check_commercials(crowd: list[Person], cast: Cast) -> None:
    other = next(one.commercial_id for one in crowd if one.commercial_id not in (None, cast.sales_rep.id))
    for among in ((cast.sales_rep.id, other), (cast.sales_rep.id, WITHOUT_COMMERCIAL)):
        wanted = {None if each == WITHOUT_COMMERCIAL else each for each in among}
        expected = {one.id for one in crowd if one.commercial_id in wanted}
        assert set(_walk(ClientsView(among=among))) == expected
        assert listing.count_clients(ClientsView(among=among), exact=True).number == len(expected)


def _check_neighbours(cast: Cast) -> None:
    view = ClientsView(having=frozenset({Asset.IBAN}), created=LATELY, sort=ClientSort.CREATED)
    first, second, third = _walk(view)[:3]
    middle = db.session.get_one(Client, (cast.organisation.id, second))
    assert listing.find_neighbours(view, middle) == (first, third)


@pytest.mark.parametrize(("place", "found"), [("59", 1), ("59%", 0), ("5_", 0), ("5\\", 0), ("l%", 0), ("lill", 1)])
def test_a_place_is_taken_by_the_letter(cast: Cast, place: str, found: int) -> None:
    factories.ClientFactory(city="Lille", postcode="59000")
    assert len(list_clients(ClientsView(place=place)).page.rows) == found
    with tenancy.organisation(cast.other_organisation.id):
        assert list_clients(ClientsView(place=place)).page.rows == []


@pytest.mark.parametrize("cap", [1, 10_000])
def test_filters_live_with_archived_and_absent_clients(cast: Cast, monkeypatch: pytest.MonkeyPatch, cap: int) -> None:
    monkeypatch.setattr(capped_counts, "COUNT_CAP", cap)
    present, archived, absent, gone = (factories.ClientFactory(postcode="69001", created_at=NOW) for _ in range(4))
    for client in (archived, gone):
        client.archived_at = NOW
    for client in (absent, gone):
        db.session.add(SyncMapping(external_id=str(client.id), client_id=client.id, missing_since=NOW))
    for client in (present, archived, absent):
        factories.make_bank_account(client)
    filters: dict[str, Any] = {"place": "69", "created": Days(since=DAY), "having": frozenset({Asset.IBAN})}

    def found(**values: Any) -> set[UUID]:
        view = ClientsView(**filters, **values)
        rows = list_clients(view, exact=True)
        assert rows.total.number == len(rows.page.rows) == bulk.Selection(view).count()
        return {row.id for row in rows.page.rows}

    assert found() == {present.id, absent.id}
    assert found(archived=True) == {archived.id}
    assert found(absent=True) == {absent.id}
    assert found(archived=True, absent=True) == set()


@pytest.mark.parametrize("cap", [1, 10_000])
def test_a_page_is_one_statement_and_one_to_see_whether_they_are_few(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    for _ in range(3):
        factories.make_bank_account(factories.ClientFactory())
    monkeypatch.setattr(capped_counts, "COUNT_CAP", cap)
    having = frozenset({Asset.IBAN})
    for view, number in (
        (ClientsView(place="lille"), 1),
        (ClientsView(lacking=having), 1),
        (ClientsView(having=having), 2),
        (ClientsView(having=having, created=Days(since=DAY), contacted=Days(until=DAY)), 2),
        (ClientsView(created=Days(since=DAY), sort=ClientSort.CREATED), 1),
    ):
        with recorded_queries() as queries:
            list_clients(view)
        assert len(queries) == number, view


class TestLastContact:
    def _at(self, client_id: UUID) -> datetime | None:
        return db.session.scalar(select(LastContact.at).where(LastContact.client_id == client_id))

    def test_a_call_is_one_and_a_note_or_a_task_is_none(self, cast: Cast) -> None:
        client = factories.ClientFactory()
        for genre, due in ((Genre.NOTE, None), (Genre.TASK, DAY)):
            activities.record(client.id, genre, "À rappeler", due_on=due, by=cast.commercial, at=NOW)
        assert self._at(client.id) is None
        activities.record(client.id, Genre.CALL, "Intéressée", due_on=None, by=cast.commercial, at=NOW)
        assert self._at(client.id) == NOW

    def test_the_latest_stays_whatever_comes_after(self, cast: Cast) -> None:
        client = factories.ClientFactory()
        for hours in (0, -5, 2, 1):
            self._tell(client.id, EventKind.CALL, NOW + timedelta(hours=hours))
        assert self._at(client.id) == NOW + timedelta(hours=2)

    @pytest.mark.parametrize("is_written", [True, False])
    def test_a_message_counts_where_a_colleague_wrote_it(self, cast: Cast, is_written: bool) -> None:
        client = factories.ClientFactory()
        message = Message(
            client_id=client.id,
            company_id=factories.default_company().id,
            kind=next(iter(MessageKind)),
            channel=Channel.EMAIL,
            subject_id=client.id,
            dedupe_key="un",
            status=MessageStatus.SENT,
            content=b"x",
            not_before=NOW,
            written_by_id=cast.commercial.id if is_written else None,
        )
        db.session.add(message)
        db.session.flush()
        self._tell(client.id, EventKind.MESSAGE_SENT, NOW, message_id=message.id)
        assert self._at(client.id) == (NOW if is_written else None)
        self._tell(client.id, EventKind.MESSAGE_ANSWERED, NOW + timedelta(hours=1))
        assert self._at(client.id) == NOW + timedelta(hours=1)

    def test_events_that_move_to_another_client_take_their_contacts_along(self, cast: Cast) -> None:
        left, kept = factories.ClientFactory(), factories.ClientFactory()
        self._tell(left.id, EventKind.CALL, NOW)
        self._tell(left.id, EventKind.CALL, NOW - timedelta(days=1))
        self._tell(kept.id, EventKind.CALL, NOW - timedelta(days=2))
        # What is kept moves only from within a trigger.
        db.session.execute(text("CREATE TEMP TABLE moves (source uuid, target uuid, at timestamptz)"))
        db.session.execute(text(MOVE))
        db.session.execute(
            text("CREATE TRIGGER moving AFTER INSERT ON moves FOR EACH ROW EXECUTE FUNCTION pg_temp.move()")
        )
        db.session.execute(
            text("INSERT INTO moves VALUES (:left, :kept, :at)"), {"left": left.id, "kept": kept.id, "at": NOW}
        )
        assert (self._at(left.id), self._at(kept.id)) == (NOW - timedelta(days=1), NOW)

    def _tell(self, client_id: UUID, kind: EventKind, at: datetime, **values: Any) -> None:
        db.session.add(TimelineEvent(client_id=client_id, kind=kind, at=at, **values))
        db.session.flush()

    def test_nobody_writes_it_by_hand(self, cast: Cast) -> None:
        client = factories.ClientFactory()
        with pytest.raises(Exception, match="not written by hand"), db.session.begin_nested():
            db.session.add(LastContact(client_id=client.id, at=NOW))
            db.session.flush()
