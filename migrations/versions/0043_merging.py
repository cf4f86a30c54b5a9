"""Merging clients: which rows went where; and what is only ever added to may change its client, in a merge alone.

Revision: 0043, after 0042

A transaction that merges says so (``crm.merging``); in it, rows that are otherwise kept as they are may change
``client_id`` and nothing else. Who has consented to what is made anew from what both have said.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

REFUSALS = {
    "refuse_change": "RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;",
    "refuse_batch_change": "RAISE EXCEPTION '% of % is refused: batches go forward, and locked lines are frozen',"
    " TG_OP, TG_TABLE_NAME;",
}
MAY_MOVE = """
  IF TG_OP = 'UPDATE' AND current_setting('crm.merging', true) = 'on'
    AND to_jsonb(OLD) - 'client_id' = to_jsonb(NEW) - 'client_id' THEN
    RETURN NEW;
  END IF;"""
MOVE_PRESENT = """
CREATE FUNCTION move_present_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM present_consents
  WHERE organisation_id = NEW.organisation_id AND client_id IN (OLD.client_id, NEW.client_id) AND purpose = NEW.purpose;
  INSERT INTO present_consents (organisation_id, client_id, purpose, state, at, consent_id)
  SELECT DISTINCT ON (client_id) organisation_id, client_id, purpose, state, at, id FROM consents
  WHERE organisation_id = NEW.organisation_id AND client_id IN (OLD.client_id, NEW.client_id) AND purpose = NEW.purpose
  ORDER BY client_id, at DESC, id DESC;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "merge_moves",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("table_name", sa.String(64), nullable=False),
        sa.Column("row_key", sa.String(64), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("after", postgresql.JSONB()),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_merge_moves_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "operation_id"],
            ["operations.organisation_id", "operations.id"],
            name=op.f("fk_merge_moves_organisation_id_operation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organisation_id", "operation_id", "table_name", "row_key", name=op.f("pk_merge_moves")
        ),
    )
    for name, refusal in REFUSALS.items():
        _write(name, MAY_MOVE, refusal)
    op.execute(MOVE_PRESENT)
    op.execute(
        "CREATE TRIGGER consents_moved AFTER UPDATE OF client_id ON consents"
        " FOR EACH ROW EXECUTE FUNCTION move_present_consent()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER consents_moved ON consents")
    op.execute("DROP FUNCTION move_present_consent")
    for name, refusal in REFUSALS.items():
        _write(name, "", refusal)
    op.drop_table("merge_moves")


def _write(name: str, exception: str, refusal: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN{exception}\n"
        f"  {refusal}\nEND $$"
    )
