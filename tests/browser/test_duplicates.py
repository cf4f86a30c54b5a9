"""Two clients who are one person: found, compared, merged and parted again, by the keyboard alone."""

from typing import Any
from uuid import UUID, uuid4

from playwright.sync_api import expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.looking import everywhere, press
from tests.browser.test_accessibility import PHONE
from tests.browser.world import World

CLIENT = """
INSERT INTO clients (organisation_id, id, status, last_name, first_name, email, phone, postcode, city, changed_at,
  created_at)
SELECT id, %(id)s, 'prospect', %(last_name)s, 'Honorine', 'honorine@exemple.test', %(phone)s, '59000', 'Lille', now(),
  now() FROM organisations WHERE slug = 'demo'
"""
PAIR = """
INSERT INTO duplicate_pairs (organisation_id, id, first_id, second_id, score, evidence, found_at, search_id)
SELECT id, gen_random_uuid(), least(%(a)s, %(b)s), greatest(%(a)s, %(b)s), 2, '{email,close_name,postcode}', now(),
  gen_random_uuid() FROM organisations WHERE slug = 'demo'
"""


def _make_pair(world: World) -> tuple[UUID, UUID]:
    kept, other = uuid4(), uuid4()
    with world.database() as database:
        for client_id, last_name, phone in ((kept, "Vasseur", None), (other, "Vaseur", "+33612345678")):
            given: dict[str, Any] = {"id": client_id, "last_name": last_name, "phone": phone}
            database.execute(CLIENT, given)
        database.execute(PAIR, {"a": kept, "b": other})
    return kept, other


def test_merged_and_parted_again_by_keyboard(synced: World, sign_in: SignIn, shot: Shot) -> None:
    kept, other = _make_pair(synced)
    page = sign_in("admin", at="/clients/doublons")
    pair = page.get_by_test_id("duplicate-pair").filter(has_text="Vasseur")
    expect(pair).to_contain_text("Probable")
    everywhere(page, shot, "duplicates")
    press(page, "link", "Comparer et fusionner")
    page.locator(f"[name=gardee][value='{kept}']").focus()
    page.keyboard.press("Space")
    everywhere(page, shot, "merge")
    press(page, "button", "Fusionner")
    expect(page.get_by_test_id("toast").filter(has_text="c’est fait").first).to_be_visible()
    expect(page).to_have_url(f"{synced.url}/clients/{kept}")
    expect(page.locator("main")).to_contain_text("06 12 34 56 78")
    everywhere(page, shot, "merged")
    page.goto(f"/clients/{other}?onglet=activites")
    expect(page).to_have_url(f"{synced.url}/clients/{kept}?onglet=activites")
    press(page, "link", "Voir ou annuler la fusion")
    press(page, "button", "Annuler cette opération")
    expect(page.get_by_role("button", name="Appliquer")).to_be_visible(timeout=LONG)
    everywhere(page, shot, "unmerge")
    press(page, "button", "Appliquer")
    expect(page.get_by_test_id("operation-sentence")).to_be_visible(timeout=LONG)
    page.goto(f"/clients/{other}")
    expect(page).to_have_url(f"{synced.url}/clients/{other}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Vaseur")


def test_three_side_by_side_and_long_names_fit_a_telephone(synced: World, sign_in: SignIn, shot: Shot) -> None:
    clients = [*_make_pair(synced), uuid4()]
    with synced.database() as database:
        given = {"id": clients[2], "last_name": "Castelnaudary-Montesquieu", "phone": "+33612345699"}
        database.execute(CLIENT, given)
        database.execute(PAIR, {"a": clients[0], "b": clients[2]})
    page = sign_in("admin", at="/clients/fusion?" + "&".join(f"fiche={each}" for each in clients))
    everywhere(page, shot, "merge-of-three")
    page.set_viewport_size(PHONE)
    page.goto("/clients/doublons")
    heads = page.locator(".pair-table thead th", has_text="Castelnaudary")
    expect(heads).to_have_count(1)
    assert heads.evaluate("head => head.scrollWidth <= head.clientWidth")
