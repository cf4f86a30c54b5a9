"""The tabs of a client's page, notes, calls and tasks, and the way through the list that one came from."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.factories import ClientFactory, ContractFactory, make_bank_account
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import Client
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent

TABS = ("apercu", "paiements", "activites", "documents", "consentements")
NOW = datetime(2026, 11, 20, 13, 5, tzinfo=UTC)


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client whose page it is."""
    clock.start_at(NOW)
    client: Client = ClientFactory(last_name="MARTIN", commercial_id=cast.sales_rep.id, phone="+33639981234")
    db.session.commit()
    return client


def _address(client: Client, rest: str = "") -> str:
    return f"/clients/{client.id}{rest}"


def _text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def _add(browser: FlaskClient, client: Client, **data: str) -> str:
    """Write something down without script, and see the page that it leads to."""
    answer = browser.post(_address(client, "/activites"), data={"genre": "note", **data}, follow_redirects=True)
    return _text(answer.text)


class TestTabs:
    @pytest.mark.parametrize("tab", TABS)
    def test_each_has_an_address_and_comes_alone_under_htmx(
        self, client: FlaskClient, subject: Client, tab: str
    ) -> None:
        address = _address(subject, f"?onglet={tab}")
        page, fragment = client.get(address).text, client.get(address, headers=HTMX).text
        current = re.search(r'data-testid="tab-(\w+)" aria-current="page"', page)
        assert current
        assert current[1] == tab
        assert "<h1>" in page
        assert "<h1>" not in fragment
        assert fragment.count('id="onglet"') == 1

    def test_an_unknown_one_is_the_first(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject, "?onglet=secret"))
        assert page.status_code == 200
        assert 'data-testid="tab-apercu" aria-current="page"' in page.text

    @pytest.mark.parametrize("tab", TABS)
    def test_the_number_of_queries_does_not_grow(
        self, client: FlaskClient, subject: Client, cast: Cast, tab: str
    ) -> None:
        address, client_id, user_id = _address(subject, f"?onglet={tab}"), subject.id, cast.commercial.id

        def number_of_queries() -> int:
            db.session.expunge_all()
            with recorded_queries() as queries:
                assert client.get(address).status_code == 200
            return len(queries)

        self._fill(client_id, user_id, 2)
        few = number_of_queries()
        self._fill(client_id, user_id, 15)
        assert number_of_queries() == few <= 18

    def _fill(self, client_id: UUID, user_id: UUID, times: int) -> None:
        for number in range(times):
            ContractFactory(client_id=client_id)
            due_on = date(2027, 1, 1) + timedelta(days=number)
            db.session.add(Task(client_id=client_id, title="Rappeler", due_on=due_on, user_id=user_id))
            db.session.add(Task(client_id=client_id, title="Relancer", due_on=due_on, done_at=NOW))
            db.session.add(TimelineEvent(client_id=client_id, kind=EventKind.NOTE, body="Vu", user_id=user_id))
        db.session.commit()

    def test_the_delivery_address_is_shown_and_edited(self, client: FlaskClient, subject: Client) -> None:
        assert "Adresse de livraison La même" in _text(client.get(_address(subject)).text)
        data = {"last_name": "MARTIN", "country": "FR", "status": "active", "version": "1"}
        data["commercial_id"] = str(subject.commercial_id)
        delivery = {"delivery_line1": "2 quai Sud", "delivery_postcode": "69002", "delivery_city": "Lyon"}
        wrong = client.post(_address(subject, "/modifier"), data={**data, **delivery, "delivery_postcode": "69"})
        assert wrong.status_code == 422
        assert 'id="delivery_postcode-error"' in wrong.text
        more = {"delivery_name": "Gardien\u202e ", "delivery_instructions": "Code\n12A\x00"}
        long = client.post(
            _address(subject, "/modifier"), data={**data, **delivery, "delivery_instructions": "x" * 201}
        )
        assert (long.status_code, "200 caractères au plus" in long.text) == (422, True)
        assert client.post(_address(subject, "/modifier"), data={**data, **delivery, **more}).status_code == 303
        text = _text(client.get(_address(subject)).text)
        assert "Adresse de livraison 2 quai Sud 69002 Lyon" in text
        assert "Destinataire Gardien Consignes de livraison Code 12A" in text
        assert "Ville de livraison : Lyon" in text


