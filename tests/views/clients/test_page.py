"""A client's page, and the forms that create and change one."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import HTMX, Cast, SignIn
from tests.factories import ClientFactory, ContractFactory, ContractLineFactory, make_bank_account
from tests.queries import recorded_queries
from webapp import crypto
from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Client, Source
from webapp.models.contracts import ContractStatus
from webapp.models.messages import SuppressionReason
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import SyncMapping
from webapp.services.messages import suppressing

AT = datetime(2026, 11, 20, 13, 5, tzinfo=UTC)
IBAN = "FR1420041010050500013M02606"
GROUPED = "FR14 2004 1010 0505 0001 3M02 606"


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client whose page it is: the commercial's own, from WinLeadPlus, with a contract and an account."""
    client: Client = ClientFactory(
        last_name="<b>DUPONT",
        source=Source.WINLEADPLUS,
        commercial_id=cast.sales_rep.id,
        email="elodie@example.org",
        phone="+33639981234",
        address_line1="1 rue d’Été",
    )
    db.session.add(SyncMapping(external_id="1", client_id=client.id, synced_at=AT))
    contract = ContractFactory(
        client_id=client.id,
        reference="REF-1",
        status=ContractStatus.PENDING,
        status_raw="En cours d’étude",
        amount=Decimal("1234.5"),
        document_url="javascript:alert(1)",
        audit_trail_url="https://preuves.example.org/1",
    )
    ContractLineFactory(contract_id=contract.id, label="Électricité", unit_price=Decimal("2.2"))
    make_bank_account(client, IBAN)
    db.session.commit()
    return client


@pytest.fixture
def account(subject: Client) -> BankAccount:
    """The client's account."""
    return db.session.query(BankAccount).filter_by(client_id=subject.id).one()


def _address(client: Client, rest: str = "") -> str:
    return f"/clients/{client.id}{rest}"


def _attributes(page: str, testid: str) -> str:
    """The opening tag that carries the test id."""
    found = re.search(rf'<[^>]*data-testid="{testid}"[^>]*>', page)
    assert found, f"no {testid}"
    return found[0]


