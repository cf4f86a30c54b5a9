"""Health checks for whoever supervises the process."""

from dataclasses import asdict

from flask import Blueprint, current_app

from webapp import clock
from webapp.config import Settings
from webapp.security import public
from webapp.services import health

bp = Blueprint("health", __name__, url_prefix="/sante")


@bp.get("/vivant")
@public
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@bp.get("/pret")
@public
def ready() -> tuple[dict[str, object], int]:
    """Whether to send requests here: 200 while pages can be served, 503 otherwise, each part in a word."""
    settings: Settings = current_app.extensions["settings"]
    readiness = health.check(
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        schedule_is_on=settings.crm_schedule,
        is_production=settings.is_production,
        at=clock.now(),
    )
    return {"status": readiness.status, **asdict(readiness)}, 200 if readiness.can_serve else 503
