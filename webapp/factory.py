"""Putting the application together."""

from datetime import timedelta
from pathlib import Path
from wsgiref.headers import Headers

from flask import Flask
from flask_babel import Babel
from jinja2 import StrictUndefined
from redis import Redis
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from webapp import cli, clock, crypto, keeping, links, logs, queue, security, sessions, tenancy, views
from webapp.config import Settings
from webapp.extensions import csrf, db, htmx, limiter, migrate
from webapp.gateways import document_store, identity, messaging, operators, winleadplus, woocommerce
from webapp.gateways.carriers import registry as carriers
from webapp.gateways.providers import pacing
from webapp.gateways.providers import registry as payment_providers

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"
BODY_LIMIT = 1024 * 1024
POOL_SIZE = 5


def create_app(settings: Settings) -> Flask:
    """Make the application for these settings. Connects to nothing until the first request."""
    logs.configure(settings)
    clock.start_at(settings.crm_now)
    crypto.use(settings.keyring)
    document_store.use(settings)
    identity.use(settings)
    winleadplus.use(settings)
    operators.use(settings)
    woocommerce.use(settings)
    payment_providers.use(settings)
    messaging.use(settings)
    carriers.use(settings)
    links.use(settings.base_url)
    redis = Redis.from_url(settings.redis_url, socket_timeout=10, socket_connect_timeout=5)
    queue.use(settings.redis_url)
    keeping.use(redis)
    pacing.use(settings.redis_url)

    app = Flask(__name__, static_folder=str(STATIC), static_url_path="/static")
    app.jinja_env.undefined = StrictUndefined  # a name that a view forgot is a fault, not a blank
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.extensions["settings"] = settings
    app.config.update(_flask_config(settings, redis))
    db.init_app(app)
    tenancy.scope_session(db.session.session_factory.class_)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"), compare_type=True)
    htmx.init_app(app)
    logs.init_app(app)
    sessions.init_app(app, redis)
    security.init_app(
        app
    )  # the gate stands before CSRF and limits: whose session ended is sent to sign in, not refused
    csrf.init_app(app)
    limiter.init_app(app)
    Babel(app, default_locale="fr", default_timezone="Europe/Paris")
    views.init_app(app)
    cli.init_app(app)
    _put_behind(app, settings)
    return app


def _flask_config(settings: Settings, redis: Redis) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.secret_key,
        "TRUSTED_HOSTS": settings.hosts,
        "MAX_CONTENT_LENGTH": BODY_LIMIT,
        "MAX_FORM_PARTS": 200,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "query_cache_size": 4000,  # with the 500 of SQLAlchemy, every seventh statement was compiled anew
            "pool_pre_ping": True,
            "hide_parameters": True,  # values of a failing statement are personal data
            "pool_size": POOL_SIZE,
            "connect_args": {"connect_timeout": 5, "application_name": "crm"},
        },
        "SESSION_REDIS": redis,
        "SESSION_PERMANENT": True,
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
        "SESSION_REFRESH_EACH_REQUEST": False,
        "SESSION_COOKIE_NAME": settings.session_cookie_name,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SECURE": settings.is_production,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "WTF_CSRF_HEADERS": ["X-CSRFToken"],
        "RATELIMIT_STORAGE_URI": "redis://",  # the pool below says where
        "RATELIMIT_STORAGE_OPTIONS": {"connection_pool": redis.connection_pool},
        "RATELIMIT_STRATEGY": "sliding-window-counter",  # two numbers, however much was asked
    }


def _put_behind(app: Flask, settings: Settings) -> None:
    """What stands between the server and Flask: static files with far expiry, and in production a proxy."""
    common_headers = security.headers_of_everything(settings)

    def add_headers(headers: Headers, _path: str, _url: str) -> None:
        for name, value in common_headers.items():
            headers[name] = value

    wrapped = WhiteNoise(
        app.wsgi_app,
        root=str(STATIC),
        prefix="static/",
        autorefresh=not settings.is_production,
        max_age=365 * 24 * 3600,  # addresses carry the file's fingerprint
        allow_all_origins=False,
        add_headers_function=add_headers,
    )
    app.wsgi_app = ProxyFix(wrapped, x_for=1, x_proto=1, x_host=1) if settings.is_production else wrapped  # type: ignore[method-assign]
