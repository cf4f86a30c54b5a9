"""Money given back on the screen: the forms, who may use them, and what the pages say afterwards."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeStatus, Refund, RefundStatus
from webapp.models.invoices import Invoice
from webapp.models.money import totals
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.services.charges import effects
from webapp.services.invoices import crediting, drafting, finalising

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def make_charge(*, is_paid: bool = True, provider: Provider = Provider.SANDBOX) -> Charge:
    """A charge of 24 € with its numbered invoice, captured by the provider or awaited from the client."""
    client = factories.ClientFactory(last_name="DURAND", first_name="Léa")
    line = {"label": "Coffret", "quantity": "1", "unit_price": "20.00", "discount": "0", "vat_rate": "20"}
    charge: Charge = factories.ChargeFactory(
        subscription_id=factories.SubscriptionFactory(client_id=client.id).id,
        client_id=client.id,
        status=ChargeStatus.SUCCEEDED if is_paid else ChargeStatus.SCHEDULED,
        attention=None if is_paid else Attention.BY_HAND,
        attention_at=None if is_paid else NOON,
        lines=[line | {"amount": "20.00"}],
        vat=totals([(Decimal(20), Decimal("20.00"))]).as_json(),
    )
    if is_paid:
        _capture(charge, provider)
    drafting.draft_for_charge(charge, at=NOON)
    finalising.finalise_drafts(charge.organisation_id, at=NOON)
    db.session.commit()
    return charge


def _capture(charge: Charge, provider: Provider) -> None:
    account = factories.ProviderAccountFactory(company_id=factories.CompanyFactory().id, provider=provider)
    attempt = ChargeAttempt(
        id=new_id(),
        charge_id=charge.id,
        number=1,
        provider_account_id=account.id,
        provider=provider,
        provider_payment_id=f"pay_{charge.id}",
        amount=charge.amount,
        status=AttemptStatus.SUCCEEDED,
    )
    db.session.add(attempt)
    db.session.flush()
    move(charge, PaymentKind.CAPTURE, "24.00", attempt_id=attempt.id, provider=provider)


def move(charge: Charge, kind: PaymentKind, amount: str, **values: object) -> Payment:
    whose = {"company_id": charge.company_id, "client_id": charge.client_id, "charge_id": charge.id}
    payment = Payment(**whose, kind=kind, amount=Decimal(amount), happened_at=NOON, **values)
    db.session.add(payment)
    db.session.flush()
    return payment


def invoice_of(charge: Charge) -> Invoice:
    return db.session.scalars(
        select(Invoice).where(Invoice.charge_id == charge.id).execution_options(populate_existing=True)
    ).one()


def reload(charge: Charge) -> Charge:
    db.session.refresh(charge)
    return charge


def actions(page: str) -> list[str]:
    return re.findall(r'data-action="([^"]+)"', page)


BY_PROVIDER = {"montant": "10,00", "moyen": "prestataire", "motif": "Colis abîmé"}
BY_HAND = BY_PROVIDER | {"moyen": "transfer", "date": "2026-11-19", "reference": "VIR 7"}
GESTURE = {"montant": "10,00", "motif": "Retard de livraison"}


def test_a_refund_is_asked_for_by_a_form_and_sent_once(manager_client: FlaskClient) -> None:
    charge = make_charge()
    page = manager_client.get(f"/prelevements/{charge.id}?action=rembourser").text
    assert 'value="24"' in page
    demand = re.findall(r'name="demande"\s+value="([^"]+)"', page)[0]
    for _ in range(2):
        answer = manager_client.post(f"/prelevements/{charge.id}/rembourser", data=BY_PROVIDER | {"demande": demand})
        assert answer.status_code == 303
    refund = db.session.scalars(select(Refund)).one()
    assert (refund.id, refund.amount, refund.reason) == (UUID(demand), Decimal("10.00"), "Colis abîmé")
    page = manager_client.get(f"/prelevements/{charge.id}").text
    assert re.search(r'data-testid="refund-row"\s+data-status="requested"\s+data-amount="10.00"', page)
    assert f"Remboursement de {charge.code} enregistré" in page
    refund.status, refund.external_id, refund.next_attempt_at = RefundStatus.SUCCEEDED, "re_1", None
    move(charge, PaymentKind.REFUND, "-10.00", attempt_id=refund.attempt_id, external_id="re_1")
    db.session.commit()
    page = manager_client.get(f"/prelevements/{charge.id}").text
    assert re.search(rf'data-status="succeeded"\s+data-amount="10.00">\s*<th scope="row">\s*{refund.code} ', page)
    events = manager_client.get(f"/clients/{charge.client_id}?genre=prelevements").text
    assert charge.code in events
    assert refund.code in events


def test_a_refund_by_hand_is_noted_with_its_credit_note(manager_client: FlaskClient) -> None:
    charge = make_charge(provider=Provider.SEPA_FILE)
    page = manager_client.get(f"/prelevements/{charge.id}?action=rembourser").text
    assert "Par le prestataire" not in page
    assert manager_client.post(f"/prelevements/{charge.id}/rembourser", data=BY_HAND).status_code == 303
    page = manager_client.get(f"/prelevements/{charge.id}").text
    assert "VIR 7" in page
    finalising.finalise_drafts(charge.organisation_id, at=NOON)
    page = manager_client.get(f"/factures/{invoice_of(charge).id}").text
    assert re.search(r'data-testid="credit-note-row"\s+data-number="AV-000001"\s+data-total="-10.00"', page)
    assert "Remboursement" in page


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (BY_PROVIDER | {"montant": ""}, "au-dessus de zéro"),
        (BY_PROVIDER | {"montant": "beaucoup"}, "au-dessus de zéro"),
        (BY_PROVIDER | {"montant": "24,01"}, "24,00 au plus"),
        (BY_PROVIDER | {"motif": ""}, "Indiquez un motif"),
        (BY_HAND | {"moyen": "troc"}, "Choisissez comment"),
        (BY_HAND | {"date": "hier"}, "Indiquez la date"),
        (BY_HAND | {"reference": ""}, "Indiquez la référence"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field_and_stays_written(
    manager_client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    charge = make_charge()
    demand = str(new_id())
    answer = manager_client.post(f"/prelevements/{charge.id}/rembourser", data=written | {"demande": demand})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert f'value="{demand}"' in answer.text
    assert db.session.query(Refund).count() == 0


def test_what_went_back_whole_offers_no_refund(manager_client: FlaskClient) -> None:
    charge = make_charge()
    move(charge, PaymentKind.REFUND, "-24.00")
    db.session.commit()
    assert actions(manager_client.get(f"/prelevements/{charge.id}").text) == []


def test_a_refund_at_the_providers_site_is_credited_from_the_list(manager_client: FlaskClient) -> None:
    charge = make_charge()
    charge.attention, charge.attention_at = Attention.CREDIT_NOTE, NOON
    move(charge, PaymentKind.REFUND, "-10.00")
    db.session.commit()
    page = manager_client.get("/prelevements/a-traiter").text
    assert "Remboursé chez le prestataire" in page
    assert actions(page) == ["rembourser", "avoir"]
    assert manager_client.post(f"/prelevements/{charge.id}/avoir", data={"motif": "Vu"}).status_code == 303
    assert reload(charge).attention is None
    assert invoice_of(charge).credited == Decimal("10.00")


def fail_refund(charge: Charge) -> None:
    """10 € went back, were credited, and could not be delivered."""
    attempt_id = db.session.scalars(select(ChargeAttempt.id)).one()
    refund = move(charge, PaymentKind.REFUND, "-10.00", attempt_id=attempt_id, external_id="re_1")
    effects.settle_refund(charge, refund, reason="Colis abîmé", by_id=None, at=NOON)
    failure = move(
        charge, PaymentKind.REFUND_FAILURE, "10.00", attempt_id=attempt_id, undoes_id=refund.id, reason="Carte expirée"
    )
    ours = Refund(
        charge_id=charge.id,
        attempt_id=attempt_id,
        amount=Decimal(10),
        reason="Colis abîmé",
        status=RefundStatus.FAILED,
        external_id="re_1",
    )
    db.session.add(ours)
    db.session.flush()
    effects.settle_refund_failure(charge, failure, refund=ours, at=NOON)
    finalising.finalise_drafts(charge.organisation_id, at=NOON)
    db.session.commit()


def test_a_refund_that_failed_is_told_wherever_its_money_counts(manager_client: FlaskClient) -> None:
    charge = make_charge()
    fail_refund(charge)
    page = manager_client.get(f"/prelevements/{charge.id}").text
    assert re.search(r'data-testid="refund-row"\s+data-status="failed"\s+data-amount="10.00"', page)
    assert "Carte expirée" in page
    page = manager_client.get(f"/factures/{invoice_of(charge).id}").text
    assert re.search(r"À rendre au client</dt>\s*<dd>\s*10,00\s€", page)
    assert re.findall(r'data-testid="settlement-row"\s+data-amount="([^"]+)"', page) == ["24.00", "-10.00", "10.00"]
    page = manager_client.get(f"/clients/{charge.client_id}?onglet=paiements").text
    assert re.search(r'data-total="-10.00">0,00\s€ à payer · 10,00\s€ à rendre', page)
    assert "Remboursement échoué" in manager_client.get(f"/clients/{charge.client_id}?genre=prelevements").text


def test_it_is_made_again_from_the_list_without_a_second_credit_note(manager_client: FlaskClient) -> None:
    charge = make_charge()
    fail_refund(charge)
    page = manager_client.get("/prelevements/a-traiter?motif=refund_again").text
    assert "Remboursement à refaire" in page
    assert actions(page) == ["rembourser", "classer"]
    page = manager_client.get(f"/prelevements/{charge.id}?action=rembourser").text
    assert 'value="10"' in page
    assert re.search(r'data-testid="overpaid">L’argent est rendu au client. 10,00\s€ lui sont déjà dus', page)
    assert re.search(r"10,00\s€ restent dus", manager_client.get(f"/prelevements/{charge.id}?action=classer").text)
    assert manager_client.post(f"/prelevements/{charge.id}/rembourser", data=BY_HAND).status_code == 303
    assert (reload(charge).attention, invoice_of(charge).credited, invoice_of(charge).balance) == (None, 10, 0)


def test_a_gesture_lowers_what_remains(manager_client: FlaskClient) -> None:
    charge = make_charge(is_paid=False)
    address = f"/factures/{invoice_of(charge).id}"
    assert actions(manager_client.get(address).text) == ["geste"]
    demand = re.findall(r'name="demande"\s+value="([^"]+)"', manager_client.get(f"{address}?action=geste").text)[0]
    for _ in range(2):
        answer = manager_client.post(f"{address}/geste", data=GESTURE | {"demande": demand})
        assert (answer.status_code, answer.location) == (303, address)
    page = manager_client.get(address).text
    assert len(re.findall('data-testid="credit-note-row"', page)) == 1
    assert "14,00" in page
    assert invoice_of(charge).balance == Decimal("14.00")


@pytest.mark.parametrize("written", [{"montant": "24,01"}, {"montant": "x"}, {"montant": ""}, {"motif": " "}])
def test_a_gesture_that_makes_no_sense_is_refused_at_its_field(
    manager_client: FlaskClient, written: dict[str, str]
) -> None:
    invoice = invoice_of(make_charge(is_paid=False))
    answer = manager_client.post(f"/factures/{invoice.id}/geste", data=GESTURE | written)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(Invoice).count() == 1


def test_a_gesture_on_a_paid_invoice_is_refused_in_a_sentence(manager_client: FlaskClient) -> None:
    invoice = invoice_of(make_charge())
    answer = manager_client.post(f"/factures/{invoice.id}/geste", data=GESTURE)
    assert answer.status_code == 409
    assert "rien à payer" in answer.text


def test_the_invoice_of_a_paid_charge_leads_to_the_refund(manager_client: FlaskClient) -> None:
    charge = make_charge()
    page = manager_client.get(f"/factures/{invoice_of(charge).id}").text
    assert actions(page) == ["rembourser"]
    assert f"/prelevements/{charge.id}?action=rembourser" in page


def test_a_commercial_sees_invoices_and_gives_nothing_back(client: FlaskClient) -> None:
    paid, awaited = make_charge(), make_charge(is_paid=False)
    for charge in (paid, awaited):
        page = client.get(f"/factures/{invoice_of(charge).id}")
        assert (page.status_code, actions(page.text)) == (200, [])
    assert client.post(f"/factures/{invoice_of(awaited).id}/geste", data=GESTURE).status_code == 403
    assert client.post(f"/prelevements/{paid.id}/rembourser", data=BY_PROVIDER).status_code == 403
    assert db.session.query(Refund).count() == 0


def test_another_organisations_money_is_not_found(cast: Cast, sign_in: SignIn) -> None:
    charge, awaited = make_charge(), make_charge(is_paid=False)
    invoice_id = invoice_of(awaited).id
    outsider = sign_in(cast.outsider)
    assert outsider.post(f"/prelevements/{charge.id}/rembourser", data=BY_PROVIDER).status_code == 404
    assert outsider.post(f"/prelevements/{charge.id}/rembourser", data=BY_HAND).status_code == 404
    assert outsider.post(f"/prelevements/{charge.id}/avoir", data={"motif": "x"}).status_code == 404
    assert outsider.post(f"/factures/{invoice_id}/geste", data=GESTURE).status_code == 404


# --- credit notes among invoices ---


def make_note(charge: Charge) -> Invoice:
    refund = move(charge, PaymentKind.REFUND, "-24.00")
    invoice = crediting.lock_invoice_of(charge.id)
    note = crediting.credit_refund(invoice, refund, reason="Retour du colis", by_id=None, at=NOON)
    assert note is not None
    finalising.finalise_drafts(charge.organisation_id, at=NOON)
    db.session.commit()
    return note


def shown(page: str) -> list[UUID]:
    return [UUID(each) for each in re.findall(r'data-testid="invoice-row"\s+data-invoice-id="([^"]+)"', page)]


def test_the_list_tells_credit_notes_from_invoices(client: FlaskClient) -> None:
    charge = make_charge()
    note, invoice = make_note(charge), invoice_of(charge)
    queries = {
        "": [note.id, invoice.id],
        "genre=credit_note": [note.id],
        "genre=invoice": [invoice.id],
        "statut=paid": [invoice.id],
        "q=AV-000001": [note.id],
        "q=fa 1": [invoice.id],
        "q=1": [note.id, invoice.id],
        "genre=perdu": [note.id, invoice.id],
    }
    for query, expected in queries.items():
        page = client.get(f"/factures?{query}", headers=HTMX).text
        assert shown(page) == expected, query
    page = client.get("/factures?genre=credit_note").text
    assert re.search(r'data-number="AV-000001"\s+data-kind="credit_note"', page)
    assert "Émis" in page
    assert "1 avoir<" in page


def test_a_credit_note_names_its_invoice_and_its_reason(client: FlaskClient) -> None:
    note = make_note(make_charge())
    page = client.get(f"/factures/{note.id}").text
    assert re.search(r"Facture FA-000001 du 20/11/2026", page)
    assert "Retour du colis" in page
    assert "Règlements" not in page


def test_the_clients_tab_tells_what_was_credited(client: FlaskClient) -> None:
    charge = make_charge()
    make_note(charge)
    page = client.get(f"/clients/{charge.client_id}?onglet=paiements").text
    assert "AV-000001" in page
    assert re.search(r"24,00\s€ d’avoirs", page)


def test_the_number_of_queries_does_not_grow_with_credit_notes(manager_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            manager_client.get("/factures")
            manager_client.get(address)
        return len(statements)

    charge = make_charge(is_paid=False)
    address = f"/factures/{invoice_of(charge).id}"
    few = queries()
    for _ in range(3):
        crediting.credit(crediting.lock_invoice_of(charge.id), Decimal(1), reason="x", by_id=None, at=NOON)
    assert queries() == few
