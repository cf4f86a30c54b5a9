"""``python -m tests.gateways.providers.stripe_server``: localstripe on a loopback port, which it prints.

localstripe speaks an older dialect. Bent here, so that our requests reach it as they are: parameters that it does not
know are left out, and search, which it lacks, looks through what it holds. What it cannot do at all (idempotency keys,
decline codes, disputes) is tested with canned answers instead.
"""

import socket
from typing import Any

from aiohttp import web
from localstripe import server
from localstripe.resources import PaymentIntent, store

UNKNOWN_TO_IT = ("automatic_payment_methods", "description", "statement_descriptor_suffix")
_create = PaymentIntent._api_create.__func__


def create(cls: Any, **data: Any) -> Any:
    """Create a PaymentIntent from what it understands."""
    return _create(cls, **{name: value for name, value in data.items() if name not in UNKNOWN_TO_IT})


async def search(request: web.Request) -> web.Response:
    """The PaymentIntents whose metadata is asked for, as Stripe answers."""
    name, _, value = request.query["query"].removeprefix("metadata['").partition("']:")
    found = [
        intent._export(expand=["latest_charge"])
        for intent in store.values()
        if isinstance(intent, PaymentIntent) and intent.metadata.get(name) == value.strip("'")
    ]
    return web.json_response({"object": "search_result", "url": request.path, "has_more": False, "data": found})


def main() -> None:
    """Serve until killed."""
    PaymentIntent._api_create = classmethod(create)
    store.dump_to_disk = lambda: None
    server.app.router._resources.insert(0, server.app.router.add_get("/v1/payment_intents/search", search).resource)
    door = socket.create_server(("127.0.0.1", 0))
    print(door.getsockname()[1], flush=True)  # noqa: T201  # what starts it reads this
    web.run_app(server.app, sock=door, print=None, access_log=None)


if __name__ == "__main__":
    main()
