"""An index for every sort of the clients page behind every filter, and finer statistics for the search.

Revision: 0002, after 0001; 2026-11-20
"""

from collections.abc import Iterator
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
    "ix_clients_commercial": "ix_clients_commercial_id_name_key",
}


def upgrade() -> None:
    for before, after in RENAMED.items():
        op.execute(f"ALTER INDEX {before} RENAME TO {after}")
    with op.get_context().autocommit_block():  # people keep writing meanwhile
        for name, columns in added_indexes():
            op.create_index(name, "clients", columns, postgresql_concurrently=True)
    # How many clients a search finds decides between two plans a hundred times apart in cost: a sample of a hundred
    # names is too coarse to tell.
    op.execute("ALTER TABLE clients ALTER COLUMN search_text SET STATISTICS 1000")


def downgrade() -> None:
    op.execute("ALTER TABLE clients ALTER COLUMN search_text SET STATISTICS -1")
    for name, _ in added_indexes():
        op.drop_index(name, table_name="clients")
    for before, after in RENAMED.items():
        op.execute(f"ALTER INDEX {after} RENAME TO {before}")


def added_indexes() -> Iterator[tuple[str, list[str]]]:
    """Name and columns of each index for a filter and a sort, but for the one that was there under another name."""
    for filtered, sort in product(FILTERS, SORTS):
        name = f"ix_clients_{filtered}_{sort}"
        if name not in RENAMED.values():
            yield name, ["organisation_id", filtered, sort, "id"]
