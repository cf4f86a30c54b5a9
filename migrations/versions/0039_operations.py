"""Operations and their items; archived and merged clients; the timeline names the operation that it tells of.

Revision: 0039, after 0038

The lists of clients walk indexes without the archived ones: each is made beside its writers under another name, then
takes the place of the old one. Tallies count no archived client; none is when this runs.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

SORTS = ("name_key", "city_key", "changed_at", "contracts_count")
FILTERS = ("source", "status", "commercial_id")
PRESENT = "archived_at IS NULL"
WORKED_ON = "state IN ('preparing', 'running')"
STANDS = "state NOT IN ('canceled', 'failed')"

TALLY = """
  INSERT INTO client_tallies (organisation_id, commercial_id, lacks_contact, clients)
  SELECT organisation_id, commercial_id, email IS NULL AND phone IS NULL, sum(sign)
  FROM ({changes}) changed
  {present}
  GROUP BY organisation_id, commercial_id, email IS NULL AND phone IS NULL
  HAVING sum(sign) <> 0
"""
GAINED, LOST = "SELECT 1 AS sign, * FROM gained", "SELECT -1 AS sign, * FROM lost"
CHANGES = {"INSERT": GAINED, "UPDATE": f"{GAINED} UNION ALL {LOST}", "DELETE": LOST}


def upgrade() -> None:
    _create_operations()
    _create_items()
    op.add_column("clients", sa.Column("archived_at", sa.DateTime(timezone=True)))
    op.add_column("clients", sa.Column("merged_into_id", sa.Uuid()))
    op.add_column("timeline_events", sa.Column("operation_id", sa.Uuid()))
    _point("clients", "merged_into_id", "clients", "CASCADE")
    _point("timeline_events", "operation_id", "operations", "RESTRICT")
    _tally(f"WHERE {PRESENT}")
    with op.get_context().autocommit_block():
        for table, column in (("clients", "merged_into_id"), ("timeline_events", "operation_id")):
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT fk_{table}_organisation_id_{column}")
        _make_indexes(f" AND {PRESENT}")
        for name, column, where in (
            ("ix_clients_archived", "name_key, id", "archived_at IS NOT NULL"),
            ("ix_clients_merged_into", "merged_into_id", "merged_into_id IS NOT NULL"),
        ):
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON clients (organisation_id, {column}) WHERE {where}")


def downgrade() -> None:
    op.drop_index("ix_clients_archived", "clients")
    op.drop_index("ix_clients_merged_into", "clients")
    with op.get_context().autocommit_block():
        _make_indexes("")
    _tally("")
    op.drop_column("timeline_events", "operation_id")
    op.drop_column("clients", "merged_into_id")
    op.drop_column("clients", "archived_at")
    op.execute("SELECT rebuild_tallies(id) FROM organisations")
    op.drop_table("operation_items")
    op.drop_table("operations")


def _create_operations() -> None:
    counts = ("total", "position", "creates", "updates", "links", "unchanged", "errors", "undecided", "applied")
    op.create_table(
        "operations",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("settings", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False),
        sa.Column("by_id", sa.Uuid()),
        sa.Column("undoes_id", sa.Uuid()),
        sa.Column("undoes_run_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True))
            for name in ("planned_at", "started_at", "finished_at", "stop_requested_at")
        ),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in (*counts, "left_out")),
        sa.Column("error", sa.Text()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_operations")),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_operations_organisation_id"),
            ondelete="RESTRICT",
        ),
        _key("operations", "by_id", "users", "SET NULL (by_id)"),
        _key("operations", "undoes_id", "operations", "CASCADE"),
        _key("operations", "undoes_run_id", "sync_runs", "CASCADE"),
    )
    op.create_index("ix_operations_created", "operations", ["organisation_id", "created_at", "id"])
    op.create_index("ix_operations_lease", "operations", ["lease_until"], postgresql_where=sa.text(WORKED_ON))
    for name, column in (("uq_operations_undoes", "undoes_id"), ("uq_operations_undoes_run", "undoes_run_id")):
        op.create_index(name, "operations", ["organisation_id", column], unique=True, postgresql_where=sa.text(STANDS))


def _create_items() -> None:
    op.create_table(
        "operation_items",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String(32), nullable=False),
        sa.Column("row_id", sa.Uuid()),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("line", sa.Integer()),
        sa.Column("label", sa.String(200), server_default="", nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("seen", sa.String(64)),
        sa.Column("before", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False),
        sa.Column("after", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False),
        sa.Column("secrets", sa.LargeBinary()),
        sa.Column("reason", sa.Text()),
        sa.Column("candidate_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("left_out", sa.Text()),
        sa.PrimaryKeyConstraint("organisation_id", "operation_id", "position", name=op.f("pk_operation_items")),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_operation_items_organisation_id"),
            ondelete="RESTRICT",
        ),
        _key("operation_items", "operation_id", "operations", "CASCADE"),
    )
    ours = ["organisation_id", "operation_id"]
    op.create_index("ix_operation_items_action", "operation_items", [*ours, "action", "position"])
    op.create_index(
        "ix_operation_items_left_out",
        "operation_items",
        [*ours, "position"],
        postgresql_where=sa.text("left_out IS NOT NULL"),
    )
    op.create_index(
        "ix_operation_items_row",
        "operation_items",
        ["organisation_id", "row_id"],
        postgresql_where=sa.text("row_id IS NOT NULL"),
    )


def _key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{target}.organisation_id", f"{target}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=ondelete,
    )


def _point(table: str, column: str, target: str, ondelete: str) -> None:
    op.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_organisation_id_{column}"
        f" FOREIGN KEY (organisation_id, {column}) REFERENCES {target} (organisation_id, id)"
        f" ON DELETE {ondelete} NOT VALID"
    )


def _tally(present: str) -> None:
    """Write the functions that count clients anew."""
    for event, changes in CHANGES.items():
        statement = TALLY.format(changes=changes, present=present)
        op.execute(
            f"CREATE OR REPLACE FUNCTION tally_clients_{event}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {statement}; RETURN NULL; END $$"
        )
    written = (
        op.get_bind().execute(sa.text("SELECT prosrc FROM pg_proc WHERE proname = 'rebuild_tallies'")).scalar_one()
    )
    everything = "SELECT 1 AS sign, * FROM clients WHERE organisation_id = organisation"
    head = written[: written.index("INSERT INTO client_tallies")]
    op.execute(
        "CREATE OR REPLACE FUNCTION rebuild_tallies(organisation uuid) RETURNS void LANGUAGE plpgsql AS"
        f" $$ {head} {TALLY.format(changes=everything, present=present)}; END $$"
    )


def _make_indexes(present: str) -> None:
    """The indexes of the list again, with or without the archived clients."""
    where = present.removeprefix(" AND ")
    for sort in SORTS:
        _replace(f"ix_clients_{sort}", f"{sort}, id", "", where)
        for filtered in FILTERS:
            others = ", ".join(other for other in FILTERS if other != filtered)
            include = f" INCLUDE ({others})" if sort == SORTS[0] else ""
            _replace(f"ix_clients_{filtered}_{sort}", f"{filtered}, {sort}, id", include, where)
    _replace("ix_clients_lacks_contact", "name_key, id", "", f"email IS NULL AND phone IS NULL{present}")


def _replace(name: str, columns: str, include: str, where: str) -> None:
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}_new")
    op.execute(
        f"CREATE INDEX CONCURRENTLY {name}_new ON clients (organisation_id, {columns}){include}"
        + (f" WHERE {where}" if where else "")
    )
    op.execute(f"DROP INDEX CONCURRENTLY {name}")
    op.execute(f"ALTER INDEX {name}_new RENAME TO {name}")
