"""The pretend SMS gateway in the test's process, on a real port: see demo/sms_gateway.py."""

from collections.abc import Iterator
from contextlib import contextmanager

from demo import sms_gateway
from demo.sms_gateway import Gateway
from tests.serving import serving


@contextmanager
def running() -> Iterator[tuple[Gateway, str]]:
    """A gateway that sends to nobody until the end of the block, and its address."""
    gateway = Gateway()
    server = sms_gateway.start(gateway, 0)
    with serving(server):
        yield gateway, f"http://127.0.0.1:{server.port}"
