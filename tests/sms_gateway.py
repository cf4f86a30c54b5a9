"""The pretend SMS gateway in the test's process, on a real port: see demo/sms_gateway.py."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from demo import sms_gateway
from demo.sms_gateway import Gateway


@contextmanager
def running() -> Iterator[tuple[Gateway, str]]:
    """A gateway that sends to nobody until the end of the block, and its address."""
    gateway = Gateway()
    server = sms_gateway.start(gateway, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield gateway, f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
