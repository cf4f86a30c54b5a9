"""Making and changing subscriptions: what is kept, what is refused and with which words."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Source
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.models.timeline import TimelineEvent
from webapp.services import outbox
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.subscriptions import editing, history, lifecycle, planning
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
COFFEE = SubscriptionLineFields(
    label="Coffret", unit_price=Decimal("12.50"), quantity=Decimal(2), vat_rate=Decimal("5.5")
)
CUP = SubscriptionLineFields(label="Tasse", unit_price=Decimal("10"), discount=Decimal("2.00"))


def _fields(**values: Any) -> SubscriptionFields:
    defaults: dict[str, Any] = {"frequency": "monthly", "anchor_date": date(2026, 11, 30), "lines": [COFFEE, CUP]}
    return SubscriptionFields(
        **{"client_id": values.pop("client_id", None) or factories.ClientFactory().id} | defaults | values
    )


def _create(**values: Any) -> Subscription:
    return create_subscription(_fields(**values), by=None, at=NOON)


def test_a_new_subscription_is_pending_and_falls_due_on_its_anchor(cast: Cast) -> None:
    subscription = create_subscription(_fields(), by=cast.manager, at=NOON)
    assert (subscription.status, subscription.frequency) == (SubscriptionStatus.PENDING, Frequency.MONTHLY)
    assert (subscription.cycle_no, subscription.next_charge_on) == (0, date(2026, 11, 30))
    assert subscription.next_charge_at == datetime(2026, 11, 29, 23, tzinfo=UTC)
    assert subscription.company_id == factories.default_company().id
    assert subscription.recurring_amount == Decimal("33.00")
    assert [(line.label, line.amount) for line in subscription.lines] == [
        ("Coffret", Decimal("25.00")),
        ("Tasse", Decimal("8.00")),
    ]


def test_its_creation_is_told_and_counts_for_no_revenue_yet(cast: Cast) -> None:
    subscription = create_subscription(_fields(), by=cast.manager, at=NOON)
    (row,) = history.list_history(subscription.id)
    assert (row.old_status, row.new_status, row.user) == (None, SubscriptionStatus.PENDING, cast.manager)
    assert (row.annual_before, row.annual_after) == (0, 0)
    assert db.session.scalars(select(TimelineEvent.client_id)).all() == [subscription.client_id]
    assert [event.kind.value for event in outbox.list_events(subscription.id)] == ["subscription.created"]


def test_it_can_be_made_from_a_contract_of_the_client(cast: Cast) -> None:
    contract = factories.ContractFactory(client_id=factories.ClientFactory().id)
    assert _create(client_id=contract.client_id, contract_id=contract.id).contract_id == contract.id
    with pytest.raises(InvalidInputError, match="Ce contrat n’est pas celui de ce client"):
        _create(contract_id=contract.id)


def test_a_contract_with_another_company_is_refused(cast: Cast) -> None:
    other = factories.CompanyFactory()
    contract = factories.ContractFactory(client_id=factories.ClientFactory().id, company_id=other.id)
    with pytest.raises(InvalidInputError, match="une autre société"):
        _create(client_id=contract.client_id, contract_id=contract.id)


def test_an_import_goes_on_with_the_first_cycle_to_come(cast: Cast) -> None:
    subscription = _create(anchor_date=date(2026, 1, 31), source=Source.WOOCOMMERCE)
    assert (subscription.cycle_no, subscription.next_charge_on) == (10, date(2026, 11, 30))


def test_a_line_takes_its_words_from_its_product(cast: Cast) -> None:
    product = factories.Product(name="Café d’Éthiopie")
    db.session.add(product)
    db.session.flush()
    subscription = _create(lines=[SubscriptionLineFields(product_id=product.id, unit_price=Decimal(5))])
    assert subscription.lines[0].label == "Café d’Éthiopie"


@pytest.mark.parametrize(
    ("of_product", "said", "expected"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False), (None, None, True)],
)
def test_a_line_is_shipped_as_its_product_is_unless_somebody_says_otherwise(
    cast: Cast, of_product: bool | None, said: bool | None, expected: bool
) -> None:
    product = factories.Product(name="Assurance", is_shipped=of_product)
    if of_product is not None:
        db.session.add(product)
        db.session.flush()
    line = SubscriptionLineFields(label="Carte", product_id=product.id, unit_price=Decimal(5), is_shipped=said)
    assert _create(lines=[line]).lines[0].is_shipped is expected
    assert product.is_shipped is of_product


@pytest.mark.parametrize("rate", ["0", "2.1", "5.5", "8.5", "10", "20"])
def test_the_french_vat_rates_are_known(cast: Cast, rate: str) -> None:
    assert _create(lines=[replace(CUP, vat_rate=Decimal(rate))]).lines[0].vat_rate == Decimal(rate)


def test_a_free_subscription_is_allowed(cast: Cast) -> None:
    assert _create(lines=[SubscriptionLineFields(label="Offert", unit_price=Decimal(0))]).recurring_amount == 0


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown frequency": ({"frequency": "fortnightly"}, "frequency", "Cette fréquence n’existe pas"),
    "no lines": ({"lines": []}, "lines", "au moins une ligne"),
    "too many lines": ({"lines": [CUP] * 51}, "lines", "au plus 50 lignes"),
    "no price": ({"lines": [COFFEE, SubscriptionLineFields(label="x")]}, "lines-1-unit_price", "Indiquez le prix"),
    "negative price": ({"lines": [replace(CUP, unit_price=Decimal(-1))]}, "lines-0-unit_price", "négatif"),
    "price of nothing": ({"lines": [replace(CUP, unit_price=Decimal("NaN"))]}, "lines-0-unit_price", "pas un nombre"),
    "endless price": ({"lines": [replace(CUP, unit_price=Decimal("1.00001"))]}, "lines-0-unit_price", "4 chiffres"),
    "enormous price": ({"lines": [replace(CUP, unit_price=Decimal(10**9))]}, "lines-0-unit_price", "trop grand"),
    "no quantity": ({"lines": [replace(CUP, quantity=None)]}, "lines-0-quantity", "Indiquez un nombre"),
    "quantity zero": ({"lines": [replace(CUP, quantity=Decimal(0))]}, "lines-0-quantity", "supérieure à zéro"),
    "negative quantity": ({"lines": [replace(CUP, quantity=Decimal(-1))]}, "lines-0-quantity", "négatif"),
    "unknown VAT rate": ({"lines": [replace(CUP, vat_rate=Decimal("19.6"))]}, "lines-0-vat_rate", "taux de TVA"),
    "no VAT rate": ({"lines": [replace(CUP, vat_rate=None)]}, "lines-0-vat_rate", "taux de TVA"),
    "too large a discount": ({"lines": [replace(CUP, discount=Decimal(11))]}, "lines-0-discount", "dépasse"),
    "negative discount": ({"lines": [replace(CUP, discount=Decimal(-1))]}, "lines-0-discount", "négatif"),
    "no label": (
        {"lines": [SubscriptionLineFields(label=" ", unit_price=Decimal(1))]},
        "lines-0-label",
        "ce que la ligne vend",
    ),
    "endless label": ({"lines": [replace(CUP, label="x" * 201)]}, "lines-0-label", "200 caractères"),
    "unknown product": ({"lines": [replace(CUP, product_id=uuid4())]}, "lines-0-product_id", "Ce produit"),
    "no date": ({"anchor_date": None}, "anchor_date", "première échéance"),
    "a date that passed": ({"anchor_date": date(2026, 11, 19)}, "anchor_date", "dans le passé"),
    "a far date": ({"anchor_date": date(2031, 11, 21)}, "anchor_date", "plus de cinq ans"),
    "an end before the start": ({"ends_on": date(2026, 11, 29)}, "ends_on", "précède la première échéance"),
    "unknown zone": ({"timezone": "Europe/Lutèce"}, "timezone", "fuseau horaire"),
    "another currency": ({"currency": "USD"}, "currency", "celle de la société\u202f: EUR"),
    "unknown company": ({"company_id": uuid4()}, "company_id", "Cette société"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_at_its_field_in_french(cast: Cast, case: str) -> None:
    values, field, words = REFUSED[case]
    with pytest.raises(InvalidInputError, match=words) as refusal:
        _create(**values)
    assert refusal.value.field == field
    assert db.session.scalars(select(Subscription)).all() == []


def test_a_client_of_another_organisation_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory()
    with pytest.raises(NotFoundError):
        _create(client_id=theirs.id)


# Changing


def test_new_lines_hold_from_the_next_cycle_and_move_the_revenue(cast: Cast) -> None:
    subscription = _create()
    lifecycle.activate(subscription.id, by=None, at=NOON)
    planning.plan_lines(subscription.id, [CUP], version=subscription.version, by=cast.manager, at=NOON)
    assert [line.label for line in subscription.lines] == ["Tasse"]
    assert subscription.recurring_amount == Decimal("8.00")
    row = history.list_history(subscription.id)[0]
    assert (row.annual_before, row.annual_after) == (Decimal("396.00"), Decimal("96.00"))
    assert row.changes == {"recurring_amount": ["33.00", "8.00"]}
    assert outbox.list_events(subscription.id)[0].kind.value == "subscription.changed"


def test_nobody_overwrites_what_they_have_not_seen(cast: Cast) -> None:
    subscription = _create()
    seen = subscription.version
    editing.change_end(subscription.id, date(2027, 11, 29), version=seen, by=cast.manager, at=NOON)
    with pytest.raises(EditConflictError, match="modifié entre-temps"):
        planning.plan_lines(subscription.id, [CUP], version=seen, by=cast.admin, at=NOON)
    assert subscription.recurring_amount == Decimal("33.00")


def test_an_ended_subscription_does_not_change(cast: Cast) -> None:
    subscription = _create()
    lifecycle.cancel(subscription.id, reason="Erreur", by=None, at=NOON)
    with pytest.raises(editing.EndedError, match="Un abonnement résilié ne se modifie plus"):
        planning.plan_lines(subscription.id, [CUP], version=subscription.version, by=None, at=NOON)


def test_a_new_last_day_stops_and_restarts_the_schedule(cast: Cast) -> None:
    subscription = _create()
    editing.change_end(subscription.id, date(2026, 11, 29), version=subscription.version, by=None, at=NOON)
    assert subscription.next_charge_on is None
    editing.change_end(subscription.id, None, version=subscription.version, by=None, at=NOON)
    assert subscription.next_charge_on == date(2026, 11, 30)
    with pytest.raises(DomainError, match="dans le passé"):
        editing.change_end(subscription.id, date(2026, 11, 19), version=subscription.version, by=None, at=NOON)
