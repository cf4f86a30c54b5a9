"""Refunds, credit notes among the invoices, and what was printed under a number stays as it is.

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Named columns, so that settling an invoice (paid, credited, status) does not so much as call the function.
INVOICES_FROZEN = """
CREATE TRIGGER invoices_frozen BEFORE UPDATE OF
  company_id, client_id, charge_id, corrects_id, series, number, reference, issued_on, due_on, period_start, period_end,
  currency, amount_before_tax, vat, total, reason, seller, buyer, finalised_at ON invoices
FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION refuse_change()
"""
INVOICES_KEPT = """
CREATE TRIGGER invoices_kept BEFORE DELETE ON invoices
FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION refuse_change()
"""
CHECKS = {
    "invoices": (
        "credited_within_total",
        "(corrects_id IS NULL AND total >= 0 AND credited BETWEEN 0 AND total) OR "
        "(corrects_id IS NOT NULL AND total < 0 AND credited = 0 AND paid = 0 AND charge_id IS NULL)",
    ),
    "charges": ("waived_within_amount", "waived BETWEEN 0 AND amount"),
}
IS_CREDIT_NOTE = sa.text("corrects_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("charges", sa.Column("waived", sa.Numeric(14, 2), server_default="0", nullable=False))
    op.add_column("invoices", sa.Column("corrects_id", sa.Uuid(), nullable=True))
    op.add_column("invoices", sa.Column("credited", sa.Numeric(14, 2), server_default="0", nullable=False))
    op.add_column("invoices", sa.Column("reason", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("fk_invoices_organisation_id_corrects_id"),
        "invoices",
        "invoices",
        ["organisation_id", "corrects_id"],
        ["organisation_id", "id"],
        ondelete="RESTRICT",
    )
    for table, (name, condition) in CHECKS.items():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({condition}) NOT VALID")
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
    op.create_index("ix_invoices_credit_notes", "invoices", ["organisation_id", "id"], postgresql_where=IS_CREDIT_NOTE)
    op.create_index(
        "ix_invoices_corrects", "invoices", ["organisation_id", "corrects_id"], postgresql_where=IS_CREDIT_NOTE
    )
    _create_refunds()
    op.execute(INVOICES_FROZEN)
    op.execute(INVOICES_KEPT)


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("currency", sa.String(3), server_default="EUR", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("requested", "unknown", "succeeded", "refused", name="refundstatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("external_id", sa.String(255), nullable=True),
        sa.Column("provider_message", sa.Text(), nullable=True),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount_is_positive")),
        sa.CheckConstraint(
            "(next_attempt_at IS NULL) = (status IN ('succeeded', 'refused'))",
            name=op.f("ck_refunds_taken_up_until_settled"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_refunds_organisation_id"), ondelete="RESTRICT"
        ),
        *(
            sa.ForeignKeyConstraint(
                ["organisation_id", column],
                [f"{table}.organisation_id", f"{table}.id"],
                name=op.f(f"fk_refunds_organisation_id_{column}"),
                ondelete=ondelete,
            )
            for column, table, ondelete in (
                ("charge_id", "charges", "RESTRICT"),
                ("attempt_id", "charge_attempts", "RESTRICT"),
                ("requested_by_id", "users", "SET NULL (requested_by_id)"),
            )
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_refunds")),
    )
    op.create_index("ix_refunds_charge", "refunds", ["organisation_id", "charge_id"])
    op.create_index(
        "ix_refunds_next_attempt",
        "refunds",
        ["next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER invoices_kept ON invoices")
    op.execute("DROP TRIGGER invoices_frozen ON invoices")
    op.drop_table("refunds")
    op.drop_index("ix_invoices_corrects", table_name="invoices")
    op.drop_index("ix_invoices_credit_notes", table_name="invoices")
    for table, (name, _) in CHECKS.items():
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    op.drop_constraint(op.f("fk_invoices_organisation_id_corrects_id"), "invoices", type_="foreignkey")
    op.drop_column("invoices", "reason")
    op.drop_column("invoices", "credited")
    op.drop_column("invoices", "corrects_id")
    op.drop_column("charges", "waived")
