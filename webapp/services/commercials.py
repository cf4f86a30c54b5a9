"""Commercials: linking to them what was theirs before anybody knew them."""

from datetime import datetime

from sqlalchemy import text

from webapp import tenancy
from webapp.extensions import db
from webapp.transactions import transaction

_LINK_CLIENTS = text(
    """WITH linked AS (
        UPDATE clients SET commercial_id = k.id, commercial_external_id = NULL, changed_at = :at, version = version + 1
        FROM commercials k
        WHERE k.organisation_id = :organisation_id AND clients.organisation_id = k.organisation_id
          AND clients.commercial_id IS NULL AND clients.commercial_external_id = k.external_id
        RETURNING clients.id, trim(k.first_name || ' ' || k.last_name) AS name
    )
    INSERT INTO timeline_events (organisation_id, id, client_id, kind, at, changes)
    SELECT :organisation_id, gen_random_uuid(), id, 'client_synced', :at,
           jsonb_build_object('commercial', jsonb_build_array(NULL, name))
    FROM linked"""
)
_LINK_CONTRACTS = text(
    """UPDATE contracts SET commercial_id = k.id, commercial_external_id = NULL
    FROM commercials k
    WHERE k.organisation_id = :organisation_id AND contracts.organisation_id = k.organisation_id
      AND contracts.commercial_id IS NULL AND contracts.commercial_external_id = k.external_id"""
)


def link_awaiting(*, at: datetime) -> int:
    """Link clients and contracts that wait for a commercial who is known by now. Returns the number of clients."""
    parameters = {"organisation_id": tenancy.current_organisation_id(), "at": at}
    with transaction():
        db.session.execute(_LINK_CONTRACTS, parameters)
        linked: int = db.session.execute(_LINK_CLIENTS, parameters).rowcount  # type: ignore[attr-defined]
    return linked
