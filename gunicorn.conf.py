"""How gunicorn serves the application; `gunicorn --config gunicorn.conf.py wsgi:app`."""

import os
from pathlib import Path

_is_production = os.environ.get("CRM_ENV") == "production"
_host = os.environ.get("HOST") or "127.0.0.1"
_port = os.environ.get("PORT") or "8000"
_memory = Path("/dev/shm")  # noqa: S108  # gunicorn's heartbeat files, which must not wait for a disk

bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
if _door := os.environ.get("CRM_LISTENING"):  # bin/dev listens already, and hands the socket down
    bind = f"fd://{_door}"

# Each with four threads, since a request mostly waits for PostgreSQL, which are given whole requests only; several
# processes, since Python uses one core each.
worker_class = "webapp.web_worker.BufferingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or (4 if _is_production else 2))
# Each process opens its own connections: none is shared across a fork.
preload_app = False
max_requests = 0

timeout = 60  # seconds without a heartbeat before a worker is taken for dead
graceful_timeout = 30 if _is_production else 3
worker_tmp_dir = str(_memory) if _memory.is_dir() else None

# The application logs requests itself, as JSON and without personal data.
accesslog = None
errorlog = "-"
loglevel = "info" if _is_production else "warning"
control_socket_disable = True  # nobody administers gunicorn but its supervisor

reload = os.environ.get("CRM_RELOAD") == "on"  # for whoever edits: bin/dev then picks changes up


def on_starting(_server: object) -> None:
    """Serve nobody under a database role that may more than it should."""
    from webapp.config import load_settings  # noqa: PLC0415  # read when it starts, not whenever its settings are
    from webapp.services.health import refuse_powerful_role  # noqa: PLC0415

    refuse_powerful_role(load_settings())
