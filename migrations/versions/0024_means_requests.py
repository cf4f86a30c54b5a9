"""Requests to clients for a means of payment, and the providers' pages that answer them.

Revision: 0024, after 0023

One new column with a constant: no row is rewritten.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def _key(table: str, column: str, referred: str, ondelete: str) -> sa.ForeignKeyConstraint:
    """A foreign key within the organisation."""
    return sa.ForeignKeyConstraint(
        ["organisation_id", column],
        [f"{referred}.organisation_id", f"{referred}.id"],
        name=op.f(f"fk_{table}_organisation_id_{column}"),
        ondelete=f"SET NULL ({column})" if ondelete == "SET NULL" else ondelete,
    )


def _organisation(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f(f"pk_{table}")),
    ]


def upgrade() -> None:
    op.add_column("charge_attempts", sa.Column("on_page", sa.Boolean(), nullable=False, server_default=sa.false()))
    instant = sa.DateTime(timezone=True)
    requests = "means_requests"
    op.create_table(
        requests,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid()),
        sa.Column("charge_id", sa.Uuid()),
        sa.Column("takes_payment", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("sent_at", instant),
        sa.Column("opened_at", instant),
        sa.Column("ended_at", instant),
        sa.Column("saved_method_id", sa.Uuid()),
        sa.Column("explanation", sa.Text()),
        sa.Column("requested_by_id", sa.Uuid()),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (status IN ('draft', 'sent', 'opened'))", name=op.f("ck_means_requests_ends_once")
        ),
        sa.CheckConstraint(
            "(saved_method_id IS NOT NULL) = (status = 'done')", name=op.f("ck_means_requests_done_with_a_method")
        ),
        sa.UniqueConstraint("organisation_id", "number", name=op.f("uq_means_requests_organisation_id_number")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_means_requests_token_hash")),
        _key(requests, "client_id", "clients", "RESTRICT"),
        _key(requests, "provider_account_id", "provider_accounts", "RESTRICT"),
        _key(requests, "subscription_id", "subscriptions", "SET NULL"),
        _key(requests, "charge_id", "charges", "SET NULL"),
        _key(requests, "saved_method_id", "saved_payment_methods", "RESTRICT"),
        _key(requests, "requested_by_id", "users", "SET NULL"),
        *_organisation(requests),
    )
    op.create_index("ix_means_requests_client", requests, ["organisation_id", "client_id", "id"])
    op.create_index(
        "uq_means_requests_open",
        requests,
        ["organisation_id", "client_id", "provider_account_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('draft', 'sent', 'opened')"),
    )
    op.create_index("ix_means_requests_expires", requests, ["expires_at"], postgresql_where=sa.text("ended_at IS NULL"))

    pages = "hosted_pages"
    op.create_table(
        pages,
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("reference", sa.String(255)),
        sa.Column("url", sa.LargeBinary()),
        sa.Column("closes_at", instant, nullable=False),
        sa.Column("attempt_id", sa.Uuid()),
        sa.Column("next_look_at", instant),
        sa.Column("created_at", instant, nullable=False),
        sa.CheckConstraint(
            "(next_look_at IS NULL) = (status IN ('completed', 'refused', 'closed'))",
            name=op.f("ck_hosted_pages_looked_at_until_ended"),
        ),
        _key(pages, "request_id", requests, "CASCADE"),
        _key(pages, "attempt_id", "charge_attempts", "RESTRICT"),
        *_organisation(pages),
    )
    op.create_index(
        "uq_hosted_pages_open",
        pages,
        ["organisation_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('opening', 'open', 'submitted')"),
    )
    op.create_index("ix_hosted_pages_request", pages, ["organisation_id", "request_id", "id"])
    op.create_index(
        "ix_hosted_pages_next_look", pages, ["next_look_at"], postgresql_where=sa.text("next_look_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_table("hosted_pages")
    op.drop_table("means_requests")
    op.drop_column("charge_attempts", "on_page")
