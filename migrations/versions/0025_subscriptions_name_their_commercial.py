"""Subscriptions carry their client's present commercial, so that figures of a team need no join.

Revision: 0025, after 0024

Nobody has to stop selling or charging: triggers first, then the rows that are there in lots that are committed one by
one, then the index beside the writers. Killed at any point it is run again and goes on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

LOT = 5_000
INDEX = "ix_subscriptions_commercial"

# The client is held meanwhile: whoever gives it to another commercial at this moment finds the new subscription.
OF_SUBSCRIPTION = """
CREATE OR REPLACE FUNCTION name_commercial_of_subscription() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT commercial_id INTO NEW.commercial_id FROM clients
  WHERE organisation_id = NEW.organisation_id AND id = NEW.client_id FOR SHARE;
  RETURN NEW;
END $$
"""
OF_CLIENT = """
CREATE OR REPLACE FUNCTION name_commercial_of_subscriptions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE subscriptions SET commercial_id = NEW.commercial_id
  WHERE organisation_id = NEW.organisation_id AND client_id = NEW.id;
  RETURN NULL;
END $$
"""
NEXT_BOUND = sa.text("""
SELECT organisation_id, id FROM (
  SELECT organisation_id, id FROM subscriptions
  WHERE (organisation_id, id) > (:organisation_id, :id) ORDER BY organisation_id, id LIMIT :lot
) lot ORDER BY organisation_id DESC, id DESC LIMIT 1
""")
NAME_LOT = sa.text("""
WITH lot AS (
  SELECT subscriptions.organisation_id, subscriptions.id, clients.commercial_id
  FROM subscriptions JOIN clients
    ON clients.organisation_id = subscriptions.organisation_id AND clients.id = subscriptions.client_id
  WHERE (subscriptions.organisation_id, subscriptions.id) > (:organisation_id, :id)
    AND (subscriptions.organisation_id, subscriptions.id) <= (:last_organisation_id, :last_id)
    AND subscriptions.commercial_id IS DISTINCT FROM clients.commercial_id
  ORDER BY clients.id
  FOR SHARE OF clients
)
UPDATE subscriptions SET commercial_id = lot.commercial_id
FROM lot WHERE subscriptions.organisation_id = lot.organisation_id AND subscriptions.id = lot.id
""")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE subscriptions ADD COLUMN IF NOT EXISTS commercial_id uuid")
        op.execute(OF_SUBSCRIPTION)
        op.execute(OF_CLIENT)
        op.execute(
            "CREATE OR REPLACE TRIGGER subscriptions_commercial BEFORE INSERT OR UPDATE OF client_id ON subscriptions"
            " FOR EACH ROW EXECUTE FUNCTION name_commercial_of_subscription()"
        )
        op.execute(
            "CREATE OR REPLACE TRIGGER clients_commercial AFTER UPDATE OF commercial_id ON clients FOR EACH ROW"
            " WHEN (OLD.commercial_id IS DISTINCT FROM NEW.commercial_id)"
            " EXECUTE FUNCTION name_commercial_of_subscriptions()"
        )
        _name_rows()
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {INDEX} ON subscriptions (organisation_id, commercial_id, status)"
            " INCLUDE (currency, annual_amount)"
        )


def _name_rows() -> None:
    nothing = "00000000-0000-0000-0000-000000000000"
    after: dict[str, Any] = {"organisation_id": nothing, "id": nothing}
    while last := op.get_bind().execute(NEXT_BOUND, after | {"lot": LOT}).one_or_none():
        bound = {"last_organisation_id": last.organisation_id, "last_id": last.id}
        op.get_bind().execute(NAME_LOT, after | bound)
        after = {"organisation_id": last.organisation_id, "id": last.id}


def downgrade() -> None:
    op.execute("DROP TRIGGER clients_commercial ON clients")
    op.execute("DROP TRIGGER subscriptions_commercial ON subscriptions")
    op.execute("DROP FUNCTION name_commercial_of_subscriptions")
    op.execute("DROP FUNCTION name_commercial_of_subscription")
    op.drop_index(INDEX, table_name="subscriptions")
    op.drop_column("subscriptions", "commercial_id")
