"""The pretend carrier in the test's process, on a real port: see demo/carrier.py."""

from collections.abc import Iterator
from contextlib import contextmanager

from demo import carrier
from demo.carrier import Carrier
from tests.serving import serving


@contextmanager
def running() -> Iterator[tuple[Carrier, str]]:
    """A carrier that carries nothing until the end of the block, and its address."""
    pretend = Carrier()
    server = carrier.start(pretend, 0)
    with serving(server):
        yield pretend, f"http://127.0.0.1:{server.port}"
