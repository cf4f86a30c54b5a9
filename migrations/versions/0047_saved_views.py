"""Saved views, when a client was last in contact, and what new orders and filters of the clients page need.

Revision: 0047, after 0046
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

FILTERS = ("source", "status", "commercial_id")
PRESENT = sa.text("archived_at IS NULL")
# A call, an answer, or a message that a colleague wrote: what we send by ourselves is no contact.
LATEST = """
SELECT events.organisation_id, events.client_id, max(events.at)
FROM timeline_events events
LEFT JOIN messages ON messages.organisation_id = events.organisation_id AND messages.id = events.message_id
WHERE (events.kind IN ('call', 'message_answered')
       OR (events.kind = 'message_sent' AND messages.written_by_id IS NOT NULL))
"""
# Events move only with a client that is merged into another, or parted again: both are then told anew.
KEEP_LAST_CONTACT = """
CREATE FUNCTION keep_last_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM last_contacts
    WHERE organisation_id = NEW.organisation_id AND client_id IN (OLD.client_id, NEW.client_id);
    INSERT INTO last_contacts (organisation_id, client_id, at) $LATEST
      AND events.organisation_id = NEW.organisation_id AND events.client_id IN (OLD.client_id, NEW.client_id)
    GROUP BY events.organisation_id, events.client_id
    ON CONFLICT (organisation_id, client_id) DO UPDATE SET at = EXCLUDED.at WHERE last_contacts.at < EXCLUDED.at;
  ELSIF NEW.kind <> 'message_sent' OR EXISTS (
    SELECT FROM messages
    WHERE organisation_id = NEW.organisation_id AND id = NEW.message_id AND written_by_id IS NOT NULL
  ) THEN
    INSERT INTO last_contacts (organisation_id, client_id, at) VALUES (NEW.organisation_id, NEW.client_id, NEW.at)
    ON CONFLICT (organisation_id, client_id) DO UPDATE SET at = EXCLUDED.at WHERE last_contacts.at < EXCLUDED.at;
  END IF;
  RETURN NULL;
END $$
"""
REFUSE_BY_HAND = """
CREATE FUNCTION refuse_last_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'last_contacts follows timeline_events and is not written by hand';
END $$
"""
# After the trigger, which keeps what is written meanwhile; whichever is later stays.
TELL_PAST = f"""
INSERT INTO last_contacts (organisation_id, client_id, at) {LATEST}
GROUP BY events.organisation_id, events.client_id
ON CONFLICT (organisation_id, client_id) DO UPDATE SET at = EXCLUDED.at WHERE last_contacts.at < EXCLUDED.at
"""


def _key(table: str, column: str, referred: str, ondelete: str) -> sa.ForeignKeyConstraint:
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


def _make_views() -> None:
    op.create_table(
        "saved_views",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("of_list", sa.String(32), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("slug", sa.String(70), nullable=False),
        sa.Column("query", sa.Text(), server_default="", nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.String(40)), server_default="{}", nullable=False),
        sa.Column("density", sa.String(32), nullable=False),
        sa.Column("is_shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint(
            "organisation_id", "of_list", "slug", name=op.f("uq_saved_views_organisation_id_of_list_slug")
        ),
        _key("saved_views", "user_id", "users", "SET NULL"),
        *_organisation("saved_views", "id"),
    )
    marks = "saved_view_marks"
    op.create_table(
        marks,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("view_id", sa.Uuid(), nullable=False),
        sa.Column("of_list", sa.String(32), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _key(marks, "user_id", "users", "CASCADE"),
        _key(marks, "view_id", "saved_views", "CASCADE"),
        *_organisation(marks, "user_id", "view_id"),
    )
    op.create_index("ix_saved_view_marks_view", marks, ["organisation_id", "view_id"])
    op.create_index(
        "uq_saved_view_marks_default",
        marks,
        ["organisation_id", "user_id", "of_list"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )


def _make_last_contacts() -> None:
    contacts = "last_contacts"
    op.create_table(
        contacts,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _key(contacts, "client_id", "clients", "CASCADE"),
        *_organisation(contacts, "client_id"),
    )
    op.create_index("ix_last_contacts_at", contacts, ["organisation_id", "at", "client_id"])
    op.execute(KEEP_LAST_CONTACT.replace("$LATEST", LATEST))
    op.execute(REFUSE_BY_HAND)
    op.execute(
        "CREATE TRIGGER timeline_events_contact AFTER INSERT OR UPDATE OF client_id ON timeline_events FOR EACH ROW"
        " WHEN (NEW.kind IN ('call', 'message_sent', 'message_answered')) EXECUTE FUNCTION keep_last_contact()"
    )


def upgrade() -> None:
    _make_views()
    _make_last_contacts()
    with op.get_context().autocommit_block():  # people keep writing meanwhile
        op.execute(TELL_PAST)
        op.execute(
            "CREATE TRIGGER last_contacts_followed BEFORE INSERT OR UPDATE OR DELETE ON last_contacts"
            " FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_last_contact()"
        )
        for name, columns in _new_indexes().items():
            op.create_index(name, "clients", columns, postgresql_where=PRESENT, postgresql_concurrently=True)
        op.create_index(
            "ix_clients_postcode",
            "clients",
            ["organisation_id", "postcode"],
            postgresql_ops={"postcode": "varchar_pattern_ops"},
            postgresql_where=PRESENT,
            postgresql_concurrently=True,
        )


def _new_indexes() -> dict[str, list[str]]:
    """An order by creation, on its own and behind each filter."""
    behind = {f"ix_clients_{each}_created_at": ["organisation_id", each, "created_at", "id"] for each in FILTERS}
    return {"ix_clients_created_at": ["organisation_id", "created_at", "id"], **behind}


def downgrade() -> None:
    for name in ("ix_clients_postcode", *_new_indexes()):
        op.drop_index(name, table_name="clients")
    op.execute("DROP TRIGGER timeline_events_contact ON timeline_events")
    op.drop_table("last_contacts")
    op.execute("DROP FUNCTION refuse_last_contact")
    op.execute("DROP FUNCTION keep_last_contact")
    op.drop_table("saved_view_marks")
    op.drop_table("saved_views")
