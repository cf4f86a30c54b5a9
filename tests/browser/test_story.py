"""A salesperson's morning, as the product promises it, from the sign-in to a client's page."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, LONG, Shot, SignIn, synchronise
from tests.browser.world import World


def exact_count(page: Page, query: str = "") -> int:
    """How many clients a view of the list holds."""
    page.goto(f"/clients?total=exact{query}")
    return int(page.get_by_test_id("result-count").get_attribute("data-count") or -1)


def test_prospects_become_clients_with_one_click(first_morning: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord")
    expect(page).to_have_title(re.compile("Clients"))
    rows, badges = page.get_by_test_id("client-row"), page.get_by_test_id("badge-source")
    expect(rows.first).to_be_visible()
    expect(badges).to_have_count(0)
    assert 50 <= exact_count(page) <= 70
    shot(page, "clients-before")

    first_morning.winleadplus(mode="slow")
    page.get_by_test_id("sync-button").click()
    progress = page.get_by_test_id("sync-progress")
    expect(progress).to_have_attribute("data-status", "running")
    expect(progress).to_have_attribute("data-created", re.compile("[1-9]"))
    seen = progress.get_attribute("data-created") or ""
    shot(page, "sync-running")
    expect(progress).not_to_have_attribute("data-created", seen)  # it grows

    page.reload()  # the run goes on, and the page finds its way back to it
    expect(progress).to_have_attribute("data-status", "running")
    expect(page.locator("#sync-button .spin")).to_be_visible()
    first_morning.winleadplus(mode="ok")

    toast = page.get_by_test_id("toast")
    expect(toast).to_contain_text("Sync terminée : 250 créés, 0 mis à jour, 0 ignorés", timeout=60_000)
    expect(toast).to_have_attribute("data-kind", "success")
    expect(badges.first).to_have_text("WLP")  # by itself: nobody reloaded
    expect(page.locator("#sync-button .spin")).to_have_count(0)
    expect(page.get_by_test_id("sync-button")).to_be_enabled()
    shot(page, "sync-done")

    synchronise(page)
    expect(toast.last).to_contain_text("Sync terminée : 0 créés, 0 mis à jour, 250 ignorés")
    newest = page.get_by_test_id("sync-run").first
    expect(newest).to_have_attribute("data-status", "success")
    expect(newest).to_have_attribute("data-skipped", "250")


def test_the_source_filter_narrows_the_list_and_the_address_keeps_the_view(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord")
    page.get_by_test_id("filter-source").select_option("winleadplus")
    expect(page).to_have_url(re.compile(r"source=winleadplus"))
    expect(page.get_by_test_id("result-count")).to_have_attribute("data-count", "250")
    rows = page.get_by_test_id("client-row")
    expect(page.get_by_test_id("badge-source")).to_have_count(rows.count())

    page.reload()
    expect(page.get_by_test_id("filter-source")).to_have_value("winleadplus")
    expect(page.get_by_test_id("result-count")).to_have_attribute("data-count", "250")

    page.get_by_test_id("filter-source").select_option("crm")
    expect(page.get_by_test_id("badge-source")).to_have_count(0)
    page.go_back()
    expect(page.get_by_test_id("filter-source")).to_have_value("winleadplus")
    expect(page.get_by_test_id("badge-source").first).to_be_visible()


def test_a_click_on_a_client_opens_its_page(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    name = page.get_by_test_id("client-name").first.inner_text()
    page.get_by_test_id("client-row").first.locator("td:not(.list-pick)").first.click()
    expect(page).to_have_url(re.compile(r"/clients/[0-9a-f-]{36}"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.get_by_test_id("client-source")).to_contain_text("WinLeadPlus")
    expect(page.get_by_test_id("contract-row").first).to_be_visible()
    expect(page.get_by_test_id("timeline-event").first).to_be_visible()
    shot(page, "client")


def test_a_click_beside_a_rows_box_ticks_it(synced: World, sign_in: SignIn) -> None:
    page = sign_in("manager.nord")
    row = page.get_by_test_id("client-row").first
    row.locator(".list-pick").click(position={"x": 2, "y": 2})
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page).to_have_url(re.compile("/clients$"))


def test_a_client_is_found_and_opened_by_keyboard_alone(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord")
    page.keyboard.press("/")
    expect(page.get_by_test_id("search")).to_be_focused()
    page.keyboard.type("dupont helene")
    names = page.get_by_test_id("client-name")
    expect(page).to_have_url(re.compile("q=dupont"))
    expect(names.first).to_contain_text("DUPONT")
    page.keyboard.press("ArrowDown")
    expect(names.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("DUPONT")


def test_arrows_walk_through_the_rows(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord")
    names = page.get_by_test_id("client-name")
    names.first.focus()
    page.keyboard.press("ArrowDown")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(names.first).to_be_focused()


def test_a_simulation_lists_what_would_be_created_and_creates_nothing(
    first_morning: World, sign_in: SignIn, shot: Shot
) -> None:
    page = sign_in("commercial.nord")
    before = exact_count(page)
    page.locator("#sync-panel > summary").click()
    page.get_by_role("button", name="Simuler").click()
    expect(page.get_by_test_id("toast")).to_contain_text("Simulation terminée : 250 à créer", timeout=LONG)
    expect(page.get_by_test_id("sync-item").first).to_be_visible()
    shot(page, "simulation")
    assert exact_count(page) == before


def test_winleadplus_out_of_order_is_said_in_a_sentence_and_nothing_is_lost(
    synced: World, sign_in: SignIn, shot: Shot
) -> None:
    page = sign_in("commercial.nord")
    before = exact_count(page)
    synced.switch_winleadplus_off()
    page.get_by_test_id("sync-button").click()
    toast = page.get_by_test_id("toast")
    expect(toast).to_have_attribute("data-kind", "error", timeout=15_000)
    expect(toast).to_contain_text("WinLeadPlus ne répond pas")
    expect(page.locator("#sync-button .spin")).to_have_count(0)
    newest = page.get_by_test_id("sync-run").first
    expect(newest).to_be_visible()
    expect(newest).to_have_attribute("data-status", "failed")
    expect(newest).to_contain_text("WinLeadPlus ne répond pas")
    shot(page, "sync-failed")
    assert exact_count(page) == before
    synced.switch_winleadplus_on()
    synchronise(page)


def test_hostile_prospects_cost_themselves_only_and_their_reasons_can_be_read(
    synced: World, sign_in: SignIn, shot: Shot
) -> None:
    synced.winleadplus(mode="hostile")
    page = sign_in("commercial.nord")
    synchronise(page, end="partial")
    expect(page.get_by_test_id("toast")).to_have_attribute("data-kind", "warning")
    page.get_by_test_id("sync-progress").get_by_role("link", name="Voir le détail").click()
    expect(page.get_by_test_id("sync-item").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]  # whatever is in a name
    shot(page, "sync-items")
    synced.winleadplus(mode="ok")


def test_whoever_comes_back_to_the_page_finds_its_freshness_up_to_date(first_morning: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord")
    synchronise(page)
    freshness = page.locator("#sync-freshness")
    expect(freshness).to_contain_text("dernière réussie à l’instant")
    with first_morning.database() as connection:
        connection.execute("UPDATE sync_runs SET finished_at = finished_at - interval '2 hours'")
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(freshness).to_contain_text("dernière réussie il y a 2 h")
