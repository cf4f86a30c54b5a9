"""An index for every sort of the clients page behind every filter, and finer statistics for the search.

Revision: 0002, after 0001; 2026-11-20
"""

from itertools import product

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SORTS = ("name_key", "city_key", "changed_at", "contracts_count")
FILTERS = ("source", "status", "commercial_id")
RENAMED = {
    "ix_clients_name": "ix_clients_name_key",
    "ix_clients_city": "ix_clients_city_key",
    "ix_clients_changed": "ix_clients_changed_at",
    "ix_clients_contracts": "ix_clients_contracts_count",
}


def upgrade() -> None:
    for before, after in RENAMED.items():
        op.execute(f"ALTER INDEX {before} RENAME TO {after}")
    with op.get_context().autocommit_block():  # people keep writing meanwhile
        for filtered, sort in product(FILTERS, SORTS):
            op.create_index(
                f"ix_clients_{filtered}_{sort}",
                "clients",
                ["organisation_id", filtered, sort, "id"],
                # Several filters together are counted in the index of one of them.
                postgresql_include=[each for each in FILTERS if each != filtered] if sort == SORTS[0] else [],
                postgresql_concurrently=True,
            )
    op.drop_index("ix_clients_commercial", table_name="clients")
    # How many clients a search finds decides between two plans a hundred times apart in cost: a sample of a hundred
    # names is too coarse to tell.
    op.execute("ALTER TABLE clients ALTER COLUMN search_text SET STATISTICS 1000")


def downgrade() -> None:
    op.execute("ALTER TABLE clients ALTER COLUMN search_text SET STATISTICS -1")
    op.create_index("ix_clients_commercial", "clients", ["organisation_id", "commercial_id", "name_key", "id"])
    for filtered, sort in product(FILTERS, SORTS):
        op.drop_index(f"ix_clients_{filtered}_{sort}", table_name="clients")
    for before, after in RENAMED.items():
        op.execute(f"ALTER INDEX {after} RENAME TO {before}")
