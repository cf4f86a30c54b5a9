"""From a client with nothing to a mandate that can be charged, by the pages alone."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shot, SignIn
from tests.browser.test_accessibility import findings
from tests.browser.test_bank_files import open_account
from tests.browser.world import World
from tests.examples import one_of

SIZES = {"desk": {"width": 1366, "height": 768}, "telephone": {"width": 390, "height": 844}}


@pytest.mark.parametrize(("scheme", "size"), one_of(("dark", "telephone"), ("light", "desk")))
def test_a_bare_client_gets_a_mandate(synced: World, sign_in: SignIn, shot: Shot, scheme: str, size: str) -> None:
    page = sign_in("admin", color_scheme=scheme, viewport=SIZES[size])
    open_account(page)
    page.goto("/clients/nouveau")
    page.get_by_label("Nom", exact=True).fill(f"Mandataire {scheme} {size}")
    page.get_by_label("IBAN").fill("FR76 3000 6000 0112 3456 7890 189")
    page.get_by_role("button", name="Créer").click()
    page.get_by_test_id("tab-paiements").click()
    page.get_by_test_id("mandate-new").click()
    page.get_by_label("Société créancière").select_option(index=0)
    page.get_by_label("Signé le").fill("2020-02-29")
    page.get_by_label("Référence (RUM)").fill("é")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_label("Référence (RUM)")).to_have_attribute("aria-invalid", "true")
    assert findings(page) == []
    shot(page, f"mandate-form-{scheme}-{size}")
    page.get_by_label("Référence (RUM)").fill("")
    page.get_by_label("Signé le").fill("")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("toast")).to_contain_text("imprimez-le et faites-le signer")
    assert findings(page) == []
    shot(page, f"mandate-tab-{scheme}-{size}")

    page.goto("/prelevements/mandats?manque=a-signer")
    assert findings(page) == []
    shot(page, f"mandates-{scheme}-{size}")
    page.get_by_role("link", name=f"Mandataire {scheme} {size}".upper()).or_(
        page.get_by_role("link", name=f"Mandataire {scheme} {size}")
    ).first.click()
    with page.expect_download() as download:
        page.get_by_test_id("mandate-pdf").click()
    assert download.value.suggested_filename.startswith("Mandat SEPA MD-")
    page.get_by_label("Signé le").fill("2026-11-02")
    page.get_by_label("Lieu de signature").fill("Lille")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_test_id("toast")).to_contain_text("il peut servir")
    page.get_by_test_id("mandate-link").click()
    expect(page.get_by_test_id("mandate-stops")).to_contain_text("Rien n’est prélevé")
    shot(page, f"mandate-{scheme}-{size}")
    page.get_by_text("Révoquer", exact=True).click()
    page.get_by_role("button", name="Révoquer le mandat").click()
    expect(page.get_by_test_id("toast")).to_contain_text("révoqué")
