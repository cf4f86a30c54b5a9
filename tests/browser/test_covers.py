"""A plan is written and published, sold as a cover, asked about, and changed: by the pages alone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.test_mandates import SIZES
from tests.browser.world import World
from tests.examples import one_of


@pytest.fixture(params=one_of(("dark", "telephone"), ("light", "desk")), ids="-".join)
def variant(request: pytest.FixtureRequest) -> tuple[str, str]:
    scheme, size = request.param
    return scheme, size


def _look(page: Page, shot: Shot, name: str) -> None:
    page.wait_for_load_state()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    shot(page, name)


def test_a_plan_becomes_a_cover_that_answers(
    synced: World, sign_in: SignIn, shot: Shot, variant: tuple[str, str]
) -> None:
    scheme, size = variant
    page = sign_in("admin", color_scheme=scheme, viewport=SIZES[size])
    name = f"Confort {scheme}"
    _publish(page, shot, name, f"CONFORT-{scheme.upper()}", "-".join(variant))

    _open_bare_subscription(page)
    page.get_by_test_id("add-cover").click()
    page.get_by_role("radio", name=re.compile(name)).check()
    page.get_by_test_id("plan-choice").filter(has_text=name).get_by_role("checkbox").check()
    page.get_by_label("Type de logement").select_option("house")
    page.get_by_label("Adresse", exact=True).fill("3 rue du Port")
    page.get_by_label("Code postal").fill("59000")
    page.get_by_role("textbox", name="Ville").fill("Lille")
    page.get_by_label("Conclue le").fill("2026-01-10")
    page.get_by_label("Prend effet le").fill("2026-01-10")
    page.get_by_role("button", name="Créer la couverture").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Choisissez propriétaire ou locataire")
    expect(page.get_by_role("textbox", name="Ville")).to_have_value("Lille")
    _look(page, shot, f"cover-form-{scheme}-{size}")
    page.get_by_label("Le client est").select_option("tenant")
    page.get_by_role("button", name="Créer la couverture").press("Enter")
    expect(page.get_by_test_id("cover-state")).to_have_attribute("data-state", "active")

    page.get_by_label("Métier").select_option("plumbing")
    page.get_by_label("Jour de l’événement").fill("2026-02-08")
    page.get_by_label("Montant (facultatif)").fill("180")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("decision")).to_have_attribute("data-outcome", "refused")
    page.get_by_label("Jour de l’événement").fill("2026-02-09")
    page.get_by_label("Montant (facultatif)").fill("420")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("decision")).to_have_attribute("data-covered", "370.00")
    _look(page, shot, f"cover-{scheme}-{size}")
    _declare(page, shot, f"{scheme}-{size}")
    page.get_by_role("main").get_by_role("link", name=re.compile("Couverture V-")).click()
    page.get_by_role("link", name="Voir le client").click()
    expect(page.get_by_test_id("cover-counters").first).to_contain_text("1 sur 3 interventions")
    _look(page, shot, f"cover-tab-{scheme}-{size}")
    page.goto("/couvertures")
    expect(page.get_by_test_id("cover-row").first).to_be_visible()
    _look(page, shot, f"covers-{scheme}-{size}")


def _declare(page: Page, shot: Shot, variant: str) -> None:
    """A claim of today is declared, accepted by the rules, done and closed; then the list shows it."""
    page.get_by_role("link", name="Déclarer un sinistre").click()
    page.get_by_label("Métier").select_option("electricity")
    page.get_by_label("Montant demandé TTC").fill("1,005")
    page.get_by_role("button", name="Déclarer le sinistre").press("Enter")
    expect(page.get_by_label("Montant demandé TTC")).to_have_attribute("aria-invalid", "true")
    _look(page, shot, f"claim-form-{variant}")
    page.get_by_label("Montant demandé TTC").fill("640")
    page.get_by_label("Ce que dit le client").fill("<b>Le tableau</b> a disjoncté.")
    page.get_by_role("button", name="Déclarer le sinistre").press("Enter")
    status = page.get_by_test_id("claim-status")
    expect(status).to_have_attribute("data-status", "accepted")
    expect(page.get_by_test_id("decision").first).to_have_attribute("data-covered", "500.00")
    _look(page, shot, f"claim-{variant}")
    for label, state in (("Commencer", "in_progress"), ("Clore", "closed")):
        page.get_by_role("link", name=label, exact=True).press("Enter")
        page.get_by_test_id("action-form").get_by_role("button", name=label, exact=True).press("Enter")
        expect(status).to_have_attribute("data-status", state)
    page.get_by_role("link", name="Dossiers", exact=True).first.click()
    expect(page.get_by_test_id("claim-row").first).to_have_attribute("data-status", "closed")
    _look(page, shot, f"claims-{variant}")
    page.get_by_test_id("claim-row").first.get_by_role("link").first.click()


def _open_bare_subscription(page: Page) -> None:
    """The page of the first subscription that gives no cover yet."""
    page.goto("/abonnements")
    rows = page.get_by_test_id("subscription-row").get_by_role("link")
    for address in [row.get_attribute("href") or "" for row in rows.all()]:
        page.goto(address)
        if page.get_by_test_id("add-cover").count():
            return


def _publish(page: Page, shot: Shot, name: str, code: str, variant: str) -> None:
    page.goto("/couvertures/formules")
    created = page.get_by_test_id("plan-form")
    created.get_by_label("Nom").fill(name)
    created.get_by_label("Code").fill(code)
    page.keyboard.press("Enter")
    form = page.get_by_test_id("draft-form")
    form.get_by_label("Plomberie").check()
    form.get_by_label("Électricité").check()
    form.get_by_label("Franchise par intervention").fill("50")
    form.get_by_label("Plafond par intervention").fill("2000")
    form.get_by_label("Plafond par an").fill("1200")
    form.get_by_label("Interventions par an").fill("3")
    form.get_by_label("Prix HT par mois").fill("9,90")
    form.get_by_role("button", name="Enregistrer le brouillon").press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("ne peut pas dépasser le plafond annuel")
    _look(page, shot, f"plan-refused-{variant}")
    page.get_by_test_id("draft-form").get_by_label("Plafond par intervention").fill("500")
    page.get_by_role("button", name="Enregistrer le brouillon").press("Enter")
    expect(page.get_by_test_id("toast")).to_contain_text("Brouillon enregistré")
    page.get_by_text("Ajouter une option").click()
    option = page.get_by_test_id("option-form")
    option.get_by_label("Nom").fill("Serrurerie")
    option.get_by_label("Code").fill("SERRURERIE")
    option.get_by_label("Prix HT par mois").fill("3")
    option.get_by_label("Serrurerie", exact=True).check()
    option.get_by_label("Carence").fill("15")
    option.get_by_label("Plafond par an").fill("300")
    option.get_by_role("button", name="Enregistrer l’option").press("Enter")
    expect(page.get_by_test_id("option-row")).to_contain_text("Serrurerie")
    page.get_by_role("button", name=re.compile("Publier la version")).press("Enter")
    expect(page.get_by_test_id("versions-table")).to_contain_text("En vente")
    _look(page, shot, f"plan-{variant}")