class TestPayments:
    def _contract(self, client: Client, **values: object) -> None:
        values = {"payment_method": PaymentMethod.SEPA, "withdrawal_day": 5, **values}
        ContractFactory(client_id=client.id, reference="REF-1", **values)
        db.session.commit()

    def _page(self, browser: FlaskClient, client: Client) -> str:
        return _text(browser.get(_address(client, "?onglet=paiements")).text)

    def test_a_contract_without_an_account_is_said(self, client: FlaskClient, subject: Client) -> None:
        self._contract(subject)
        assert "REF-1 Actif Prélèvement SEPA le 5 Aucun compte bancaire." in self._page(client, subject)

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"umr": "RUM1", "last_used_on": date(2026, 1, 1)}, None),
            ({"umr": "RUM1", "last_used_on": date(2023, 11, 20)}, "n’a pas servi depuis 36 mois"),
            ({}, "est incomplet"),
            ({"status": MandateStatus.DECLARED}, "n’est que déclaré"),
            ({"status": MandateStatus.REVOKED, "umr": "RUM1"}, "a été révoqué"),
        ],
    )
    def test_mandates_that_cannot_be_used_are_said(
        self, client: FlaskClient, subject: Client, values: dict[str, Any], said: str | None
    ) -> None:
        account = make_bank_account(subject)
        values = {"status": MandateStatus.ACTIVE, "signed_on": date(2020, 1, 1), **values}
        db.session.add(Mandate(client_id=subject.id, bank_account_id=account.id, **values))
        self._contract(subject)
        page = self._page(client, subject)
        assert ("Aucun mandat utilisable." in page) is (said is not None)
        assert said is None or said in page

    def test_an_ended_contract_and_a_cheque_need_no_mandate(self, client: FlaskClient, subject: Client) -> None:
        self._contract(subject, status=ContractStatus.TERMINATED)
        ContractFactory(client_id=subject.id, payment_method=PaymentMethod.CHEQUE)
        db.session.commit()
        page = self._page(client, subject)
        assert "data-problem" not in client.get(_address(subject, "?onglet=paiements")).text
        assert "Sans objet" in page


