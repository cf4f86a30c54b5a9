"""Another home by the company's cut-off: before it at once, after it from the next cycle; what refuses one."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import HOME as AT_LILLE
from tests.services.claims.files import declare, make_cover, sell
from tests.views.covers.test_page import HOME, NOON
from webapp import clock, french
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.covers import Cover, CoverHome
from webapp.models.messages import Message, MessageKind
from webapp.models.plan_changes import PlannedChange, SubscriptionAdjustment
from webapp.models.subscriptions import Collector, Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import claiming
from webapp.services.covers import loading, selling
from webapp.services.covers.selling import CoverRequest
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.services.subscriptions.means import PaymentFields

MOVED = HOME | {"adresse": "8 quai des Brumes", "code_postal": "76600", "ville": "Le Havre"}
BEFORE, AFTER = datetime(2026, 11, 23, 10, 59, tzinfo=UTC), datetime(2026, 11, 23, 11, tzinfo=UTC)
"""The cut-off is on Monday at noon in Paris."""


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return paid(make_cover(cast.commercial))


def paid(made: Cover) -> Cover:
    """Paid on Friday, 20 November, for a month."""
    clock.start_at(NOON)
    subscription = db.session.get_one(Subscription, (made.organisation_id, made.subscription_id))
    subscription.anchor_date = date(2026, 11, 20)
    factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        status=ChargeStatus.SUCCEEDED,
        cycle_no=0,
        due_on=date(2026, 11, 20),
        settled_at=NOON,
        period_start=date(2026, 11, 20),
        period_end=date(2026, 12, 20),
    )
    scheduling.schedule(subscription, 1)
    db.session.commit()
    return made


def send(browser: FlaskClient, cover: Cover, **values: str) -> Any:
    return browser.post(f"/couvertures/{cover.id}/logement", data=MOVED | values)


@pytest.mark.parametrize(
    ("at", "wished", "since"),
    [
        (BEFORE, "", "2026-11-23"),
        (BEFORE, "2026-11-30", "2026-11-30"),
        (BEFORE, "2026-11-01", "2026-11-20"),
        (AFTER, "", "2026-12-20"),
        (AFTER, "2026-12-01", "2026-12-20"),
        (AFTER, "2027-01-05", "2027-01-05"),
    ],
)
def test_the_cut_off_says_from_when_on_it_holds(
    client: FlaskClient, cover: Cover, at: datetime, wished: str, since: str
) -> None:
    clock.start_at(at)
    shown = send(client, cover, depuis=wished)
    assert f'data-since="{since}"' in shown.text
    assert db.session.query(CoverHome).count() == 1
    assert send(client, cover, depuis=wished, montre=since).status_code == 303
    assert loading.find_cover(cover.id).homes[-1].since == date.fromisoformat(since)


def test_what_was_shown_before_the_cut_off_is_shown_again_after_it(client: FlaskClient, cover: Cover) -> None:
    clock.start_at(AFTER)
    late = send(client, cover, montre="2026-11-23")
    assert late.status_code == 422
    assert "Vérifiez à partir de quel jour" in late.text
    assert db.session.query(CoverHome).count() == 1


def test_neither_where_the_plan_is_not_sold_nor_with_a_claim_open(
    client: FlaskClient, cast: Cast, cover: Cover
) -> None:
    refused = send(client, cover, type="")
    assert refused.status_code == 422
    declare(cover, cast.commercial)
    opened = send(client, cover)
    assert opened.status_code == 409
    assert "Un sinistre est en cours (DEP-" in opened.text
    assert db.session.query(CoverHome).count() == 1


HELD = {
    "collected_by": Collector.SHOP,
    "next_charge_on": None,
    "next_charge_at": None,
    "shop_period": "month",
    "shop_interval": 1,
}
LILLE, LE_HAVRE, PARIS = Decimal("12.00"), Decimal("18.00"), Decimal("6.00")


def zoned(cast: Cast) -> Cover:
    """The same at 12 € per month in the north, 18 € in Le Havre, 6 € in Paris, and not sold elsewhere."""
    made = make_cover(cast.commercial, price=None, zones={"59": str(LILLE), "76": str(LE_HAVRE), "75": str(PARIS)})
    factories.SubscriptionLineFactory(
        subscription_id=made.subscription_id, label="Confort", unit_price=LILLE, vat_rate=Decimal(9)
    )
    paid(made)
    line = {"label": "Confort", "product_id": None, "quantity": "1", "unit_price": "12.00", "vat_rate": "9"}
    charge = db.session.scalars(select(Charge)).one()
    charge.lines = [line | {"discount": "0", "amount": "12.00"}]
    db.session.commit()
    return made


def confirm(browser: FlaskClient, cover: Cover, **values: str) -> Any:
    """The form, sent, and sent again with what it showed."""
    shown = send(browser, cover, **values)
    assert shown.status_code == 200, shown.text
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', shown.text))
    return shown.text, send(browser, cover, **({"accord": "1"} | values), **hidden)


@pytest.mark.parametrize(
    ("postcode", "monthly", "told"),
    [
        ("76600", LE_HAVRE, "demandés avec elle"),
        ("75011", PARIS, "déduits d’elle"),
    ],
)
def test_the_price_of_the_new_zone_is_shown_and_holds_by_day(
    client: FlaskClient, cast: Cast, postcode: str, monthly: Decimal, told: str
) -> None:
    cover = zoned(cast)
    clock.start_at(BEFORE)
    shown, done = confirm(client, cover, code_postal=postcode)
    assert f"{french.money(monthly)} HT par mois</strong>, au lieu de 12,00\u00a0€, dès le 23/11/2026" in shown
    assert f"5,89\u00a0€ TTC</strong>, {told}" in shown, "27 of 30 days at 6 €, and 9 %"
    assert done.status_code == 303
    subscription = loading.find_cover(cover.id).subscription
    assert [(line.label, line.unit_price) for line in subscription.lines] == [("Confort", monthly)]
    assert [each.amount for each in db.session.scalars(select(SubscriptionAdjustment))] == [
        Decimal("5.89").copy_sign(monthly - LILLE)
    ]
    assert db.session.query(CoverHome).count() == 2
    again = send(client, cover, code_postal="59000", adresse="9 rue Neuve", depuis="2026-11-24")
    assert "au lieu de" in again.text, "back again at the price of then"


def test_after_the_cut_off_the_price_of_the_new_zone_comes_with_the_next_cycle(client: FlaskClient, cast: Cast) -> None:
    cover = zoned(cast)
    clock.start_at(AFTER)
    shown, done = confirm(client, cover)
    assert "Rien n’est à régler pour la période en cours. Ensuite 18,00\u00a0€" in shown
    assert "dès le 20/12/2026" in shown
    assert done.status_code == 303
    (plan,) = db.session.scalars(select(PlannedChange))
    assert [(line["label"], Decimal(line["unit_price"])) for line in plan.lines or []] == [("Confort", LE_HAVRE)]
    assert [line.unit_price for line in loading.find_cover(cover.id).subscription.lines] == [LILLE]
    refused = send(client, cover, code_postal="75011", depuis="2026-12-21")
    assert (refused.status_code, "choisissez un jour jusqu’au 20/12/2026" in refused.text) == (422, True)


def test_a_home_in_no_zone_is_refused_and_changes_nothing(client: FlaskClient, cast: Cast) -> None:
    cover = zoned(cast)
    refused = send(client, cover, code_postal="13001")
    assert (refused.status_code, "n’est pas vendue au code postal 13001" in refused.text) == (422, True)
    assert 'id="code_postal-error"' in refused.text


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"code_postal": "75011"}, 422),
        ({"montant": "0.01"}, 409),
        ({"version": "0"}, 409),
        ({"changement": ""}, 409),
        ({"accord": ""}, 422),
    ],
)
def test_a_price_that_was_not_shown_changes_nothing(
    client: FlaskClient, cast: Cast, changed: dict[str, str], status: int
) -> None:
    cover = zoned(cast)
    clock.start_at(BEFORE)
    shown = send(client, cover).text
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', shown)) | {"accord": "1"}
    assert send(client, cover, **(hidden | changed)).status_code == status
    assert db.session.query(CoverHome).count() == 1
    assert db.session.query(SubscriptionAdjustment).count() == 0


def test_whoever_is_asked_to_agree_still_has_the_price_and_the_box_before_them(client: FlaskClient, cast: Cast) -> None:
    cover = zoned(cast)
    clock.start_at(BEFORE)
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', send(client, cover).text))
    refused = send(client, cover, **hidden)
    assert refused.status_code == 422
    again = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', refused.text))
    assert 'name="accord"' in refused.text
    assert send(client, cover, **again, accord="1").status_code == 303


def test_what_a_shop_holds_has_its_price_changed_there(client: FlaskClient, cast: Cast) -> None:
    cover = zoned(cast)
    db.session.execute(update(Subscription).values(HELD))
    db.session.commit()
    clock.start_at(BEFORE)
    shown, done = confirm(client, cover)
    assert "La boutique tient cet abonnement\u202f: son prix se change dans la boutique" in shown
    assert done.status_code == 303
    assert [line.unit_price for line in loading.find_cover(cover.id).subscription.lines] == [LILLE]


def test_another_plan_costs_what_it_costs_where_the_home_is(client: FlaskClient, cast: Cast) -> None:
    cover = zoned(cast)
    plan = factories.CoverPlanFactory(label="Sérénité")
    version = factories.CoverPlanVersionFactory(plan_id=plan.id, price=Decimal(90), zones={"59": "10.00"})
    db.session.commit()
    assert "10,00\u00a0€ HT par mois" in client.get(f"/couvertures/{cover.id}/formule").text
    page = client.get(f"/couvertures/{cover.id}/formule?formule={version.id}").text
    assert 'data-at-once="0"' in page, "it is the cheaper one there"
    assert "Ensuite 10,00\u00a0€ HT par mois" in page


def sold_ahead(cast: Cast, **values: Any) -> Cover:
    """Sold on Friday, 20 November, from 4 December on: nothing is charged before."""
    clock.start_at(NOON)
    version = sell(price=None, zones={"59": str(LILLE), "76": str(LE_HAVRE), "75": str(PARIS)})
    client_id = factories.ClientFactory(email="anne@example.com").id
    db.session.commit()
    request = CoverRequest(version_id=version.id, home=AT_LILLE, effective_on=date(2026, 12, 4))
    asked = replace(request, **values)
    return selling.sell_cover(
        client_id, asked, frequency="monthly", payment=PaymentFields(), by=cast.commercial, at=NOON
    )


@pytest.mark.parametrize(("postcode", "monthly", "with_tax"), [("76600", LE_HAVRE, "19.62"), ("75011", PARIS, "6.54")])
def test_a_cover_of_which_nothing_was_charged_begins_with_the_other_home_at_its_price(
    client: FlaskClient, cast: Cast, postcode: str, monthly: Decimal, with_tax: str
) -> None:
    cover = sold_ahead(cast)
    clock.start_at(BEFORE)
    shown, done = confirm(client, cover, code_postal=postcode)
    assert 'data-since="2026-12-04"' in shown
    assert "la première échéance est à ce prix" in shown
    assert ("accord" in shown) == (monthly > LILLE)
    assert done.status_code == 303, done.text
    cover = loading.find_cover(cover.id)
    life = loading.life_of(cover)
    assert [home.since for home in cover.homes] == [date(2026, 12, 4)] * 2
    assert (held := life.home_on(date(2026, 12, 4))) is not None
    assert held.home_id == cover.homes[1].home_id
    assert f"8 quai des Brumes, {postcode}" in client.get(f"/couvertures/{cover.id}").text
    assert f"8 quai des Brumes, {postcode}" not in client.get("/couvertures").text, "the list names no street"
    assert "3 rue du Port" not in client.get(f"/couvertures/{cover.id}/sinistres/nouveau").text
    assert (cover.subscription.recurring_amount, db.session.query(PlannedChange).count()) == (monthly, 0)
    message = db.session.scalars(select(Message).where(Message.kind == MessageKind.COVER_MOVED)).one()
    written = message.content_in_clear()["body"]
    assert french.money(Decimal(with_tax)) in written
    assert ("Vous avez accepté ce prix" in written) == (monthly > LILLE)
    changed = select(TimelineEvent).where(TimelineEvent.kind == EventKind.COVER_CHANGED)
    told = db.session.scalars(changed).one().changes
    assert told["monthly_price"] == ["12.00", str(monthly)]
    assert ("price_agreed" in told) == (monthly > LILLE)

    first = datetime(2026, 12, 4, 12, tzinfo=UTC)
    claiming.claim_due(before=first, limit=10, at=first)
    charge = db.session.scalars(select(Charge)).one()
    assert charge.amount == Decimal(with_tax)
    lifecycle.activate(cover.subscription_id, by=cast.commercial, at=first)
    history = select(SubscriptionHistory).where(SubscriptionHistory.new_status == SubscriptionStatus.ACTIVE)
    began = db.session.scalars(history).one()
    assert (began.annual_before, began.annual_after) == (0, monthly * 12)


def test_who_sends_a_move_twice_moves_once(client: FlaskClient, cast: Cast) -> None:
    cover = sold_ahead(cast)
    shown = send(client, cover).text
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', shown)) | {"accord": "1"}
    for _ in range(2):
        clock.start_at(clock.now() + timedelta(seconds=1))
        assert send(client, cover, **hidden).status_code == 303
    assert db.session.query(CoverHome).count() == 2
    assert db.session.query(Message).filter_by(kind=MessageKind.COVER_MOVED).count() == 1
    clock.start_at(clock.now() + timedelta(seconds=1))
    _, back = confirm(client, cover, code_postal="59000", adresse="9 rue Neuve")
    assert back.status_code == 303, "and moves again before it begins"
    assert loading.find_cover(cover.id).subscription.recurring_amount == LILLE


def test_what_was_charged_meanwhile_is_shown_again(client: FlaskClient, cast: Cast) -> None:
    cover = sold_ahead(cast)
    shown = send(client, cover).text
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', shown)) | {"accord": "1"}
    first = datetime(2026, 12, 4, 12, tzinfo=UTC)
    claiming.claim_due(before=first, limit=10, at=first)
    clock.start_at(first)
    late = send(client, cover, **hidden)
    assert (late.status_code, "Les montants ont changé" in late.text) == (409, True)
    assert db.session.query(CoverHome).count() == 1
    shown, done = confirm(client, cover)
    assert ("6,54\u00a0€ TTC</strong>, demandés avec elle" in shown, done.status_code) == (True, 303), "as any move"


@pytest.mark.parametrize("effective", [date(2026, 11, 20), date(2026, 12, 4)])
def test_a_cover_not_paid_yet_is_never_left_without_a_way_to_move(
    client: FlaskClient, cast: Cast, effective: date
) -> None:
    cover = sold_ahead(cast, effective_on=effective)
    late = send(client, cover, depuis="2027-01-01")
    assert late.status_code == 422
    latest = max(effective, NOON.date())
    assert f"choisissez un jour jusqu’au {french.day(latest)}, pour commencer à ce prix" in late.text
    _, done = confirm(client, cover, depuis=latest.isoformat())
    assert done.status_code == 303, done.text
    assert loading.find_cover(cover.id).subscription.recurring_amount == LE_HAVRE


def test_a_later_day_at_the_same_price_is_not_said_to_begin_there(client: FlaskClient, cast: Cast) -> None:
    cover = sold_ahead(cast)
    at_start = send(client, cover, code_postal="59000", adresse="9 rue Neuve").text
    assert "la couverture commence à cette adresse" in at_start
    later = send(client, cover, code_postal="59000", adresse="9 rue Neuve", depuis="2027-01-01").text
    assert "est couvert à partir du 01/01/2027" in later
    assert "Jusqu’à ce jour, le logement actuel est couvert." in later
    assert "la couverture commence à cette adresse" not in later


def test_a_postcode_that_does_not_exist_is_no_home(client: FlaskClient, cover: Cover) -> None:
    refused = send(client, cover, code_postal="99999")
    assert (refused.status_code, "Le code postal 99999 n’existe pas en France." in refused.text) == (422, True)


def test_what_cannot_be_confirmed_is_refused_before_it_is_shown(client: FlaskClient, cover: Cover) -> None:
    clock.start_at(BEFORE)
    today, later = "2026-11-23", "2026-11-30"
    assert send(client, cover, depuis=today, montre=today).status_code == 303
    other = {"adresse": "9 rue Neuve"}
    begun = send(client, cover, depuis=today, **other)
    assert (begun.status_code, "couvert depuis le 23/11/2026" in begun.text) == (422, True)
    assert send(client, cover, depuis=later, montre=later, **other).status_code == 303
    early = send(client, cover, depuis="2026-11-27", adresse="1 rue Haute")
    assert (early.status_code, "déjà prévu le 30/11/2026" in early.text) == (422, True)
