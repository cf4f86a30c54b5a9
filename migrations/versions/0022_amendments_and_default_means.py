"""Amendments of mandates, their signed copies and completions, cards that expire, default means of clients.

Revision: 0022, after 0021

New columns without a value, or with a constant one: no row is rewritten. The indexes on tables that are written to all
the time are made beside the writers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BESIDE_WRITERS = (
    (
        "ix_charge_attempts_mandate",
        "charge_attempts",
        ["organisation_id", "mandate_id"],
        "mandate_id IS NOT NULL AND bank_file_id IS NOT NULL",
    ),
    ("ix_documents_mandate", "documents", ["organisation_id", "mandate_id"], "mandate_id IS NOT NULL"),
    (
        "ix_saved_payment_methods_expiry",
        "saved_payment_methods",
        ["organisation_id", "expires_on", "id"],
        "expires_on IS NOT NULL AND revoked_at IS NULL",
    ),
)


def upgrade() -> None:
    _make_table(
        "mandate_amendments",
        sa.Column("mandate_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("original", sa.String(200)),
        sa.Column("original_account_id", sa.Uuid()),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("told_in_id", sa.Uuid()),
        keys={
            "mandate_id": ("mandates", "CASCADE"),
            "original_account_id": ("bank_accounts", "CASCADE"),
            "user_id": ("users", "SET NULL (user_id)"),
            "told_in_id": ("charge_attempts", "RESTRICT"),
        },
        checks={"original_is_there": "num_nonnulls(original, original_account_id) = 1"},
    )
    op.create_index("ix_mandate_amendments_mandate", "mandate_amendments", ["organisation_id", "mandate_id"])
    op.create_index(
        "uq_mandate_amendments_untold",
        "mandate_amendments",
        ["organisation_id", "mandate_id", "kind"],
        unique=True,
        postgresql_where=sa.text("told_in_id IS NULL"),
    )
    _make_table(
        "default_means",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("payment_method", sa.String(32), nullable=False),
        sa.Column("saved_method_id", sa.Uuid()),
        sa.Column("mandate_id", sa.Uuid()),
        keys={
            "client_id": ("clients", "CASCADE"),
            "company_id": ("companies", "CASCADE"),
            "saved_method_id": ("saved_payment_methods", "CASCADE"),
            "mandate_id": ("mandates", "CASCADE"),
        },
        checks={"names_one": "num_nonnulls(saved_method_id, mandate_id) = 1"},
    )
    op.create_unique_constraint(
        op.f("uq_default_means_organisation_id_client_id_company_id"),
        "default_means",
        ["organisation_id", "client_id", "company_id"],
    )
    _make_table(
        "mandate_imports",
        sa.Column("user_id", sa.Uuid()),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("lines", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        keys={"user_id": ("users", "SET NULL (user_id)")},
        checks={},
    )
    op.create_index("ix_mandate_imports_created", "mandate_imports", ["organisation_id", "created_at"])
    op.add_column("mandates", sa.Column("account_archived_at", sa.DateTime(timezone=True)))
    op.add_column("charge_attempts", sa.Column("sequence", sa.String(32)))
    op.add_column(
        "provider_accounts", sa.Column("first_as_frst", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.add_column("documents", sa.Column("mandate_id", sa.Uuid()))
    op.add_column("saved_payment_methods", sa.Column("brand", sa.String(40)))
    op.add_column("saved_payment_methods", sa.Column("last4", sa.String(4)))
    op.add_column(
        "subscriptions", sa.Column("means_inherited", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    # Checked beside the writers: every row is empty.
    op.execute(
        "ALTER TABLE documents ADD CONSTRAINT fk_documents_organisation_id_mandate_id"
        " FOREIGN KEY (organisation_id, mandate_id) REFERENCES mandates (organisation_id, id)"
        " ON DELETE CASCADE NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE documents VALIDATE CONSTRAINT fk_documents_organisation_id_mandate_id")
        for name, table, columns, condition in BESIDE_WRITERS:
            op.create_index(name, table, columns, postgresql_where=sa.text(condition), postgresql_concurrently=True)


def _make_table(
    name: str, *columns: sa.Column[object], keys: dict[str, tuple[str, str]], checks: dict[str, str]
) -> None:
    op.create_table(
        name,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{name}_organisation_id"), ondelete="RESTRICT"
        ),
        *(
            sa.ForeignKeyConstraint(
                ["organisation_id", column],
                [f"{table}.organisation_id", f"{table}.id"],
                name=op.f(f"fk_{name}_organisation_id_{column}"),
                ondelete=ondelete,
            )
            for column, (table, ondelete) in keys.items()
        ),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{name}_{check}")) for check, text in checks.items()),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f(f"pk_{name}")),
    )


def downgrade() -> None:
    op.drop_index("ix_saved_payment_methods_expiry", table_name="saved_payment_methods")
    op.drop_index("ix_charge_attempts_mandate", table_name="charge_attempts")
    op.drop_column("subscriptions", "means_inherited")
    op.drop_column("saved_payment_methods", "last4")
    op.drop_column("saved_payment_methods", "brand")
    op.drop_column("documents", "mandate_id")
    op.drop_column("provider_accounts", "first_as_frst")
    op.drop_column("charge_attempts", "sequence")
    op.drop_column("mandates", "account_archived_at")
    op.drop_table("mandate_imports")
    op.drop_table("default_means")
    op.drop_table("mandate_amendments")
