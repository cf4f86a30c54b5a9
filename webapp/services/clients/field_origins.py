"""What came from where: which of a client's fields stand as WinLeadPlus has them."""

from typing import NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.winleadplus import SyncMapping
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.plans import CLIENT_FIELDS, SNAPSHOT


class Provenance(NamedTuple):
    """Names of fields that hold something: those as WinLeadPlus has them, and those written here since or instead."""

    upstream: list[str]
    own: list[str]


def find_provenance(client: Client) -> Provenance | None:
    """Field by field, against the last snapshot of the client's prospect; None where there is none."""
    latest = select(SyncMapping).where(SyncMapping.client_id == client.id, SyncMapping.snapshot.is_not(None))
    latest = latest.order_by(SyncMapping.synced_at.desc()).limit(1).options(undefer(SyncMapping.snapshot))
    mapping = db.session.scalar(latest)
    if mapping is None or mapping.snapshot is None:
        return None
    snapshot = field_changes.unseal(
        mapping.snapshot,
        organisation_id=mapping.organisation_id,
        table_column=SNAPSHOT,
        row_id=mapping.external_id,
    )
    values = orjson.loads(orjson.dumps({name: getattr(client, name) for name in CLIENT_FIELDS}, default=str))
    filled = [name for name in CLIENT_FIELDS if values[name]]
    return Provenance(
        upstream=[name for name in filled if snapshot.get(name) == values[name]],
        own=[name for name in filled if snapshot.get(name) != values[name]],
    )
