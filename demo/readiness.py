"""Whether what was started can be used yet."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit


def what_is_missing(environment: Mapping[str, str]) -> str | None:
    """The first thing that does not answer as it should, None once a page can be served."""
    web = f"http://{_reachable(environment['HOST'])}:{environment['PORT']}"
    host = urlsplit(environment["PUBLIC_URL"]).netloc
    issuer = environment["OIDC_ISSUER"]
    checks = [
        ("the web server", f"{web}/sante/vivant", range(200, 201)),
        ("the identity provider", f"{issuer}/.well-known/openid-configuration", range(200, 201)),
        ("WinLeadPlus", environment.get("EXTERNAL_API_URL") or environment["WINLEADPLUS_API_URL"], range(200, 500)),
        ("the clients page", f"{web}/clients", range(200, 400)),  # a redirect to the sign-in
    ]
    for name, address, good in checks:
        if _is_ours(address) and (status := _status(address, host if address.startswith(web) else None)) not in good:
            return f"{name} ({address}: {status or 'no answer'})"
    return None


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  # compared, not bound


def _is_ours(address: str) -> bool:
    """Real servers elsewhere are not what a start waits for."""
    return urlsplit(address).scheme == "http"


def _status(address: str, host: str | None) -> int | None:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
    try:
        connection.request("GET", url.path, headers={"Host": host} if host else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
