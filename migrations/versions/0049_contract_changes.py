"""Contracts: what each change of them left and found, kept by a trigger, with who wrote it.

Revision: 0049, after 0048

The settings ``crm.user_id``, ``crm.run_id``, ``crm.operation_id`` and ``crm.at`` are local to the transaction of
whoever writes. A contract that was changed before there was a trigger gets a row without changes: what stood
before that is not known.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

# What a person sees of a contract, in SQL over its row, as JSON; an amount as a text, which keeps its digits.
VALUES = {
    "reference": "to_jsonb({row}.reference)",
    "status": "jsonb_build_array({row}.status, {row}.status_raw)",
    "company_id": "to_jsonb({row}.company_id)",
    "commercial_id": "to_jsonb({row}.commercial_id)",
    "contract_type": "to_jsonb({row}.contract_type)",
    "supplier": "to_jsonb({row}.supplier)",
    "description": "to_jsonb({row}.description)",
    "amount": "to_jsonb({row}.amount::text)",
    "signed_on": "to_jsonb({row}.signed_on)",
    "validated_on": "to_jsonb(timezone('Europe/Paris', {row}.validated_at)::date)",
    "starts_on": "to_jsonb({row}.starts_on)",
    "ends_on": "to_jsonb({row}.ends_on)",
    "payment_method": "to_jsonb({row}.payment_method)",
    "withdrawal_day": "to_jsonb({row}.withdrawal_day)",
}
COLUMNS = (
    "reference", "status", "status_raw", "company_id", "commercial_id", "contract_type", "supplier", "description",
    "amount", "signed_at", "validated_at", "starts_on", "ends_on", "payment_method", "withdrawal_day",
)  # fmt: skip
EACH = "".join(
    f"""
  IF {value.format(row="OLD")} IS DISTINCT FROM {value.format(row="NEW")} THEN
    changed := changed || jsonb_build_object(
      '{key}', jsonb_build_array({value.format(row="OLD")}, {value.format(row="NEW")}));
  END IF;"""
    for key, value in VALUES.items()
)
BEFORE, AFTER = (", ".join(f"{row}.{column}" for column in COLUMNS) for row in ("OLD", "NEW"))
KEEP_CHANGES = f"""
CREATE FUNCTION keep_contract_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb := '{{}}';
BEGIN{EACH}
  IF changed <> '{{}}' THEN
    INSERT INTO contract_changes (organisation_id, contract_id, at, user_id, run_id, operation_id, changes)
    VALUES (
      NEW.organisation_id, NEW.id,
      coalesce(nullif(current_setting('crm.at', true), '')::timestamptz, now()),
      nullif(current_setting('crm.user_id', true), '')::uuid,
      nullif(current_setting('crm.run_id', true), '')::uuid,
      nullif(current_setting('crm.operation_id', true), '')::uuid,
      changed);
  END IF;
  RETURN NULL;
END $$
"""  # noqa: S608  put together from what stands above
REFUSE = """
CREATE FUNCTION refuse_contract_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND is_erasing(OLD.organisation_id) AND to_jsonb(OLD) - 'changes' = to_jsonb(NEW) - 'changes' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'contract_changes follows contracts and is not written by hand';
END $$
"""


def upgrade() -> None:
    _create_table()
    op.execute(KEEP_CHANGES)
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER contracts_keep_changes AFTER UPDATE ON contracts FOR EACH ROW"
        f" WHEN (({BEFORE}) IS DISTINCT FROM ({AFTER})) EXECUTE FUNCTION keep_contract_changes()"
    )
    # After the trigger, whose lock keeps writers out until the commit: no change is in neither.
    op.execute(
        "INSERT INTO contract_changes (organisation_id, contract_id, at, changes)"
        " SELECT organisation_id, id, now(), '{}' FROM contracts WHERE changed_at <> created_at"
    )
    # What foreign keys do by themselves is let through: it happens within a trigger.
    op.execute(
        "CREATE TRIGGER contract_changes_kept BEFORE INSERT OR UPDATE OR DELETE ON contract_changes"
        " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_contract_change()"
    )


def _create_table() -> None:
    op.create_table(
        "contract_changes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("operation_id", sa.Uuid()),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_contract_changes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "contract_id"],
            ["contracts.organisation_id", "contracts.id"],
            name=op.f("fk_contract_changes_organisation_id_contract_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_changes")),
    )
    op.create_index("ix_contract_changes_contract", "contract_changes", ["organisation_id", "contract_id", "id"])


def downgrade() -> None:
    op.execute("DROP TRIGGER contracts_keep_changes ON contracts")
    op.execute("DROP FUNCTION keep_contract_changes")
    op.drop_table("contract_changes")
    op.execute("DROP FUNCTION refuse_contract_change")
