"""What took long to work out is kept in Redis for some minutes. To lose it costs that time again, nothing else."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import structlog
from redis import Redis, RedisError

from webapp import tenancy

T = TypeVar("T")
log = structlog.get_logger()

LONG = 0.1
"""Seconds. What is worked out quicker is worked out anew each time, and never old."""
KEPT = timedelta(minutes=10)

_redis: Redis | None = None


def use(redis: Redis) -> None:
    """Set the process's Redis, once, at start-up."""
    global _redis
    _redis = redis


def keep(
    name: str, what: Sequence[object], kind: type[T], work: Callable[[], T], *, at: datetime
) -> tuple[T, datetime]:
    """What ``work`` gives, and since when that is known: now, or for KEPT at most where it took long.

    ``name`` and ``what`` tell it from all else that the organisation keeps; ``kind`` is its type, whose parts JSON can
    hold.
    """
    key = ":".join(["kept", str(tenancy.current_organisation_id()), name, *map(str, what)])
    present = _read(key, kind)
    if present is not None:
        return present
    start = time.monotonic()
    value = work()
    if time.monotonic() - start >= LONG:
        _write(key, (value, at))
    return value, at


def _read(key: str, kind: type[T]) -> tuple[T, datetime] | None:
    wanted: Any = tuple[kind, datetime]  # type: ignore[valid-type]
    try:
        written: Any = _connection().get(key)
        return msgspec.json.decode(written, type=wanted) if written else None
    except RedisError:
        log.warning("kept_unreachable")
    except msgspec.MsgspecError:
        log.warning("kept_unreadable")  # of another version of the application
    return None


def _write(key: str, content: object) -> None:
    try:
        _connection().set(key, msgspec.json.encode(content), ex=KEPT)
    except RedisError:
        log.warning("kept_unreachable")


def _connection() -> Redis:
    if _redis is None:
        raise RuntimeError("Redis is not set: create_app() sets it")
    return _redis