def _text(page: str) -> str:
    """What stands on the page, tags left out and white space single."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


class TestPage:
    def test_it_shows_who_the_client_is_and_how_to_reach_them(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject)).text
        assert 'href="mailto:elodie@example.org"' in _attributes(page, "client-email")
        assert 'href="tel:+33639981234"' in _attributes(page, "client-phone")
        text = _text(page)
        assert "06 39 98 12 34" in text
        assert "1 rue d’Été 59000 Lille" in text
        assert "WinLeadPlus Dernière synchronisation le 20/11/2026 à 14:05" in text
        assert "WLP" in text

    def test_what_somebody_wrote_is_never_markup(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject)).text
        assert "<b>DUPONT" not in page
        assert "&lt;b&gt;DUPONT" in page

    def test_it_shows_contracts_with_their_lines(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject)).text
        row = _attributes(page, "contract-row")
        assert 'data-reference="REF-1"' in row
        assert 'data-status="pending"' in row
        assert 'data-amount="1234.50"' in row
        assert "En cours d’étude" in page
        assert _attributes(page, "contract-line")
        assert "2,20\u00a0€" in page

    def test_only_web_addresses_become_links(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject)).text
        assert "javascript:" not in page
        assert 'href="https://preuves.example.org/1"' in page

    def test_the_iban_is_masked_and_may_be_asked_for(self, client: FlaskClient, subject: Client) -> None:
        page = client.get(_address(subject)).text
        assert _attributes(page, "bank-account")
        assert "FR•• •••• 2606" in page
        assert "Afficher" in page
        assert "0505" not in page

    def test_a_colleague_is_not_offered_to_see_it(self, cast: Cast, sign_in: SignIn, subject: Client) -> None:
        page = sign_in(cast.colleague).get(_address(subject)).text
        assert "FR•• •••• 2606" in page
        assert "/iban" not in page

    def test_a_client_with_nothing_but_a_name_has_a_page(self, client: FlaskClient, cast: Cast) -> None:
        bare = Client(last_name="SEULE")
        db.session.add(bare)
        db.session.commit()
        text = _text(client.get(_address(bare)).text)
        assert "SEULE" in text
        assert "Aucun contrat" in text
        assert "Aucun compte bancaire" in text
        assert "Sans commercial" in text

    def test_the_number_of_queries_is_that_of_an_empty_client(
        self, client: FlaskClient, subject: Client, cast: Cast
    ) -> None:
        for number in range(30):
            contract = ContractFactory(client_id=subject.id, commercial_id=cast.sales_rep.id)
            ContractLineFactory(contract_id=contract.id)
            db.session.add(
                TimelineEvent(client_id=subject.id, kind=EventKind.CLIENT_UPDATED, changes={"city": ["", str(number)]})
            )
        db.session.commit()
        address = _address(subject)
        db.session.expunge_all()
        with recorded_queries() as queries:
            assert client.get(address).status_code == 200
        # The user; the client; accounts; contracts, lines, commercials; tasks; events, their users; the snapshot;
        # the place in the list, the client before and the one after; blocked addresses; orders in shops;
        # the pairs of who may be the same, and how many there are.
        assert len(queries) <= 15

    def test_an_address_that_is_blocked_says_so_with_why_and_since_when(
        self, client: FlaskClient, subject: Client, cast: Cast
    ) -> None:
        subject.email, subject.phone = "lea@example.org", "+33639981234"
        db.session.commit()
        assert "bloqué" not in client.get(_address(subject)).text
        at = datetime(2026, 11, 3, 9, 5, tzinfo=UTC)
        suppressing.suppress("lea@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=at)
        db.session.commit()
        for headers in ({}, HTMX):
            page = client.get(_address(subject), headers=headers).text
            assert page.count('data-testid="blocked-address"') == 1
            assert "L’adresse ne fonctionne plus, depuis le 03/11/2026" in page
        assert "(adresse bloquée)" in client.get(f"{_address(subject)}?onglet=documents").text
        assert "(numéro bloqué)" not in page
        suppressing.block(subject.phone, by=cast.admin, at=at)
        db.session.commit()
        assert client.get(_address(subject)).text.count('data-testid="blocked-address"') == 2

    def test_the_timeline_goes_on_under_htmx_and_without(self, client: FlaskClient, subject: Client) -> None:
        for number in range(25):
            db.session.add(
                TimelineEvent(
                    client_id=subject.id, kind=EventKind.CLIENT_SYNCED, changes={"city": [None, f"Ville{number:02}"]}
                )
            )
        db.session.commit()
        page = client.get(_address(subject)).text
        assert page.count('data-testid="timeline-event"') == 20
        assert "Ville24" in page
        assert "Ville04" not in page
        following = re.search(r'hx-get="([^"]+avant=[^"]+)"', page)
        assert following
        fragment = client.get(following[1], headers=HTMX).text
        assert fragment.count('data-testid="timeline-event"') == 5
        assert "<html" not in fragment
        assert "Ville04" in client.get(following[1]).text

    @pytest.mark.parametrize("rest", ["?avant=c0b7e9a4-41ab-431b-a835-b2d5d425d95f", "?avant=x", "?onglet=x"])
    def test_odd_addresses_do_no_harm(self, client: FlaskClient, subject: Client, rest: str) -> None:
        for headers in ({}, HTMX):
            assert client.get(_address(subject, rest), headers=headers).status_code == 200


class TestReveal:
    def test_it_answers_with_the_iban_and_the_timeline(
        self, client: FlaskClient, subject: Client, account: BankAccount
    ) -> None:
        shown = client.post(_address(subject, f"/comptes/{account.id}/iban"), headers=HTMX)
        assert shown.status_code == 200
        assert GROUPED in shown.text
        assert "IBAN affiché en clair" in shown.text
        hidden = client.get(_address(subject, f"/comptes/{account.id}"), headers=HTMX).text
        assert "FR•• •••• 2606" in hidden
        assert "0505" not in hidden

    def test_it_works_without_htmx(self, client: FlaskClient, subject: Client, account: BankAccount) -> None:
        page = client.post(_address(subject, f"/comptes/{account.id}/iban"))
        assert GROUPED in page.text
        assert "<html" in page.text
        assert client.get(_address(subject, f"/comptes/{account.id}")).status_code == 302

    def test_a_colleague_is_refused(self, cast: Cast, sign_in: SignIn, subject: Client, account: BankAccount) -> None:
        answer = sign_in(cast.colleague).post(_address(subject, f"/comptes/{account.id}/iban"), headers=HTMX)
        assert answer.status_code == 403
        assert "manager" in answer.text
        assert "0505" not in answer.text

    def test_nobody_reveals_without_end(self, client: FlaskClient, subject: Client, account: BankAccount) -> None:
        address = _address(subject, f"/comptes/{account.id}/iban")
        answers = [client.post(address, headers=HTMX).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]

    def test_the_limit_is_each_persons_own(
        self, client: FlaskClient, manager_client: FlaskClient, subject: Client, account: BankAccount
    ) -> None:
        address = _address(subject, f"/comptes/{account.id}/iban")
        for _ in range(11):
            client.post(address, headers=HTMX)
        assert manager_client.post(address, headers=HTMX).status_code == 200


class TestIdentityCard:
    @pytest.fixture
    def address(self, subject: Client) -> str:
        """The card of the subject."""
        card = json.dumps({"numero": "X4RTBPFW4"})
        subject.identity_card = crypto.seal(card, place=subject.place("identity_card"))
        db.session.commit()
        return _address(subject, "/piece-identite")

    def test_it_is_hidden_until_asked_for_and_that_is_told(
        self, client: FlaskClient, subject: Client, address: str
    ) -> None:
        page = client.get(_address(subject)).text
        assert address in page
        assert "X4RTBPFW4" not in page
        shown = client.post(address, headers=HTMX).text
        assert "X4RTBPFW4" in shown
        assert "Pièce d’identité affichée en clair" in shown
        assert "X4RTBPFW4" not in client.get(address, headers=HTMX).text

    def test_it_works_without_htmx(self, client: FlaskClient, address: str) -> None:
        page = client.post(address).text
        assert "X4RTBPFW4" in page
        assert "<html" in page
        assert client.get(address).status_code == 302

    def test_a_colleague_is_neither_offered_it_nor_shown(
        self, cast: Cast, sign_in: SignIn, subject: Client, address: str
    ) -> None:
        browser = sign_in(cast.colleague)
        assert address not in browser.get(_address(subject)).text
        answer = browser.post(address, headers=HTMX)
        assert answer.status_code == 403
        assert "X4RTBPFW4" not in answer.text

    def test_nobody_looks_without_end(self, client: FlaskClient, address: str) -> None:
        answers = [client.post(address, headers=HTMX).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]

    def test_an_outsider_finds_nothing(self, outsider_client: FlaskClient, address: str) -> None:
        assert outsider_client.post(address, headers=HTMX).status_code == 404
        assert outsider_client.get(address, headers=HTMX).status_code == 404


class TestCreation:
    def test_the_form_proposes_the_user_as_commercial(self, client: FlaskClient, cast: Cast) -> None:
        page = client.get("/clients/nouveau").text
        assert f'<option selected value="{cast.sales_rep.id}">' in page

    def test_a_client_is_created_and_shown(self, client: FlaskClient, cast: Cast) -> None:
        answer = client.post(
            "/clients/nouveau",
            data={"last_name": "DURAND", "phone": "0639981234", "country": "FR", "status": "active", "iban": GROUPED},
        )
        assert answer.status_code == 303
        created = db.session.query(Client).filter_by(last_name="DURAND").one()
        assert answer.location == _address(created)
        assert (created.phone, created.status.value, created.commercial_id) == ("+33639981234", "active", None)
        page = client.get(answer.location).text
        assert "DURAND a été créé." in page
        assert "FR•• •••• 2606" in page

    def test_errors_stand_at_their_fields_and_what_was_typed_stays(self, client: FlaskClient, cast: Cast) -> None:
        answer = client.post(
            "/clients/nouveau",
            data={
                "email": "jean@",
                "phone": "12",
                "postcode": "5900",
                "country": "FR",
                "birth_date": "2999-01-01",
                "iban": "FR00",
                "bic": "X",
                "city": "Lille",
                "status": "prospect",
            },
        )
        assert answer.status_code == 422
        for field in ("last_name", "email", "phone", "postcode", "birth_date", "iban", "bic"):
            assert f'id="{field}-error"' in answer.text, field
            assert f'aria-describedby="{field}-error"' in answer.text
        assert 'value="jean@"' in answer.text
        assert 'value="Lille"' in answer.text
        assert db.session.query(Client).count() == 0

    @pytest.mark.parametrize(
        "data",
        [
            {"country": "??"},
            {"status": "roi"},
            {"commercial_id": "x"},
            {"commercial_id": "c0b7e9a4-41ab-431b-a835-b2d5d425d95f"},
            {"civility": "Sire"},
            {"birth_date": "hier"},
            {"last_name": "x" * 201},
            {"bic": "PSSTFRPPLIL"},
        ],
    )
    def test_values_that_no_form_offers_are_refused(
        self, client: FlaskClient, cast: Cast, data: dict[str, str]
    ) -> None:
        filled = {"last_name": "DURAND", "country": "FR", "status": "prospect", **data}
        assert client.post("/clients/nouveau", data=filled).status_code == 422
        assert db.session.query(Client).count() == 0

    def test_a_control_character_does_not_reach_the_database(self, client: FlaskClient, cast: Cast) -> None:
        client.post("/clients/nouveau", data={"last_name": "DU\0RAND", "country": "FR", "status": "prospect"})
        assert db.session.query(Client).one().last_name == "DURAND"

    def test_a_similar_client_is_shown_and_can_be_passed_over(self, client: FlaskClient, subject: Client) -> None:
        data = {"last_name": "DURAND", "email": "elodie@example.org", "country": "FR", "status": "prospect"}
        answer = client.post("/clients/nouveau", data=data)
        assert answer.status_code == 409
        assert _address(subject) in answer.text
        assert "Créer quand même" in answer.text
        assert 'value="DURAND"' in answer.text
        assert client.post("/clients/nouveau", data={**data, "confirmed": "1"}).status_code == 303

    def test_a_write_needs_the_token(self, client: FlaskClient) -> None:
        del client.environ_base["HTTP_X_CSRFTOKEN"]
        answer = client.post("/clients/nouveau", data={"last_name": "DURAND", "country": "FR", "status": "prospect"})
        assert answer.status_code == 400
        assert "Rechargez-la" in answer.text


class TestCheck:
    def test_a_field_is_looked_at_when_it_is_left(self, client: FlaskClient, cast: Cast) -> None:
        answer = client.post("/clients/controle/phone", data={"phone": "12"}, headers=HTMX)
        assert answer.status_code == 200
        assert 'id="phone-error"' in answer.text
        assert 'value="12"' in answer.text
        assert 'id="last_name' not in answer.text

    def test_a_similar_client_is_told_at_once(self, client: FlaskClient, subject: Client) -> None:
        data = {"email": "ELODIE@example.org"}
        answer = client.post("/clients/controle/email", data=data, headers=HTMX).text
        assert "existe déjà" in answer
        assert "quand même" not in answer
        own = client.post(f"/clients/controle/email?client_id={subject.id}", data=data, headers=HTMX).text
        assert "existe déjà" not in own

    def test_there_is_nothing_to_look_at_in_other_fields(self, client: FlaskClient) -> None:
        for field in ("csrf_token", "version", "x"):
            assert client.post(f"/clients/controle/{field}", headers=HTMX).status_code == 404


class TestChange:
    def _filled(self, page: TestResponse) -> dict[str, str]:
        """What a browser would send from the form on the page, as it stands."""
        values: dict[str, str] = {}
        for tag in re.findall(r"<input[^>]*>", page.text):
            name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
            if name:
                values[name[1]] = (
                    (value[1] if value else "").replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")
                )
        for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page.text, re.DOTALL):
            chosen = re.search(r'<option selected value="([^"]*)"', options)
            values[name] = chosen[1] if chosen else ""
        return values

    def test_the_form_holds_what_is_there_and_saving_it_changes_nothing(
        self, client: FlaskClient, subject: Client
    ) -> None:
        form = client.get(_address(subject, "/modifier"))
        filled = self._filled(form)
        assert filled["phone"] == "06 39 98 12 34"
        assert client.post(_address(subject, "/modifier"), data=filled).status_code == 303
        db.session.refresh(subject)
        assert subject.version == 1

    def test_a_change_is_saved_and_told(self, client: FlaskClient, subject: Client) -> None:
        filled = self._filled(client.get(_address(subject, "/modifier")))
        answer = client.post(_address(subject, "/modifier"), data={**filled, "city": "Roubaix"})
        assert answer.status_code == 303
        text = _text(client.get(answer.location).text)
        assert "modifications enregistrées" in text
        assert "Ville : Lille → Roubaix" in text

    def test_a_change_made_meanwhile_is_shown_and_not_overwritten(self, client: FlaskClient, subject: Client) -> None:
        filled = self._filled(client.get(_address(subject, "/modifier")))
        subject.city, subject.postcode, subject.version = "Roubaix", "59100", 2
        db.session.commit()
        answer = client.post(_address(subject, "/modifier"), data={**filled, "city": "Tourcoing"})
        assert answer.status_code == 409
        assert 'data-testid="meanwhile"' in answer.text
        rows = re.findall(r'data-testid="difference">\s*<th scope="row">(.+?)</th>', answer.text)
        assert rows == ["Code postal", "Ville"]
        text = _text(answer.text)
        assert "Ville Lille Roubaix Tourcoing" in text
        db.session.refresh(subject)
        assert subject.city == "Roubaix"
        merged = self._filled(answer)
        assert (merged["city"], merged["postcode"], merged["version"]) == ("Tourcoing", "59100", "2")
        assert client.post(_address(subject, "/modifier"), data=merged).status_code == 303
        db.session.refresh(subject)
        assert (subject.city, subject.postcode) == ("Tourcoing", "59100")

    def test_a_commercial_taken_away_meanwhile_is_named(
        self, manager_client: FlaskClient, subject: Client, cast: Cast
    ) -> None:
        filled = self._filled(manager_client.get(_address(subject, "/modifier")))
        subject.commercial_id, subject.version = None, 2
        db.session.commit()
        answer = manager_client.post(_address(subject, "/modifier"), data=filled)
        assert answer.status_code == 409
        assert f"Commercial {cast.sales_rep.full_name} Aucun —" in _text(answer.text)

    @pytest.mark.parametrize("base", ["", "{", '{"status": 7}', "[]"])
    def test_a_form_without_its_beginnings_still_overwrites_nothing(
        self, client: FlaskClient, subject: Client, base: str
    ) -> None:
        filled = self._filled(client.get(_address(subject, "/modifier")))
        subject.version = 2
        db.session.commit()
        answer = client.post(_address(subject, "/modifier"), data={**filled, "base": base})
        assert answer.status_code == 409
        assert "modifié entre-temps" in answer.text

    def test_the_commercial_may_be_taken_away_by_a_manager(self, manager_client: FlaskClient, subject: Client) -> None:
        filled = self._filled(manager_client.get(_address(subject, "/modifier")))
        manager_client.post(_address(subject, "/modifier"), data={**filled, "commercial_id": ""})
        db.session.refresh(subject)
        assert subject.commercial_id is None

    def test_a_commercial_reads_at_the_field_that_they_may_not(self, client: FlaskClient, subject: Client) -> None:
        filled = self._filled(client.get(_address(subject, "/modifier")))
        answer = client.post(_address(subject, "/modifier"), data={**filled, "commercial_id": ""})
        assert answer.status_code == 422
        assert "Seul un manager ou un administrateur peut changer le commercial" in answer.text
        db.session.refresh(subject)
        assert subject.commercial_id is not None


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("GET", "?avant=018f0000-0000-7000-8000-000000000000"),
        ("GET", "/modifier"),
        ("POST", "/modifier"),
        ("POST", "/comptes/{account}/iban"),
        ("GET", "/comptes/{account}"),
    ],
)
def test_an_outsider_finds_nothing(
    outsider_client: FlaskClient, subject: Client, account: BankAccount, method: str, rest: str
) -> None:
    address = _address(subject, rest.format(account=account.id))
    answer = outsider_client.open(address, method=method, headers=HTMX, data={"last_name": "PIRATE"})
    assert answer.status_code == 404
    db.session.refresh(subject)
    assert subject.last_name == "<b>DUPONT"


def test_an_outsider_is_told_of_no_similar_client(outsider_client: FlaskClient, subject: Client) -> None:
    answer = outsider_client.post("/clients/controle/email", data={"email": subject.email}, headers=HTMX)
    assert "existe déjà" not in answer.text


def test_an_unknown_client_is_a_404(client: FlaskClient) -> None:
    assert client.get(f"/clients/{uuid4()}").status_code == 404
    assert client.get("/clients/42").status_code == 404
