"""Where the focus goes when a part of the page is swapped."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.world import World


def test_tabs_change_in_place_and_keep_the_focus(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    expect(page.get_by_test_id("contracts-table")).to_be_visible()
    shot(page, "client-overview")
    for tab in ("paiements", "activites", "documents"):
        page.get_by_test_id(f"tab-{tab}").press("Enter")
        expect(page.get_by_test_id(f"tab-{tab}")).to_have_attribute("aria-current", "page")
        expect(page.get_by_test_id(f"tab-{tab}")).to_be_focused()
        expect(page).to_have_url(re.compile(f"onglet={tab}"))
        shot(page, f"client-{tab}")
    page.go_back()
    expect(page.get_by_test_id("tab-activites")).to_have_attribute("aria-current", "page")
    first = page.locator("h1").inner_text()
    page.get_by_test_id("next-client").click()
    expect(page.locator("h1")).not_to_have_text(first)


def test_the_focus_stays_where_one_writes_whether_the_note_is_taken_or_refused(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").nth(2).click()
    page.get_by_test_id("tab-activites").click()
    page.get_by_role("button", name="Ajouter").press("Enter")
    expect(page.get_by_text("Écrivez quelque chose.")).to_be_visible()
    expect(page.get_by_label("Texte")).to_be_focused()
    page.keyboard.type("Rappeler mardi")
    page.get_by_role("button", name="Ajouter").press("Enter")
    expect(page.get_by_test_id("toast")).to_contain_text("Note enregistrée.")
    expect(page.get_by_label("Texte")).to_be_focused()


def test_the_focus_goes_on_to_what_came_next_in_the_timeline(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").nth(3).click()
    page.get_by_test_id("tab-activites").click()
    address = page.url.split("?")[0]
    token = page.locator("meta[name=csrf-token]").get_attribute("content") or ""
    for number in range(25):
        note: dict[str, str | float | bool] = {"genre": "note", "body": f"Note {number}", "csrf_token": token}
        page.request.post(f"{address}/activites", form=note)
    page.reload()
    events = page.get_by_test_id("timeline-event")
    expect(events).to_have_count(20)
    page.get_by_role("link", name="Afficher la suite").press("Enter")
    expect(events.nth(20)).to_be_focused()


def test_the_focus_stays_below_the_list_on_its_last_page(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?tri=-nom")
    page.get_by_test_id("next-page").press("Enter")
    expect(page.get_by_test_id("previous-page")).to_be_visible()
    page.get_by_test_id("previous-page").press("Enter")
    expect(page.get_by_test_id("previous-page")).to_have_count(0)
    expect(page.get_by_test_id("next-page")).to_be_focused()
