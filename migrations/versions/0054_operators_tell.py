"""What operators tell us: their events, what they say of claims, and the files that they add to them.

Revision: 0054, after 0053

New tables; columns without a default, whose keys are checked apart from adding them: nobody waits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _documents_of_claims()
    _operators()
    _claims()
    _news_of_claims()
    _events()
    _documents_to_fetch()
    _deliveries()


def _documents_of_claims() -> None:
    op.add_column("documents", sa.Column("claim_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_documents_claim",
        "documents",
        ["organisation_id", "claim_id", "created_at"],
        postgresql_where=sa.text("claim_id IS NOT NULL"),
    )
    op.execute(
        "ALTER TABLE documents ADD CONSTRAINT fk_documents_organisation_id_claim_id"
        " FOREIGN KEY (organisation_id, claim_id) REFERENCES claims (organisation_id, id)"
        " ON DELETE RESTRICT NOT VALID"
    )
    op.execute("ALTER TABLE documents VALIDATE CONSTRAINT fk_documents_organisation_id_claim_id")


def _operators() -> None:
    op.add_column("cover_operators", sa.Column("webhook_secrets", sa.LargeBinary(), nullable=True))
    op.add_column("cover_operators", sa.Column("delivery_secrets", sa.LargeBinary(), nullable=True))
    op.add_column("cover_operators", sa.Column("secrets_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cover_operators", sa.Column("delivery_url", sa.String(length=500), nullable=True))
    op.create_index("ix_cover_operators_id", "cover_operators", ["id"], unique=False)
    op.create_index(
        "uq_cover_operators_delivered",
        "cover_operators",
        ["organisation_id"],
        unique=True,
        postgresql_where=sa.text("delivery_url IS NOT NULL AND revoked_at IS NULL"),
    )


def _claims() -> None:
    op.add_column("claims", sa.Column("operator_id", sa.Uuid(), nullable=True))
    op.add_column("claims", sa.Column("external_id", sa.String(length=100), nullable=True))
    op.add_column("claims", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("claims", sa.Column("reported_state", sa.String(32), nullable=True))
    op.add_column("claims", sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "uq_claims_external_id",
        "claims",
        ["organisation_id", "operator_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    for name, condition in (
        (
            "fk_claims_organisation_id_operator_id",
            "FOREIGN KEY (organisation_id, operator_id) REFERENCES cover_operators (organisation_id, id)"
            " ON DELETE RESTRICT",
        ),
        (
            "ck_claims_external_ids_are_of_operators",
            "CHECK (external_id IS NULL OR operator_id IS NOT NULL)",
        ),
    ):
        op.execute(f"ALTER TABLE claims ADD CONSTRAINT {name} {condition} NOT VALID")
        op.execute(f"ALTER TABLE claims VALIDATE CONSTRAINT {name}")


def _news_of_claims() -> None:
    op.create_table(
        "claim_interventions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("craftsman", sa.String(length=200), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_claim_interventions_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_interventions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claim_interventions")),
        sa.UniqueConstraint(
            "organisation_id",
            "claim_id",
            "external_id",
            name=op.f("uq_claim_interventions_organisation_id_claim_id_external_id"),
        ),
    )
    op.create_table(
        "claim_satisfactions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("score BETWEEN 0 AND 10", name=op.f("ck_claim_satisfactions_score")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_claim_satisfactions_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_claim_satisfactions_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_claim_satisfactions_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_claim_satisfactions")),
        sa.UniqueConstraint(
            "organisation_id", "claim_id", name=op.f("uq_claim_satisfactions_organisation_id_claim_id")
        ),
    )
    op.create_index(
        "ix_claim_satisfactions_answered", "claim_satisfactions", ["organisation_id", "answered_at"], unique=False
    )
    op.create_index(
        "ix_claim_satisfactions_client",
        "claim_satisfactions",
        ["organisation_id", "client_id", "answered_at"],
        unique=False,
    )


def _events() -> None:
    op.create_table(
        "operator_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("waits_for", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'processing') = (lease_until IS NOT NULL)",
            name=op.f("ck_operator_events_leased_while_processing"),
        ),
        sa.CheckConstraint(
            "reason IS NOT NULL OR state IN ('received', 'processing', 'done')",
            name=op.f("ck_operator_events_says_why"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_operator_events_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "operator_id"],
            ["cover_operators.organisation_id", "cover_operators.id"],
            name=op.f("fk_operator_events_organisation_id_operator_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_operator_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_operator_events")),
        sa.UniqueConstraint(
            "organisation_id",
            "operator_id",
            "message_id",
            name=op.f("uq_operator_events_organisation_id_operator_id_message_id"),
        ),
    )
    op.create_index(
        "ix_operator_events_claim",
        "operator_events",
        ["organisation_id", "operator_id", "external_id", "received_at"],
        unique=False,
    )
    op.create_index(
        "ix_operator_events_due",
        "operator_events",
        ["organisation_id", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.create_index(
        "ix_operator_events_file",
        "operator_events",
        ["organisation_id", "claim_id"],
        unique=False,
        postgresql_where=sa.text("claim_id IS NOT NULL"),
    )
    op.create_index(
        "ix_operator_events_leased",
        "operator_events",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.create_index(
        "ix_operator_events_prunable",
        "operator_events",
        ["handled_at"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NOT NULL AND body IS NOT NULL"),
    )
    op.create_index(
        "ix_operator_events_received", "operator_events", ["organisation_id", "received_at", "id"], unique=False
    )
    op.create_index(
        "ix_operator_events_waiting",
        "operator_events",
        ["organisation_id", "operator_id", "waits_for"],
        unique=False,
        postgresql_where=sa.text("waits_for IS NOT NULL"),
    )


def _documents_to_fetch() -> None:
    op.create_table(
        "operator_documents",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=True),
        sa.Column("document_id", sa.Uuid(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("waits_for", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'processing') = (lease_until IS NOT NULL)",
            name=op.f("ck_operator_documents_leased_while_processing"),
        ),
        sa.CheckConstraint(
            "reason IS NOT NULL OR state IN ('received', 'processing', 'done')",
            name=op.f("ck_operator_documents_says_why"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_operator_documents_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "document_id"],
            ["documents.organisation_id", "documents.id"],
            name=op.f("fk_operator_documents_organisation_id_document_id"),
            ondelete="SET NULL (document_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "operator_id"],
            ["cover_operators.organisation_id", "cover_operators.id"],
            name=op.f("fk_operator_documents_organisation_id_operator_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_operator_documents_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_operator_documents")),
        sa.UniqueConstraint(
            "organisation_id",
            "claim_id",
            "external_id",
            name=op.f("uq_operator_documents_organisation_id_claim_id_external_id"),
        ),
    )
    op.create_index(
        "ix_operator_documents_due",
        "operator_documents",
        ["organisation_id", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.create_index(
        "ix_operator_documents_leased",
        "operator_documents",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'processing'"),
    )


def _deliveries() -> None:
    op.create_table(
        "operator_deliveries",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("told", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("waits_for", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'processing') = (lease_until IS NOT NULL)",
            name=op.f("ck_operator_deliveries_leased_while_processing"),
        ),
        sa.CheckConstraint(
            "reason IS NOT NULL OR state IN ('received', 'processing', 'done')",
            name=op.f("ck_operator_deliveries_says_why"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "claim_id"],
            ["claims.organisation_id", "claims.id"],
            name=op.f("fk_operator_deliveries_organisation_id_claim_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "operator_id"],
            ["cover_operators.organisation_id", "cover_operators.id"],
            name=op.f("fk_operator_deliveries_organisation_id_operator_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_operator_deliveries_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_operator_deliveries")),
    )
    op.create_index(
        "ix_operator_deliveries_claim",
        "operator_deliveries",
        ["organisation_id", "claim_id", "received_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_operator_deliveries_due",
        "operator_deliveries",
        ["organisation_id", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.create_index(
        "ix_operator_deliveries_leased",
        "operator_deliveries",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.create_index(
        "ix_operator_deliveries_received", "operator_deliveries", ["organisation_id", "received_at", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_index(
        "uq_cover_operators_delivered",
        table_name="cover_operators",
        postgresql_where=sa.text("delivery_url IS NOT NULL AND revoked_at IS NULL"),
    )
    op.drop_index("ix_cover_operators_id", table_name="cover_operators")
    op.drop_column("cover_operators", "delivery_url")
    op.drop_column("cover_operators", "secrets_changed_at")
    op.drop_column("cover_operators", "delivery_secrets")
    op.drop_column("cover_operators", "webhook_secrets")
    op.execute("ALTER TABLE claims DROP CONSTRAINT ck_claims_external_ids_are_of_operators")
    op.drop_constraint(op.f("fk_claims_organisation_id_operator_id"), "claims", type_="foreignkey")
    op.drop_index("uq_claims_external_id", table_name="claims", postgresql_where=sa.text("external_id IS NOT NULL"))
    op.drop_column("claims", "reported_at")
    op.drop_column("claims", "reported_state")
    op.drop_column("claims", "revision")
    op.drop_column("claims", "external_id")
    op.drop_column("claims", "operator_id")
    op.drop_index(
        "ix_operator_documents_leased",
        table_name="operator_documents",
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.drop_index(
        "ix_operator_documents_due",
        table_name="operator_documents",
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.drop_table("operator_documents")
    op.drop_index(
        "ix_operator_events_waiting", table_name="operator_events", postgresql_where=sa.text("waits_for IS NOT NULL")
    )
    op.drop_index("ix_operator_events_received", table_name="operator_events")
    op.drop_index(
        "ix_operator_events_prunable",
        table_name="operator_events",
        postgresql_where=sa.text("handled_at IS NOT NULL AND body IS NOT NULL"),
    )
    op.drop_index(
        "ix_operator_events_leased", table_name="operator_events", postgresql_where=sa.text("state = 'processing'")
    )
    op.drop_index(
        "ix_operator_events_file", table_name="operator_events", postgresql_where=sa.text("claim_id IS NOT NULL")
    )
    op.drop_index(
        "ix_operator_events_due",
        table_name="operator_events",
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.drop_index("ix_operator_events_claim", table_name="operator_events")
    op.drop_table("operator_events")
    op.drop_index("ix_operator_deliveries_received", table_name="operator_deliveries")
    op.drop_index(
        "ix_operator_deliveries_leased",
        table_name="operator_deliveries",
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.drop_index(
        "ix_operator_deliveries_due",
        table_name="operator_deliveries",
        postgresql_where=sa.text("next_attempt_at IS NOT NULL AND state IN ('received', 'waiting')"),
    )
    op.drop_index("ix_operator_deliveries_claim", table_name="operator_deliveries")
    op.drop_table("operator_deliveries")
    op.drop_index("ix_claim_satisfactions_client", table_name="claim_satisfactions")
    op.drop_index("ix_claim_satisfactions_answered", table_name="claim_satisfactions")
    op.drop_table("claim_satisfactions")
    op.drop_table("claim_interventions")
    op.drop_constraint(op.f("fk_documents_organisation_id_claim_id"), "documents", type_="foreignkey")
    op.drop_index("ix_documents_claim", table_name="documents")
    op.drop_column("documents", "claim_id")
