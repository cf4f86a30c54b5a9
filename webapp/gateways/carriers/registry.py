"""Which module speaks to which carrier, and the connections that are kept open to each account."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from webapp.config import Settings
from webapp.gateways.carriers import chronopost, colissimo, fitting, protocol, sandbox
from webapp.gateways.carriers.none import NoCarrier
from webapp.models.carriers import Carrier


class Field(NamedTuple):
    """One of the credentials that the settings form asks for. ``label`` and ``hint`` are French."""

    name: str
    label: str
    hint: str = ""
    is_secret: bool = False
    is_required: bool = True


CREDENTIALS: dict[Carrier, tuple[Field, ...]] = {
    Carrier.SANDBOX: (),
    Carrier.NONE: (),
    Carrier.COLISSIMO: (
        Field("contract_number", "Numéro de contrat"),
        Field("password", "Mot de passe des services web", is_secret=True),
        Field(
            "tracking_key",
            "Clé «\u00a0Suivi\u00a0» de La Poste",
            "Facultative\u202f: sans elle, les colis ne sont pas suivis.",
            is_secret=True,
            is_required=False,
        ),
    ),
    Carrier.CHRONOPOST: (
        Field("account_number", "Numéro de compte"),
        Field("password", "Mot de passe des services web", is_secret=True),
    ),
}
"""What an account with each carrier needs. The sandbox's address comes from the environment."""
SERVICES: dict[Carrier, tuple[tuple[str, str], ...]] = {
    Carrier.SANDBOX: (("standard", "Standard"), ("express", "Express")),
    Carrier.NONE: (("", "—"),),
    Carrier.COLISSIMO: (("DOM", "Domicile sans signature"), ("DOS", "Domicile avec signature")),
    Carrier.CHRONOPOST: (("1", "Chrono 13"), ("2", "Chrono 10"), ("16", "Chrono 18")),
}
"""What may be bought of each carrier, as it calls it, with the words on the screen; the usual one first."""
CAPABILITIES: dict[Carrier, protocol.Capabilities] = {
    Carrier.SANDBOX: sandbox.CAPABILITIES,
    Carrier.NONE: NoCarrier.capabilities,
    Carrier.COLISSIMO: colissimo.CAPABILITIES,
    Carrier.CHRONOPOST: chronopost.CAPABILITIES,
}
"""As a rule; an account may have agreed on another pace or delay."""
LIMITS: dict[Carrier, fitting.Limits] = {
    Carrier.SANDBOX: sandbox.LIMITS,
    Carrier.COLISSIMO: colissimo.LIMITS,
    Carrier.CHRONOPOST: chronopost.LIMITS,
}
"""What fits on the label; without a carrier, nothing is printed."""

_sandbox_url = _colissimo_url = _chronopost_url = ""
_open: dict[tuple[object, ...], protocol.LabelCarrier] = {}


def use(settings: Settings) -> None:
    """Set the process's addresses, once, at start-up."""
    global _sandbox_url, _colissimo_url, _chronopost_url
    _sandbox_url = settings.carrier_sandbox_url
    _colissimo_url, _chronopost_url = settings.colissimo_url, settings.chronopost_url


def is_offered(kind: Carrier) -> bool:
    """Whether accounts with it can be opened here: the sandbox only where the environment names one."""
    return kind is not Carrier.SANDBOX or bool(_sandbox_url)


def party_faults(kind: Carrier, party: protocol.Party) -> list[fitting.Fault]:
    """What of a sender or recipient does not fit on the labels of that carrier, or is missing."""
    return list(fitting.party_faults(LIMITS[kind], party)) if kind in LIMITS else []


def request_faults(kind: Carrier, request: protocol.LabelRequest) -> list[fitting.Fault]:
    """What of a request that carrier would not take; empty where it is ready to be sent."""
    return list(fitting.request_faults(LIMITS[kind], request)) if kind in LIMITS else []


def carrier_for(
    kind: Carrier, credentials: Mapping[str, str], *, service: str, longest_delay: timedelta
) -> protocol.LabelCarrier:
    """The carrier behind an account. Raises CarrierRejectedError where credentials or addresses are missing."""
    needed = (field.name for field in CREDENTIALS[kind] if field.is_required)
    if missing := [name for name in needed if not credentials.get(name)]:
        raise protocol.CarrierRejectedError(f"credentials are missing: {', '.join(missing)}")
    # Connections may not be shared across a fork, so each process has its own.
    addresses = (_sandbox_url, _colissimo_url, _chronopost_url)
    key = (os.getpid(), kind, tuple(sorted(credentials.items())), service, longest_delay, addresses)
    if key not in _open:
        _open[key] = _make(kind, credentials, service, longest_delay)
    return _open[key]


def _make(
    kind: Carrier, credentials: Mapping[str, str], service: str, longest_delay: timedelta
) -> protocol.LabelCarrier:
    match kind:
        case Carrier.NONE:
            return NoCarrier()
        case Carrier.COLISSIMO:
            return colissimo.Colissimo(credentials, service=service, longest_delay=longest_delay, url=_colissimo_url)
        case Carrier.CHRONOPOST:
            return chronopost.Chronopost(credentials, service=service, longest_delay=longest_delay, url=_chronopost_url)
    if not _sandbox_url:
        raise protocol.CarrierRejectedError("CARRIER_SANDBOX_URL is not set")
    return sandbox.Sandbox(url=_sandbox_url, service=service, longest_delay=longest_delay)


def close() -> None:
    """Let go of every connection of this process."""
    while _open:
        _, carrier = _open.popitem()
        getattr(carrier, "close", lambda: None)()
