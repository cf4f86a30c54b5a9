"""Sessions in Redis: sealed for their own key, so that whoever writes there signs nobody in."""

import msgspec
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from tests.conftest import Cast, SignIn
from webapp import crypto


def _stored_session(app: Flask, browser: FlaskClient) -> tuple[str, bytes]:
    redis: Redis = app.config["SESSION_REDIS"]
    cookie = browser.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    key = f"session:{cookie.value}"
    stored = redis.get(key)
    assert isinstance(stored, bytes)
    return key, stored


def test_a_session_written_into_redis_signs_nobody_in(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    browser = sign_in(cast.admin)
    key, _ = _stored_session(app, browser)
    written = {"user_id": str(cast.admin.id), "organisation_id": str(cast.organisation.id)}
    app.config["SESSION_REDIS"].set(key, msgspec.msgpack.encode({**written, "tokens_checked_until": 4e9}))
    assert browser.get("/clients").status_code == 303


def test_a_session_copied_to_another_key_signs_nobody_in(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    admin, commercial = sign_in(cast.admin), sign_in(cast.commercial)
    _, sealed = _stored_session(app, admin)
    key, _ = _stored_session(app, commercial)
    app.config["SESSION_REDIS"].set(key, sealed)
    assert commercial.get("/clients").status_code == 303
    assert admin.get("/clients").status_code == 200


def test_a_session_outlives_a_new_data_key_and_ends_with_its_own(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    browser, old = sign_in(cast.admin), crypto.keyring()
    try:
        crypto.use(crypto.Keyring({"new": bytes(32), **old.keys}))
        assert browser.get("/clients").status_code == 200
        crypto.use(crypto.Keyring({"new": bytes(32)}))
        assert sign_in(cast.admin).get("/clients").status_code == 200
        key, _ = _stored_session(app, browser)
        with app.app_context():
            crypto.use(old)
            sealed = old.encrypt(msgspec.msgpack.encode({}), place=key)
        app.config["SESSION_REDIS"].set(key, sealed)
        crypto.use(crypto.Keyring({"new": bytes(32)}))
        assert browser.get("/clients").status_code == 303
    finally:
        crypto.use(old)