class TestActivities:
    def test_a_note_and_a_call_are_in_the_timeline_as_they_were_written(
        self, client: FlaskClient, subject: Client, cast: Cast
    ) -> None:
        _add(client, subject, body="Première ligne\r\n\r\n\r\nDernière")
        page = _add(client, subject, genre="appel", body="Rappelle lundi")
        assert "Appel 20/11/2026 à 14:05" in page
        assert "Rappelle lundi" in page
        note = db.session.query(TimelineEvent).filter_by(kind=EventKind.NOTE).one()
        assert (note.body, note.user_id) == ("Première ligne\n\nDernière", cast.commercial.id)

    def test_what_is_sent_twice_is_written_down_once(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject, "?onglet=activites")).text
        demand = re.findall(r'name="demande"[^>]*value="([^"]+)"', page)[0]
        for body in ("Rappelle lundi", "Rappelle lundi", "Rappelle mardi"):
            _add(client, subject, body=body, demande=demand)
        notes = db.session.query(TimelineEvent).filter_by(kind=EventKind.NOTE)
        assert sorted(note.body or "" for note in notes) == ["Rappelle lundi", "Rappelle mardi"]

    def test_html_in_a_note_is_text(self, client: FlaskClient, subject: Client) -> None:
        client.post(_address(subject, "/activites"), data={"genre": "note", "body": "<script>alert(1)</script>\0"})
        page = client.get(_address(subject)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({"body": "x" * 100_000}, "10\u202f000 caractères au plus, et il y en a 100\u202f000"),
            ({"body": "  \n "}, "Écrivez quelque chose."),
            ({"genre": "tache", "body": "Rappeler"}, "Indiquez l’échéance"),
            ({"genre": "tache", "body": "Rappeler", "due_on": "2026-11-19"}, "Cette échéance est passée"),
            ({"genre": "tache", "body": "Rappeler", "due_on": "9999-01-01"}, "trop lointaine"),
            ({"genre": "tache", "body": "x" * 501, "due_on": "2026-11-21"}, "500 caractères au plus"),
        ],
    )
    @pytest.mark.parametrize("headers", [{}, HTMX])
    def test_what_cannot_be_taken_is_answered_in_a_sentence_and_stays_in_the_form(
        self, client: FlaskClient, subject: Client, data: dict[str, str], said: str, headers: dict[str, str]
    ) -> None:
        answer = client.post(_address(subject, "/activites"), data={"genre": "note", **data}, headers=headers)
        assert answer.status_code == 422
        assert said in html.unescape(answer.text)
        assert data["body"].strip() in answer.text
        assert db.session.query(TimelineEvent).count() == db.session.query(Task).count() == 0

    @pytest.mark.parametrize("data", [{"genre": "x", "body": "a"}, {"genre": "tache", "body": "a", "due_on": "hier"}])
    def test_values_that_no_form_offers_are_refused(
        self, client: FlaskClient, subject: Client, data: dict[str, str]
    ) -> None:
        assert client.post(_address(subject, "/activites"), data=data).status_code == 422

    def test_a_task_due_today_is_ticked_off_and_opened_again(self, client: FlaskClient, subject: Client) -> None:
        page = _add(client, subject, genre="tache", body="Envoyer le devis", due_on="2026-11-20")
        assert "Envoyer le devis Pour le 20/11/2026" in page
        task = db.session.query(Task).one()
        address = _address(subject, f"/taches/{task.id}")
        for _ in range(2):
            ticked = client.post(address + "?onglet=apercu", data={"faite": "1"}, headers=HTMX).text
        assert "Aucune tâche à faire." in ticked
        assert 'data-testid="tab-apercu" aria-current' in ticked
        client.post(address, data={"faite": "0"})
        kinds = [event.kind for event in db.session.query(TimelineEvent).order_by(TimelineEvent.id)]
        assert kinds == [EventKind.TASK_ADDED, EventKind.TASK_DONE, EventKind.TASK_REOPENED]
        assert "Envoyer le devis Pour le" in _text(client.get(_address(subject)).text)

    @pytest.mark.parametrize(("body", "status"), [("Rappeler", 200), ("", 422)])
    def test_the_address_says_that_the_whole_timeline_is_shown(
        self, client: FlaskClient, subject: Client, body: str, status: int
    ) -> None:
        """Whatever kind of it was shown before."""
        data = {"genre": "note", "body": body}
        answer = client.post(_address(subject, "/activites?vue=q%3Dm"), data=data, headers=HTMX)
        assert answer.status_code == status
        assert answer.headers["HX-Replace-Url"] == _address(subject, "?onglet=activites&vue=q%3Dm")

    def test_the_address_of_a_refused_form_leads_back_to_it(
        self, client: FlaskClient, outsider_client: FlaskClient, subject: Client
    ) -> None:
        for place in ("activites", "documents"):
            address = _address(subject, f"/{place}")
            assert client.post(address, data={"body": ""}).status_code == 422
            assert client.get(address).location == _address(subject, f"?onglet={place}")
            assert outsider_client.get(address).status_code == 404

    def test_a_task_that_was_not_done_in_time_is_late(self, client: FlaskClient, subject: Client) -> None:
        db.session.add(Task(client_id=subject.id, title="Rappeler", due_on=date(2026, 11, 19)))
        db.session.commit()
        assert "En retard depuis le 19/11/2026" in _text(client.get(_address(subject)).text)

    def test_the_timeline_shows_one_kind_page_by_page(self, client: FlaskClient, subject: Client) -> None:
        for number in range(25):
            for kind in (EventKind.NOTE, EventKind.CLIENT_SYNCED):
                db.session.add(TimelineEvent(client_id=subject.id, kind=kind, body=f"Texte{number:02}"))
        db.session.commit()
        page = client.get(_address(subject, "?onglet=activites&genre=notes")).text
        assert page.count('data-kind="note"') == page.count('data-testid="timeline-event"') == 20
        following = re.search(r'hx-get="([^"]+avant=[^"]+)"', page)
        assert following
        rest = client.get(html.unescape(following[1]), headers=HTMX).text
        assert rest.count('data-kind="note"') == rest.count('data-testid="timeline-event"') == 5

    def test_every_kind_of_event_has_its_filter(self, client: FlaskClient, subject: Client) -> None:
        for kind in EventKind:
            db.session.add(TimelineEvent(client_id=subject.id, kind=kind))
        db.session.commit()
        page = client.get(_address(subject, "?onglet=activites")).text
        filters = set(re.findall(r"genre=(\w+)", page))
        shown: list[str] = []
        for each in filters:
            page = client.get(_address(subject, f"?onglet=activites&genre={each}")).text
            shown += re.findall(r'data-testid="timeline-event" data-kind="(\w+)"', page)
        assert sorted(shown) == sorted(kind.value for kind in EventKind)


