"""Who gets in, who does not, and how a session that ended is taken up again."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn, fill_sign_in
from tests.browser.world import World


def test_a_session_that_ended_in_the_middle_leads_to_the_sign_in_and_back(synced: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord", at="/clients?source=crm&tri=-nom")
    page.context.clear_cookies()
    page.get_by_role("link", name="Ville").click()
    expect(page.locator("input[name=password]")).to_be_visible()
    fill_sign_in(page, "commercial.nord")
    expect(page).to_have_url(re.compile(r"/clients\?source=crm&tri=-nom$"))
    expect(page.get_by_test_id("client-row").first).to_be_visible()


def test_without_a_role_there_is_a_clear_page_and_a_way_out(world: World, sign_in: SignIn, shot: Shot) -> None:
    page = sign_in("sans.role")
    expect(page.get_by_text("n’a pas encore de rôle")).to_be_visible()
    expect(page.get_by_test_id("client-row")).to_have_count(0)
    shot(page, "no-role")
    page.get_by_role("button", name="Se déconnecter").click()
    expect(page).not_to_have_url(re.compile("/clients"))


def test_another_organisation_sees_none_of_it(synced: World, sign_in: SignIn, shot: Shot) -> None:
    ours = sign_in("commercial.nord")
    address = ours.get_by_test_id("client-name").first.get_attribute("href")
    theirs = sign_in("admin.autre")
    expect(theirs.get_by_test_id("client-row")).to_have_count(8)
    expect(theirs.get_by_test_id("sync-run")).to_have_count(0)
    expect(theirs.get_by_test_id("sync-button")).to_be_disabled()
    shot(theirs, "other-organisation")
    answer = theirs.goto(str(address))
    assert answer
    assert answer.status == 404


def test_signing_out_ends_the_session(world: World, sign_in: SignIn) -> None:
    page = sign_in("commercial.nord")
    page.get_by_test_id("user-menu").locator("summary").click()
    page.get_by_role("button", name="Se déconnecter").click()
    page.goto("/clients")
    expect(page.locator("input[name=password]")).to_be_visible()


def test_a_form_sent_after_the_session_ended_is_given_back_and_never_sent_by_itself(
    synced: World, sign_in: SignIn, shot: Shot
) -> None:
    page = sign_in("commercial.nord", at="/clients/nouveau")
    page.get_by_label("Nom", exact=True).fill("N’Diaye")
    page.get_by_label("Prénom", exact=True).fill("Awa")
    page.get_by_label("Ville", exact=True).first.fill("Évry")
    page.context.clear_cookies()
    page.get_by_role("button", name="Créer").last.click()
    fill_sign_in(page, "commercial.nord")
    expect(page.get_by_text("de nouveau dans le formulaire")).to_be_visible()
    expect(page.get_by_label("Nom", exact=True)).to_have_value("N’Diaye")
    expect(page.get_by_label("Prénom", exact=True)).to_have_value("Awa")
    expect(page.get_by_label("Ville", exact=True).first).to_have_value("Évry")
    shot(page, "form-given-back")
    assert page.request.get("/clients?q=ndiaye&total=exact").text().count('data-testid="client-row"') == 0
    page.get_by_role("button", name="Créer").last.click()
    expect(page.locator("h1")).to_contain_text("N’Diaye")
