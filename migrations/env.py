"""Alembic's door: migrations run as the owner role, one transaction each but where they commit lot by lot."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.engine import make_url

from webapp.config import Settings
from webapp.models.base import Base

settings: Settings = current_app.extensions["settings"]


def migrate() -> None:
    """Connect as the owner (or as DATABASE_URL's role, where no owner is set) and run what is asked."""
    url = settings.database_owner_url or settings.database_url
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"application_name": "crm-migrate"})
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_type=True,
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()
        _grant_rows_to_application(connection)
    engine.dispose()


def _grant_rows_to_application(connection: Connection) -> None:
    """The application reads and writes rows; tables, and the schema's version, stay the owner's."""
    application = make_url(settings.database_url).username
    if not application or application == make_url(settings.database_owner_url or settings.database_url).username:
        return
    role = connection.dialect.identifier_preparer.quote(application)
    for privileges, kind in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE, SELECT", "SEQUENCES")):
        connection.exec_driver_sql(f"GRANT {privileges} ON ALL {kind} IN SCHEMA public TO {role}")
    # Which schema this is, is for migrations to say: whoever could change it could have old ones run again.
    connection.exec_driver_sql(f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON alembic_version FROM {role}")
    connection.commit()


if context.is_offline_mode():
    raise SystemExit("migrations are run against a database, not written to a file")
migrate()
