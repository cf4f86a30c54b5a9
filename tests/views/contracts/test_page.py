"""A contract's page, and the forms that create and change one."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast
from tests.factories import (
    ClientFactory,
    CommercialFactory,
    ContractFactory,
    ContractLineFactory,
    ProductFactory,
    SubscriptionFactory,
    default_company,
)
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractStatus, ContractStatusChange, PaymentMethod
from webapp.models.covers import Cover
from webapp.models.timeline import EventKind, TimelineEvent

NOW = datetime(2026, 11, 20, 13, 5, tzinfo=UTC)


@pytest.fixture
def owner(cast: Cast) -> Client:
    """The client whose contracts they are."""
    clock.start_at(NOW)
    client: Client = ClientFactory(last_name="MARTIN", first_name="", commercial_id=cast.sales_rep.id)
    db.session.commit()
    return client


@pytest.fixture
def contract(owner: Client, cast: Cast) -> Contract:
    """A contract with a line, signed by somebody who is not the client's commercial."""
    seller = CommercialFactory(first_name="Zoé", last_name="Partie", is_active=False)
    contract: Contract = ContractFactory(
        client_id=owner.id,
        reference="REF-1",
        commercial_id=seller.id,
        amount=Decimal("1234.5"),
        signed_at=datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
        status=ContractStatus.PENDING,
        status_raw="En étude",
        payment_method=PaymentMethod.SEPA,
        withdrawal_day=5,
        document_url="javascript:alert(1)",
        audit_trail_url="https://preuves.example.org/1",
    )
    ContractLineFactory(contract_id=contract.id, label="Électricité", unit_price=Decimal("2.2"), details={"offre": 7})
    db.session.commit()
    return contract


