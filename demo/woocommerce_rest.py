"""REST v3 of the pretend shop, ``/wp-json/wc/v3``: what a CRM reads, and the webhooks that it may list and make.

As WooCommerce 11 answers: customers know neither ``modified_after`` nor ``orderby=modified``, and are customers only
without ``role=all``; ``modified_after`` is strict, and in the shop's zone without ``dates_are_gmt``; lists leave out
trash and drafts. One thing is laxer: Basic holds over plain http too, since all this stands on loopback.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlencode

from flask import Flask, Response, request
from werkzeug.datastructures import MultiDict

from demo.woocommerce_bodies import Body, encode
from demo.woocommerce_hooks import OTHER_TOPICS, TOPICS, Courier, Hook
from demo.woocommerce_world import World

BASE: Final = "/wp-json/wc/v3"
MODES: Final = {
    "ok": "answers",
    "slow": "answers after `pause`",
    "401": "knows no key",
    "429": "asks to come back after `retry_after` seconds",
    "500": "fails",
    "cut": "stops in the middle of the answer",
    "html": "answers 200 with a page, as a security plugin does",
}
ORDERINGS: Final = {
    "customers": ("id", "include", "name", "registered_date"),
    "orders": ("date", "id", "include", "modified", "title"),
    "subscriptions": ("date", "id", "include", "modified", "title"),
    "products": ("date", "id", "include", "modified", "title"),
}
HIDDEN: Final = ("trash", "checkout-draft")
CANNOT_VIEW: Final = "Désolé, vous ne pouvez pas lister les ressources."


class RestError(Exception):
    """An answer with an error object."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@dataclass
class Manners:
    """To whom the REST side opens, and how it behaves. ``pause`` and ``retry_after`` are in seconds."""

    key: str
    secret: str
    mode: str = "ok"
    times: int | None = None
    """How many more requests meet the mode; None: all."""
    pause: float = 3.0
    retry_after: int = 1
    honours_modified_after: bool = True
    """Whether subscriptions can be asked for by date of change, as only newer versions of the extension can."""
    has_subscriptions: bool = True
    asked: list[str] = field(default_factory=list)
    """Path and query of each request, the newest last: 1000 at most."""

    def next_mode(self) -> str:
        """How the next request fares."""
        if self.times is not None:
            self.times -= 1
            if self.times < 0:
                self.mode, self.times = "ok", None
        return self.mode


def add_rest(app: Flask, world: World, courier: Courier, manners: Manners) -> None:
    """The endpoints, for whoever brings the key."""
    _add_door(app, manners)
    _add_resources(app, world, manners)
    _add_webhooks(app, courier)


def _add_door(app: Flask, manners: Manners) -> None:
    @app.before_request
    def misbehave() -> Response | None:
        if not request.path.startswith("/wp-json/"):
            return None
        manners.asked.append(request.full_path.rstrip("?"))
        del manners.asked[:-1000]
        known = request.authorization
        is_allowed = bool(
            known and known.type == "basic" and (known.username, known.password) == (manners.key, manners.secret)
        )
        fault = FAULTS.get(manners.next_mode())
        return (fault(manners) if fault else None) or (None if is_allowed else _refuse())

    @app.errorhandler(RestError)
    def show_error(error: RestError) -> Response:
        return _answer({"code": error.code, "message": error.message, "data": {"status": error.status}}, error.status)


def _add_resources(app: Flask, world: World, manners: Manners) -> None:
    @app.get(f"{BASE}/<any(customers, products, orders, subscriptions):collection>")
    def list_resources(collection: str) -> Response:
        _check_subscriptions(manners, collection)
        with world.lock:
            found = find(world, collection, request.args, honours_modified=manners.honours_modified_after)
            return _page(collection, found)

    @app.get(f"{BASE}/<any(customers, products, orders, subscriptions):collection>/<int:woo_id>")
    def show_resource(collection: str, woo_id: int) -> Response:
        _check_subscriptions(manners, collection)
        body = world.body(collection, woo_id)
        if body is None and collection == "orders":
            body = world.body("subscriptions", woo_id)  # they share ids, and orders answer for both
        if body is None:
            raise RestError(404, f"woocommerce_rest_{collection.rstrip('s')}_invalid_id", "ID non valide.")
        return _answer(body)

    @app.get(f"{BASE}/system_status")
    def show_system() -> Response:
        environment = {"home_url": world.url, "site_url": world.url, "version": "11.0.1", "wp_version": "7.1"}
        plugins = [{"plugin": "woocommerce/woocommerce.php", "name": "WooCommerce", "version": "11.0.1"}]
        return _answer({"environment": environment, "active_plugins": plugins, "settings": {"currency": "EUR"}})


def _add_webhooks(app: Flask, courier: Courier) -> None:
    @app.get(f"{BASE}/webhooks")
    def list_hooks() -> Response:
        return _page("webhooks", [_told(hook) for hook in reversed(courier.hooks.values())])

    @app.post(f"{BASE}/webhooks")
    def add_hook() -> Response:
        asked = request.get_json(force=True)
        if asked.get("topic") not in (*TOPICS, *OTHER_TOPICS):
            raise RestError(400, "woocommerce_rest_invalid_parameter", "Sujet non valide.")
        hook = courier.add(
            asked["topic"], str(asked["delivery_url"]), str(asked.get("secret") or token_hex(25)), asked.get("name", "")
        )
        return _answer(_told(hook), 201)

    @app.put(f"{BASE}/webhooks/<int:hook_id>")
    def change_hook(hook_id: int) -> Response:
        if hook_id not in courier.hooks:
            raise RestError(404, "woocommerce_rest_shop_webhook_invalid_id", "ID non valide.")
        courier.set_status(hook_id, str(request.get_json(force=True)["status"]))
        return _answer(_told(courier.hooks[hook_id]))


