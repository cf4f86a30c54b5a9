"""The ground tests stand on: a real PostgreSQL and a real Redis, a database per process, a rollback per test."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import time_machine
from flask import Flask
from flask.sessions import SessionMixin
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from jinja2 import FileSystemBytecodeCache
from sqlalchemy.engine import make_url
from werkzeug.test import TestResponse

from tests import probe
from tests.databases import TEST_KEY, admin_url, create_migrated, settings_for
from tests.emptying import empty
from tests.examples import IS_THOROUGH
from tests.ground import Cast, Ground, rolled_back
from tests.provider import LocalProvider, running
from webapp import clock, crypto, tenancy
from webapp.config import Settings
from webapp.extensions import db, limiter
from webapp.factory import create_app
from webapp.gateways import identity
from webapp.gateways.identity import Tokens
from webapp.models.identity import User
from webapp.sessions import keep_tokens

USER_TOKENS = Tokens("access-token-of-the-user", "refresh-token", "id-token", expires_in=30 * 24 * 3600)
"""They outlast the days by which tests move the clock: no identity provider would renew them."""
HTMX = {"HX-Request": "true"}
CSRF_SECRET = "csrf-secret-of-the-session"
REDIS_DATABASES = 16
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
"""The instant at which the application's clock starts in every test: a Friday morning in Paris."""

# A busy machine may take long for an example: that says nothing of the code. The gate tries the same ones each time.
hypothesis.settings.register_profile(
    "crm",
    deadline=None,
    derandomize=not IS_THOROUGH,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("crm")


def pytest_configure() -> None:
    """With CRM_TEST_TODAY=2028-02-29 the wall clock of the tests' own process begins on that day, at ten in Paris."""
    if today := os.environ.get("CRM_TEST_TODAY"):
        time_machine.travel(datetime.fromisoformat(f"{today}T09:00:00+00:00"), tick=True).start()


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector leaves it out."""
    gc.collect()
    gc.freeze()


def _worker_number() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for this process's own database and Redis database."""
    number = _worker_number()
    return settings_for(f"crm_test_{number}", tmp_path_factory.mktemp("home"), number % REDIS_DATABASES)


@pytest.fixture(scope="session")
def database(settings: Settings) -> str:
    """A fresh, migrated database for this process."""
    name = make_url(settings.database_url).database or ""
    create_migrated(name)
    return name


class Browser(FlaskClient):
    """A test client whose requests begin without an organisation, and leave the test's own one as it was."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request."""
        with tenancy.organisation(None):  # type: ignore[arg-type]
            return super().open(*args, **kwargs)

    @contextmanager
    def session_transaction(self, *args: Any, **kwargs: Any) -> Iterator[SessionMixin]:
        """Look into the session, or alter it."""
        with tenancy.organisation(None), super().session_transaction(*args, **kwargs) as browser_session:  # type: ignore[arg-type]
            yield browser_session


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of a run keep the templates that they have compiled, for each other."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "templates"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def app(settings: Settings, database: str, compiled_templates: Path) -> Iterator[Flask]:
    """The application on the test database."""
    app = create_app(settings)
    app.config["TESTING"] = True
    app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(compiled_templates))
    app.register_blueprint(probe.bp)
    app.test_client_class = Browser
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(autouse=True)
def _fixed_clock() -> Iterator[None]:
    """No result depends on the day of the run: the clock starts at one instant, and tests move it from there."""
    clock.start_at(NOW)
    yield
    clock.start_at(None)


@pytest.fixture
def app_context(app: Flask) -> Iterator[Flask]:
    """An application context with limits and organisation as they were."""
    with app.app_context():
        yield app
        db.session.remove()
    tenancy.enter_organisation(None)
    app.config["SESSION_REDIS"].flushdb()
    limiter.reset()


@pytest.fixture(scope="session")
def ground(app: Flask) -> Iterator[Ground]:
    """The transaction with the cast, kept from test to test."""
    ground = Ground()
    yield ground
    ground.close()


@pytest.fixture
def session(request: pytest.FixtureRequest, app_context: Flask, ground: Ground) -> Iterator[None]:
    """One outer transaction for the whole test, rolled back at its end; commits inside become savepoints."""
    if "cast" in request.fixturenames:
        with ground.savepoint(db.engine):
            yield
    else:
        with db.engine.connect() as connection, rolled_back(connection, connection.begin()):
            yield


@pytest.fixture
def committed(app: Flask, app_context: Flask, settings: Settings, ground: Ground) -> Iterator[None]:
    """For tests that need several connections or processes: real commits, and every table emptied afterwards."""
    ground.close()
    yield
    db.session.remove()
    db.engine.dispose()
    empty(admin_url(make_url(settings.database_url).database))


@pytest.fixture
def cast(session: None, ground: Ground, settings: Settings) -> Iterator[Cast]:
    """The cast, in the rolled-back transaction; the current organisation is theirs; what it keeps on disk goes too."""
    yield ground.cast()
    shutil.rmtree(settings.documents_folder, ignore_errors=True)


@pytest.fixture
def organisation_id(cast: Cast) -> UUID:
    """The organisation that the test works for."""
    return cast.organisation.id


SignIn = Callable[[User], FlaskClient]


def _csrf_token(app: Flask) -> str:
    """What ``csrf_token()`` puts into the pages of a session that keeps CSRF_SECRET."""
    return str(URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps(CSRF_SECRET))


@pytest.fixture
def sign_in(app: Flask) -> SignIn:
    """A browser, signed in as the user, without the trip to the identity provider; it sends the CSRF token."""

    def client_of(user: User) -> FlaskClient:
        client = app.test_client()
        client.environ_base["HTTP_X_CSRFTOKEN"] = _csrf_token(app)
        with client.session_transaction() as browser_session:
            browser_session["csrf_token"] = CSRF_SECRET
            browser_session["user_id"] = str(user.id)
            browser_session["organisation_id"] = str(user.organisation_id)
            keep_tokens(browser_session, USER_TOKENS, at=clock.now())
        return client

    return client_of


@pytest.fixture
def client(cast: Cast, sign_in: SignIn) -> FlaskClient:
    """A commercial's browser."""
    return sign_in(cast.commercial)


@pytest.fixture
def manager_client(cast: Cast, sign_in: SignIn) -> FlaskClient:
    """A manager's browser."""
    return sign_in(cast.manager)


@pytest.fixture
def admin_client(cast: Cast, sign_in: SignIn) -> FlaskClient:
    """An admin's browser."""
    return sign_in(cast.admin)


@pytest.fixture
def outsider_client(cast: Cast, sign_in: SignIn) -> FlaskClient:
    """The browser of an admin of another organisation: finds nothing of ours."""
    return sign_in(cast.outsider)


@pytest.fixture
def stranger(app: Flask, app_context: Flask) -> FlaskClient:
    """A browser that has not signed in."""
    return app.test_client()


@pytest.fixture
def provider(app: Flask, settings: Settings) -> Iterator[LocalProvider]:
    """An identity provider that answers, in the place of the one that nobody listens at."""
    with running() as provider:
        ours = settings.model_copy(update={"oidc_issuer": provider.issuer})
        app.extensions["settings"] = ours
        identity.use(ours)
        yield provider
    app.extensions["settings"] = settings
    identity.use(settings)


@pytest.fixture(autouse=True)
def _keys(request: pytest.FixtureRequest) -> None:
    """Tests that make no application still encrypt with the test key."""
    crypto.use(crypto.Keyring.parse(TEST_KEY))