class TestNeighbours:
    @pytest.fixture
    def row(self, subject: Client) -> list[Client]:
        """Four clients of Lyon by name, among others."""
        found = [
            ClientFactory(last_name=name, first_name="", city="Lyon") for name in ("ABEL", "BRUN", "CARON", "DENIS")
        ]
        ClientFactory(last_name="BOB", city="Nice")
        db.session.commit()
        return found

    def _links(self, browser: FlaskClient, client: Client, view: str) -> dict[str, str]:
        page = browser.get(_address(client), query_string={"vue": view}).text
        return {
            side: link
            for side in ("previous", "next")
            for link in re.findall(rf'data-testid="{side}-client"\s+href="/clients/([^?"]+)', page)
        }

    @pytest.mark.parametrize("view", ["q=lyon&tri=nom", "tri=ville&source=crm", "tri=nom"])
    def test_they_are_those_of_the_list(
        self, client: FlaskClient, row: list[Client], view: str, subject: Client
    ) -> None:
        page = client.get(f"/clients?{view}").text
        listed = re.findall(r'data-client-id="([^"]+)"', page)
        for before, here, after in zip(["", *listed], listed, [*listed[1:], ""], strict=False):
            current = db.session.query(Client).filter_by(id=here).one()
            expected = {side: each for side, each in (("previous", before), ("next", after)) if each}
            assert self._links(client, current, view) == expected

    def test_turned_round_they_change_places(self, client: FlaskClient, row: list[Client]) -> None:
        forth, back = self._links(client, row[2], "tri=nom"), self._links(client, row[2], "tri=-nom")
        assert (forth["previous"], forth["next"]) == (back["next"], back["previous"])

    def test_the_list_leads_to_pages_that_know_it(self, client: FlaskClient, row: list[Client]) -> None:
        page = client.get("/clients?q=ABEL&tri=ville").text
        link = re.search(rf'href="({_address(row[0])}[^"]*)"', page)
        assert link
        shown = client.get(html.unescape(link[1])).text
        assert 'class="page-back" href="/clients?q=ABEL&amp;tri=ville"' in shown

    @pytest.mark.parametrize("view", ["", "x", "%%%", "tri=x&apres=x", "q=" + "x" * 5000])
    def test_odd_views_do_no_harm(self, client: FlaskClient, row: list[Client], view: str) -> None:
        assert client.get(_address(row[0]), query_string={"vue": view}).status_code == 200

    def test_another_organisation_has_no_part_in_it(self, client: FlaskClient, row: list[Client], cast: Cast) -> None:
        db.session.commit()
        assert all(link in {str(each.id) for each in row} for link in self._links(client, row[1], "q=lyon").values())


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        *[("GET", f"?onglet={tab}") for tab in TABS],
        ("GET", "?vue=tri%3Dnom"),
        ("GET", "?onglet=activites&avant=018f0000-0000-7000-8000-000000000000"),
        ("POST", "/activites"),
        ("POST", "/taches/{task}"),
    ],
)
def test_an_outsider_finds_nothing(
    outsider_client: FlaskClient, client: FlaskClient, subject: Client, method: str, rest: str
) -> None:
    _add(client, subject, genre="tache", body="Rappeler", due_on="2026-12-01")
    task = db.session.query(Task).one()
    answer = outsider_client.open(
        _address(subject, rest.format(task=task.id)), method=method, data={"genre": "note", "body": "pirate"}
    )
    assert answer.status_code == 404
    db.session.refresh(task)
    assert task.done_at is None
    assert db.session.query(TimelineEvent).count() == 1


def test_a_task_of_another_client_is_not_found(client: FlaskClient, subject: Client) -> None:
    _add(client, subject, genre="tache", body="Rappeler", due_on="2026-12-01")
    other = ClientFactory()
    db.session.commit()
    task = db.session.query(Task).one()
    assert client.post(_address(other, f"/taches/{task.id}")).status_code == 404
    assert client.post(_address(subject, f"/taches/{uuid4()}")).status_code == 404
