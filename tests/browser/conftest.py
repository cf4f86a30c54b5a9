"""One running product and one Chromium for all browser tests; a context, with its cookies, per person."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy.engine import make_url

from tests.browser.world import REDIS_DATABASE, World
from tests.databases import create_migrated, named

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
DESK = {"width": 1366, "height": 768}
DATABASE = "crm_browser"
OF_THE_NETWORK = ("Failed to load resource", "htmx: htmx:error: Failed to fetch")
"""What the console says of refusals and outages, which are the product's own to tell."""
LONG = 30_000  # milliseconds; a synchronisation is quick, the machine may not be
expect.set_options(timeout=10_000)

SignIn = Callable[..., Page]
Shot = Callable[[Page, str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are browser tests; tests/distribution.py keeps them in one process."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Under a failure stands what the product itself said went wrong."""
    report = yield
    running = getattr(item, "funcargs", {}).get("world")
    if running and report.failed:
        report.sections.append(("the product's log", running.complaints()))
    return report


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The product, running until the last browser test has ended: other tests need the processor."""
    create_migrated(DATABASE)
    urls = [named(os.environ[name], DATABASE) for name in ("CRM_TEST_DATABASE_URL", "CRM_TEST_DATABASE_OWNER_URL")]
    redis_url = make_url(os.environ["CRM_TEST_REDIS_URL"]).set(database=str(REDIS_DATABASE))
    running = World(tmp_path_factory.mktemp("world"), *urls, redis_url.render_as_string(hide_password=False))
    running.start()
    running.reset()  # whatever tests are chosen, the first of them finds what the others find
    yield running
    running.stop()


@pytest.fixture
def first_morning(world: World) -> World:
    """The product as it is before anybody has used it."""
    world.reset()
    return world


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, or Playwright's own."""
    with sync_playwright() as playwright:
        path = os.environ.get("CRM_CHROMIUM") or None
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def sign_in(world: World, chromium: Browser) -> Iterator[SignIn]:
    """Sign somebody in through the provider's form; their page, on the clients unless ``at`` says otherwise.

    What the browser itself complains about (a script that failed, a rule of its policy) fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(OF_THE_NETWORK):
            complaints.append(message.text)

    def page_of(username: str, *, at: str = "/clients", **options: object) -> Page:
        usual = {"viewport": DESK, "locale": "fr-FR", "timezone_id": "Europe/Paris", "base_url": world.url}
        still = {"reduced_motion": "reduce"}  # what fades in has no contrast yet
        context = chromium.new_context(**usual | still | options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(at)
        fill_sign_in(page, username)
        page.wait_for_url(f"{world.url}/**")
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert complaints == []


def fill_sign_in(page: Page, username: str) -> None:
    """Type a demo account into the provider's form and send it."""
    page.locator("input[name=username]").fill(username)
    page.locator("input[name=password]").fill("demo")
    page.locator("[type=submit]").click()


def synchronise(page: Page, *, end: str = "success", within: int = LONG) -> None:
    """Click « Sync WinLeadPlus » and wait for the end."""
    page.get_by_test_id("sync-button").click()
    progress = page.get_by_test_id("sync-progress")
    expect(progress).to_have_attribute("data-status", re.compile(f"running|{end}"))
    expect(progress).to_have_attribute("data-status", end, timeout=within)


@pytest.fixture
def synced(world: World, sign_in: SignIn) -> World:
    """The product after a first synchronisation, whatever tests came before; WinLeadPlus is well."""
    world.switch_winleadplus_on()
    world.winleadplus(mode="ok")
    if not world.has_prospects():
        synchronise(sign_in("admin"))
    return world


@pytest.fixture
def charged(synced: World, sign_in: SignIn) -> World:
    """The product after the charges of its demo organisation were run once."""
    with synced.database() as connection:
        if connection.execute("SELECT FROM charge_runs WHERE finished_at IS NOT NULL LIMIT 1").fetchone() is not None:
            return synced
    page = sign_in("manager.nord", at="/prelevements")
    page.get_by_test_id("charges-run-button").click()
    expect(page.get_by_test_id("charges-progress")).to_have_attribute("data-status", "partial", timeout=LONG)
    expect(page.get_by_test_id("charge-row").first).to_be_visible()
    return synced


@pytest.fixture
def shot() -> Shot:
    """Save a picture for whoever wants to look: in CRM_SCREENSHOTS, if set."""
    folder = os.environ.get("CRM_SCREENSHOTS")

    def save(page: Page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save
