"""Which module speaks to which provider, and the connections that are kept open to each account."""

import os
from collections.abc import Mapping
from datetime import timedelta

from webapp.config import Settings
from webapp.gateways.providers import protocol
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, Sandbox
from webapp.gateways.providers.sepa_file import SepaFile
from webapp.models.providers import Provider

CREDENTIALS: dict[Provider, tuple[str, ...]] = {
    Provider.SANDBOX: (),
    Provider.STRIPE: ("api_key", "webhook_secret"),
    Provider.SEPA_FILE: ("iban", "bic"),
}
"""What an account with each provider needs. The sandbox's address and secret come from the environment."""

_SIGNATURE_HEADERS = {Provider.SANDBOX: SIGNATURE_HEADER, Provider.STRIPE: "Stripe-Signature"}
_sandbox_url = _sandbox_secret = _stripe_url = ""
_open: dict[tuple[object, ...], protocol.PaymentProvider] = {}


def use(settings: Settings) -> None:
    """Set the process's addresses, once, at start-up."""
    global _sandbox_url, _sandbox_secret, _stripe_url
    _sandbox_url, _sandbox_secret = settings.payment_sandbox_url, settings.payment_sandbox_secret
    _stripe_url = settings.stripe_api_url


def is_signed(kind: Provider, headers: Mapping[str, str]) -> bool:
    """Whether a webhook carries a signature at all; whose it is takes a secret to tell."""
    header = _SIGNATURE_HEADERS.get(kind)
    return header is not None and bool(headers.get(header))


def is_offered(kind: Provider) -> bool:
    """Whether accounts with it can be opened here: the sandbox only where the environment names one, shops never."""
    return kind.has_accounts and (kind is not Provider.SANDBOX or bool(_sandbox_url))


def provider_for(
    kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta
) -> protocol.PaymentProvider:
    """The provider behind an account. Raises ProviderRejectedError where credentials or addresses are missing."""
    if missing := [name for name in CREDENTIALS[kind] if not credentials.get(name)]:
        raise protocol.ProviderRejectedError(f"credentials are missing: {', '.join(missing)}")
    # Connections may not be shared across a fork, so each process has its own.
    addresses = (_sandbox_url, _sandbox_secret, _stripe_url)
    key = (os.getpid(), kind, tuple(sorted(credentials.items())), longest_delay, addresses)
    if key not in _open:
        _open[key] = _make(kind, credentials, longest_delay)
    return _open[key]


def _make(kind: Provider, credentials: Mapping[str, str], longest_delay: timedelta) -> protocol.PaymentProvider:
    match kind:
        case Provider.STRIPE:
            # The SDK takes half a second and many megabytes, which whoever does without Stripe should not pay.
            from webapp.gateways.providers.stripe import Stripe  # noqa: PLC0415

            return Stripe(
                api_key=credentials["api_key"],
                webhook_secret=credentials["webhook_secret"],
                longest_delay=longest_delay,
                url=_stripe_url or None,
            )
        case Provider.SEPA_FILE:
            return SepaFile()
        case _:
            if not _sandbox_url:
                raise protocol.ProviderRejectedError("PAYMENT_SANDBOX_URL is not set")
            return Sandbox(url=_sandbox_url, secret=_sandbox_secret, longest_delay=longest_delay)


def close() -> None:
    """Let go of every connection of this process."""
    while _open:
        _, provider = _open.popitem()
        getattr(provider, "close", lambda: None)()
