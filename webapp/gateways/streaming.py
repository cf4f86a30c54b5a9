"""A GET to an address whose hosts were checked before (``addresses``): streamed, by no proxy, without redirections."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from webapp.gateways.connecting import certificates


def open_client(timeout: httpx.Timeout, *, auth: httpx.Auth | None = None) -> httpx.Client:
    """A client without the environment's proxy, which would resolve the name again, and reach what we may not."""
    return httpx.Client(timeout=timeout, trust_env=False, verify=certificates(), auth=auth)


def get(client: httpx.Client, url: httpx.URL, hosts: list[str], headers: Mapping[str, str]) -> httpx.Response:
    """The answer, unread, from the first of ``hosts`` that can be connected to; it comes first among them afterwards.

    To be closed by the caller. Raises httpx.HTTPError.
    """
    asked = {"Host": url.netloc.decode("ascii"), "Accept": "application/json", "Accept-Encoding": "gzip", **headers}
    *others, last = hosts
    for host in (*others, last):
        # The certificate is checked against the name, although the connection goes to the checked address.
        request = client.build_request(
            "GET", url.copy_with(host=host), headers=asked, extensions={"sni_hostname": url.host}
        )
        try:
            response = client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if host == last:
                raise
        else:
            hosts.sort(key=lambda each: each != host)
            return response
    raise AssertionError("a name resolves to at least one address")


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, as the answer asks by a number or an HTTP date; None where it asks nothing that makes sense."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:6])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())  # the header follows the wall clock, not ours
