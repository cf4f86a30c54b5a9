"""Another plan for a cover: a dearer one at once, prorated; a cheaper one with the next cycle; and what refuses one."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import declare
from tests.views.covers.test_page import HOME, NOON
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.covers import Cover, CoverPeriod, CoverPlanVersion, HomeKind, Occupancy, Trade
from webapp.models.plan_changes import PlannedChange, SubscriptionAdjustment
from webapp.models.subscriptions import Subscription
from webapp.services.claims import working
from webapp.services.covers import loading, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.subscriptions import lifecycle, scheduling

pytestmark = pytest.mark.usefixtures("cast")
TODAY = date(2026, 11, 20)


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def version_of(label: str, price: str, **values: Any) -> CoverPlanVersion:
    plan = factories.CoverPlanFactory(label=label)
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(plan_id=plan.id, price=Decimal(price), **values)
    return version


def cover_of(cast: Cast, version: CoverPlanVersion, *, is_charged: bool = True) -> Cover:
    """A cover since January whose subscription was charged for November, with a line of the plan's name."""
    subscription: Subscription = factories.SubscriptionFactory(
        client_id=factories.ClientFactory().id, anchor_date=date(2026, 11, 1)
    )
    factories.SubscriptionLineFactory(
        subscription_id=subscription.id, label="Confort", unit_price=version.price, vat_rate=Decimal(9)
    )
    if is_charged:
        period = {"period_start": date(2026, 11, 1), "period_end": date(2026, 12, 1)}
        factories.ChargeFactory(
            subscription_id=subscription.id,
            client_id=subscription.client_id,
            status=ChargeStatus.SUCCEEDED,
            cycle_no=0,
            due_on=date(2026, 11, 1),
            **period,
        )
    scheduling.schedule(subscription, 1)
    db.session.flush()
    asked = CoverRequest(
        version_id=version.id,
        home=HomeFields(
            kind=HomeKind.FLAT,
            occupancy=Occupancy.TENANT,
            address_line1=HOME["adresse"],
            postcode=HOME["code_postal"],
            city=HOME["ville"],
        ),
        concluded_on=date(2026, 1, 10),
        effective_on=date(2026, 1, 10),
    )
    return selling.add_cover(subscription.id, asked, by=cast.admin, at=NOON)


def confirm(browser: FlaskClient, cover: Cover, chosen: CoverPlanVersion, **values: str) -> Any:
    page = browser.get(f"/couvertures/{cover.id}/formule?formule={chosen.id}")
    assert page.status_code == 200, page.text
    form = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page.text)) | values
    return browser.post(f"/couvertures/{cover.id}/formule", data=form)


def periods_of(cover: Cover) -> list[tuple[date, Any]]:
    return [(each.since, each.version_id) for each in loading.find_cover(cover.id).periods]


def test_a_dearer_plan_is_taken_at_once_and_its_difference_is_asked_with_the_next_cycle(
    client: FlaskClient, cast: Cast
) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00", cap_per_claim=None)
    shown = client.get(f"/couvertures/{cover.id}/formule").text
    assert "Sérénité" in shown
    preview = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}").text
    assert 'data-at-once="1"' in preview
    assert confirm(client, cover, dearer).status_code == 303
    assert periods_of(cover)[1:] == [(TODAY, dearer.id)]
    subscription = loading.find_cover(cover.id).subscription
    assert [(line.label, line.unit_price) for line in subscription.lines] == [("Sérénité", Decimal("40.0000"))]
    (adjustment,) = db.session.scalars(select(SubscriptionAdjustment))
    assert adjustment.amount == Decimal(re.search(r'data-amount="([\d.]+)"', preview)[1])  # type: ignore[index]
    assert adjustment.amount > 0


def test_while_the_difference_waits_the_page_shows_the_limits_that_hold(client: FlaskClient, cast: Cast) -> None:
    cover = cover_of(cast, version_of("Confort", "10.00", cap_per_claim=Decimal(500), waiting_days=30))
    dearer = version_of("Sérénité", "40.00", cap_per_claim=Decimal(800), waiting_days=15)
    confirm(client, cover, dearer)
    page = client.get(f"/couvertures/{cover.id}").text
    assert "ce qu’elle ajoute à la précédente est en carence jusqu’au 04/12/2026 inclus" in page
    assert "500,00\u00a0€ par intervention" in page
    clock.start_at(datetime(2026, 12, 5, 12, tzinfo=UTC))
    page = client.get(f"/couvertures/{cover.id}").text
    assert "ce qu’elle ajoute" not in page
    assert "800,00\u00a0€ par intervention" in page


