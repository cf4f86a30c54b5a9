"""What an organisation keeps is summed from an index alone.

Revision: 0019, after 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_documents_size", "documents", ["organisation_id"], postgresql_include=["size"])


def downgrade() -> None:
    op.drop_index("ix_documents_size", table_name="documents")
