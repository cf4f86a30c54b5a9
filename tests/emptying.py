"""Empties a database between tests. TRUNCATE of all tables makes every file of every index anew: half a second.

So the rows of the few tables that hold any are deleted instead, unless they are many.
"""

import psycopg
from psycopg import sql

MANY = 50 * 2**20
"""Bytes from which on TRUNCATE is the better: of the tables with rows, their indexes, and what was deleted before."""

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
SIZE = "SELECT coalesce(sum(pg_total_relation_size(name::regclass)), 0) FROM unnest(%s::text[]) name"


def empty(address: str) -> None:
    """Empty all tables but that of the migrations. ``address`` is a superuser's: triggers and keys do not object."""
    with psycopg.connect(address) as connection:
        connection.execute("SET session_replication_role = replica")
        names = [name for (name,) in connection.execute(TABLES)]
        looks = [
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(name, sql.Identifier(name)) for name in names
        ]
        full = [name for (name,) in connection.execute(sql.SQL(" UNION ALL ").join(looks))]
        [size] = connection.execute(SIZE, [full]).fetchone() or [0]
        if size > MANY:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, names))))
        else:
            for name in full:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
