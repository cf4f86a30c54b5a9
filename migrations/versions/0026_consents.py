"""Consents of clients, the wordings they were asked in, and what of each purpose holds now.

Revision: 0026, after 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

KEPT = ("consents", "consent_wordings")
# Whoever comes later in time wins, in whatever order the rows come: what is noted afterwards may have been said before.
KEEP_PRESENT = """
CREATE FUNCTION keep_present_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO present_consents (organisation_id, client_id, purpose, state, at, consent_id)
  VALUES (NEW.organisation_id, NEW.client_id, NEW.purpose, NEW.state, NEW.at, NEW.id)
  ON CONFLICT (organisation_id, client_id, purpose) DO UPDATE
  SET state = EXCLUDED.state, at = EXCLUDED.at, consent_id = EXCLUDED.consent_id
  WHERE (present_consents.at, present_consents.consent_id) < (EXCLUDED.at, EXCLUDED.consent_id);
  RETURN NULL;
END $$
"""
REFUSE_BY_HAND = """
CREATE FUNCTION refuse_present_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'present_consents follows consents and is not written by hand';
END $$
"""


def _key(table: str, column: str, referred: str, ondelete: str | None) -> sa.ForeignKeyConstraint:
    """A foreign key within the organisation."""
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{referred}.organisation_id", f"{referred}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=f"SET NULL ({column})" if ondelete == "SET NULL" else ondelete,
    )


def _organisation(table: str, *key: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", *key, name=op.f(f"pk_{table}")),
    ]


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    wordings = "consent_wordings"
    op.create_table(
        wordings,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("active_from", instant, nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("created_at", instant, nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_consent_wordings_version_from_one")),
        sa.UniqueConstraint(
            "organisation_id", "purpose", "version", name=op.f("uq_consent_wordings_organisation_id_purpose_version")
        ),
        _key(wordings, "user_id", "users", "SET NULL"),
        *_organisation(wordings, "id"),
    )
    consents = "consents"
    op.create_table(
        consents,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("wording_id", sa.Uuid()),
        sa.Column("document_id", sa.Uuid()),
        sa.Column("note", sa.String(500)),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("created_at", instant, nullable=False),
        sa.CheckConstraint("wording_id IS NULL OR state = 'given'", name=op.f("ck_consents_wording_of_given")),
        _key(consents, "client_id", "clients", "CASCADE"),
        _key(consents, "wording_id", wordings, "NO ACTION"),
        _key(consents, "document_id", "documents", "NO ACTION"),
        _key(consents, "user_id", "users", "SET NULL"),
        *_organisation(consents, "id"),
    )
    op.create_index("ix_consents_latest", consents, ["organisation_id", "client_id", "purpose", "at", "id"])
    for column in ("wording_id", "document_id"):
        op.create_index(
            f"ix_consents_{column.removesuffix('_id')}",
            consents,
            ["organisation_id", column],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    present = "present_consents"
    op.create_table(
        present,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=False),
        _key(present, "client_id", "clients", "CASCADE"),
        *_organisation(present, "client_id", "purpose"),
    )
    op.create_index("ix_present_consents_state", present, ["organisation_id", "purpose", "state", "client_id"])
    for table in KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()"
        )
    op.execute(KEEP_PRESENT)
    op.execute(REFUSE_BY_HAND)
    op.execute(
        "CREATE TRIGGER consents_present AFTER INSERT ON consents FOR EACH ROW EXECUTE FUNCTION keep_present_consent()"
    )
    op.execute(
        "CREATE TRIGGER present_consents_followed BEFORE INSERT OR UPDATE OR DELETE ON present_consents"
        " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_present_consent()"
    )


def downgrade() -> None:
    op.drop_table("present_consents")
    op.drop_table("consents")
    op.drop_table("consent_wordings")
    op.execute("DROP FUNCTION refuse_present_consent")
    op.execute("DROP FUNCTION keep_present_consent")