def _told(hook: Hook) -> Body:
    """A hook as REST shows it: without its secret."""
    resource, _, event = hook.topic.partition(".")
    names = {name: getattr(hook, name) for name in ("id", "name", "status", "topic", "delivery_url")}
    return names | {"resource": resource, "event": event}


def _check_subscriptions(manners: Manners, collection: str) -> None:
    if collection == "subscriptions" and not manners.has_subscriptions:
        raise RestError(404, "rest_no_route", "Aucune route ne correspond à l’URL et à la méthode demandées.")


def find(world: World, collection: str, asked: "MultiDict[str, str]", *, honours_modified: bool = True) -> list[Body]:
    """What a list holds, in its order. Raises RestError."""
    ordering = asked.get("orderby", "registered_date" if collection == "customers" else "date")
    if ordering not in ORDERINGS[collection]:
        raise RestError(400, "rest_invalid_param", "Paramètre(s) non valide(s) : orderby")
    found = [body for body in world.bodies[collection].values() if _is_wanted(collection, body, asked)]
    if collection != "customers":
        found = [body for body in found if _is_within("created", "", body, asked, world)]
    if collection != "customers" and (collection != "subscriptions" or honours_modified):
        found = [body for body in found if _is_within("modified", "modified_", body, asked, world)]
    found.sort(key=_order_by(ordering), reverse=asked.get("order", "desc") == "desc")
    return found


def _is_wanted(collection: str, body: Body, asked: Mapping[str, str]) -> bool:
    wanted = [int(each) for each in asked.get("include", "").split(",") if each.strip()]
    if wanted and body["id"] not in wanted:
        return False
    if collection == "customers":
        return asked.get("role", "customer") in ("all", body["role"])
    states = [state for state in asked.get("status", "any").split(",") if state]
    return body["status"] in states or ("any" in states and body["status"] not in HIDDEN)


def _is_within(date: str, prefix: str, body: Body, asked: Mapping[str, str], world: World) -> bool:
    """Whether a date of a resource lies between two that were asked for: ``modified_after`` and so on, strictly."""
    is_gmt = asked.get("dates_are_gmt") == "true"
    at = datetime.fromisoformat(body[f"date_{date}_gmt"]).replace(tzinfo=UTC)
    after, before = (_instant(asked.get(f"{prefix}{name}"), world, is_gmt=is_gmt) for name in ("after", "before"))
    return (after is None or at > after) and (before is None or at < before)


def _instant(text: str | None, world: World, *, is_gmt: bool) -> datetime | None:
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise RestError(400, "rest_invalid_param", "Paramètre(s) non valide(s) : modified_after") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC if is_gmt else world.stamps.zone)


def _order_by(ordering: str) -> Callable[[Body], tuple[Any, ...]]:
    fields = {"date": "date_created_gmt", "registered_date": "date_created_gmt", "modified": "date_modified_gmt"}
    if ordering in fields:
        return lambda body: (body[fields[ordering]] or "", body["id"])
    return lambda body: (body["id"],)


def _page(collection: str, found: list[Body]) -> Response:
    """The page asked for, with the totals and the links to its neighbours."""
    size, page = _number("per_page", 10, 100), _number("page", 1, 10**6)
    pages = -(-len(found) // size)
    shown = found[(page - 1) * size : page * size]
    is_past = page > pages and collection == "orders"
    response = _answer(shown)
    response.headers["X-WP-Total"] = str(0 if is_past else len(found))
    response.headers["X-WP-TotalPages"] = str(0 if is_past else pages)
    neighbours = [("prev", page - 1)] if page > 1 else []
    neighbours += [("next", page + 1)] if page < pages else []
    if neighbours:
        response.headers["Link"] = ", ".join(
            f'<{request.base_url}?{urlencode({**request.args.to_dict(), "page": number})}>; rel="{name}"'
            for name, number in neighbours
        )
    return response


def _number(name: str, missing: int, most: int) -> int:
    text = request.args.get(name, str(missing))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise RestError(400, "rest_invalid_param", f"Paramètre(s) non valide(s) : {name}")
    return int(text)


def _answer(body: object, status: int = 200) -> Response:
    return Response(encode(body), status, content_type="application/json; charset=UTF-8")


def _refuse(_manners: Manners | None = None) -> Response:
    return _answer({"code": "woocommerce_rest_cannot_view", "message": CANNOT_VIEW, "data": {"status": 401}}, 401)


def _wait(manners: Manners) -> None:
    time.sleep(manners.pause)


def _ask_for_patience(manners: Manners) -> Response:
    response = _answer({"code": "too_many_requests", "message": "Trop de requêtes.", "data": {"status": 429}}, 429)
    response.headers["Retry-After"] = str(manners.retry_after)
    return response


def _fail(_manners: Manners) -> Response:
    return Response("<p>Il y a eu une erreur critique sur ce site.</p>", 500, content_type="text/html; charset=UTF-8")


def _show_page(_manners: Manners) -> Response:
    return Response("<!doctype html><title>Vérification</title><p>Un instant…</p>", content_type="text/html")


def _cut(_manners: Manners) -> Response:
    """Half an answer, then nothing: the connection ends before the length that was announced."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n"
            b'[{"id":24,"status":"proc'
        )
        connection.shutdown(socket.SHUT_RDWR)
    return Response()


FAULTS: Final[dict[str, Callable[[Manners], Response | None]]] = {
    "slow": _wait,
    "401": _refuse,
    "429": _ask_for_patience,
    "500": _fail,
    "cut": _cut,
    "html": _show_page,
}
