"""Clients given to another commercial, all at once, and given back: by the keyboard alone."""

from playwright.sync_api import expect

from tests.browser.conftest import LONG, Shot, SignIn
from tests.browser.looking import everywhere, press
from tests.browser.world import World

OWNERS = """
SELECT c.id, k.last_name FROM clients c JOIN organisations o ON o.id = c.organisation_id AND o.slug = 'demo'
LEFT JOIN commercials k ON k.organisation_id = c.organisation_id AND k.id = c.commercial_id
ORDER BY c.id
"""


def _owners(world: World) -> dict[str, str | None]:
    with world.database() as database:
        return {str(client_id): name for client_id, name in database.execute(OWNERS).fetchall()}


def test_a_reassignment_is_planned_applied_and_undone_by_keyboard(synced: World, sign_in: SignIn, shot: Shot) -> None:
    before = _owners(synced)
    page = sign_in("admin")
    rows = page.get_by_test_id("client-row")
    chosen = []
    for number in range(3):
        rows.nth(number).get_by_role("checkbox").focus()
        page.keyboard.press("Space")
        chosen.append(rows.nth(number).get_attribute("data-client-id") or "")
    press(page, "button", "Actions groupées")
    expect(page.get_by_role("radio", name="Les 3 que vous avez choisis")).to_be_checked()
    page.get_by_label("Que faire").focus()
    page.keyboard.type("Réaffecter")
    page.get_by_label("À quel commercial").focus()
    page.keyboard.press("End")
    name = page.get_by_label("À quel commercial").evaluate("select => select.selectedOptions[0].text")
    everywhere(page, shot, "bulk")
    press(page, "button", "Voir le plan")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    everywhere(page, shot, "bulk-plan")
    assert _owners(synced) == before, "a plan changes nothing"
    press(page, "button", "Appliquer")
    expect(page.get_by_test_id("operation-undo")).to_be_visible(timeout=LONG)
    after = _owners(synced)
    assert all(after[each] and name.endswith(after[each] or "-") for each in chosen)
    assert {each: owner for each, owner in after.items() if each not in chosen} == {
        each: owner for each, owner in before.items() if each not in chosen
    }
    press(page, "button", "Annuler cette opération")
    expect(page.get_by_role("button", name="Appliquer")).to_be_visible(timeout=LONG)
    everywhere(page, shot, "bulk-undo")
    press(page, "button", "Appliquer")
    expect(page.get_by_test_id("operation-sentence")).to_be_visible(timeout=LONG)
    assert _owners(synced) == before