def _text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def _filled(page: str) -> dict[str, str]:
    """What a browser would send from the form on the page, as it stands."""
    form = page[page.index('class="form-page"') :]
    values = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            values[name[1]] = html.unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option selected value="([^"]*)"', options) or re.search(r'value="([^"]*)"', options)
        values[name] = chosen[1] if chosen else ""
    for name, content in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        values[name] = html.unescape(content).strip()
    return values


class TestPage:
    def test_it_shows_the_contract(self, client: FlaskClient, contract: Contract, cast: Cast) -> None:
        page = client.get(f"/contrats/{contract.id}").text
        text = _text(page)
        assert "Client MARTIN Montant 1 234,50 €" in text.replace("\u202f", " ").replace("\xa0", " ")
        assert "Commercial à la signature Zoé Partie" in text
        assert f"Commercial actuel du client {cast.sales_rep.full_name}" in text
        assert "Signature 01/02/2026" in text
        assert "Jour de prélèvement le 5" in text
        assert "Sans mandat actif" in text
        assert "Électricité 1" in text
        assert "Créé : En étude" in text.replace("\u202f", " ")
        assert 'href="https://preuves.example.org/1"' in page
        assert 'href="javascript' not in page

    def test_the_number_of_queries_does_not_grow(self, client: FlaskClient, contract: Contract) -> None:
        address, contract_id = f"/contrats/{contract.id}", contract.id

        def number_of_queries() -> int:
            db.session.expunge_all()
            with recorded_queries() as queries:
                assert client.get(address).status_code == 200
            return len(queries)

        few = number_of_queries()
        for position in range(20):
            ContractLineFactory(contract_id=contract_id, position=1_000_000 + position)
            at = NOW + timedelta(days=position)
            change = {"old_status": ContractStatus.DRAFT, "new_status": ContractStatus.ACTIVE, "at": at}
            db.session.add(ContractStatusChange(contract_id=contract_id, **change))
        db.session.commit()
        assert number_of_queries() == few <= 5

    def test_it_leads_to_its_subscriptions_and_their_covers(self, client: FlaskClient, contract: Contract) -> None:
        subscription = SubscriptionFactory(client_id=contract.client_id, contract_id=contract.id)
        other = SubscriptionFactory(client_id=contract.client_id)
        cover = Cover(
            subscription_id=subscription.id,
            client_id=contract.client_id,
            concluded_on=NOW.date(),
            effective_on=NOW.date(),
        )
        db.session.add(cover)
        db.session.commit()
        page = client.get(f"/contrats/{contract.id}").text
        assert f'href="/abonnements/{subscription.id}"' in page
        assert f'href="/couvertures/{cover.id}"' in page
        assert f"/abonnements/{other.id}" not in page

    def test_whatever_changes_a_status_it_is_kept(self, client: FlaskClient, contract: Contract) -> None:
        contract.status, contract.status_raw, contract.changed_at = ContractStatus.ACTIVE, None, NOW
        db.session.commit()
        text = _text(client.get(f"/contrats/{contract.id}").text)
        assert "En étude → Actif 20/11/2026 à 14:05 · synchronisation" in text


class TestCreation:
    def _filled(self, browser: FlaskClient, owner: Client) -> dict[str, str]:
        return _filled(browser.get(f"/contrats/nouveau?client={owner.id}").text)

    def _create(self, browser: FlaskClient, owner: Client, **values: str) -> tuple[int, str]:
        filled = {**self._filled(browser, owner), "reference": "CRM-1", **values}
        answer = browser.post(f"/contrats/nouveau?client={owner.id}", data=filled)
        return answer.status_code, html.unescape(answer.text)

    def test_a_contract_is_created_with_its_lines(self, client: FlaskClient, owner: Client, cast: Cast) -> None:
        product = ProductFactory(name="Gaz")
        db.session.commit()
        status, _ = self._create(
            client,
            owner,
            amount="1 234,50 €",
            signed_on="2026-11-02",
            withdrawal_day="8",
            **{
                "lines-0-label": "GAZ",
                "lines-0-quantity": "2",
                "lines-1-label": "Coffret",
                "lines-1-unit_price": "9,9",
            },
        )
        assert status == 303
        made = db.session.query(Contract).one()
        assert (made.client_id, made.commercial_id, made.source) == (owner.id, cast.sales_rep.id, None)
        assert (made.amount, made.signed_on, made.withdrawal_day) == (Decimal("1234.50"), date(2026, 11, 2), 8)
        lines = [(line.label, line.quantity, line.unit_price, line.product_id) for line in made.lines]
        assert lines == [("GAZ", 2, None, product.id), ("Coffret", 1, Decimal("9.9"), None)]
        assert db.session.query(TimelineEvent).one().kind is EventKind.CONTRACT_CREATED

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"reference": " "}, "reference"),
            ({"reference": "x" * 101}, "reference"),
            ({"amount": "beaucoup"}, "amount"),
            ({"amount": "-1"}, "amount"),
            ({"amount": "99999999999"}, "amount"),
            ({"withdrawal_day": "32"}, "withdrawal_day"),
            ({"signed_on": "2026-11-21"}, "signed_on"),
            ({"starts_on": "2026-02-01", "ends_on": "2026-01-31"}, "ends_on"),
            ({"starts_on": "0001-01-01"}, "starts_on"),
            ({"company_id": ""}, "company_id"),
            ({"commercial_id": "c0b7e9a4-41ab-431b-a835-b2d5d425d95f"}, "commercial_id"),
            ({"status": "roi"}, "status"),
            ({"lines-0-unit_price": "9"}, "lines"),
            ({"lines-0-label": "x", "lines-0-quantity": "0"}, "lines"),
            ({"lines-0-label": "x", "lines-0-quantity": "deux"}, "lines-0-quantity"),
        ],
    )
    def test_an_error_stands_at_its_field_and_nothing_is_written(
        self, client: FlaskClient, owner: Client, values: dict[str, str], field: str
    ) -> None:
        status, page = self._create(client, owner, **values)
        assert status == 422
        assert f'id="{field}-error"' in page
        assert db.session.query(Contract).count() == db.session.query(TimelineEvent).count() == 0

    @pytest.mark.parametrize("amount", ["beaucoup", "-1"])
    def test_all_errors_are_told_at_once(self, client: FlaskClient, owner: Client, amount: str) -> None:
        faults = {"reference": "", "withdrawal_day": "45", "signed_on": "2030-01-01", "lines-0-unit_price": "9"}
        _, page = self._create(client, owner, amount=amount, **faults)
        for field in ("reference", "amount", "withdrawal_day", "signed_on", "lines"):
            assert page.count(f'id="{field}-error"') == 1
        assert page.count("Le montant doit être positif") == (amount == "-1")

    def test_a_reference_is_used_once(self, client: FlaskClient, owner: Client, contract: Contract) -> None:
        status, page = self._create(client, owner, reference="REF-1")
        assert status == 422
        assert "déjà celle d’un autre contrat" in page
        assert db.session.query(Contract).count() == 1
        assert self._create(client, owner, reference="REF-2")[0] == 303

    def test_without_a_client_one_is_looked_for(self, client: FlaskClient, owner: Client) -> None:
        assert "Pour quel client" in client.get("/contrats/nouveau").text
        assert f"/contrats/nouveau?client={owner.id}" in client.get("/contrats/nouveau?q=martin").text
        assert "Aucun client ne correspond" in client.get("/contrats/nouveau?q=personne").text