def test_a_cheaper_plan_comes_with_the_next_cycle(client: FlaskClient, cast: Cast) -> None:
    cover, cheaper = cover_of(cast, version_of("Confort", "40.00")), version_of("Essentiel", "10.00")
    assert confirm(client, cover, cheaper).status_code == 303
    assert periods_of(cover)[1:] == [(date(2026, 12, 1), cheaper.id)]
    page = client.get(f"/couvertures/{cover.id}").text
    assert "dès le 01/12/2026\u202f: Essentiel" in page
    assert db.session.query(PlannedChange).count() == 1
    assert [line.label for line in loading.find_cover(cover.id).subscription.lines] == ["Confort"]


def test_trades_that_come_or_end_are_told_before_it_is_confirmed(client: FlaskClient, cast: Cast) -> None:
    cover = cover_of(cast, version_of("Confort", "40.00", trades=[Trade.PLUMBING, Trade.HEATING, Trade.ELECTRICITY]))
    other = version_of("Essentiel", "10.00", trades=[Trade.PLUMBING, Trade.GLAZING])
    preview = client.get(f"/couvertures/{cover.id}/formule?formule={other.id}").text
    assert "S’y ajoute\u202f: Vitrerie." in preview
    assert "Ne sont plus couverts\u202f: Électricité, Chauffage." in preview


def test_sent_twice_it_is_done_once(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00")
    page = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}").text
    form = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page))
    for _ in range(2):
        assert client.post(f"/couvertures/{cover.id}/formule", data=form).status_code == 303
    assert len(periods_of(cover)) == 2
    assert db.session.query(SubscriptionAdjustment).count() == 1


def test_two_changes_on_one_day_are_refused(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00")
    dearest = version_of("Excellence", "60.00")
    confirm(client, cover, dearer)
    refused = client.get(f"/couvertures/{cover.id}/formule?formule={dearest.id}")
    assert refused.status_code == 409
    assert "la suivante vient après ce jour" in refused.text


def test_the_next_plan_waits_for_the_one_that_is_to_come(client: FlaskClient, cast: Cast) -> None:
    cover, cheaper = cover_of(cast, version_of("Confort", "40.00")), version_of("Essentiel", "10.00")
    dearer = version_of("Sérénité", "60.00")
    confirm(client, cover, cheaper)
    again = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}")
    assert again.status_code == 409
    assert "passe déjà à la formule «\u00a0Essentiel\u00a0» le 01/12/2026" in again.text


def kept_form(browser: FlaskClient, cover: Cover) -> dict[str, str]:
    """What « Garder » on the cover's page sends."""
    (form,) = re.findall(r'data-testid="keep-plan">(.*?)</form>', browser.get(f"/couvertures/{cover.id}").text, re.S)
    return dict(re.findall(r'name="(\w+)"\s+value="([^"]*)"', form))


def keep(browser: FlaskClient, cover: Cover, form: dict[str, str]) -> str:
    """Press it, and read where that leads to."""
    answer = browser.post(f"/couvertures/{cover.id}/formule/garder", data=form)
    assert answer.status_code == 303
    return browser.get(answer.location).text


def planned_lines() -> list[tuple[str, Decimal]]:
    return [
        (line["label"], Decimal(line["unit_price"]))
        for plan in db.session.scalars(select(PlannedChange))
        for line in plan.lines or []
    ]


def test_a_cheaper_plan_is_taken_back_before_its_day(client: FlaskClient, cast: Cast) -> None:
    """The present one goes on at its price, pressed twice it is done once, and the same one may be planned again."""
    cover, cheaper = cover_of(cast, version_of("Confort", "40.00")), version_of("Essentiel", "10.00")
    confirm(client, cover, cheaper)
    form = kept_form(client, cover)
    for _ in range(2):
        assert "La formule en cours continue." in keep(client, cover, form)
    assert len(periods_of(cover)) == 1
    assert db.session.query(PlannedChange).count() == 0
    assert [line.label for line in loading.find_cover(cover.id).subscription.lines] == ["Confort"]
    timeline = client.get(f"/clients/{cover.client_id}?onglet=chronologie").text
    assert timeline.count("Essentiel, version 1, prévue le 01/12/2026") == 1
    clock.start_at(NOON + timedelta(minutes=1))
    assert confirm(client, cover, cheaper).status_code == 303
    assert periods_of(cover)[1:] == [(date(2026, 12, 1), cheaper.id)]


