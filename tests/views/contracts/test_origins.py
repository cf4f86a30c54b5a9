"""« D’où vient cette valeur ? » of a contract in the browser: panel, page, a value put back; outsiders see nothing."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, Cast
from webapp import clock
from webapp.extensions import db
from webapp.models.contracts import Contract, ContractStatus
from webapp.services.contracts import editing, origins
from webapp.services.contracts.fields import ContractFields


def _changed_contract(cast: Cast, **values: object) -> Contract:
    """A contract with one change, made a minute ago by the manager."""
    contract: Contract = factories.ContractFactory(
        client_id=factories.ClientFactory().id, amount=Decimal("10.5"), status=ContractStatus.PENDING
    )
    db.session.flush()
    fields = ContractFields(**{**vars(ContractFields.of(contract)), **values})
    at = clock.now() + timedelta(minutes=1)
    editing.edit_contract(contract.id, fields, seen=contract.changed_at, by=cast.manager, at=at)
    db.session.commit()
    return contract


def _change_id(contract_id: UUID, field: str) -> int | None:
    return origins.find_origin(contract_id, field).steps[0].event.id


def test_a_value_tells_where_it_comes_from_and_goes_back(
    cast: Cast, client: FlaskClient, outsider_client: FlaskClient
) -> None:
    contract = _changed_contract(cast, amount=Decimal(12))
    address = f"/contrats/{contract.id}/origine/amount"
    assert address in client.get(f"/contrats/{contract.id}").text
    panel, page = client.get(address, headers=HTMX).text, client.get(address).text
    for text in (panel, page):
        assert re.search(r'data-testid="origin-before">10,50<', text)
        assert cast.manager.full_name in text
        assert "Remettre cette valeur" in text
    assert "<html" not in panel
    assert "<html" in page
    data = {"evenement": _change_id(contract.id, "amount"), "version": contract.changed_at.isoformat()}
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address, data=data).status_code == 404
    assert client.post(address, data={**data, "version": ""}).status_code == 409
    assert client.post(address, data=data).status_code == 303
    db.session.refresh(contract)
    assert contract.amount == Decimal("10.5")
    assert client.post(address, data={"evenement": "x"}).status_code == 422
    for unknown in ("lines", "client_id", "missing_since"):
        assert client.get(f"/contrats/{contract.id}/origine/{unknown}").status_code == 404


def test_each_value_of_the_page_can_be_asked_about(cast: Cast, client: FlaskClient) -> None:
    contract = _changed_contract(cast, status=ContractStatus.ACTIVE)
    page = client.get(f"/contrats/{contract.id}").text
    offered = set(re.findall(rf'href="/contrats/{contract.id}/origine/(\w+)"', page))
    assert offered == origins.FIELDS
    for field in offered:
        assert client.get(f"/contrats/{contract.id}/origine/{field}").status_code == 200


def test_a_value_is_put_back_only_where_it_could_be_chosen(cast: Cast, client: FlaskClient) -> None:
    contract = _changed_contract(cast, commercial_id=cast.sales_rep.id)
    left = factories.CommercialFactory(is_active=False)
    db.session.flush()
    contract.commercial_id = left.id
    db.session.flush()
    contract.commercial_id = None
    other = factories.CompanyFactory()
    db.session.flush()
    contract.company_id = other.id
    db.session.commit()
    steps = origins.find_origin(contract.id, "commercial_id").steps
    assert [step.before for step in steps[:2]] == [left.id, cast.sales_rep.id]
    origin = origins.find_origin(contract.id, "commercial_id")
    assert [origin.can_put_back(step) for step in origin.steps] == [False, True, False, False]
    page = client.get(f"/contrats/{contract.id}/origine/company_id").text
    assert "Remettre cette valeur" not in page
    data = {"evenement": _change_id(contract.id, "company_id"), "version": contract.changed_at.isoformat()}
    assert client.post(f"/contrats/{contract.id}/origine/company_id", data=data).status_code == 422


def test_a_reference_that_another_contract_took_is_not_put_back(cast: Cast, client: FlaskClient) -> None:
    contract = _changed_contract(cast, reference="NEUVE")
    [step, _] = origins.find_origin(contract.id, "reference").steps
    factories.ContractFactory(client_id=contract.client_id, reference=step.before)
    db.session.commit()
    data = {"evenement": step.event.id, "version": contract.changed_at.isoformat()}
    answer = client.post(f"/contrats/{contract.id}/origine/reference", data=data)
    assert (answer.status_code, "déjà celle d’un autre contrat" in answer.text) == (422, True)
