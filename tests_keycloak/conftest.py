"""One product with one Keycloak for all tests, and a Chromium context per person; the figures are told at the end."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from psycopg import sql
from sqlalchemy.engine import make_url

from demo.home import open_home
from tests.browser.conftest import DESK, chromium, fill_sign_in, shot
from tests.browser.world import REDIS_DATABASE
from tests_keycloak.keycloak import Administration, KeycloakWorld, Person

__all__ = ["chromium", "shot"]  # fixtures
DATABASE = "crm_keycloak"
FIGURES: list[tuple[str, str]] = []

SignIn = Callable[..., Page]
Figure = Callable[[str, str], None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured."""
    terminalreporter.section("figures")
    for what, found in FIGURES:
        terminalreporter.write_line(f"{what}: {found}")


@pytest.fixture
def figure() -> Figure:
    """Note what was measured."""
    return lambda what, found: FIGURES.append((what, found))


@pytest.fixture(scope="session")
def world() -> Iterator[KeycloakWorld]:
    """The product, running. Its home stays, since in it Keycloak is built."""
    owner_url = make_url(os.environ["CRM_TEST_DATABASE_OWNER_URL"])
    admin = make_url(os.environ["CRM_TEST_DATABASE_ADMIN_URL"]).set(drivername="postgresql")
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        owner = sql.Identifier(owner_url.username or "")
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), owner))
    named = [
        make_url(os.environ[name]).set(database=DATABASE).render_as_string(hide_password=False)
        for name in ("CRM_TEST_DATABASE_URL", "CRM_TEST_DATABASE_OWNER_URL")
    ]
    redis_url = make_url(os.environ["CRM_TEST_REDIS_URL"]).set(database=str(REDIS_DATABASE))
    home = open_home(Path(os.environ["CRM_HOME"]) / "with-keycloak")
    running = KeycloakWorld(home, *named, redis_url.render_as_string(hide_password=False))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def administration(world: KeycloakWorld) -> Administration:
    """Keycloak's administration."""
    return Administration(world)


@pytest.fixture
def new_page(world: KeycloakWorld, chromium: Browser) -> Iterator[Callable[[], Page]]:
    """Pages of browsers that nobody has used yet."""
    contexts: list[BrowserContext] = []

    def make() -> Page:
        context = chromium.new_context(viewport=DESK, locale="fr-FR", timezone_id="Europe/Paris", base_url=world.url)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)  # Keycloak's first pages are slow
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def sign_in(world: KeycloakWorld, new_page: Callable[[], Page]) -> SignIn:
    """Sign somebody in through Keycloak's own page; their page then, at the clients unless ``at`` says otherwise."""

    def page_of(who: str | Person, *, at: str = "/clients") -> Page:
        page = new_page()
        page.goto(at)
        fill_sign_in(page, who if isinstance(who, str) else who.username)
        page.wait_for_url(f"{world.url}/**")
        return page

    return page_of
