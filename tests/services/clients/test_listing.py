"""The clients page's list: what it finds, in what order, page by page, and how it counts."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.services import capped_counts, keyset
from webapp.services.capped_counts import Count
from webapp.services.clients import listing
from webapp.services.clients.listing import (
    PAGE_SIZE,
    ClientList,
    count_clients,
    list_clients,
)
from webapp.services.clients.selection import (
    WITHOUT_COMMERCIAL,
    ClientSort,
    ClientsView,
    ConsentFilter,
    ConsentStanding,
    SourceFilter,
    filters_of,
)
from webapp.services.consents.recording import ConsentFields, record

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _names(view: ClientsView | None = None, **changes: Any) -> list[str]:
    return [row.name for row in list_clients(replace(view or ClientsView(), **changes)).page.rows]


def _make_clients(cast: Cast, number: int, **columns: Callable[[int], Any]) -> None:
    """Many clients in one statement, alike but for ``columns``."""
    rows = [
        {"organisation_id": cast.organisation.id, "id": new_id(), "last_name": f"C{n:05d}"}
        | {name: value(n) for name, value in columns.items()}
        for n in range(number)
    ]
    db.session.execute(insert(Client), rows)


def test_a_line_tells_what_the_page_shows(cast: Cast) -> None:
    made = factories.ClientFactory(
        last_name="LEFÈVRE",
        first_name="Zoé",
        email="zoe@example.org",
        phone="+33639981234",
        city="Lyon",
        commercial_id=cast.sales_rep.id,
        source=Source.WINLEADPLUS,
        status=ClientStatus.ACTIVE,
        changed_at=NOW,
    )
    factories.ContractFactory(client_id=made.id)
    [row] = list_clients(ClientsView()).page.rows
    assert row == listing.ClientRow(
        id=made.id,
        name="LEFÈVRE Zoé",
        source=Source.WINLEADPLUS,
        cells={
            "email": "zoe@example.org",
            "telephone": "+33639981234",
            "ville": "Lyon",
            "commercial": cast.sales_rep.full_name,
            "statut": ClientStatus.ACTIVE,
            "contrats": 1,
            "modifie": NOW,
        },
    )


def test_a_client_without_anything_still_has_a_line(cast: Cast) -> None:
    factories.ClientFactory(last_name="", first_name="", email=None, city=None)
    [row] = list_clients(ClientsView()).page.rows
    assert row.name == "Sans nom"
    assert [row.cells[key] for key in ("email", "ville", "commercial")] == [None, None, None]


class TestSearch:
    @pytest.fixture(autouse=True)
    def _people(self, cast: Cast) -> None:
        zoe = factories.ClientFactory(
            last_name="Lefèvre", first_name="Zoé-Anne", email="zoe.l@example.org", phone="+33639981234"
        )
        factories.ContractFactory(client_id=zoe.id, reference="WLP-2026/07-É")
        factories.ClientFactory(
            last_name="D’Œuvre", first_name="Jean", email="contact@exemple.test", phone="+3225551234"
        )
        factories.ClientFactory(last_name="100%_Sûr", first_name="", email=None, phone=None)

    @pytest.mark.parametrize(
        "typed",
        [
            "lefevre",
            "LEFÈVRE",
            "zoe lefevre",
            "lefèvre zoé-anne",
            "anne ZOE",
            "evr",
            "le",
            "z an",
            "zoe.l@",
            "ZOE.L@EXAMPLE.ORG",
            "0639981234",
            "06 39 98 12 34",
            "06.39.98",
            "06-39-98-12",
            "+33 6 39 98",
            "+33639981234",
            "0033 6 39 98 12 34",
            "+33 (0)6 39 98 12 34",
            "9812",
            "lefevre 06 39",
            "wlp-2026/07",
            "2026/07-e",
            "  zoe   lefevre ",
        ],
    )
    def test_finds_without_accents_or_case_in_any_order_of_words(self, typed: str) -> None:
        assert _names(search=typed) == ["Lefèvre Zoé-Anne"]
        assert count_clients(ClientsView(search=typed)) == Count(1, is_capped=False)

    @pytest.mark.parametrize("typed", ["d'oeuvre", "d’Œuvre", "oeuvre jean", "+32 2 555", "022 555 nope"])
    def test_apostrophes_ligatures_and_foreign_numbers(self, typed: str) -> None:
        assert _names(search=typed) == ([] if "nope" in typed else ["D’Œuvre Jean"])

    @pytest.mark.parametrize(
        ("name", "typed"),
        [
            ("N’DIAYE", "ndiaye n'diaye n’diaye diaye"),
            ("D'Ormesson", "dormesson ormesson d’ormesson"),
            ("Saint-Exupéry", "saintexupery saint-exupery saint‑exupéry exupery"),
            ("O`Brien", "obrien o'brien"),
            ("ЮРИЙ", "юрий ЮРИЙ Юрий"),
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ", "παπαδοπουλος παπαδόπουλος παπαδοπουλοσ"),
            ("ԳԵՎՈՐԳ", "գեվորգ"),
        ],
    )
    def test_names_are_found_however_they_are_joined_and_in_every_alphabet(self, name: str, typed: str) -> None:
        factories.ClientFactory(last_name=name, first_name="")
        for word in typed.split():
            assert _names(search=word) == [name], word

    @pytest.mark.parametrize("typed", ["ev", "fe", "oe@"])
    def test_short_words_match_at_the_start_of_a_word_only(self, typed: str) -> None:
        assert _names(search=typed) == []

    @pytest.mark.parametrize(("typed", "found"), [("100%_s", ["100%_Sûr"]), ("l_f", []), ("le%re", []), ("\\", None)])
    def test_wildcards_are_taken_by_the_letter(self, typed: str, found: list[str] | None) -> None:
        assert _names(search=typed) == found if found is not None else len(_names(search=typed)) == 3

    @pytest.mark.parametrize("typed", ["lefevre\0", "\x00zoe\x1b", "lefevre\u2028zoe", "lefevre\ud800"])
    def test_control_characters_are_spaces(self, typed: str) -> None:
        assert _names(search=typed) == ["Lefèvre Zoé-Anne"]

    def test_a_novel_is_cut_short(self) -> None:
        assert _names(search="zoe " * 10_000) == ["Lefèvre Zoé-Anne"]


class TestFilters:
    @pytest.fixture(autouse=True)
    def _people(self, cast: Cast) -> None:
        factories.ClientFactory(last_name="A", source=None, status=ClientStatus.ACTIVE)
        factories.ClientFactory(last_name="B", source=Source.WINLEADPLUS, commercial_id=cast.sales_rep.id)
        factories.ClientFactory(last_name="C", source=Source.WOOCOMMERCE, status=ClientStatus.ACTIVE)
        for client in db.session.query(Client):
            client.first_name = ""
        db.session.flush()

    @pytest.mark.parametrize(
        ("source", "found"),
        [
            (None, ["A", "B", "C"]),
            (SourceFilter.CRM, ["A"]),
            (SourceFilter.WINLEADPLUS, ["B"]),
            (SourceFilter.WOOCOMMERCE, ["C"]),
        ],
    )
    def test_by_source(self, source: SourceFilter | None, found: list[str]) -> None:
        assert _names(source=source) == found
        assert count_clients(ClientsView(source=source)).number == len(found)

    def test_by_status(self) -> None:
        assert _names(status=ClientStatus.ACTIVE) == ["A", "C"]

    def test_by_commercial_or_by_the_lack_of_one(self, cast: Cast) -> None:
        assert _names(commercial=cast.sales_rep.id) == ["B"]
        assert _names(commercial=WITHOUT_COMMERCIAL) == ["A", "C"]
        assert _names(commercial=uuid4()) == []

    def test_together_they_narrow(self) -> None:
        view = ClientsView(status=ClientStatus.ACTIVE, commercial=WITHOUT_COMMERCIAL, source=SourceFilter.CRM)
        assert _names(view) == ["A"]
        assert _names(view, search="b") == []


VIEWS = {
    "all": ClientsView(),
    "source": ClientsView(source=SourceFilter.WINLEADPLUS),
    "no source": ClientsView(source=SourceFilter.CRM),
    "status": ClientsView(status=ClientStatus.ACTIVE),
    "no commercial": ClientsView(commercial=WITHOUT_COMMERCIAL),
    "no commercial, no source": ClientsView(commercial=WITHOUT_COMMERCIAL, source=SourceFilter.CRM),
    "search": ClientsView(search="mar"),
    "search and filter": ClientsView(search="ma", status=ClientStatus.PROSPECT),
}


class TestPages:
    @pytest.fixture
    def _crowd(self, cast: Cast) -> None:
        """Names, towns, dates and numbers of contracts with many ties, some without a town."""
        draw = random.Random(7)
        _make_clients(
            cast,
            4 * PAGE_SIZE + 17,
            last_name=lambda _: draw.choice(["Martin", "MARTIN", "Marié", "Márie", "", "Éric"]),
            first_name=lambda _: draw.choice(["", "Ma", "mà", "Zoé"]),
            city=lambda _: draw.choice([None, "Lille", "LILLE", "Évry", ""]),
            changed_at=lambda _: NOW + timedelta(microseconds=draw.randrange(3)),
            created_at=lambda _: NOW + timedelta(microseconds=draw.randrange(3)),
            contracts_count=lambda _: draw.randrange(3),
            source=lambda _: draw.choice([None, Source.WINLEADPLUS]),
            status=lambda _: draw.choice([ClientStatus.ACTIVE, ClientStatus.PROSPECT]),
            commercial_id=lambda _: draw.choice([None, None, cast.sales_rep.id]),
        )

    @pytest.mark.usefixtures("_crowd")
    @pytest.mark.parametrize("name", VIEWS)
    def test_every_client_comes_once_in_order_forwards_and_back(self, name: str) -> None:
        for view in (replace(VIEWS[name], sort=sort) for sort in ClientSort):
            pages = [list_clients(view).page]
            while pages[-1].next_cursor:
                pages.append(list_clients(replace(view, cursor=pages[-1].next_cursor)).page)
            seen = [row.id for page in pages for row in page.rows]
            assert seen == _expected(view), view.sort
            assert len(seen) == count_clients(view).number > PAGE_SIZE

            back = [pages[-1]]
            while back[-1].previous_cursor:
                back.append(list_clients(replace(view, cursor=back[-1].previous_cursor)).page)
            assert [page.rows for page in back[::-1]] == [page.rows for page in pages], view.sort
            assert [page.next_cursor for page in back[::-1]] == [page.next_cursor for page in pages], view.sort

    @pytest.mark.usefixtures("_crowd")
    def test_a_search_too_common_to_sort_whole_keeps_the_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        view = ClientsView(search="mar", sort=ClientSort.CITY_DESCENDING)
        scarce = list_clients(view)
        monkeypatch.setattr(capped_counts, "COUNT_CAP", 60)
        assert list_clients(view).page == scarce.page
        assert list_clients(view).total == Count(60, is_capped=True)

    def test_fifty_clients_are_one_page(self, cast: Cast) -> None:
        _make_clients(cast, PAGE_SIZE)
        page = list_clients(ClientsView()).page
        assert (len(page.rows), page.next_cursor, page.previous_cursor) == (PAGE_SIZE, None, None)

    def test_a_cursor_past_the_end_gives_the_first_page(self, cast: Cast) -> None:
        _make_clients(cast, PAGE_SIZE + 1)
        cursor = list_clients(ClientsView()).page.next_cursor or ""
        db.session.query(Client).filter(Client.last_name == f"C{PAGE_SIZE:05d}").delete()
        assert list_clients(ClientsView(cursor=cursor)) == list_clients(ClientsView())

    def test_going_back_to_fewer_than_a_page_gives_the_whole_first_page(self, cast: Cast) -> None:
        _make_clients(cast, 2 * PAGE_SIZE)
        second = list_clients(ClientsView(cursor=list_clients(ClientsView()).page.next_cursor or "")).page
        db.session.query(Client).filter(Client.last_name < "C00010").delete()
        back = list_clients(ClientsView(cursor=second.previous_cursor or "")).page
        assert (back.rows[0].name, len(back.rows)) == ("C00010", PAGE_SIZE)

    @pytest.mark.parametrize("cursor", ["", "nonsense", "é", "W10", "\0", "a" * 5000])
    def test_a_cursor_that_is_none_is_ignored(self, cast: Cast, cursor: str) -> None:
        _make_clients(cast, 3)
        assert _names(cursor=cursor) == ["C00000", "C00001", "C00002"]

    def test_a_cursor_of_another_sort_is_ignored(self, cast: Cast) -> None:
        _make_clients(cast, PAGE_SIZE + 1)
        cursor = list_clients(ClientsView(sort=ClientSort.CHANGED)).page.next_cursor or ""
        assert _names(cursor=cursor)[0] == "C00000"


def _expected(view: ClientsView) -> list[Any]:
    """The ids in the view's order, by Python's own sorting of all that match."""
    keys = {
        ClientSort.NAME: Client.name_key,
        ClientSort.CITY: Client.city_key,
        ClientSort.CHANGED: Client.changed_at,
        ClientSort.CONTRACTS: Client.contracts_count,
        ClientSort.CREATED: Client.created_at,
    }
    query = db.session.query(keys[view.sort.ascending], Client.id)
    for column, value in filters_of(view):
        query = query.filter(column == value)
    if view.search:
        query = query.filter(Client.search_text.like("%mar%" if view.search == "mar" else "% ma%"))
    return [client_id for _, client_id in sorted(query, reverse=view.sort.is_descending)]


def test_a_count_is_capped_unless_the_exact_one_is_asked_for(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capped_counts, "COUNT_CAP", 5)
    _make_clients(cast, 5)
    assert list_clients(ClientsView()).total == Count(5, is_capped=False)
    _make_clients(cast, 3)
    assert list_clients(ClientsView()).total == Count(5, is_capped=True)
    assert list_clients(ClientsView(), exact=True).total == Count(8, is_capped=False)
    assert list_clients(ClientsView(search="c0")).total == Count(5, is_capped=True)
    assert list_clients(ClientsView(search="c0"), exact=True).total == Count(8, is_capped=False)
    assert count_clients(ClientsView(search="c0"), exact=True) == Count(8, is_capped=False)


def test_another_organisations_clients_are_neither_listed_nor_counted(cast: Cast) -> None:
    factories.ClientFactory(last_name="Nôtre", first_name="")
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory(last_name="Leur", first_name="")
        factories.CommercialFactory(last_name="Ailleurs")
    assert _names() == ["Nôtre"]
    assert count_clients(ClientsView()).number == 1
    assert list_clients(ClientsView(search="leur")) == ClientList(
        keyset.Page([], None, None), Count(0, is_capped=False)
    )
    assert "Ailleurs" not in str(listing.list_all_commercials())
    with tenancy.organisation(cast.other_organisation.id):
        assert [row.id for row in list_clients(ClientsView()).page.rows] == [theirs.id]


def test_the_number_of_queries_does_not_grow_with_the_clients(cast: Cast) -> None:
    for number, search, queries in ((1, "", 1), (PAGE_SIZE, "", 1), (1, "c000 c0", 2)):
        _make_clients(cast, number, commercial_id=lambda n: cast.sales_rep.id)
        db.session.expunge_all()
        with recorded_queries() as sent:
            assert list_clients(ClientsView(search=search)).page.rows
        assert len(sent) == queries, sent


def test_commercials_are_offered_by_name_those_who_left_included(cast: Cast) -> None:
    factories.CommercialFactory(first_name="Zoé", last_name="Ancien", is_active=False)
    names = [name for _, name in listing.list_all_commercials()]
    assert names[0] == "Zoé Ancien"
    assert len(names) == 3


class TestConsents:
    EMAIL, SMS = ConsentPurpose.PROSPECTION_EMAIL, ConsentPurpose.PROSPECTION_SMS

    def _say(self, client_id: UUID, cast: Cast, *said: bool, purpose: ConsentPurpose = EMAIL) -> None:
        for hour, agrees in enumerate(said):
            fields = ConsentFields(purpose=purpose, agrees=agrees, channel=ConsentChannel.PHONE)
            record(client_id, fields, by=cast.commercial, at=NOW + timedelta(hours=hour))

    def _fill(self, cast: Cast, times: int = 1) -> None:
        for n in range(times):
            for name, said in (("Oui", [True]), ("Non", [False]), ("Plus", [True, False]), ("Rien", [])):
                client = factories.ClientFactory(last_name=f"{name}{n}", first_name="")
                self._say(client.id, cast, *said)
                self._say(client.id, cast, not said, purpose=self.SMS)

    @pytest.mark.parametrize(
        ("standing", "names"),
        [
            (ConsentStanding.GIVEN, ["Oui0"]),
            (ConsentStanding.NOT_GIVEN, ["Non0", "Plus0", "Rien0"]),
            (ConsentStanding.OPPOSED, ["Non0", "Plus0"]),
        ],
    )
    def test_the_last_word_on_the_purpose_counts(self, cast: Cast, standing: ConsentStanding, names: list[str]) -> None:
        self._fill(cast)
        view = ClientsView(consent=ConsentFilter(self.EMAIL, standing))
        assert _names(view) == names
        assert list_clients(view).total == Count(len(names), is_capped=False)
        assert count_clients(view).number == len(names)
        assert _names(view, sort=ClientSort.NAME_DESCENDING) == names[::-1]
        assert _names(view, search="ou") == [name for name in names if name == "Oui0"]
        assert _names(view, source=SourceFilter.WOOCOMMERCE) == []
        with tenancy.organisation(cast.other_organisation.id):
            assert _names(view) == []

    @pytest.mark.parametrize("cap", [1, 10_000])
    @pytest.mark.parametrize("standing", list(ConsentStanding))
    def test_pages_hold_the_same_whether_few_or_many(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch, standing: ConsentStanding, cap: int
    ) -> None:
        self._fill(cast, 4)
        expected = _names(ClientsView(consent=ConsentFilter(self.EMAIL, standing)))
        monkeypatch.setattr(listing, "PAGE_SIZE", 3)
        monkeypatch.setattr(capped_counts, "COUNT_CAP", cap)
        listing._plain_page.cache_clear()
        view, found = ClientsView(consent=ConsentFilter(self.EMAIL, standing)), []
        while True:
            page = list_clients(view).page
            found += [row.name for row in page.rows]
            if not page.next_cursor:
                break
            view = replace(view, cursor=page.next_cursor)
        listing._plain_page.cache_clear()
        assert found == expected

    def test_neighbours_are_of_the_same_view(self, cast: Cast) -> None:
        self._fill(cast, 3)
        view = ClientsView(consent=ConsentFilter(self.EMAIL, ConsentStanding.GIVEN))
        rows = list_clients(view).page.rows
        middle = db.session.get_one(Client, (cast.organisation.id, rows[1].id))
        assert listing.find_neighbours(view, middle) == (rows[0].id, rows[2].id)

    @pytest.mark.parametrize(
        ("standing", "number"),
        [(ConsentStanding.GIVEN, 2), (ConsentStanding.NOT_GIVEN, 1), (ConsentStanding.OPPOSED, 2)],
    )
    @pytest.mark.parametrize("cap", [1, 10_000])
    def test_a_page_is_one_statement_and_one_to_see_whether_they_are_few(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch, standing: ConsentStanding, number: int, cap: int
    ) -> None:
        self._fill(cast, 2)
        monkeypatch.setattr(capped_counts, "COUNT_CAP", cap)
        with recorded_queries() as queries:
            list_clients(ClientsView(consent=ConsentFilter(self.EMAIL, standing)))
        assert len(queries) == number
