"""Messages to clients: texts, senders, what went out and what became of it.

Revision: 0027, after 0026

New tables alone: nobody waits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


# What went out can be read as it was: neither a text nor what was told of a message is changed afterwards.
KEPT = """
CREATE TRIGGER message_templates_kept BEFORE UPDATE OF kind, channel, company_id, version, subject, body, active_from
ON message_templates FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "message_frames",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("logo", sa.LargeBinary()),
        sa.Column("logo_type", sa.String(length=20)),
        sa.Column("colour", sa.String(length=7), server_default="#1f4e79", nullable=False),
        sa.Column("footer", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_message_frames_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_message_frames_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_message_frames")),
        sa.UniqueConstraint("organisation_id", "company_id", name=op.f("uq_message_frames_organisation_id_company_id")),
    )
    op.create_table(
        "message_senders",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("credentials", sa.LargeBinary()),
        sa.Column("from_name", sa.String(length=100), nullable=False),
        sa.Column("from_address", sa.String(length=320)),
        sa.Column("reply_to", sa.String(length=320)),
        sa.Column("pace_per_minute", sa.Integer(), server_default="600", nullable=False),
        sa.Column("quiet_from", sa.Time()),
        sa.Column("quiet_until", sa.Time()),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("webhook_token", sa.String(length=64), nullable=False),
        sa.Column("mailbox", sa.LargeBinary()),
        sa.Column("mailbox_uid_validity", sa.BigInteger()),
        sa.Column("mailbox_uid", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("error_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(quiet_from IS NULL) = (quiet_until IS NULL)", name=op.f("ck_message_senders_quiet_from_until")
        ),
        sa.CheckConstraint("pace_per_minute > 0", name=op.f("ck_message_senders_pace_is_positive")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_message_senders_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_message_senders_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_message_senders")),
        sa.UniqueConstraint(
            "organisation_id",
            "company_id",
            "channel",
            name=op.f("uq_message_senders_organisation_id_company_id_channel"),
        ),
        sa.UniqueConstraint("webhook_token", name=op.f("uq_message_senders_webhook_token")),
    )
    op.create_table(
        "message_switches",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_message_switches_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_message_switches_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_message_switches")),
        sa.UniqueConstraint(
            "organisation_id", "company_id", "kind", name=op.f("uq_message_switches_organisation_id_company_id_kind")
        ),
    )
    op.create_table(
        "message_templates",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("company_id", sa.Uuid()),
        sa.Column("language", sa.String(length=2), server_default="fr", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=200), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("active_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_message_templates_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "created_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_message_templates_organisation_id_created_by_id"),
            ondelete="SET NULL (created_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_message_templates_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint(
            "organisation_id",
            "kind",
            "channel",
            "company_id",
            "version",
            name="uq_message_templates_version",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "messages",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("template_id", sa.Uuid()),
        sa.Column("sender_id", sa.Uuid()),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("dedupe_key", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("held_reason", sa.String(length=32)),
        sa.Column("to", sa.LargeBinary()),
        sa.Column("to_index", sa.LargeBinary()),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("attachments", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("is_asked_for", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True)),
        sa.Column("resend_until", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("provider_id", sa.String(length=255)),
        sa.Column("registered_no", sa.String(length=30)),
        sa.Column("error", sa.Text()),
        sa.Column("written_by_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint("(held_reason IS NOT NULL) = (status = 'held')", name=op.f("ck_messages_held_for_a_reason")),
        sa.CheckConstraint(
            "(lease_until IS NOT NULL) = (status = 'sending')", name=op.f("ck_messages_leased_while_sending")
        ),
        sa.CheckConstraint("num_nonnulls(client_id, user_id) = 1", name=op.f("ck_messages_to_one")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_messages_organisation_id_client_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_messages_organisation_id_company_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "sender_id"],
            ["message_senders.organisation_id", "message_senders.id"],
            name=op.f("fk_messages_organisation_id_sender_id"),
            ondelete="SET NULL (sender_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "template_id"],
            ["message_templates.organisation_id", "message_templates.id"],
            name=op.f("fk_messages_organisation_id_template_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_messages_organisation_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "written_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_messages_organisation_id_written_by_id"),
            ondelete="SET NULL (written_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_messages_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_messages")),
        sa.UniqueConstraint("organisation_id", "dedupe_key", name=op.f("uq_messages_organisation_id_dedupe_key")),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_messages_organisation_id_number")),
    )
    op.create_index("ix_messages_called", "messages", ["organisation_id", "sender_id", "called_at"])
    op.create_index("ix_messages_client", "messages", ["organisation_id", "client_id", "id"])
    op.create_index(
        "ix_messages_due",
        "messages",
        ["organisation_id", "sender_id", "not_before", "id"],
        postgresql_where=sa.text("status = 'queued' AND sender_id IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_expires",
        "messages",
        ["expires_at"],
        postgresql_where=sa.text("status = 'queued' AND expires_at IS NOT NULL"),
    )
    op.create_index("ix_messages_kind", "messages", ["organisation_id", "kind", "id"])
    op.create_index("ix_messages_lease", "messages", ["lease_until"], postgresql_where=sa.text("status = 'sending'"))
    op.create_index(
        "ix_messages_provider_id",
        "messages",
        ["organisation_id", "provider_id"],
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.create_index("ix_messages_status", "messages", ["organisation_id", "status", "id"])
    op.create_index("ix_messages_subject", "messages", ["organisation_id", "subject_id", "id"])
    op.create_index(
        "ix_messages_to", "messages", ["organisation_id", "to_index"], postgresql_where=sa.text("to_index IS NOT NULL")
    )
    op.create_table(
        "message_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.ForeignKeyConstraint(
            ["organisation_id", "message_id"],
            ["messages.organisation_id", "messages.id"],
            name=op.f("fk_message_events_organisation_id_message_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_message_events_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_message_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_message_events")),
        sa.UniqueConstraint(
            "organisation_id",
            "message_id",
            "kind",
            "at",
            name=op.f("uq_message_events_organisation_id_message_id_kind_at"),
        ),
    )
    op.create_table(
        "suppressions",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("to", sa.LargeBinary(), nullable=False),
        sa.Column("to_index", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("lifted_at", sa.DateTime(timezone=True)),
        sa.Column("lifted_by_id", sa.Uuid()),
        sa.ForeignKeyConstraint(
            ["organisation_id", "lifted_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_suppressions_organisation_id_lifted_by_id"),
            ondelete="SET NULL (lifted_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "message_id"],
            ["messages.organisation_id", "messages.id"],
            name=op.f("fk_suppressions_organisation_id_message_id"),
            ondelete="SET NULL (message_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_suppressions_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_suppressions")),
    )
    op.create_index(
        "uq_suppressions_index",
        "suppressions",
        ["organisation_id", "to_index"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.execute(KEPT)


def downgrade() -> None:
    op.drop_table("suppressions")
    op.drop_table("message_events")
    op.drop_table("messages")
    op.drop_table("message_templates")
    op.drop_table("message_switches")
    op.drop_table("message_senders")
    op.drop_table("message_frames")
