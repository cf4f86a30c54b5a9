"""Having what is due charged, by the button that people press."""

from playwright.sync_api import Page

from tests.browser.world import eventually


def charge_what_is_due(page: Page) -> None:
    """Press « Lancer les prélèvements » and wait for the end of the run that this started.

    A run under way is waited for first: whoever presses joins it, and it may have passed what has just been sold.
    """
    eventually(lambda: _has_ended(page, "/prelevements"))
    with page.expect_response(lambda answer: answer.request.method == "POST") as started:
        page.get_by_test_id("charges-run-button").click()
    run = started.value.headers["location"]
    eventually(lambda: _has_ended(page, run))
    page.goto("/prelevements")


def _has_ended(page: Page, address: str) -> bool:
    page.goto(address)
    return page.locator("[data-testid=charges-progress][data-status=running]").count() == 0
