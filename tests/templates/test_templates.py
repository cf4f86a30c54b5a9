"""Every template renders, with every name that it uses defined, and none carries script or style of its own."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import StrictUndefined
from sqlalchemy import select

from tests.conftest import HTMX, Cast
from tests.factories import ClientFactory, ContractFactory, make_bank_account
from webapp import clock
from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import ItemKind, RunStatus, RunTrigger, SyncItem, SyncRun

FOLDER = Path(__file__).parents[2] / "webapp" / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))
# Inline handlers, scripts and styles are blocked by our policy; the last two of htmx's would need eval.
FORBIDDEN = re.compile(r"""\son[a-z]+=|\sstyle=|<style|<script(?![^>]*\ssrc=)|hx-on|=["']js:|hx-trigger="[^"]*\[""")


@pytest.fixture
def subject(cast: Cast) -> Client:
    """A client with something in each part of its page."""
    client: Client = ClientFactory(commercial_id=cast.sales_rep.id, email="meme@example.org")
    ContractFactory(client_id=client.id)
    make_bank_account(client)
    db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_UPDATED, changes={"city": [None, "Lille"]}))
    db.session.commit()
    return client


def _visit_client(browser: FlaskClient, subject: Client) -> None:
    page = f"/clients/{subject.id}"
    account = f"{page}/comptes/{db.session.scalar(select(BankAccount.id))}"
    browser.get(page)
    browser.post(f"{account}/iban", headers=HTMX)
    browser.get(account, headers=HTMX)
    browser.post("/clients/controle/email", data={"email": "meme@example.org"}, headers=HTMX)
    subject.version = 2
    db.session.commit()
    changed = {"last_name": "AUTRE", "country": "FR", "status": "active", "version": "1"}
    assert browser.post(f"{page}/modifier", data=changed).status_code == 409


def _visit_runs(browser: FlaskClient) -> None:
    ended = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.PARTIAL, errors=1, finished_at=clock.now())
    running = SyncRun(trigger=RunTrigger.SCHEDULED)
    db.session.add_all([ended, running])
    db.session.flush()
    db.session.add(SyncItem(run_id=ended.id, external_id="1", kind=ItemKind.ERROR, reason="Sans nom"))
    db.session.commit()
    for run in (ended, running):
        for rest in ("", "/elements", "/elements?apres="):
            for headers in ({}, HTMX):
                browser.get(f"/synchronisations/{run.id}{rest}", headers=headers)
    for rest in ("", f"?avant={running.id}"):
        for headers in ({}, HTMX):
            browser.get(f"/synchronisations{rest}", headers=headers)


def test_every_template_is_rendered_by_a_visit(
    app: Flask, client: FlaskClient, stranger: FlaskClient, subject: Client
) -> None:
    assert app.jinja_env.undefined is StrictUndefined
    assert app.jinja_env.cache is not None
    app.jinja_env.cache.clear()
    client.get("/clients")
    client.get("/clients", headers=HTMX)
    client.get("/nulle-part")
    client.get("/nulle-part", headers=HTMX)
    _visit_client(client, subject)
    _visit_runs(client)
    client.get("/clients")  # with a run under way
    assert stranger.get("/connexion").status_code == 503  # nobody answers for the identity provider here
    client.post("/deconnexion", follow_redirects=True)
    rendered = {name for _loader, name in app.jinja_env.cache}
    assert sorted(set(TEMPLATES) - rendered) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_carries_no_script_or_style(name: str) -> None:
    assert FORBIDDEN.findall((FOLDER / name).read_text(encoding="utf-8")) == []
