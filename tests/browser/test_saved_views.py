"""Saved views, by the keyboard alone: a commercial makes one, a manager shares one, a colleague pins it."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import PHONE, findings
from tests.browser.world import World


def _press(page: Page, role: Any, name: str | re.Pattern[str], key: str = "Enter") -> None:
    """Come to something by the keyboard, and press it."""
    control = page.get_by_role(role, name=name).first
    control.focus()
    expect(control).to_be_focused()
    page.keyboard.press(key)


def _open(page: Page, summary: str) -> None:
    """Open what is behind a button of the list."""
    control = page.locator(f"summary[data-testid={summary}]").first
    control.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"details:has(> summary[data-testid={summary}])")).to_have_attribute("open", "")


def _everywhere(page: Page, shot: Shot, name: str) -> None:
    """Light, dark and on a telephone; nothing that axe minds, and nothing that is wider than the screen."""
    desk = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        shot(page, f"{name}-{scheme}")
        assert findings(page) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-390")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(desk or PHONE)


def _name_view(page: Page, name: str, *boxes: str) -> None:
    _open(page, "view-save-as")
    field = page.get_by_label("Nom de la vue")
    field.focus()
    page.keyboard.type(name)
    for box in boxes:
        _press(page, "checkbox", box, "Space")
    field.focus()
    page.keyboard.press("Enter")


def test_a_commercial_keeps_a_view_and_what_changes_in_it(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord")
    _everywhere(page, shot, "clients")
    _open(page, "more-filters")
    _everywhere(page, shot, "more-filters")
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
    _everywhere(page, shot, "view")
    _open(page, "columns")
    _press(page, "checkbox", "Dernier contact", "Space")
    expect(page.get_by_role("columnheader", name="Dernier contact")).to_be_visible()
    expect(page.locator("#clients-shows-dernier-contact")).to_be_focused()
    _press(page, "button", "Avancer Dernier contact")
    expect(page.get_by_role("button", name="Avancer Dernier contact")).to_be_focused()
    expect(page.get_by_test_id("view-changed")).to_be_visible()
    _everywhere(page, shot, "columns")
    page.keyboard.press("Escape")
    _press(page, "button", "Enregistrer")
    expect(page).to_have_url(f"{synced.url}/clients?vue=mes-l")
    expect(page.get_by_role("columnheader", name="Dernier contact")).to_be_visible()


def test_a_manager_shares_a_view_and_a_colleague_pins_it(synced: World, sign_in: SignIn, shot: Shot) -> None:
    manager = sign_in("manager.nord", at="/contrats?statut=active")
    _name_view(manager, "Contrats actifs du mois", "Partagée avec toute l’organisation")
    expect(manager).to_have_url(f"{synced.url}/contrats?vue=contrats-actifs-du-mois")
    page = sign_in("commercial.nord", at="/contrats")
    expect(page.get_by_test_id("view-tabs").get_by_role("link")).to_have_count(1)
    _open(page, "views")
    _everywhere(page, shot, "views-menu")
    _press(page, "link", "Gérer les vues")
    _everywhere(page, shot, "views-page")
    _press(page, "button", re.compile("^Épingler"))
    expect(page.get_by_test_id("toast").first).to_contain_text("est en onglet")
    _press(page, "link", "Retour à la liste")
    tab = page.get_by_test_id("view-tabs").get_by_role("link", name="Contrats actifs du mois")
    tab.focus()
    page.keyboard.press("Enter")
    expect(tab).to_have_attribute("aria-current", "page")
    expect(page.locator("#contracts-list")).to_be_visible()
    _everywhere(page, shot, "contracts-view")
    page.goto("/abonnements")
    _open(page, "columns")
    _everywhere(page, shot, "subscriptions")
    manager.goto("/prelevements")
    _everywhere(manager, shot, "charges")
