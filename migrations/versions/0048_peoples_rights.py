"""People's rights: clients that were erased, and how long prospects without activity are kept.

Revision: 0048, after 0047

An operation that erases says so (``crm.erasing``), and is asked whether it is one that is running: then rows that are
otherwise kept as they are may lose texts that tell of a person, and nothing else. An erased client is filled and given
something new by nobody: triggers of statements, so that whoever adds many rows asks once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
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
IS_ERASING = """
CREATE FUNCTION is_erasing(organisation uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(current_setting('crm.erasing', true), '') <> '' AND EXISTS (
    SELECT FROM operations WHERE organisation_id = organisation AND kind = 'erasure' AND state = 'running'
      AND id::text = current_setting('crm.erasing', true))
$$
"""
WORDS = {
    "payments": "reason",
    "timeline_events": "changes, body",
    "subscription_history": "reason, changes",
    "journal_entries": "details",
    "fulfilment_batch_lines": "held_reason, reason, address_snapshot, preference_snapshot, gift_message",
}
"""Of tables that are only added to, the columns that an erasure may empty. Nothing of invoices or attempts."""
MAY_LOSE_WORDS = """
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME IN ({tables}) AND is_erasing(OLD.organisation_id)
    AND to_jsonb(OLD) - '{{{columns}}}'::text[] = to_jsonb(NEW) - '{{{columns}}}'::text[] THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'consents' AND is_erasing(OLD.organisation_id) THEN
    RETURN OLD;
  END IF;"""
REFUSE_BY_HAND = """
CREATE OR REPLACE FUNCTION refuse_present_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{exception}
  RAISE EXCEPTION 'present_consents follows consents and is not written by hand';
END $$
"""
MAY_GO = """
  IF TG_OP = 'DELETE' AND is_erasing(OLD.organisation_id) THEN
    RETURN OLD;
  END IF;"""
KEEP_ERASED = """
CREATE FUNCTION keep_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE plain text[] := '{commercial_id, commercial_external_id, status, contracts_count, contract_references, version,
  changed_at, name_key, city_key, search_text}';
BEGIN
  IF to_jsonb(OLD) - plain <> to_jsonb(NEW) - plain THEN
    RAISE EXCEPTION 'the client is erased, and is not filled again';
  END IF;
  RETURN NEW;
END $$
"""
REFUSE_FOR_ERASED = """
CREATE FUNCTION refuse_for_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM added a JOIN clients c ON c.organisation_id = a.organisation_id AND c.id = a.client_id
    WHERE c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the client is erased: % is not added to', TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$
"""
NOTHING_MORE = (
    "bank_accounts", "mandates", "saved_payment_methods", "default_means", "contracts", "subscriptions", "messages",
    "means_requests", "documents", "tasks", "consents",
)  # fmt: skip
"""Tables in which an erased client gets no row."""


def upgrade() -> None:
    op.add_column("clients", sa.Column("erased_at", sa.DateTime(timezone=True)))
    op.add_column(
        "organisations", sa.Column("prospects_kept_months", sa.Integer(), server_default="36", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_organisations_prospects_kept_months"), "organisations", "prospects_kept_months BETWEEN 1 AND 120"
    )
    op.execute(IS_ERASING)
    columns = ", ".join(sorted({name for names in WORDS.values() for name in names.split(", ")}))
    tables = ", ".join(f"'{table}'" for table in WORDS)
    for name, refusal in REFUSALS.items():
        _write(name, MAY_MOVE + MAY_LOSE_WORDS.format(tables=tables, columns=columns), refusal)
    op.execute(REFUSE_BY_HAND.format(exception=MAY_GO))
    op.execute(KEEP_ERASED)
    op.execute(
        "CREATE TRIGGER clients_erased BEFORE UPDATE ON clients FOR EACH ROW WHEN (OLD.erased_at IS NOT NULL)"
        " EXECUTE FUNCTION keep_erased()"
    )
    op.execute(REFUSE_FOR_ERASED)
    for table in NOTHING_MORE:
        op.execute(
            f"CREATE TRIGGER {table}_not_for_erased AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_for_erased()"
        )
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_clients_erased",
            "clients",
            ["organisation_id", "id"],
            postgresql_where=sa.text("erased_at IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_clients_retention",
            "clients",
            ["organisation_id", "changed_at", "id"],
            postgresql_where=sa.text("status = 'prospect' AND erased_at IS NULL AND merged_into_id IS NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_clients_retention", "clients")
    op.drop_index("ix_clients_erased", "clients")
    for table in NOTHING_MORE:
        op.execute(f"DROP TRIGGER {table}_not_for_erased ON {table}")
    op.execute("DROP FUNCTION refuse_for_erased")
    op.execute("DROP TRIGGER clients_erased ON clients")
    op.execute("DROP FUNCTION keep_erased")
    op.execute(REFUSE_BY_HAND.format(exception=""))
    for name, refusal in REFUSALS.items():
        _write(name, MAY_MOVE, refusal)
    op.execute("DROP FUNCTION is_erasing")
    op.drop_column("organisations", "prospects_kept_months")
    op.drop_column("clients", "erased_at")


def _write(name: str, exception: str, refusal: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN{exception}\n"
        f"  {refusal}\nEND $$"
    )