def test_on_its_day_or_once_its_cycle_is_charged_a_plan_stays(client: FlaskClient, cast: Cast) -> None:
    cover, cheaper = cover_of(cast, version_of("Confort", "40.00")), version_of("Essentiel", "10.00")
    confirm(client, cover, cheaper)
    form, subscription = kept_form(client, cover), loading.find_cover(cover.id).subscription
    db.session.commit()
    clock.start_at(datetime(2026, 12, 1, 8, tzinfo=UTC))
    assert "La formule «\u00a0Essentiel\u00a0» vaut depuis le 01/12/2026" in keep(client, cover, form)
    clock.start_at(NOON)
    factories.ChargeFactory(
        subscription_id=subscription.id,
        client_id=subscription.client_id,
        cycle_no=1,
        due_on=date(2026, 12, 1),
        period_start=date(2026, 12, 1),
        period_end=date(2027, 1, 1),
    )
    db.session.commit()
    assert "est déjà demandée au prix de la formule «\u00a0Essentiel\u00a0»" in keep(client, cover, form)
    assert len(periods_of(cover)) == 2
    assert planned_lines() == [("Essentiel", Decimal(10))]


def test_a_form_of_before_takes_nothing_back(client: FlaskClient, cast: Cast) -> None:
    cover, cheaper = cover_of(cast, version_of("Confort", "40.00")), version_of("Essentiel", "10.00")
    db.session.commit()
    assert "Aucun changement de formule" in keep(client, cover, {"formule": str(cheaper.id), "depuis": "2026-12-01"})
    confirm(client, cover, cheaper)
    db.session.commit()
    stale = kept_form(client, cover) | {"version": "1"}
    assert "modifié entre-temps" in keep(client, cover, stale)
    assert len(periods_of(cover)) == 2


def test_what_else_was_planned_goes_on_without_the_plan(client: FlaskClient, cast: Cast) -> None:
    """An option that ends with the same cycle still does; on the subscription's page all of it is taken back."""
    cover, cheaper = cover_with_options(cast), version_of("Essentiel", "5.00")
    assert confirm_option(client, f"/couvertures/{cover.id}/options?option=SERRURERIE").status_code == 303
    (end,) = ends_of(client, cover)
    confirm_option(client, end)
    confirm(client, cover, cheaper)
    assert planned_lines() == [("Essentiel", Decimal(5))]
    keep(client, cover, kept_form(client, cover))
    assert planned_lines() == [("Confort", Decimal(10))]
    clock.start_at(NOON + timedelta(minutes=1))
    confirm(client, cover, cheaper)
    assert "Le changement prévu est retiré." in client.get(withdraw(client, cover).location).text
    assert len(periods_of(cover)) == 1
    assert planned_lines() == []
    assert [each.until for each in loading.find_cover(cover.id).options] == [None]


def test_a_plan_whose_price_changed_at_once_or_by_hand_is_taken_back(client: FlaskClient, cast: Cast) -> None:
    """Nothing was ever charged, so that the price changed at once; or no line bears the plan's name."""
    cheaper = version_of("Essentiel", "10.00")
    cover = cover_of(cast, version_of("Confort", "40.00"), is_charged=False)
    confirm(client, cover, cheaper)
    keep(client, cover, kept_form(client, cover))
    subscription = loading.find_cover(cover.id).subscription
    assert [(line.label, line.unit_price) for line in subscription.lines] == [("Confort", Decimal(40))]
    other = cover_of(cast, version_of("Sur mesure", "40.00"))
    confirm(client, other, cheaper)
    keep(client, other, kept_form(client, other))
    assert [len(periods_of(each)) for each in (cover, other)] == [1, 1]


