"""Sales of covers, from draft to signature, and the documents of a version of a plan.

Revision: 0055, after 0054

New tables alone: nobody waits. What was published, and what was signed, is kept by triggers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


KEEP_SIGNED = """
CREATE FUNCTION keep_signed_sale() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE moves text[] := '{client_id, owner_id, home_id, saved_method_id, mandate_id, sent_by_id, signed_document_id,
  contract_id, cover_id}';
  words text[] := '{home_address_line1, home_address_line2, home_postcode, home_city, home_access_notes,
  home_occupied_since, signed_from}';
BEGIN
  IF is_erasing(OLD.organisation_id) THEN
    moves := moves || words;
  END IF;
  IF to_jsonb(OLD) - moves <> to_jsonb(NEW) - moves THEN
    RAISE EXCEPTION 'a sale that is signed never changes';
  END IF;
  RETURN NEW;
END $$
"""


def upgrade() -> None:
    _create_tables()
    op.execute(
        "CREATE TRIGGER cover_plan_documents_kept BEFORE INSERT OR UPDATE OR DELETE ON cover_plan_documents"
        " FOR EACH ROW EXECUTE FUNCTION keep_published_plan()"
    )
    op.execute(
        "CREATE TRIGGER cover_sales_not_for_erased AFTER INSERT ON cover_sales REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_for_erased()"
    )
    op.execute(KEEP_SIGNED)
    op.execute(
        "CREATE TRIGGER cover_sales_kept BEFORE UPDATE ON cover_sales FOR EACH ROW"
        " WHEN (OLD.signed_at IS NOT NULL) EXECUTE FUNCTION keep_signed_sale()"
    )


def _create_tables() -> None:
    op.create_table(
        "cover_plan_documents",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("edition", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("stored_as", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_plan_documents_organisation_id_version_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_plan_documents_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_plan_documents")),
        sa.UniqueConstraint(
            "organisation_id",
            "version_id",
            "kind",
            name=op.f("uq_cover_plan_documents_organisation_id_version_id_kind"),
        ),
    )
    op.create_index(
        "ix_cover_plan_documents_stored_as", "cover_plan_documents", ["organisation_id", "stored_as"], unique=False
    )
    op.create_table(
        "cover_sales",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("home_id", sa.Uuid(), nullable=True),
        sa.Column("home_kind", sa.String(length=32), nullable=True),
        sa.Column("home_occupancy", sa.String(length=32), nullable=True),
        sa.Column("home_occupied_since", sa.Date(), nullable=True),
        sa.Column("home_address_line1", sa.String(length=200), nullable=True),
        sa.Column("home_address_line2", sa.String(length=200), nullable=True),
        sa.Column("home_postcode", sa.String(length=20), nullable=True),
        sa.Column("home_city", sa.String(length=100), nullable=True),
        sa.Column("home_access_notes", sa.String(length=500), nullable=True),
        sa.Column("plan_version_id", sa.Uuid(), nullable=True),
        sa.Column("option_codes", postgresql.ARRAY(sa.String(length=30)), server_default="{}", nullable=False),
        sa.Column("frequency", sa.String(length=32), server_default="monthly", nullable=False),
        sa.Column("documents_version_id", sa.Uuid(), nullable=True),
        sa.Column("documents_way", sa.String(length=32), nullable=True),
        sa.Column("documents_given_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("follows_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("asks_client", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("payment_method", sa.String(length=32), nullable=True),
        sa.Column("saved_method_id", sa.Uuid(), nullable=True),
        sa.Column("mandate_id", sa.Uuid(), nullable=True),
        sa.Column("effective_on", sa.Date(), nullable=True),
        sa.Column("starts_at_once", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_by_id", sa.Uuid(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_by", sa.String(length=32), nullable=True),
        sa.Column("signed_from", sa.String(length=45), nullable=True),
        sa.Column("signed_document_id", sa.Uuid(), nullable=True),
        sa.Column("wording_version", sa.Integer(), nullable=True),
        sa.Column("contract_id", sa.Uuid(), nullable=True),
        sa.Column("cover_id", sa.Uuid(), nullable=True),
        sa.Column("abandoned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint("(signed_at IS NULL) = (signed_by IS NULL)", name=op.f("ck_cover_sales_signed_somehow")),
        sa.CheckConstraint(
            "documents_version_id IS NULL OR documents_given_at IS NOT NULL",
            name=op.f("ck_cover_sales_documents_given"),
        ),
        sa.CheckConstraint("home_id IS NULL OR home_kind IS NULL", name=op.f("ck_cover_sales_one_home")),
        sa.CheckConstraint("signed_at IS NULL OR abandoned_at IS NULL", name=op.f("ck_cover_sales_one_end")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_cover_sales_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "contract_id"],
            ["contracts.organisation_id", "contracts.id"],
            name=op.f("fk_cover_sales_organisation_id_contract_id"),
            ondelete="SET NULL (contract_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "cover_id"],
            ["covers.organisation_id", "covers.id"],
            name=op.f("fk_cover_sales_organisation_id_cover_id"),
            ondelete="SET NULL (cover_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "documents_version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_sales_organisation_id_documents_version_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "home_id"],
            ["covered_homes.organisation_id", "covered_homes.id"],
            name=op.f("fk_cover_sales_organisation_id_home_id"),
            ondelete="SET NULL (home_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "mandate_id"],
            ["mandates.organisation_id", "mandates.id"],
            name=op.f("fk_cover_sales_organisation_id_mandate_id"),
            ondelete="SET NULL (mandate_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "owner_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_sales_organisation_id_owner_id"),
            ondelete="SET NULL (owner_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "plan_version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_sales_organisation_id_plan_version_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "saved_method_id"],
            ["saved_payment_methods.organisation_id", "saved_payment_methods.id"],
            name=op.f("fk_cover_sales_organisation_id_saved_method_id"),
            ondelete="SET NULL (saved_method_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "sent_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_cover_sales_organisation_id_sent_by_id"),
            ondelete="SET NULL (sent_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "signed_document_id"],
            ["documents.organisation_id", "documents.id"],
            name=op.f("fk_cover_sales_organisation_id_signed_document_id"),
            ondelete="SET NULL (signed_document_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_cover_sales_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_sales")),
    )
    op.create_index("ix_cover_sales_client", "cover_sales", ["organisation_id", "client_id"], unique=False)
    op.create_index(
        "ix_cover_sales_open",
        "cover_sales",
        ["organisation_id", "changed_at", "id"],
        unique=False,
        postgresql_where=sa.text("signed_at IS NULL AND abandoned_at IS NULL"),
    )
    op.create_index(
        "ix_cover_sales_cover",
        "cover_sales",
        ["organisation_id", "cover_id"],
        unique=False,
        postgresql_where=sa.text("cover_id IS NOT NULL"),
    )
    op.create_index("uq_cover_sales_token_hash", "cover_sales", ["token_hash"], unique=True)


def downgrade() -> None:
    op.drop_table("cover_sales")
    op.drop_table("cover_plan_documents")
    op.execute("DROP FUNCTION keep_signed_sale")
