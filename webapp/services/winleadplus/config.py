"""How an organisation takes part in WinLeadPlus."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways import winleadplus
from webapp.models.organisations import Organisation
from webapp.models.winleadplus import DEFAULT_INTERVAL_MINUTES, WinLeadPlusConfig
from webapp.transactions import transaction

INTERVALS = range(5, 7 * 24 * 60 + 1)
"""Minutes between two scheduled runs."""


def organisation_named(slug: str) -> UUID | None:
    """The id of the organisation with that short name."""
    return db.session.scalar(select(Organisation.id).where(Organisation.slug == slug))


def find() -> WinLeadPlusConfig:
    """The current organisation's configuration; one without a row of its own has the defaults."""
    config = db.session.scalar(select(WinLeadPlusConfig).execution_options(populate_existing=True))
    return config or defaults()


def is_switched_on() -> bool:
    """Whether the organisation reads WinLeadPlus; one that has changed nothing does."""
    return db.session.scalar(select(WinLeadPlusConfig.enabled)) is not False


def defaults() -> WinLeadPlusConfig:
    """The configuration of an organisation that has changed nothing."""
    return WinLeadPlusConfig(
        enabled=True, endpoint=None, interval_minutes=DEFAULT_INTERVAL_MINUTES, import_without_contracts=False
    )


def endpoint_of(config: WinLeadPlusConfig) -> str:
    """Where its prospects are: its own address, else that of the environment."""
    return config.endpoint or winleadplus.default_endpoint()


def change(
    *,
    enabled: bool | None = None,
    endpoint: str | None = None,
    interval_minutes: int | None = None,
    import_without_contracts: bool | None = None,
) -> WinLeadPlusConfig:
    """Change what is given; an empty ``endpoint`` goes back to that of the environment. Raises InvalidInputError."""
    if endpoint:
        endpoint = endpoint.strip()
        winleadplus.check_endpoint(endpoint)
    if interval_minutes is not None and interval_minutes not in INTERVALS:
        raise InvalidInputError(
            "L’intervalle doit être compris entre 5 minutes et une semaine (10\u202f080 minutes).",
            field="interval_minutes",
        )
    given = {
        "enabled": enabled,
        "endpoint": endpoint,
        "interval_minutes": interval_minutes,
        "import_without_contracts": import_without_contracts,
    }
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if endpoint == "":
        values["endpoint"] = None
    if values:
        _write(values)
    return find()


def note_success(*, at: datetime) -> None:
    """Remember when prospects were last brought over."""
    _write({"last_synced_at": at})


def _write(values: dict[str, Any]) -> None:
    statement = insert(WinLeadPlusConfig).values(organisation_id=tenancy.current_organisation_id(), **values)
    with transaction():
        db.session.execute(statement.on_conflict_do_update(index_elements=["organisation_id"], set_=values))