@pytest.mark.parametrize("change", ["DELETE FROM cover_periods", "UPDATE cover_periods SET since = since + 1"])
def test_the_database_lets_no_period_go_that_was_not_taken_back(cast: Cast, change: str) -> None:
    cover_of(cast, version_of("Confort", "40.00"))
    with pytest.raises(DBAPIError, match="is only ever added to"), db.session.begin_nested():
        db.session.execute(text(change))


def withdraw(browser: FlaskClient, cover: Cover) -> Any:
    """Press « Retirer ce changement » on the subscription's page."""
    subscription = loading.find_cover(cover.id).subscription
    address = f"/abonnements/{subscription.id}/changement-prevu/retirer"
    return browser.post(address, data={"version": subscription.version})


def test_a_plan_below_what_was_used_this_year_is_refused(client: FlaskClient, cast: Cast) -> None:
    cover = cover_of(cast, version_of("Confort", "40.00"))
    small = version_of("Essentiel", "10.00", cap_per_claim=Decimal(100), cap_per_year=Decimal(100))
    claim = declare(cover, cast.commercial, "2026-11-20")
    for word in ("commencer", "clore"):
        version = re.search(r'name="version" value="(\d+)"', client.get(f"/dossiers/{claim.id}?action={word}").text)
        assert version
        assert client.post(f"/dossiers/{claim.id}/{word}", data={"version": version[1]}).status_code == 303
    refused = client.get(f"/couvertures/{cover.id}/formule?formule={small.id}")
    assert refused.status_code == 422
    assert "déjà pris en charge cette année" in refused.text
    chosen = next(each for each in re.findall(r"<input[^>]*>", refused.text) if str(small.id) in each)
    assert "checked" in chosen


def test_a_plan_stays_while_a_claim_is_open(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00")
    claim = declare(cover, cast.commercial, "2026-11-20")
    refused = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}")
    assert refused.status_code == 409
    assert f"Un sinistre est en cours ({claim.reference})" in refused.text
    other = declare(cover, cast.commercial, "2026-11-20")
    refused = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}")
    assert f"Des sinistres sont en cours ({claim.reference}, {other.reference})" in refused.text


def test_a_plan_that_is_not_sold_there_or_not_at_all_is_refused(client: FlaskClient, cast: Cast) -> None:
    cover = cover_of(cast, version_of("Confort", "10.00"))
    far = factories.CoverPlanVersionFactory(price=None, zones={"75": "40.00"})
    gone = version_of("Ancienne", "50.00", retired_at=datetime(2026, 1, 1, tzinfo=UTC))
    for asked, sentence in ((far.id, "pas vendue au code postal"), (gone.id, "en vente"), (uuid4(), "en vente")):
        refused = client.get(f"/couvertures/{cover.id}/formule?formule={asked}")
        assert refused.status_code == 422
        assert sentence in refused.text
    assert len(periods_of(cover)) == 1


def test_an_amount_that_is_not_the_one_shown_changes_nothing(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00")
    db.session.commit()
    refused = confirm(client, cover, dearer, montant="0.01")
    assert refused.status_code == 409
    assert "Les montants ont changé" in refused.text
    stale = confirm(client, cover, dearer, version="0")
    assert stale.status_code == 409
    assert len(periods_of(cover)) == 1
    assert db.session.query(SubscriptionAdjustment).count() == 0


def test_where_no_line_bears_the_plans_name_its_price_is_changed_by_hand(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Formule", "10.00")), version_of("Sérénité", "40.00")
    page = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}").text
    assert "son prix se change à la main" in page
    assert confirm(client, cover, dearer).status_code == 303
    assert [line.label for line in loading.find_cover(cover.id).subscription.lines] == ["Confort"]


def test_an_ended_cover_keeps_its_plan(client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Formule", "10.00")), version_of("Sérénité", "40.00")
    page = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}").text
    lifecycle.cancel(cover.subscription_id, reason="Déménagement", by=cast.admin, at=NOON)
    form = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page))
    db.session.commit()
    assert client.post(f"/couvertures/{cover.id}/formule", data=form).status_code == 409
    assert db.session.query(CoverPeriod).count() == 1