class TestChange:
    def _change(self, browser: FlaskClient, contract: Contract, **values: str) -> tuple[int, str]:
        filled = {**_filled(browser.get(f"/contrats/{contract.id}/modifier").text), **values}
        answer = browser.post(f"/contrats/{contract.id}/modifier", data=filled)
        return answer.status_code, html.unescape(answer.text)

    def test_saving_what_is_there_changes_nothing(self, client: FlaskClient, contract: Contract) -> None:
        before = (contract.changed_at, contract.signed_at)
        assert self._change(client, contract)[0] == 303
        db.session.refresh(contract)
        assert (contract.changed_at, contract.signed_at) == before
        assert contract.lines[0].details == {"offre": 7}
        assert db.session.query(TimelineEvent).count() == 0

    def test_a_change_is_saved_and_told_with_who_did_it(
        self, client: FlaskClient, contract: Contract, cast: Cast
    ) -> None:
        assert self._change(client, contract, status="active", amount="10", **{"lines-1-label": "Gaz"})[0] == 303
        db.session.refresh(contract)
        assert (contract.status, contract.status_raw, contract.amount) == (ContractStatus.ACTIVE, None, 10)
        assert [line.label for line in contract.lines] == ["Électricité", "Gaz"]
        assert contract.lines[0].details == {"offre": 7}
        change = db.session.query(ContractStatusChange).one()
        assert (change.user_id, change.old_status_raw, change.at) == (
            cast.commercial.id,
            "En étude",
            contract.changed_at,
        )
        told = db.session.query(TimelineEvent).one()
        assert told.kind is EventKind.CONTRACT_UPDATED
        assert told.changes["Contrat REF-1\u202f: montant"] == ["1\u202f234,50", "10,00"]
        assert "Contrat REF-1\u202f: statut" in html.unescape(client.get(f"/clients/{contract.client_id}").text)

    def test_a_synchronisation_after_an_edit_is_not_taken_for_the_editor(
        self, client: FlaskClient, contract: Contract
    ) -> None:
        self._change(client, contract, status="active")
        contract.status = ContractStatus.TERMINATED
        db.session.commit()
        assert (
            db.session.query(ContractStatusChange).filter_by(new_status=ContractStatus.TERMINATED).one().user_id is None
        )

    def test_what_somebody_else_changed_is_shown_and_not_overwritten(
        self, client: FlaskClient, contract: Contract
    ) -> None:
        filled = _filled(client.get(f"/contrats/{contract.id}/modifier").text)
        contract.supplier, contract.changed_at = "Autre", NOW + timedelta(minutes=1)
        db.session.commit()
        answer = client.post(f"/contrats/{contract.id}/modifier", data={**filled, "supplier": "Le mien"})
        assert answer.status_code == 409
        assert 'data-testid="meanwhile"' in answer.text
        assert "Fournisseur vide Autre Le mien" in _text(answer.text)
        assert "vide vide" not in _text(answer.text)
        db.session.refresh(contract)
        assert contract.supplier == "Autre"
        again = client.post(f"/contrats/{contract.id}/modifier", data=_filled(answer.text))
        assert again.status_code == 303
        db.session.refresh(contract)
        assert contract.supplier == "Le mien"

    def test_what_only_somebody_else_changed_stays_as_they_left_it(
        self, client: FlaskClient, contract: Contract
    ) -> None:
        filled = _filled(client.get(f"/contrats/{contract.id}/modifier").text)
        contract.amount, contract.changed_at = Decimal(99), NOW + timedelta(minutes=1)
        contract.lines[0].unit_price = Decimal(9)
        db.session.commit()
        answer = client.post(f"/contrats/{contract.id}/modifier", data={**filled, "supplier": "Le mien"})
        assert answer.status_code == 409
        assert "Montant 1 234,50 99,00 —" in _text(answer.text).replace("\u202f", " ").replace("\xa0", " ")
        assert "Lignes Électricité à 2,20 Électricité à 9,00 —" in _text(answer.text)
        again = client.post(f"/contrats/{contract.id}/modifier", data=_filled(answer.text))
        assert again.status_code == 303
        db.session.refresh(contract)
        assert (contract.amount, contract.supplier) == (99, "Le mien")
        assert [line.unit_price for line in contract.lines] == [9]

    @pytest.mark.parametrize("base", ["", "{}", '{"amount": "beaucoup"}'])
    def test_a_form_that_does_not_say_what_it_started_from_overwrites_nothing(
        self, client: FlaskClient, contract: Contract, base: str
    ) -> None:
        assert self._change(client, contract, seen="", base=base, amount="1")[0] == 409
        db.session.refresh(contract)
        assert contract.amount == Decimal("1234.5")

    def test_a_refusal_adds_no_line(self, client: FlaskClient, contract: Contract) -> None:
        lines = client.get(f"/contrats/{contract.id}/modifier").text.count("<legend")
        assert self._change(client, contract, amount="beaucoup")[1].count("<legend") == lines

    @pytest.mark.parametrize("seen", ["", "hier", "2026-01-01"])
    def test_a_form_that_does_not_say_what_it_saw_overwrites_nothing(
        self, client: FlaskClient, contract: Contract, seen: str
    ) -> None:
        assert self._change(client, contract, seen=seen, amount="1")[0] == 409
        db.session.refresh(contract)
        assert contract.amount == Decimal("1234.5")


@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/modifier"), ("POST", "/modifier")])
def test_an_outsider_finds_nothing(outsider_client: FlaskClient, contract: Contract, method: str, rest: str) -> None:
    data = {"reference": "PIRATE", "status": "active", "company_id": str(contract.company_id)}
    answer = outsider_client.open(f"/contrats/{contract.id}{rest}", method=method, data=data)
    assert answer.status_code == 404


def test_nobody_creates_a_contract_of_another_organisations_client(outsider_client: FlaskClient, owner: Client) -> None:
    address = f"/contrats/nouveau?client={owner.id}"
    assert outsider_client.get(address).status_code == 404
    data = {"reference": "PIRATE", "status": "active", "company_id": str(default_company().id)}
    assert outsider_client.post(address, data=data).status_code == 404
    assert "MARTIN" not in outsider_client.get("/contrats/nouveau?q=martin").text


def test_an_unknown_contract_is_a_404(client: FlaskClient) -> None:
    assert client.get(f"/contrats/{uuid4()}").status_code == 404
    assert client.get("/contrats/42").status_code == 404
