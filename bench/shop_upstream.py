"""``python -m bench.shop_upstream ORDERS``: the pretend shop with about so many orders, which says everything twice.

What it answered once it answers again from memory: a benchmark measures its reader, and not the shop.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.serving import make_server

from demo.winleadplus_api import QuietHandler
from demo.woocommerce_shop import Shop, create_app

MONTHS = 10
SECRET = "bench"  # noqa: S105  # of nobody
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def remembering(application: Application) -> Application:
    """The application, asked once for each address."""
    known: dict[str, tuple[str, list[tuple[str, str]], bytes]] = {}

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        address = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        if address not in known:
            said: list[Any] = []
            body = b"".join(application(environ, lambda status, headers, *_: said.extend((status, headers))))
            known[address] = (said[0], said[1], body)
        status, headers, body = known[address]
        start_response(status, headers)
        return [body]

    return answer


def main() -> None:
    """Serve until killed."""
    shop = Shop("http://127.0.0.1/", SECRET)
    shop.world.populate(max(2, int(sys.argv[1]) // MONTHS), months=MONTHS)
    server = make_server("127.0.0.1", 0, remembering(create_app(shop)), threaded=True, request_handler=QuietHandler)
    print(f"http://127.0.0.1:{server.port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
