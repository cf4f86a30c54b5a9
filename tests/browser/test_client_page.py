"""A client's page and the search everywhere, by keyboard."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import PHONE
from tests.browser.world import World


def test_a_task_is_written_down_and_ticked_off(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    page.get_by_test_id("tab-activites").click()
    page.get_by_label("Tâche", exact=True).check()
    page.get_by_label("Texte").fill("Envoyer le devis")
    page.get_by_role("button", name="Ajouter").click()
    expect(page.get_by_text("Indiquez l’échéance de la tâche.")).to_be_visible()
    page.get_by_label("Échéance").fill("2099-01-31")
    page.get_by_role("button", name="Ajouter").click()
    expect(page.get_by_test_id("task")).to_contain_text("Pour le 31/01/2099")
    expect(page.get_by_label("Texte")).to_have_value("")
    shot(page, "client-task")
    page.get_by_role("button", name="Fait").click()
    expect(page.get_by_test_id("task-done")).to_contain_text("Envoyer le devis")


def test_a_note_sent_by_a_double_click_is_written_once(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").nth(1).click()
    page.get_by_test_id("tab-activites").click()
    page.get_by_label("Texte").fill("Rappeler lundi")
    page.get_by_role("button", name="Ajouter").dblclick()
    expect(page.get_by_test_id("toast")).to_contain_text("Note enregistrée.")
    page.reload()
    expect(page.get_by_test_id("timeline-event").filter(has_text="Rappeler lundi")).to_have_count(1)


def test_ctrl_k_finds_by_keyboard_alone(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    name = page.get_by_test_id("client-name").first.inner_text()
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Nom, e-mail")
    expect(field).to_be_focused()
    expect(page.get_by_text("Clients récents")).to_be_visible()
    page.keyboard.type(name.lower())
    hit = page.get_by_role("option").filter(has_text=name).first
    expect(hit).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", "recherche-option-1")
    shot(page, "search")
    page.keyboard.press("ArrowDown")
    expect(hit).to_have_attribute("aria-selected", "false")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(name)
    page.get_by_test_id("contract-row").first.get_by_role("link").first.click()
    expect(page.get_by_test_id("status-history")).to_be_visible()
    shot(page, "contract")


def test_enter_never_opens_what_was_found_for_other_words(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Nom, e-mail")
    field.fill("a")
    expect(page.get_by_test_id("search-hit").first).to_have_attribute("aria-selected", "true")
    page.route("**/recherche?**", lambda route: None if "hx-request" in route.request.headers else route.continue_())
    field.fill("personne de ce nom")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"/recherche\?q=personne"))
    expect(page.get_by_text("Rien ne correspond.")).to_be_visible()


def test_enter_never_opens_what_is_recent_once_something_is_typed(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    page.wait_for_url(re.compile(r"/clients/[0-9a-f-]{36}"))  # loaded: else nobody hears the keys yet
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route("**/recherche?q=", hold)
    with page.expect_request("**/recherche?q="):
        page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Nom, e-mail")
    field.evaluate("field => { field.value = 'personne de ce nom' }")  # its own request has not left yet
    late[0].continue_()
    expect(page.get_by_test_id("search-hit").first).to_be_visible()
    expect(page.get_by_role("option", selected=True)).to_have_count(0)
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"/recherche\?q=personne"))


def test_whoever_waits_for_a_slow_server_sees_it(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    moving = "getComputedStyle(document.body, '::before').animationName"
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/clients/*onglet=paiements*", hold)
    tab = page.get_by_test_id("tab-paiements")
    tab.click()
    expect(tab).to_have_class("htmx-request")
    assert page.evaluate(moving) == "wait"
    held[0].continue_()
    expect(tab).to_have_attribute("aria-current", "page")
    assert page.evaluate(moving) == "none"


def test_a_file_is_taken_away_only_once_one_is_sure(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    page.get_by_test_id("tab-documents").click()
    file = {"name": "devis.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n"}
    page.get_by_label("Fichier", exact=True).set_input_files(file)
    page.get_by_role("button", name="Ajouter").click()
    ask, sure = page.get_by_text("Retirer devis.pdf"), page.get_by_role("button", name="Retirer ce fichier")
    ask.press("Enter")
    expect(page.get_by_text("personne ne pourra le retrouver")).to_be_visible()
    shot(page, "client-document-asked")
    page.keyboard.press("Escape")
    expect(sure).to_be_hidden()
    expect(ask).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(sure).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("toast")).to_contain_text("devis.pdf a été retiré.")


def test_names_without_an_end_stay_on_a_telephone(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("admin", at="/clients/nouveau", viewport=PHONE)
    page.locator("#last_name").fill("W" * 100)
    page.get_by_role("button", name="Créer le client").click()
    page.get_by_role("link", name="Créer un contrat").click()
    page.locator("#reference").fill("Q" * 100)
    page.locator("#amount").fill("9 999 999 999,99")
    page.locator("#signed_on").fill("2026-01-31")
    page.locator("[name=lines-0-label]").fill("P" * 200)
    page.get_by_role("button", name="Créer le contrat").click()
    expect(page.get_by_test_id("contract-line")).to_be_visible()
    for address in (page.url, "/", "/contrats", "/clients?q=WWWW", "/recherche?q=WWWW"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    page.goto("/recherche?q=WWWW")
    page.get_by_test_id("search-hit").first.click()
    for tab in ("apercu", "paiements", "activites", "documents"):
        page.get_by_test_id(f"tab-{tab}").click()
        expect(page.get_by_test_id(f"tab-{tab}")).to_have_attribute("aria-current", "page")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
        shot(page, f"client-long-{tab}")


def test_a_search_that_reaches_nobody_says_so_where_one_types(synced: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("commercial.nord")
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Rechercher partout")
    field = page.get_by_role("combobox", name="Nom, e-mail")
    field.fill("a")
    expect(page.get_by_test_id("search-hit").first).to_be_visible()
    page.route("**/recherche?**", lambda route: route.abort("connectionrefused"))
    field.fill("ab")
    expect(dialog.get_by_role("alert")).to_contain_text("Le serveur ne répond pas.")
    expect(page.get_by_test_id("search-hit")).to_have_count(0)
    shot(page, "search-unreachable")
    page.unroute("**/recherche?**")
    field.fill("a")
    expect(page.get_by_test_id("search-hit").first).to_be_visible()
    expect(dialog.get_by_role("alert")).to_have_count(0)


def test_a_swap_that_reaches_nobody_says_so_and_leaves_the_page_as_it_was(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    address = page.url
    page.context.set_offline(True)
    for _ in range(2):
        page.get_by_test_id("tab-activites").click()
        expect(page.get_by_test_id("toast")).to_contain_text("Le serveur ne répond pas.")
    expect(page.get_by_test_id("tab-apercu")).to_have_attribute("aria-current", "page")
    expect(page).to_have_url(address)
    page.context.set_offline(False)
    page.get_by_test_id("tab-activites").click()
    expect(page.get_by_test_id("tab-activites")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("corrected", ["Nom", "Prénom"])
def test_an_error_leaves_as_soon_as_the_person_corrects_it(synced: World, sign_in: SignIn, corrected: str) -> None:
    page = sign_in("commercial.nord", at="/clients/nouveau")
    page.get_by_label("Nom", exact=True).press("Enter")
    error = page.get_by_text("Indiquez au moins un nom ou un prénom.")
    expect(error).to_be_visible()
    page.get_by_label("Ville", exact=True).first.fill("Lille")
    expect(error).to_be_visible()
    page.get_by_label(corrected, exact=True).fill("L")
    expect(error).to_have_count(0)
    expect(page.get_by_label("Nom", exact=True)).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Nom", exact=True)).not_to_have_attribute("aria-describedby", re.compile("error"))


def test_the_origin_of_a_value_is_reached_from_an_icon_that_says_so(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=winleadplus")
    page.get_by_test_id("client-name").first.click()
    icon = page.get_by_role("link", name="Origine de l’e-mail", exact=True)
    hint = icon.get_by_text("Origine de l’e-mail")
    size = icon.bounding_box()
    assert size is not None
    assert min(size["width"], size["height"]) >= 32
    assert _width(hint) <= 1
    page.keyboard.press("Tab")  # from here on the keyboard leads
    icon.focus()
    assert _width(hint) > 50
    page.keyboard.press("Escape")
    assert _width(hint) <= 1
    icon.hover()
    assert _width(hint) > 50
    icon.press("Enter")
    expect(page.get_by_test_id("origin-step").first).to_be_visible()
    expect(icon).to_be_focused()
    address = page.get_by_text("Origine de l’adresse")
    address.locator("xpath=..").press("Enter")
    page.get_by_role("link", name="Origine de la ville").press("Enter")
    expect(page.get_by_text("Origine\u202f: ville")).to_be_visible()
    expect(page.get_by_role("link", name="Origine de la ville")).to_be_hidden()
    expect(address.locator("xpath=..")).to_be_focused()


def _width(hint: Locator) -> float:
    """How much of it one sees."""
    box = hint.bounding_box()
    assert box is not None
    return box["width"]
