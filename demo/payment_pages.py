"""The pretend payment provider's own pages, on which a client gives a card or an account, and may pay at once.

``POST /pages`` makes one, ``/page/<id>`` is what the client sees. What the client may choose decides what comes of it:
a card that is taken, one that is refused, an account whose bank answers later. Pages outlive a restart in a journal.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
from flask import Flask, Response, redirect, render_template_string, request
from werkzeug.wrappers import Response as BaseResponse

from demo.payment_bank import REASONS, Bank
from demo.winleadplus_api import as_json
from webapp import clock

CHOICES: Final = {
    "card": "Carte Visa 4242 4242 4242 4242",
    "expiring_card": "Carte Mastercard 5555 5555 5555 4444, qui expire à la fin du mois",
    "refused_card": "Carte Visa 4000 0000 0000 9995, sans provision",
    "sepa": "Compte FR76 •••• 0189 (prélèvement SEPA, confirmé plus tard)",
}
PAGE: Final = """<!doctype html>
<html lang="fr">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Paiement – bac à sable</title>
  <style>
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem; }
    fieldset { border: 1px solid #888; border-radius: .5rem; margin: 1rem 0; padding: 1rem; }
    label { display: block; padding: .3rem 0; }
    button { font: inherit; padding: .5rem 1rem; margin-right: .5rem; }
    [role=alert] { border-left: .3rem solid #b00; padding-left: .7rem; }
  </style>
</head>
<body>
  <h1>Bac à sable</h1>
  {% if page.state == "open" %}
    {% if page.get("message") %}<p role="alert">{{ page.message }}</p>{% endif %}
    <form method="post">
      <fieldset>
        <legend>
          {% set payment = page.payment_asked %}
          {% if payment %}{{ payment.statement }} : {{ payment.amount }} {{ page.currency }}
          {% else %}Moyen de paiement à enregistrer pour {{ page.name or "le client" }}{% endif %}
        </legend>
        {% for choice, words in choices.items() %}
          <label>
            <input type="radio" name="choice" value="{{ choice }}" required {{ "checked" if loop.first }}> {{ words }}
          </label>
        {% endfor %}
      </fieldset>
      <button>{{ "Payer" if page.payment_asked else "Enregistrer" }}</button>
      <button name="choice" value="refuse" formnovalidate>Refuser</button>
      <a href="{{ page.leave_url }}">Revenir sans rien enregistrer</a>
    </form>
  {% else %}
    <p>Cette page est terminée.</p>
    <p><a href="{{ page.return_url }}">Continuer</a></p>
  {% endif %}
</body>
</html>"""

Page = dict[str, Any]


@dataclass
class Pages:
    """Every hosted page and saved method of a bank, by id."""

    bank: Bank
    journal: Path | None = None
    pages: dict[str, Page] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if self.journal and self.journal.exists():
            for line in self.journal.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # the last line of a kill
                    self._hold(orjson.loads(line))

    def _hold(self, page: Page) -> None:
        self.pages[page["id"]] = page
        self.by_key[page["key"]] = page["id"]
        if method := page.get("method"):
            self.methods[method["id"]] = method

    def make(self, key: str, asked: dict[str, Any], url: str) -> Page:
        """Keep a page for ``key``; the one that is there already where the key was used."""
        with self.lock:
            if key in self.by_key:
                return self.shown(self.pages[self.by_key[key]])
            page_id = f"page_{len(self.pages) + 1:06d}"
            page = asked | {
                "id": page_id,
                "key": key,
                "url": f"{url}page/{page_id}",
                "state": "open",
                "payment_asked": asked.get("payment"),
            }
            del page["payment"]
            self._write(page)
            return self.shown(page)

    def find(self, page_id: str) -> Page:
        """A page as it stands now; one whose time has passed is closed. Raises KeyError."""
        with self.lock:
            page = self.pages[page_id]
            if page["state"] == "open" and datetime.fromisoformat(page["closes_at"]) <= clock.now():
                self.move(page, "closed")
            return self.shown(page)

    def close(self, page_id: str) -> Page:
        """End a page that is still open. Raises KeyError."""
        with self.lock:
            page = self.pages[page_id]
            if page["state"] == "open":
                self.move(page, "closed")
            return self.shown(page)

    def shown(self, page: Page) -> Page:
        """A page as the API answers it, with the payment that came of it."""
        payment = self.bank.payments.get(self.bank.by_key.get(f"page:{page['id']}", ""))
        return {name: value for name, value in page.items() if name != "key"} | {"payment": payment}

    def submit(self, page_id: str, choice: str) -> Page:
        """The client has chosen. Raises KeyError."""
        with self.lock:
            page = self.pages[page_id]
            if self.find(page_id)["state"] != "open":
                return page
            if choice == "refuse":
                self.move(page, "refused", message="Le client a refusé.")
            elif choice == "refused_card":
                self._pay(page, "pm_insufficient_funds", "refused")
                page["message"] = REASONS["insufficient_funds"]
                self._write(page)
            elif choice == "sepa":
                self._take_account(page)
            else:
                method = self._method(page, choice)
                self._pay(page, method["id"], "succeeded")
                self.move(page, "completed", method=method)
            return page

    def _take_account(self, page: Page) -> None:
        method = self._method(page, "sepa")
        delay = self.bank.behaviour.delay
        if page["payment_asked"]:
            payment = self._pay(page, method["id"], "processing")
            self.bank.later.do(delay, partial(self.bank.capture_if, payment["id"], "processing"))
            self.move(page, "completed", method=method)
        else:
            self.move(page, "submitted")
            self.bank.later.do(delay, partial(self._confirm, page, method))

    def _confirm(self, page: Page, method: dict[str, Any]) -> None:
        with self.lock:
            if page["state"] == "submitted":
                self.move(page, "completed", method=method)

    def _pay(self, page: Page, method: str, state: str) -> dict[str, Any]:
        asked = page["payment_asked"]
        if not asked:
            return {}
        key = f"page:{page['id']}"
        if key in self.bank.by_key:
            return self.bank.change(self.bank.by_key[key], state, method=method)
        return self.bank.new_payment(key, asked | {"method": method}, state)

    def _method(self, page: Page, choice: str) -> dict[str, Any]:
        number = len(self.methods) + 1
        today = clock.today()
        last = {"card": ("visa", "4242"), "expiring_card": ("mastercard", "4444"), "sepa": ("", "0189")}[choice]
        expires = {"card": _end_of_month(today, years=2), "expiring_card": _end_of_month(today)}.get(choice)
        return {
            "id": f"pm_saved_{page['id']}_{number}",
            "kind": "sepa" if choice == "sepa" else "card",
            "customer": page["customer"] or f"cus_{page['id']}",
            "brand": last[0],
            "last4": last[1],
            "expires_on": expires.isoformat() if expires else None,
        }

    def move(self, page: Page, state: str, **more: Any) -> None:
        """Bring a page into a state, and tell our client."""
        page.update(more, state=state)
        self._write(page)
        self.bank.announce(f"page.{state}", page=self.shown(page))

    def change_method(self, method_id: str, changes: dict[str, Any]) -> dict[str, Any]:
        """The bank replaces a card by itself. Raises KeyError."""
        with self.lock:
            method = self.methods[method_id]
            method.update(changes)
            self.bank.announce("method.updated", method=method)
            return method

    def _write(self, page: Page) -> None:
        self._hold(page)
        if self.journal:
            with self.journal.open("ab") as file:
                file.write(orjson.dumps(page) + b"\n")


def _end_of_month(day: date, *, years: int = 0) -> date:
    first = day.replace(year=day.year + years, day=1)
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


Misbehave = Callable[[str, Callable[[], object]], Response | None]


def add_pages(app: Flask, pages: Pages, misbehave: Misbehave) -> None:
    """The API of pages and saved methods, and what the client sees."""
    add_window(app, pages)

    @app.post("/pages")
    def open_page() -> Response:
        key, asked = request.headers.get("Idempotency-Key", ""), request.get_json(force=True)
        if fault := fault_of(asked) or ("" if key else "Idempotency-Key is needed"):
            return as_json(400, {"error": "bad_request", "message": fault})
        make = partial(pages.make, key, asked, request.host_url)
        return (None if key in pages.by_key else misbehave(key, make)) or as_json(200, make())

    @app.get("/pages/<page_id>")
    def find_page(page_id: str) -> Response:
        return as_json(200, pages.find(page_id))

    @app.post("/pages/<page_id>/close")
    def close_page(page_id: str) -> Response:
        return as_json(200, pages.close(page_id))

    @app.get("/methods")
    def find_method() -> Response:
        method = pages.methods.get(request.args["reference"])
        return as_json(200, {"methods": [method] if method else []})

    @app.get("/_pages")
    def list_pages() -> Response:
        return as_json(200, {"pages": list(pages.pages)})

    @app.post("/_methods/<method_id>")
    def change_method(method_id: str) -> Response:
        return as_json(200, pages.change_method(method_id, request.get_json(force=True)))


def add_window(app: Flask, pages: Pages) -> None:
    """What the client sees of a page, and does there."""

    @app.get("/page/<page_id>")
    def show(page_id: str) -> str:
        return render_template_string(PAGE, page=pages.find(page_id), choices=CHOICES)

    @app.post("/page/<page_id>")
    def submit(page_id: str) -> BaseResponse | str:
        page = pages.submit(page_id, request.form.get("choice", "card"))
        if page["state"] == "open":
            return render_template_string(PAGE, page=pages.find(page_id), choices=CHOICES)
        return redirect(page["leave_url" if page["state"] in ("refused", "closed") else "return_url"], 303)


def fault_of(asked: Any) -> str | None:
    """What is wrong with a request for a page, if anything."""
    needed = {"methods", "currency", "return_url", "leave_url", "closes_at", "metadata"}
    if not isinstance(asked, dict) or needed - set(asked):
        return f"{', '.join(sorted(needed))} are needed"
    payment = asked.get("payment")
    return "amount is above zero" if payment and Decimal(payment["amount"]) <= 0 else None
