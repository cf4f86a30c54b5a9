"""People's rights in the browser: what is known is handed out, a client is erased, old prospects are proposed."""

import io
import zipfile
from pathlib import Path
from uuid import UUID, uuid4

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, LONG, Shot, SignIn
from tests.browser.looking import everywhere
from tests.browser.test_accessibility import PHONE
from tests.browser.world import World

CLIENT = """
INSERT INTO clients (organisation_id, id, status, last_name, first_name, email, phone, postcode, city, changed_at,
  created_at)
SELECT id, %(id)s, 'prospect', %(last_name)s, 'Léonie', %(email)s, '+33612345679', '59000', 'Lille',
  %(at)s::timestamptz, %(at)s::timestamptz FROM organisations WHERE slug = 'demo'
"""


def _make(world: World, last_name: str, at: str = "now") -> UUID:
    client_id = uuid4()
    with world.database() as database:
        given = {"id": client_id, "last_name": last_name, "email": f"{last_name.lower()}@exemple.test", "at": at}
        database.execute(CLIENT, given)
    return client_id


def _confirm(page: Page, label: str, words: str) -> None:
    """By the keyboard alone."""
    field = page.get_by_label(label)
    field.focus()
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_an_admin_hands_data_out_then_erases(world: World, sign_in: SignIn, shot: Shot) -> None:
    client_id = _make(world, "Brassard")
    page = sign_in("admin", at=f"/clients/{client_id}")
    page.locator("summary", has_text="Remettre ses données").focus()
    page.keyboard.press("Enter")
    page.set_viewport_size(PHONE)
    expect(page.get_by_test_id("disclose")).to_be_in_viewport(ratio=1)
    page.set_viewport_size(DESK)
    with page.expect_download() as download:
        page.get_by_test_id("disclose").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.namelist() == ["LISEZ-MOI.txt", "Donnees.pdf", "donnees.json"]
        assert b"brassard@exemple.test" in archive.read("donnees.json")
    page.get_by_test_id("to-erasure").click()
    everywhere(page, shot, "effacement")
    _confirm(page, "Pour confirmer, écrivez le nom du client", "Durand")
    expect(page.locator("#nom-error")).to_contain_text("Brassard Léonie")
    page.get_by_label("Pour confirmer, écrivez le nom du client").fill("")
    _confirm(page, "Pour confirmer, écrivez le nom du client", "brassard leonie")
    expect(page.get_by_role("heading", name="Client effacé")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("erased-badge")).to_be_visible()
    expect(page.get_by_text("Brassard")).to_have_count(0)
    everywhere(page, shot, "efface")
    page.goto(f"{world.url}/clients?q=brassard")
    expect(page.get_by_test_id("client-row")).to_have_count(0)


def test_prospects_of_old_are_proposed_and_the_chosen_one_goes(world: World, sign_in: SignIn, shot: Shot) -> None:
    old = _make(world, "Jadis", at="2020-01-15")
    _make(world, "Naguère", at="2020-02-15")
    page = sign_in("admin", at="/donnees-a-effacer")
    expect(page.get_by_test_id("proposed-row")).to_have_count(2)
    everywhere(page, shot, "donnees-a-effacer")
    box = page.get_by_label("Choisir Jadis Léonie")
    box.focus()
    page.keyboard.press("Space")
    _confirm(page, "Pour confirmer, écrivez le nombre de prospects choisis", "1")
    expect(page.get_by_test_id("operation-sentence")).to_contain_text("1 appliqué", timeout=LONG)
    page.goto(f"{world.url}/clients/{old}")
    expect(page.get_by_role("heading", name="Client effacé")).to_be_visible()
    page.goto(f"{world.url}/donnees-a-effacer")
    expect(page.get_by_test_id("proposed-row")).to_have_count(1)
    page.goto(f"{world.url}/journal")
    expect(page.get_by_test_id("journal-entry").filter(has_text="36 mois")).to_be_visible()
    expect(page.get_by_text("Jadis")).to_have_count(0)
