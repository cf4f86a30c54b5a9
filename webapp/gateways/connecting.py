"""What calls by HTTP have in common, whoever is called."""

import ssl
from functools import cache

import httpx

NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""Errors that come before the first byte of a request: whoever was to be asked knows nothing of it."""


@cache
def certificates() -> ssl.SSLContext:
    """The certificates that the machine trusts, read once in a process: each reading takes longer than a call."""
    return ssl.create_default_context()
