"""Whether `demo.prepare` has anything to do, found out without importing the application.

Most starts of bin/dev find the database as the last one left it. The proof lies in the database itself, as a comment
on Alembic's table: it goes with the database when that is dropped, and stops to hold when somebody migrates by hand.
"""

import hashlib
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (
    "seed.py",
    "senders.py",
    "carriers.py",
    "shops.py",
    "subscriptions.py",
    "dunning.py",
    "covers.py",
    "operators.py",
    "accounts.json",
)
STATE = """
    SELECT obj_description('alembic_version'::regclass),
           (SELECT string_agg(version_num, ',') FROM alembic_version),
           EXISTS (SELECT FROM organisations)
"""


def is_prepared(owner_url: str) -> bool:
    """Whether the migrations and the demo data that we have now were applied, and are still there."""
    try:
        with _connect(owner_url) as connection:
            comment, revision, has_data = connection.execute(STATE).fetchone() or (None, None, False)
    except psycopg.Error:
        return False  # whatever is wrong, preparing says it better
    return bool(has_data) and comment == _proof(revision)


def mark_prepared(owner_url: str) -> None:
    """Leave the proof."""
    with _connect(owner_url) as connection:
        _, revision, _ = connection.execute(STATE).fetchone() or (None, None, False)
        comment = sql.SQL("COMMENT ON TABLE alembic_version IS {}").format(sql.Literal(_proof(revision)))
        connection.execute(comment)


def _proof(revision: object) -> str:
    """Of what was applied, and at which revision that left the database."""
    digest = hashlib.sha256()
    migrations = sorted((ROOT / "migrations").rglob("*.py"))
    for path in [*migrations, *(ROOT / "demo" / name for name in SEEDS)]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return f"prepared by {digest.hexdigest()} at {revision}"


def _connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=5)
