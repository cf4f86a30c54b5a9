"""Saved views, by the keyboard alone: a commercial makes one, a manager shares one, a colleague pins it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.looking import everywhere, press
from tests.browser.world import World


def _open(page: Page, summary: str) -> None:
    """Open what is behind a button of the list."""
    control = page.locator(f"summary[data-testid={summary}]").first
    control.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"details:has(> summary[data-testid={summary}])")).to_have_attribute("open", "")


def _name_view(page: Page, name: str, *boxes: str) -> None:
    _open(page, "view-save-as")
    field = page.get_by_label("Nom de la vue")
    field.focus()
    page.keyboard.type(name)
    for box in boxes:
        press(page, "checkbox", box, "Space")
    field.focus()
    page.keyboard.press("Enter")


def test_a_commercial_keeps_a_view_and_what_changes_in_it(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord")
    everywhere(page, shot, "clients")
    _open(page, "more-filters")
    everywhere(page, shot, "more-filters")
    place = page.get_by_test_id("filter-place")
    place.focus()
    page.keyboard.type("l")
    page.keyboard.press("Tab")  # what was written counts once one leaves it
    expect(page.locator(".chip")).to_contain_text("Ville")
    expect(place).to_have_value("l")
    page.keyboard.press("Escape")
    expect(page.locator("#clients-more")).not_to_have_attribute("open", "")
    _name_view(page, "Mes L")
    expect(page).to_have_url(f"{synced.url}/clients?vue=mes-l")
    tab = page.get_by_test_id("view-tabs").get_by_role("link", name="Mes L")
    expect(tab).to_have_attribute("aria-current", "page")
    everywhere(page, shot, "view")
    _open(page, "columns")
    press(page, "checkbox", "Dernier contact", "Space")
    expect(page.get_by_role("columnheader", name="Dernier contact")).to_be_visible()
    expect(page.locator("#clients-shows-dernier-contact")).to_be_focused()
    press(page, "button", "Avancer Dernier contact")
    expect(page.get_by_role("button", name="Avancer Dernier contact")).to_be_focused()
    expect(page.get_by_test_id("view-changed")).to_be_visible()
    everywhere(page, shot, "columns")
    page.keyboard.press("Escape")
    press(page, "button", "Enregistrer")
    expect(page).to_have_url(f"{synced.url}/clients?vue=mes-l")
    expect(page.get_by_role("columnheader", name="Dernier contact")).to_be_visible()


def test_a_name_that_there_is_is_refused_over_its_field(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin", at="/contrats?statut=active")
    _name_view(page, "Actifs")
    expect(page).to_have_url(f"{synced.url}/contrats?vue=actifs")
    page.goto("/contrats?statut=draft")
    _name_view(page, "Actifs")
    refusal = page.get_by_role("alert").first
    expect(refusal).to_contain_text("Vous avez déjà une vue de ce nom.")
    everywhere(page, shot, "view-refused")
    over, field = refusal.bounding_box(), page.get_by_label("Nom de la vue").bounding_box()
    assert over
    assert field
    assert over["y"] + over["height"] <= field["y"], "not beside it"


def test_a_manager_shares_a_view_and_a_colleague_pins_it(synced: World, sign_in: SignIn, shot: Shot) -> None:
    manager = sign_in("manager.nord", at="/contrats?statut=active")
    _name_view(manager, "Contrats actifs du mois", "Partagée avec toute l’organisation")
    expect(manager).to_have_url(f"{synced.url}/contrats?vue=contrats-actifs-du-mois")
    page = sign_in("commercial.nord", at="/contrats")
    expect(page.get_by_test_id("view-tabs").get_by_role("link")).to_have_count(1)
    _open(page, "views")
    everywhere(page, shot, "views-menu")
    press(page, "link", "Gérer les vues")
    everywhere(page, shot, "views-page")
    press(page, "button", re.compile("^Épingler"))
    expect(page.get_by_test_id("toast").first).to_contain_text("est en onglet")
    press(page, "link", "Retour à la liste")
    tab = page.get_by_test_id("view-tabs").get_by_role("link", name="Contrats actifs du mois")
    tab.focus()
    page.keyboard.press("Enter")
    expect(tab).to_have_attribute("aria-current", "page")
    expect(page.locator("#contracts-list")).to_be_visible()
    everywhere(page, shot, "contracts-view")
    page.goto("/abonnements")
    _open(page, "columns")
    everywhere(page, shot, "subscriptions")
    manager.goto("/prelevements")
    everywhere(manager, shot, "charges")
