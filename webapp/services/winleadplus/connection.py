"""The test of a connection: does WinLeadPlus answer, to whom, and how quickly."""

import time
from contextlib import closing
from dataclasses import dataclass

from webapp.gateways import identity, winleadplus
from webapp.services.winleadplus import config
from webapp.services.winleadplus.payload import RejectedProspectError, external_id_of


@dataclass(frozen=True)
class ConnectionAnswer:
    """``seconds`` until the first prospect; ``first_id`` is its id, None where there is none or it has none."""

    endpoint: str
    seconds: float
    first_id: str | None


def try_connection(endpoint: str | None = None) -> ConnectionAnswer:
    """Read the first prospect only, with the service account's token. Raises DomainError with the reason.

    ``endpoint`` is an address that is not kept yet, and is held against the same rules; without it, the present one.
    """
    if endpoint:
        endpoint = endpoint.strip()
        winleadplus.check_endpoint(endpoint)
    else:
        endpoint = config.endpoint_of(config.find())
    token = identity.service_token()
    began = time.monotonic()
    with closing(winleadplus.stream_prospects(endpoint, token=token, patience=winleadplus.SOMEONE_WAITS)) as stream:
        elements = next(stream, [])
    seconds = time.monotonic() - began
    try:
        first_id = external_id_of(elements[0].value) if elements else None
    except RejectedProspectError:
        first_id = None
    return ConnectionAnswer(endpoint, seconds, first_id)
