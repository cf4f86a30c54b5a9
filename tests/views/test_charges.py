"""The pages of charges: started by a click, followed to the end, and decided on by a person. For managers alone."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from webapp import clock, keeping, queue
from webapp.extensions import db
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeRun, ChargeStatus, Refund
from webapp.models.clients import Client
from webapp.models.outbox import OutboxKind
from webapp.models.payments import Payment
from webapp.models.providers import Provider
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.subscriptions import Subscription
from webapp.services import outbox
from webapp.services.charges import listing
from webapp.services.subscriptions import scheduling

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)  # twelve o'clock in Paris
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def make_due() -> None:
    """A subscription of 20 € before tax, due since January, paid by a card at the pretend provider."""
    client = factories.ClientFactory()
    account = db.session.scalars(select(factories.ProviderAccount)).first() or factories.ProviderAccountFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=account.id)
    subscription = factories.SubscriptionFactory(
        client_id=client.id,
        recurring_amount=Decimal("20.00"),
        payment_method=saved.method,
        saved_method_id=saved.id,
        provider_account_id=account.id,
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    scheduling.schedule(subscription, 0)
    db.session.commit()


def make_charge(status: ChargeStatus = ChargeStatus.FAILED, attention: Attention | None = Attention.REFUSED) -> Charge:
    """A charge with a refused attempt."""
    client = factories.ClientFactory()
    account = db.session.scalars(select(factories.ProviderAccount)).first() or factories.ProviderAccountFactory()
    subscription = factories.SubscriptionFactory(client_id=client.id)
    charge: Charge = factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=client.id,
        status=status,
        attention=attention,
        attention_at=NOON if attention else None,
    )
    db.session.add(
        ChargeAttempt(
            charge_id=charge.id,
            number=1,
            provider_account_id=account.id,
            provider=Provider.SANDBOX,
            amount=charge.amount,
            status=AttemptStatus.REFUSED,
            provider_message="stolen_card",
        )
    )
    db.session.commit()
    return charge


def pay_by_card(charge: Charge) -> None:
    subscription = db.session.scalars(select(Subscription).where(Subscription.id == charge.subscription_id)).one()
    account = db.session.scalars(select(factories.ProviderAccount)).first()
    saved = factories.SavedPaymentMethodFactory(client_id=charge.client_id, provider_account_id=account.id)
    subscription.payment_method, subscription.saved_method_id = saved.method, saved.id
    subscription.provider_account_id = account.id
    db.session.commit()


def make_run(status: RunStatus, **values: Any) -> ChargeRun:
    run = ChargeRun(trigger=RunTrigger.MANUAL, status=status, due_before=NOON, started_at=NOON, **values)
    db.session.add(run)
    db.session.commit()
    return run


def reload(charge: Charge) -> Charge:
    statement = select(Charge).where(Charge.id == charge.id).execution_options(populate_existing=True)
    return db.session.scalars(statement).one()


def shown(page: str) -> list[str]:
    return re.findall(r'data-testid="charge-row"\s+data-charge-id="([^"]+)"', page)


# --- who ---


@pytest.mark.parametrize("path", ["", "/a-traiter", "/evenements"])
def test_a_commercial_gets_the_page_of_refusal(client: FlaskClient, path: str) -> None:
    assert client.get(f"/prelevements{path}").status_code == 403
    assert 'href="/prelevements"' not in client.get("/abonnements").text


def test_a_commercial_starts_and_decides_nothing(client: FlaskClient) -> None:
    charge = make_charge()
    assert client.post("/prelevements/lancements").status_code == 403
    assert client.post(f"/prelevements/{charge.id}/abandonner", data={"motif": "x"}).status_code == 403
    assert db.session.query(ChargeRun).count() == 0
    assert reload(charge).status is ChargeStatus.FAILED


def test_an_outsider_finds_nothing_and_changes_nothing(outsider_client: FlaskClient) -> None:
    charge, run = make_charge(), make_run(RunStatus.SUCCESS)
    assert outsider_client.get(f"/prelevements/{charge.id}").status_code == 404
    assert outsider_client.post(f"/prelevements/{charge.id}/abandonner", data={"motif": "x"}).status_code == 404
    assert outsider_client.get(f"/prelevements/lancements/{run.id}").status_code == 404
    assert shown(outsider_client.get("/prelevements").text) == []
    assert shown(outsider_client.get("/prelevements/a-traiter").text) == []


def test_events_are_for_admins(manager_client: FlaskClient, admin_client: FlaskClient) -> None:
    outbox.emit(OutboxKind.SUBSCRIPTION_CREATED, uuid4(), at=NOON)
    assert manager_client.get("/prelevements/evenements").status_code == 403
    page = admin_client.get("/prelevements/evenements").text
    assert 'data-kind="subscription.created"' in page
    assert "Tout est remis" in page


# --- searching ---


def refund_of(charge: Charge) -> Refund:
    attempt = db.session.scalars(select(ChargeAttempt).where(ChargeAttempt.charge_id == charge.id)).one()
    refund = Refund(charge_id=charge.id, attempt_id=attempt.id, amount=charge.amount, reason="x", next_attempt_at=NOON)
    db.session.add(refund)
    db.session.commit()
    return refund


def name_client(charge: Charge, name: str) -> None:
    db.session.scalars(select(Client).where(Client.id == charge.client_id)).one().last_name = name
    db.session.commit()


def searched(browser: FlaskClient, typed: str, **query: str) -> list[str]:
    return shown(browser.get("/prelevements", query_string={"q": typed} | query).text)


def test_a_charge_is_found_by_its_number_and_by_that_of_its_refund(manager_client: FlaskClient) -> None:
    charge, other = make_charge(), make_charge()
    refund = refund_of(other)
    for typed in (charge.code, f"p{charge.number}", f"P – 00{charge.number}"):
        assert searched(manager_client, typed) == [str(charge.id)], typed
    assert searched(manager_client, refund.code) == [str(other.id)]
    assert searched(manager_client, "P-999999999") == []


def test_charges_are_found_by_the_name_of_their_client(manager_client: FlaskClient) -> None:
    charge, _ = make_charge(), make_charge()
    name_client(charge, "LÉGER-N’DIAYE")
    for typed in ("leger", "NDIAYE lég", "ger-n"):
        assert searched(manager_client, typed) == [str(charge.id)], typed


def test_an_outsider_finds_no_charge_by_its_number_or_name(outsider_client: FlaskClient) -> None:
    charge = make_charge()
    name_client(charge, "LÉGER")
    for typed in (charge.code, refund_of(charge).code, "leger"):
        assert searched(outsider_client, typed) == []


def test_a_search_that_finds_nothing_says_so(manager_client: FlaskClient) -> None:
    make_charge()
    assert "Aucun prélèvement ne correspond" in manager_client.get("/prelevements?q=introuvable").text
    assert "Aucun prélèvement ne correspond" not in manager_client.get("/prelevements").text


def test_the_search_is_kept_by_pages_and_states_and_counted(
    manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing.list_charges, "__kwdefaults__", {"size": 2})
    found = [make_charge() for _ in range(3)]
    for charge in found:
        name_client(charge, "LÉGER")
    other = make_charge()
    first = html.unescape(manager_client.get("/prelevements?q=leger&statut=failed").text)
    [following] = re.findall(r'href="([^"]+apres=[^"]+)"', first)
    rest = shown(manager_client.get(following).text)
    assert {*shown(first), *rest} == {str(each.id) for each in found}
    assert "Refusé · 3" in first
    assert 'href="/prelevements?q=leger&statut=failed"' in first
    assert re.search(r'form="charges-filters"\s+name="statut"\s+value="failed"', first)
    assert searched(manager_client, "leger", statut="succeeded") == []
    assert str(other.id) not in first


def test_typing_puts_the_search_into_the_address(manager_client: FlaskClient) -> None:
    headers = HTMX | {"HX-Source": "form#charges-filters"}
    answer = manager_client.get("/prelevements?q=leger&statut=failed&apres=", headers=headers)
    assert answer.headers["HX-Push-Url"] == "/prelevements?q=leger&statut=failed"


def test_a_search_costs_as_many_queries_for_many_charges(
    manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LONG", 60.0)  # nothing is kept from the first page for the second, however slow

    def number_of_queries() -> int:
        db.session.expunge_all()
        with recorded_queries() as queries:
            searched(manager_client, "leger")
        return len(queries)

    name_client(make_charge(), "LÉGER")
    few = number_of_queries()
    for _ in range(5):
        name_client(make_charge(), "LÉGER")
    assert number_of_queries() == few


# --- the run ---


def test_the_preview_says_how_many_how_much_and_through_whom(manager_client: FlaskClient) -> None:
    make_due()
    page = manager_client.get("/prelevements").text
    assert re.search(r'data-testid="charges-preview"\s+data-count="1"', page)
    assert "24,00\xa0€ TTC" in page
    assert "Bac à sable" in page


def test_when_the_preview_was_counted_stands_apart(
    manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LONG", 0.0)
    manager_client.get("/prelevements")
    clock.start_at(clock.now() + timedelta(seconds=5))
    page = manager_client.get("/prelevements").text
    assert re.search(r'à demander\s+<span class="fact-secondary">compté le', page)


def test_a_click_starts_a_run_and_answers_with_its_progress(cast: Cast, manager_client: FlaskClient) -> None:
    make_due()
    answer = manager_client.post("/prelevements/lancements", headers=HTMX)
    run = db.session.query(ChargeRun).one()
    assert answer.status_code == 202
    assert run.requested_by_id == cast.manager.id
    assert f'hx-get="/prelevements/lancements/{run.id}"' in answer.text
    assert re.search(r'data-testid="charges-progress"\s+data-status="running"', answer.text)
    assert len(queue.queue("charges").jobs) == 1


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (None, "En attente d’un processus libre"),
        (timedelta(minutes=2), "Prélèvements en cours"),
        (timedelta(minutes=1), "Sans nouvelles depuis plus d’une minute"),
    ],
)
def test_a_run_that_nobody_works_on_says_so(manager_client: FlaskClient, left: timedelta | None, words: str) -> None:
    run = make_run(RunStatus.RUNNING, lease_until=left and NOON + left)
    for path, headers in (("", {}), (f"/lancements/{run.id}", {}), (f"/lancements/{run.id}", HTMX)):
        assert f"<strong>{words}" in manager_client.get(f"/prelevements{path}", headers=headers).text


def test_a_second_click_joins_the_run_under_way(manager_client: FlaskClient, admin_client: FlaskClient) -> None:
    manager_client.post("/prelevements/lancements", headers=HTMX)
    admin_client.post("/prelevements/lancements", headers=HTMX)
    assert db.session.query(ChargeRun).count() == 1


def test_without_script_a_click_leads_to_the_page_of_the_run(manager_client: FlaskClient) -> None:
    answer = manager_client.post("/prelevements/lancements")
    run = db.session.query(ChargeRun).one()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/prelevements/lancements/{run.id}")
    assert "Actualiser" in manager_client.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    ("status", "counts", "kind"),
    [
        (RunStatus.SUCCESS, {"charged": 3}, "success"),
        (RunStatus.PARTIAL, {"charged": 2, "failed": 1, "unknown": 1}, "warning"),
        (RunStatus.FAILED, {"error": "Interrompu."}, "error"),
    ],
)
def test_the_end_of_a_run_is_told_and_refreshes_the_page(
    manager_client: FlaskClient, status: RunStatus, counts: dict[str, Any], kind: str
) -> None:
    run = make_run(status, **counts)
    answer = manager_client.get(f"/prelevements/lancements/{run.id}", headers=HTMX)
    assert re.search(rf'data-testid="toast"\s+data-kind="{kind}"', answer.text)
    assert "every 1s" not in answer.text
    assert "charges:refresh" in answer.headers["HX-Trigger"]
    assert 'id="charges-situation"' in answer.text
    assert f'data-charged="{counts.get("charged", 0)}"' in answer.text


# --- the lists ---


def test_charges_are_shown_by_state_with_the_providers_words(manager_client: FlaskClient) -> None:
    refused, paid = make_charge(), make_charge(ChargeStatus.SUCCEEDED, None)
    everything = manager_client.get("/prelevements").text
    assert set(shown(everything)) == {str(refused.id), str(paid.id)}
    assert "stolen_card" in everything
    assert shown(manager_client.get("/prelevements?statut=failed", headers=HTMX).text) == [str(refused.id)]
    assert len(shown(manager_client.get("/prelevements?statut=nul&client=x&du=y&apres=%00").text)) == 2


def test_what_needs_a_person_is_listed_with_what_may_be_done(manager_client: FlaskClient) -> None:
    charge = make_charge()
    make_charge(ChargeStatus.SUCCEEDED, None)
    page = manager_client.get("/prelevements/a-traiter").text
    assert shown(page) == [str(charge.id)]
    assert re.findall(r'data-action="([^"]+)"', page) == ["reessayer", "paye", "abandonner"]
    assert shown(manager_client.get("/prelevements/a-traiter?motif=reversed").text) == []


def test_what_waits_for_a_means_of_payment_is_tried_again_in_one_go(
    manager_client: FlaskClient, client: FlaskClient, outsider_client: FlaskClient
) -> None:
    address, button = "/prelevements/a-traiter?motif=no_payment_method", 'data-testid="resume"'
    make_charge()
    assert button not in manager_client.get("/prelevements/a-traiter").text
    assert button not in manager_client.get(address).text
    make_charge(ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD)
    assert button in manager_client.get(address).text
    assert client.post("/prelevements/a-traiter/reprise").status_code == 403
    assert outsider_client.post("/prelevements/a-traiter/reprise").status_code == 303
    page = manager_client.post("/prelevements/a-traiter/reprise", follow_redirects=True).text
    assert "Aucun prélèvement n’a reçu de moyen de paiement\u202f; un attend encore." in page
    charge = make_charge(ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD)
    pay_by_card(charge)
    page = manager_client.post("/prelevements/a-traiter/reprise", follow_redirects=True).text
    assert "Un prélèvement repris\u202f; un attend encore." in page
    assert reload(charge).next_attempt_at is not None


@pytest.mark.parametrize("path", ["", "/a-traiter"])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(keeping, "LONG", 60.0)  # as above

    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            manager_client.get(f"/prelevements{path}")
        return len(statements)

    make_charge()
    make_run(RunStatus.SUCCESS)
    few = queries()
    for _ in range(5):
        make_charge()
        make_run(RunStatus.SUCCESS)
    assert queries() == few


# --- decisions ---


def test_a_payment_by_transfer_can_be_noted(manager_client: FlaskClient) -> None:
    charge = make_charge()
    assert 'name="mode"' in manager_client.get(f"/prelevements/{charge.id}?action=paye").text
    answer = manager_client.post(f"/prelevements/{charge.id}/paye", data={"mode": "transfer", "date": "2026-11-19"})
    assert answer.status_code == 303
    assert reload(charge).status is ChargeStatus.SUCCEEDED
    assert db.session.query(Payment).one().amount == Decimal("24.00")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"mode": "troc", "date": "2026-11-19"}, "Choisissez comment"),
        ({"mode": "transfer", "date": "hier"}, "Indiquez la date"),
        ({"mode": "transfer", "date": "2026-11-21"}, "ne peut pas être à venir"),
        ({"mode": "transfer", "date": "2020-01-01"}, "plus d’un an"),
    ],
)
def test_a_payment_that_makes_no_sense_is_refused_at_its_field(
    manager_client: FlaskClient, written: dict[str, str], sentence: str
) -> None:
    charge = make_charge()
    answer = manager_client.post(f"/prelevements/{charge.id}/paye", data=written)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(Payment).count() == 0


def test_giving_up_needs_a_reason(manager_client: FlaskClient) -> None:
    charge = make_charge()
    assert manager_client.post(f"/prelevements/{charge.id}/abandonner", data={"motif": " "}).status_code == 422
    assert reload(charge).status is ChargeStatus.FAILED
    manager_client.post(f"/prelevements/{charge.id}/abandonner", data={"motif": "Geste commercial"})
    assert reload(charge).status is ChargeStatus.CANCELED


def test_trying_again_without_means_of_payment_is_refused_with_the_reason(manager_client: FlaskClient) -> None:
    charge = make_charge()
    answer = manager_client.post(f"/prelevements/{charge.id}/reessayer")
    assert answer.status_code == 422
    assert "Aucun mode de paiement" in answer.text
    assert reload(charge).next_attempt_at is None


def test_what_the_state_does_not_allow_is_refused_in_a_sentence(manager_client: FlaskClient) -> None:
    charge = make_charge(ChargeStatus.SUCCEEDED, None)
    assert "charge-action" not in manager_client.get(f"/prelevements/{charge.id}").text
    answer = manager_client.post(f"/prelevements/{charge.id}/abandonner", data={"motif": "x"})
    assert answer.status_code == 409
    assert "ne permet pas cette action" in answer.text
    assert manager_client.post(f"/prelevements/{charge.id}/exploser").status_code == 404
    assert reload(charge).due_on == date(2026, 1, 31)


def test_the_pages_around_charges_are_one_row_of_tabs(manager_client: FlaskClient, admin_client: FlaskClient) -> None:
    places = ("", "/a-traiter", "/fichiers", "/mandats", "/cartes", "/notifications")
    addresses = [f"/prelevements{place}" for place in places]
    for browser, those_of_admins in (
        (manager_client, []),
        (admin_client, ["/prelevements/prestataires", "/prelevements/evenements"]),
    ):
        for address in addresses + those_of_admins:
            page = browser.get(address).text
            (tabs,) = re.findall(r'<nav class="tabs" aria-label="Autour des prélèvements">.*?</nav>', page, re.DOTALL)
            assert re.findall(r'href="([^"]+)"', tabs) == addresses + those_of_admins
            assert re.findall(r'href="([^"]+)" aria-current="page"', tabs) == [address]


def test_starting_has_a_rate_per_user(manager_client: FlaskClient, admin_client: FlaskClient) -> None:
    answers = [manager_client.post("/prelevements/lancements").status_code for _ in range(11)]
    assert answers == [303] * 10 + [429]
    assert admin_client.post("/prelevements/lancements").status_code == 303
