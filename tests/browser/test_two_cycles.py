"""What a client chose and where they lived at the lock is what leaves; what they change since leaves with the next."""

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page, expect

from tests.browser.charging import charge_what_is_due
from tests.browser.conftest import LONG, SignIn
from tests.browser.world import World


def test_a_lock_freezes_choices_and_address_until_the_next_cycle(first_morning: World, sign_in: SignIn) -> None:
    page = sign_in("admin", at="/preferences/nouvelle")
    _add_field(page)
    client, subscription = _find_biweekly(first_morning)
    _choose(page, subscription, "Brésil")
    _move(page, client, "3 rue du Port", "Lille")

    line = page.get_by_test_id("batch-line").filter(has=page.locator(f"a[href$='/clients/{client}']"))
    charge_what_is_due(page)
    batch = _lock(page, line)
    _choose(page, subscription, "Éthiopie")
    _move(page, client, "8 quai des Brumes", "Le Havre")
    page.goto(batch)
    _says(line, ["Brésil", "3 rue du Port", "Lille"], ["Éthiopie", "8 quai des Brumes"])

    _a_fortnight_passes(first_morning, subscription)
    charge_what_is_due(page)
    assert _lock(page, line) != batch
    _says(line, ["Éthiopie", "8 quai des Brumes", "Le Havre"], ["Brésil", "3 rue du Port"])

    page.goto(batch)
    _says(line, ["Brésil", "3 rue du Port"], ["Éthiopie"])
    _ship(page)
    page.goto(f"/clients/{client}")
    shipment = page.get_by_test_id("client-shipments").get_by_test_id("shipment-row")
    expect(shipment).to_have_count(1)
    shipment.get_by_role("link").first.click()
    expect(page.get_by_role("main")).to_contain_text("3 rue du Port")
    page.goto(batch)
    page.get_by_role("link", name="Expéditions", exact=True).last.click()
    page.locator("[data-action=complete]").click()
    expect(page.get_by_test_id("batch-status")).to_have_attribute("data-status", "completed")


def _add_field(page: Page) -> None:
    page.get_by_label("Nom", exact=True).fill("Origine")
    page.get_by_label("Code", exact=True).fill("origine")
    page.get_by_label("Type").select_option("enum")
    page.get_by_label("Choix", exact=True).fill("Brésil\nÉthiopie")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("link", name="Origine")).to_be_visible()


def _find_biweekly(world: World) -> tuple[str, str]:
    """A client, and their subscription, which falls due today and again in a fortnight."""
    with world.database() as connection:
        row = connection.execute(
            "SELECT client_id, id FROM subscriptions WHERE frequency = 'biweekly' AND status = 'active'"
        ).fetchone()
    assert row is not None
    return str(row[0]), str(row[1])


def _choose(page: Page, subscription: str, origin: str) -> None:
    page.goto(f"/abonnements/{subscription}/preferences")
    page.get_by_label("Origine").select_option(label=origin)
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("preference-row").filter(has_text="Origine")).to_contain_text(origin)


def _move(page: Page, client: str, street: str, city: str) -> None:
    page.goto(f"/clients/{client}/modifier")
    page.locator("#address_line1").fill(street)
    page.locator("#postcode").fill("59000")
    page.locator("#city").fill(city)
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("main")).to_contain_text(street)


def _lock(page: Page, line: Locator) -> str:
    """Lock the open batch as soon as the line is in it; returns the address of the batch."""
    page.goto("/lots")
    page.get_by_test_id("batch-row").and_(page.locator("[data-status=open]")).get_by_role("link").click(timeout=LONG)
    expect(line).to_have_attribute("data-status", "pending", timeout=LONG)
    page.get_by_text("Verrouiller maintenant").click()
    page.get_by_test_id("batch-action").click()
    expect(page.get_by_test_id("batch-status")).to_have_attribute("data-status", "locked", timeout=LONG)
    return page.url


def _says(line: Locator, said: Iterable[str], unsaid: Iterable[str]) -> None:
    for text in said:
        expect(line).to_contain_text(text)
    for text in unsaid:
        expect(line).not_to_contain_text(text)


def _ship(page: Page) -> None:
    """Scan the box of the client, dispatch it without the others, take its label and hand it over."""
    reference = re.findall(
        r"L\d{6}-\d{4}", page.get_by_test_id("batch-line").filter(has_text="3 rue du Port").inner_text()
    )
    page.get_by_role("link", name="Préparation").click()
    page.get_by_label("Référence scannée").fill(reference[0])
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("scan-result")).to_contain_text(f"{reference[0]} est préparé.")
    page.get_by_role("link", name="Expéditions", exact=True).last.click()
    page.get_by_label("préparée").select_option("reporter")
    page.get_by_label("Motif").fill("Rupture de stock")
    page.get_by_test_id("batch-action").click()
    row = page.get_by_test_id("shipment-row")
    expect(row).to_have_attribute("data-status", "labelled", timeout=LONG)
    row.get_by_role("link").first.click()
    with page.expect_download() as label:
        page.get_by_test_id("label-download").click()
    assert label.value.path().read_bytes().startswith(b"%PDF-")
    page.go_back()
    page.locator("[data-action=hand-over]").click()
    expect(row).to_have_attribute("data-status", "handed_over")


def _a_fortnight_passes(world: World, subscription: str) -> None:
    """The subscription began two weeks earlier than it did: its second cycle is due."""
    with world.database() as connection:
        connection.execute(
            "UPDATE subscriptions SET anchor_date = anchor_date - 14, next_charge_on = next_charge_on - 14,"
            " next_charge_at = next_charge_at - interval '14 days' WHERE id = %s",
            [subscription],
        )
