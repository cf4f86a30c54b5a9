"""What operators tell us: their events, what they say of claims, and the files that they add to them.

Revision: 0054, after 0053

A column without a default, and its key checked apart from adding it: nobody waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _documents_of_claims()


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


def downgrade() -> None:
    op.drop_constraint(op.f("fk_documents_organisation_id_claim_id"), "documents", type_="foreignkey")
    op.drop_index("ix_documents_claim", table_name="documents")
    op.drop_column("documents", "claim_id")
