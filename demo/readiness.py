"""Whether what was started can be used yet."""

import http.client
from collections.abc import Container, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Check:
    """One thing that must answer before a start counts as done."""

    name: str
    address: str
    good: Container[int]
    host: str | None = None

    def fault(self) -> str | None:
        """What is wrong with it, None when it answers as it should."""
        status = _status(self.address, self.host)
        return None if status in self.good else f"{self.name} ({self.address}: {status or 'no answer'})"


def checks(environment: Mapping[str, str]) -> list[Check]:
    """In order, the last one being that a page can be served; real servers elsewhere are not waited for."""
    web = f"http://{_reachable(environment['HOST'])}:{environment['PORT']}"
    host = urlsplit(environment["PUBLIC_URL"]).netloc
    issuer = environment["OIDC_ISSUER"]
    winleadplus = environment.get("EXTERNAL_API_URL") or environment["WINLEADPLUS_API_URL"]
    wanted = [
        Check("the web server", f"{web}/sante/vivant", {200}, host),
        Check("the identity provider", f"{issuer}/.well-known/openid-configuration", {200}),
        Check("WinLeadPlus", winleadplus, range(200, 500)),  # it refuses us, having no token
        Check("the payment provider", f"{environment['PAYMENT_SANDBOX_URL']}/_control", {200}),
        Check("the clients page", f"{web}/clients", range(200, 400), host),  # it redirects to the sign-in
    ]
    return [check for check in wanted if urlsplit(check.address).hostname in {"127.0.0.1", "::1", environment["HOST"]}]


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  # compared, not bound


def _status(address: str, host: str | None) -> int | None:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=2)
    try:
        connection.request("GET", url.path, headers={"Host": host} if host else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