def test_an_outsider_changes_nothing_of_ours(outsider_client: FlaskClient, cast: Cast) -> None:
    cover, dearer = cover_of(cast, version_of("Confort", "10.00")), version_of("Sérénité", "40.00")
    db.session.commit()
    address = f"/couvertures/{cover.id}/formule"
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.get(f"{address}?formule={dearer.id}").status_code == 404
    form = {"formule": str(dearer.id), "changement": str(uuid4()), "montant": "0"}
    assert outsider_client.post(address, data=form).status_code == 404
    assert outsider_client.post(f"{address}/garder", data=form).status_code == 404


def cover_with_options(cast: Cast) -> Cover:
    """A cover that was charged for November, of a plan with two options."""
    version = version_of("Confort", "10.00", published_at=None)
    for code, trade in (("SERRURERIE", "locksmith"), ("VITRES", "glazing")):
        factories.CoverPlanOptionFactory(
            version_id=version.id, code=code, label=code.capitalize(), trades=[trade], waiting_days=0
        )
    version.published_at = datetime(2025, 1, 1, tzinfo=UTC)
    db.session.flush()
    return cover_of(cast, version)


def confirm_option(browser: FlaskClient, address: str) -> Any:
    page = browser.get(address)
    form = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page.text))
    return browser.post(address.partition("?")[0], data=form)


def test_the_days_of_an_option_until_the_next_cycle_are_asked_with_it(client: FlaskClient, cast: Cast) -> None:
    cover = cover_with_options(cast)
    address = f"/couvertures/{cover.id}/options?option=SERRURERIE"
    shown = re.search(r'data-amount="([\d.]+)"', client.get(address).text)
    assert shown
    assert confirm_option(client, address).status_code == 303
    (adjustment,) = db.session.scalars(select(SubscriptionAdjustment))
    assert adjustment.amount == Decimal(shown[1]) > 0
    assert [line.label for line in loading.find_cover(cover.id).subscription.lines] == ["Confort", "Option Serrurerie"]


def ends_of(browser: FlaskClient, cover: Cover) -> list[str]:
    return re.findall(rf"/couvertures/{cover.id}/options/[0-9a-f-]+/fin", browser.get(f"/couvertures/{cover.id}").text)


def test_options_that_end_with_the_same_cycle_all_leave_it(client: FlaskClient, cast: Cast) -> None:
    cover = cover_with_options(cast)
    for code in ("SERRURERIE", "VITRES"):
        assert confirm_option(client, f"/couvertures/{cover.id}/options?option={code}").status_code == 303
    for address in ends_of(client, cover):
        assert confirm_option(client, address).status_code == 303
    (plan,) = db.session.scalars(select(PlannedChange))
    assert [line["label"] for line in plan.lines or []] == ["Confort"]
    assert {each.until for each in loading.find_cover(cover.id).options} == {date(2026, 12, 1)}
    dearer = version_of("Sérénité", "40.00")
    refused = client.get(f"/couvertures/{cover.id}/formule?formule={dearer.id}")
    assert refused.status_code == 409
    assert "change déjà avec la prochaine échéance" in refused.text


def test_an_option_whose_end_is_taken_back_goes_on(client: FlaskClient, cast: Cast) -> None:
    cover = cover_with_options(cast)
    assert confirm_option(client, f"/couvertures/{cover.id}/options?option=SERRURERIE").status_code == 303
    (end,) = ends_of(client, cover)
    assert confirm_option(client, end).status_code == 303
    assert withdraw(client, cover).status_code == 303
    assert [each.until for each in loading.find_cover(cover.id).options] == [None], "it is paid for, and so it holds"
    assert db.session.query(PlannedChange).count() == 0
    assert confirm_option(client, end).status_code == 303, "and may end again"


def test_an_option_that_was_used_this_year_does_not_end_within_it(client: FlaskClient, cast: Cast) -> None:
    cover = cover_with_options(cast)
    assert confirm_option(client, f"/couvertures/{cover.id}/options?option=SERRURERIE").status_code == 303
    claim = declare(cover, cast.manager, TODAY, "250", trade=Trade.LOCKSMITH, at=NOON)
    for step in (working.start, working.close):
        step(claim.id, by=cast.manager, at=NOON, version=None)
    (end,) = ends_of(client, cover)
    refused = client.get(end)
    assert refused.status_code == 409
    assert "elle peut prendre fin à partir du 10/01/2027" in refused.text
