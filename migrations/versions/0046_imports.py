"""Imports of clients and contracts: files, what their columns are, and their lines while a plan is made.

Revision: 0046, after 0040

New tables alone: nobody waits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision = "0040"
branch_labels = None
depends_on = None


def _json(name: str, **more: object) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(none_as_null=True), **more)


def _organisation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
    )


def _key(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{target}.organisation_id", f"{target}.id"],
        name=op.f(f"fk_imports_organisation_id_{column}"),
        ondelete=f"SET NULL ({column})",
    )


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("stored_as", sa.String(64)),
        sa.Column("file_key", sa.LargeBinary()),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("readings", sa.Integer(), server_default="1", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _json("options", server_default="{}", nullable=False),
        sa.Column("reading", sa.LargeBinary()),
        sa.Column("error", sa.Text()),
        sa.Column("error_field", sa.String(32)),
        sa.Column("columns", postgresql.ARRAY(sa.String(64)), server_default="{}", nullable=False),
        _json("rules", server_default="{}", nullable=False),
        _json("decisions", server_default="{}", nullable=False),
        sa.Column("operation_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_imports")),
        _organisation("imports"),
        _key("user_id", "users"),
        _key("operation_id", "operations"),
    )
    op.create_index("ix_imports_created", "imports", ["organisation_id", "created_at", "id"])
    op.create_index("ix_imports_reading", "imports", ["asked_at"], postgresql_where=sa.text("state = 'reading'"))
    op.create_index("ix_imports_stored", "imports", ["created_at"], postgresql_where=sa.text("stored_as IS NOT NULL"))
    op.create_table(
        "import_mappings",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("shape", sa.String(64), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.String(64)), nullable=False),
        _json("rules", server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_import_mappings")),
        sa.UniqueConstraint("organisation_id", "shape", name=op.f("uq_import_mappings_organisation_id_shape")),
        _organisation("import_mappings"),
    )
    op.create_table(
        "import_rows",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("leader", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(200), server_default="", nullable=False),
        sa.Column("wanted_id", sa.Uuid()),
        sa.Column("email", sa.String(320)),
        sa.Column("phone", sa.String(20)),
        sa.Column("reference", sa.String(100)),
        sa.Column("new_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("is_new", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_undecided", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("candidate_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        _json("client", nullable=False),
        _json("contract"),
        _json("account"),
        sa.Column("account_indexes", postgresql.ARRAY(sa.LargeBinary())),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("mandate_id", sa.Uuid()),
        sa.Column("contract_id", sa.Uuid()),
        _json("mandate"),
        _json("secrets"),
        sa.Column("fault", sa.Text()),
        sa.PrimaryKeyConstraint("organisation_id", "operation_id", "line", name=op.f("pk_import_rows")),
        _organisation("import_rows"),
        prefixes=["UNLOGGED"],
    )
    # The application does not own the table, and may not analyze it; without statistics its lines are joined by loops.
    op.execute("""
        CREATE FUNCTION analyze_import_rows() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public, pg_temp AS $$ BEGIN ANALYZE import_rows; END $$
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION analyze_import_rows()")
    op.drop_table("import_rows")
    op.drop_table("import_mappings")
    op.drop_table("imports")
