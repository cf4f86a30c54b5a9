"""Foundation: organisations, people, clients, contracts, timeline and the WinLeadPlus ledger.

Revision: 0001, after ; 2026-11-20 13:11:47.995333
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Sort and search keys are made here, once, for every write path: accents and case go, and what joins names
# (hyphen, apostrophe) becomes a space. unaccent() is only STABLE because its dictionary could be altered; ours is not.
FOLD = """
CREATE FUNCTION fold(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT lower(translate(public.unaccent('public.unaccent'::regdictionary, value), '-''’', '   ') COLLATE "C")
$$
"""

# One text to search in: names, e-mail, the telephone as written in France and as E.164 digits, contract references.
# The space in front lets a short word match as a prefix (LIKE '% du%').
CLIENT_SEARCH_TEXT = """
CREATE FUNCTION client_search_text(last_name text, first_name text, email text, phone text, contract_references text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ' ' || public.fold(
    coalesce(last_name, '') || ' ' || coalesce(first_name, '') || ' ' || coalesce(email, '') || ' '
    || CASE WHEN phone LIKE '+33%' THEN '0' || substr(phone, 4) ELSE '' END || ' '
    || ltrim(coalesce(phone, ''), '+') || ' ' || coalesce(contract_references, '')
  )
$$
"""

# Whatever writes contracts, the client's count and references follow; rows that are right already stay untouched.
REFRESH_CLIENT_CONTRACTS = """
CREATE FUNCTION refresh_client_contracts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH touched AS (
    SELECT DISTINCT organisation_id, client_id FROM changed_contracts
  ), counted AS (
    SELECT t.organisation_id, t.client_id, count(c.id) AS number,
           coalesce(string_agg(c.reference, ' ' ORDER BY c.reference), '') AS list
    FROM touched t
    LEFT JOIN contracts c ON c.organisation_id = t.organisation_id AND c.client_id = t.client_id
    GROUP BY t.organisation_id, t.client_id
  )
  UPDATE clients SET contracts_count = counted.number, contract_references = counted.list
  FROM counted
  WHERE clients.organisation_id = counted.organisation_id AND clients.id = counted.client_id
    AND (clients.contracts_count <> counted.number OR clients.contract_references <> counted.list);
  RETURN NULL;
END $$
"""

# A contract that moves touches the client it leaves as well as the one it joins.
TRIGGERS = (
    """CREATE TRIGGER contracts_inserted AFTER INSERT ON contracts REFERENCING NEW TABLE AS changed_contracts
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_client_contracts()""",
    """CREATE TRIGGER contracts_updated_to AFTER UPDATE ON contracts REFERENCING NEW TABLE AS changed_contracts
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_client_contracts()""",
    """CREATE TRIGGER contracts_updated_from AFTER UPDATE ON contracts REFERENCING OLD TABLE AS changed_contracts
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_client_contracts()""",
    """CREATE TRIGGER contracts_deleted AFTER DELETE ON contracts REFERENCING OLD TABLE AS changed_contracts
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_client_contracts()""",
)


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS unaccent")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute(FOLD)
    op.execute(CLIENT_SEARCH_TEXT)
    op.create_table(
        "organisations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("slug", name=op.f("uq_organisations_slug")),
    )
    op.create_table(
        "schedule_ticks",
        sa.Column("job", sa.String(length=100), nullable=False),
        sa.Column("tick", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job", "tick", name=op.f("pk_schedule_ticks")),
    )
    op.create_table(
        "companies",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("siren", sa.String(length=9), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_companies_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_companies")),
    )
    op.create_index(
        "uq_companies_default",
        "companies",
        ["organisation_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "products",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=100), nullable=True),
        sa.Column("supplier", sa.String(length=200), nullable=True),
        sa.Column("name_key", sa.String(collation="C"), sa.Computed("fold(name)", persisted=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_products_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_products")),
        sa.UniqueConstraint("organisation_id", "name_key", name=op.f("uq_products_organisation_id_name_key")),
    )
    op.create_table(
        "teams",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_teams_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_teams")),
        sa.UniqueConstraint("organisation_id", "name", name=op.f("uq_teams_organisation_id_name")),
    )
    op.create_table(
        "users",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("email_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("first_name", sa.String(length=100), nullable=False),
        sa.Column("last_name", sa.String(length=100), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.String(length=32)), server_default="{}", nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_users_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_users")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_users_issuer_subject")),
    )
    op.create_index("ix_users_email", "users", ["organisation_id", sa.literal_column("lower(email)")], unique=False)
    op.create_table(
        "winleadplus_configs",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("interval_minutes", sa.Integer(), server_default="60", nullable=False),
        sa.Column("import_without_contracts", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_winleadplus_configs_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_winleadplus_configs")),
    )
    op.create_table(
        "commercials",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("external_id", sa.String(length=64), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("first_name", sa.String(length=100), server_default="", nullable=False),
        sa.Column("last_name", sa.String(length=100), server_default="", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "name_key",
            sa.String(collation="C"),
            sa.Computed("fold(last_name || ' ' || first_name)", persisted=True),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "team_id"],
            ["teams.organisation_id", "teams.id"],
            name=op.f("fk_commercials_organisation_id_team_id"),
            ondelete="SET NULL (team_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_commercials_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_commercials_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_commercials")),
        sa.UniqueConstraint("organisation_id", "external_id", name=op.f("uq_commercials_organisation_id_external_id")),
        sa.UniqueConstraint("organisation_id", "user_id", name=op.f("uq_commercials_organisation_id_user_id")),
    )
    op.create_index("ix_commercials_email", "commercials", ["organisation_id", "email"], unique=False)
    op.create_index("ix_commercials_name", "commercials", ["organisation_id", "name_key", "id"], unique=False)
    op.create_table(
        "sync_runs",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "trigger",
            sa.Enum("manual", "scheduled", "command", name="runtrigger", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "status",
            sa.Enum("running", "success", "partial", "failed", name="runstatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "phase",
            sa.Enum(
                "waiting",
                "fetching",
                "applying",
                "finishing",
                "done",
                name="runphase",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("errors", sa.Integer(), server_default="0", nullable=False),
        sa.Column("warnings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("conflicts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requested_by_id", sa.Uuid(), nullable=True),
        sa.Column("user_token", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "requested_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_sync_runs_organisation_id_requested_by_id"),
            ondelete="SET NULL (requested_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_sync_runs_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_sync_runs")),
    )
    op.create_index(
        "ix_sync_runs_lease",
        "sync_runs",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("ix_sync_runs_started", "sync_runs", ["organisation_id", "started_at", "id"], unique=False)
    op.create_index(
        "uq_sync_runs_running",
        "sync_runs",
        ["organisation_id"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "team_leaders",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "team_id"],
            ["teams.organisation_id", "teams.id"],
            name=op.f("fk_team_leaders_organisation_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_team_leaders_organisation_id_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_team_leaders_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "team_id", "user_id", name=op.f("pk_team_leaders")),
    )
    op.create_table(
        "clients",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "source",
            sa.Enum("WinLeadPlus", "WooCommerce", name="source", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column(
            "status",
            sa.Enum("prospect", "active", "inactive", name="clientstatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("commercial_external_id", sa.String(length=64), nullable=True),
        sa.Column("civility", sa.Enum("M.", "Mme", name="civility", native_enum=False, length=32), nullable=True),
        sa.Column("last_name", sa.String(length=200), server_default="", nullable=False),
        sa.Column("first_name", sa.String(length=200), server_default="", nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("address_line1", sa.String(length=200), nullable=True),
        sa.Column("address_line2", sa.String(length=200), nullable=True),
        sa.Column("postcode", sa.String(length=20), nullable=True),
        sa.Column("city", sa.String(length=100), nullable=True),
        sa.Column("country", sa.String(length=2), server_default="FR", nullable=False),
        sa.Column("identity_card", sa.LargeBinary(), nullable=True),
        sa.Column("contracts_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("contract_references", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "name_key",
            sa.String(collation="C"),
            sa.Computed("fold(last_name || ' ' || first_name)", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "city_key",
            sa.String(collation="C"),
            sa.Computed("fold(coalesce(city, ''))", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "search_text",
            sa.Text(collation="C"),
            sa.Computed("client_search_text(last_name, first_name, email, phone, contract_references)", persisted=True),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "commercial_id"],
            ["commercials.organisation_id", "commercials.id"],
            name=op.f("fk_clients_organisation_id_commercial_id"),
            ondelete="SET NULL (commercial_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_clients_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_clients")),
    )
    op.create_index(
        "ix_clients_awaiting_commercial",
        "clients",
        ["organisation_id", "commercial_external_id"],
        unique=False,
        postgresql_where=sa.text("commercial_id IS NULL AND commercial_external_id IS NOT NULL"),
    )
    op.create_index("ix_clients_changed", "clients", ["organisation_id", "changed_at", "id"], unique=False)
    op.create_index("ix_clients_city", "clients", ["organisation_id", "city_key", "id"], unique=False)
    op.create_index(
        "ix_clients_commercial",
        "clients",
        ["organisation_id", "commercial_id", "name_key", "id"],
        unique=False,
    )
    op.create_index("ix_clients_contracts", "clients", ["organisation_id", "contracts_count", "id"], unique=False)
    op.create_index("ix_clients_email", "clients", ["organisation_id", "email"], unique=False)
    op.create_index("ix_clients_name", "clients", ["organisation_id", "name_key", "id"], unique=False)
    op.create_index("ix_clients_phone", "clients", ["organisation_id", "phone"], unique=False)
    op.create_index(
        "ix_clients_search",
        "clients",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_table(
        "bank_accounts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("iban", sa.LargeBinary(), nullable=False),
        sa.Column("iban_index", sa.LargeBinary(), nullable=False),
        sa.Column("iban_masked", sa.String(length=20), nullable=False),
        sa.Column("bic", sa.LargeBinary(), nullable=True),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column(
            "source",
            sa.Enum("WinLeadPlus", "WooCommerce", name="source", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_bank_accounts_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_bank_accounts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_bank_accounts")),
        sa.UniqueConstraint(
            "organisation_id",
            "client_id",
            "iban_index",
            name=op.f("uq_bank_accounts_organisation_id_client_id_iban_index"),
        ),
    )
    op.create_table(
        "contracts",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("commercial_id", sa.Uuid(), nullable=True),
        sa.Column("commercial_external_id", sa.String(length=64), nullable=True),
        sa.Column("reference", sa.String(length=100), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "pending",
                "active",
                "canceled",
                "terminated",
                name="contractstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("status_raw", sa.String(length=100), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("contract_type", sa.String(length=100), nullable=True),
        sa.Column("supplier", sa.String(length=200), nullable=True),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("currency", sa.String(length=3), server_default="EUR", nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column(
            "payment_method",
            sa.Enum("sepa", "card", "transfer", "cheque", name="paymentmethod", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("withdrawal_day", sa.Integer(), nullable=True),
        sa.Column("document_url", sa.Text(), nullable=True),
        sa.Column("audit_trail_url", sa.Text(), nullable=True),
        sa.Column(
            "source",
            sa.Enum("WinLeadPlus", "WooCommerce", name="source", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "signed_on",
            sa.Date(),
            sa.Computed("(timezone('Europe/Paris', signed_at))::date", persisted=True),
            nullable=True,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_contracts_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "commercial_id"],
            ["commercials.organisation_id", "commercials.id"],
            name=op.f("fk_contracts_organisation_id_commercial_id"),
            ondelete="SET NULL (commercial_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_contracts_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_contracts_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_contracts")),
        sa.UniqueConstraint("organisation_id", "reference", name=op.f("uq_contracts_organisation_id_reference")),
    )
    op.create_index("ix_contracts_client", "contracts", ["organisation_id", "client_id"], unique=False)
    op.create_index(
        "ix_contracts_commercial",
        "contracts",
        ["organisation_id", "commercial_id", "signed_on"],
        unique=False,
    )
    op.create_index("ix_contracts_signed", "contracts", ["organisation_id", "signed_on", "id"], unique=False)
    op.create_table(
        "sync_items",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "created",
                "updated",
                "skipped",
                "warning",
                "error",
                "conflict",
                name="itemkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("label", sa.String(length=200), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("candidate_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("after", sa.LargeBinary(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_sync_items_organisation_id_client_id"),
            ondelete="SET NULL (client_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "resolved_by_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_sync_items_organisation_id_resolved_by_id"),
            ondelete="SET NULL (resolved_by_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "run_id"],
            ["sync_runs.organisation_id", "sync_runs.id"],
            name=op.f("fk_sync_items_organisation_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_sync_items_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_sync_items")),
        sa.UniqueConstraint(
            "organisation_id",
            "run_id",
            "external_id",
            "kind",
            name=op.f("uq_sync_items_organisation_id_run_id_external_id_kind"),
        ),
    )
    op.create_index(
        "ix_sync_items_open",
        "sync_items",
        ["organisation_id", "run_id"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NULL AND kind IN ('error', 'conflict', 'warning')"),
    )
    op.create_table(
        "sync_mappings",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=True),
        sa.Column("snapshot", sa.LargeBinary(), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_sync_mappings_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "run_id"],
            ["sync_runs.organisation_id", "sync_runs.id"],
            name=op.f("fk_sync_mappings_organisation_id_run_id"),
            ondelete="SET NULL (run_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_sync_mappings_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "external_id", name=op.f("pk_sync_mappings")),
    )
    op.create_index("ix_sync_mappings_client", "sync_mappings", ["organisation_id", "client_id"], unique=False)
    op.create_table(
        "timeline_events",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "client_created",
                "client_updated",
                "client_imported",
                "client_synced",
                "client_linked",
                "contract_missing",
                "iban_added",
                "iban_revealed",
                name="eventkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "changes",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_timeline_events_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "run_id"],
            ["sync_runs.organisation_id", "sync_runs.id"],
            name=op.f("fk_timeline_events_organisation_id_run_id"),
            ondelete="SET NULL (run_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "user_id"],
            ["users.organisation_id", "users.id"],
            name=op.f("fk_timeline_events_organisation_id_user_id"),
            ondelete="SET NULL (user_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_timeline_events_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_timeline_events")),
    )
    op.create_index(
        "ix_timeline_events_client",
        "timeline_events",
        ["organisation_id", "client_id", "at", "id"],
        unique=False,
    )
    op.create_table(
        "contract_lines",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=12, scale=3), server_default="1", nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=14, scale=4), nullable=True),
        sa.Column(
            "details",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "contract_id"],
            ["contracts.organisation_id", "contracts.id"],
            name=op.f("fk_contract_lines_organisation_id_contract_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "product_id"],
            ["products.organisation_id", "products.id"],
            name=op.f("fk_contract_lines_organisation_id_product_id"),
            ondelete="SET NULL (product_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_contract_lines_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_contract_lines")),
        sa.UniqueConstraint(
            "organisation_id",
            "contract_id",
            "position",
            name=op.f("uq_contract_lines_organisation_id_contract_id_position"),
        ),
    )
    op.create_table(
        "mandates",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("company_id", sa.Uuid(), nullable=True),
        sa.Column("umr", sa.String(length=35), nullable=True),
        sa.Column(
            "status",
            sa.Enum("declared", "active", "revoked", name="mandatestatus", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("signed_on", sa.Date(), nullable=True),
        sa.Column(
            "source",
            sa.Enum("WinLeadPlus", "WooCommerce", name="source", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "bank_account_id"],
            ["bank_accounts.organisation_id", "bank_accounts.id"],
            name=op.f("fk_mandates_organisation_id_bank_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "client_id"],
            ["clients.organisation_id", "clients.id"],
            name=op.f("fk_mandates_organisation_id_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "company_id"],
            ["companies.organisation_id", "companies.id"],
            name=op.f("fk_mandates_organisation_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_mandates_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_mandates")),
        sa.UniqueConstraint(
            "organisation_id", "company_id", "umr", name=op.f("uq_mandates_organisation_id_company_id_umr")
        ),
    )
    op.create_index("ix_mandates_client", "mandates", ["organisation_id", "client_id"], unique=False)
    op.create_index(
        "uq_mandates_declared",
        "mandates",
        ["organisation_id", "bank_account_id"],
        unique=True,
        postgresql_where=sa.text("status = 'declared'"),
    )
    op.execute(REFRESH_CLIENT_CONTRACTS)
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    op.drop_index("uq_mandates_declared", table_name="mandates", postgresql_where=sa.text("status = 'declared'"))
    op.drop_index("ix_mandates_client", table_name="mandates")
    op.drop_table("mandates")
    op.drop_table("contract_lines")
    op.drop_index("ix_timeline_events_client", table_name="timeline_events")
    op.drop_table("timeline_events")
    op.drop_index("ix_sync_mappings_client", table_name="sync_mappings")
    op.drop_table("sync_mappings")
    op.drop_index(
        "ix_sync_items_open",
        table_name="sync_items",
        postgresql_where=sa.text("resolved_at IS NULL AND kind IN ('error', 'conflict', 'warning')"),
    )
    op.drop_table("sync_items")
    op.drop_index("ix_contracts_signed", table_name="contracts")
    op.drop_index("ix_contracts_commercial", table_name="contracts")
    op.drop_index("ix_contracts_client", table_name="contracts")
    op.drop_table("contracts")
    op.drop_table("bank_accounts")
    op.drop_index(
        "ix_clients_search",
        table_name="clients",
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.drop_index("ix_clients_phone", table_name="clients")
    op.drop_index("ix_clients_name", table_name="clients")
    op.drop_index("ix_clients_email", table_name="clients")
    op.drop_index("ix_clients_contracts", table_name="clients")
    op.drop_index("ix_clients_commercial", table_name="clients")
    op.drop_index("ix_clients_city", table_name="clients")
    op.drop_index("ix_clients_changed", table_name="clients")
    op.drop_index(
        "ix_clients_awaiting_commercial",
        table_name="clients",
        postgresql_where=sa.text("commercial_id IS NULL AND commercial_external_id IS NOT NULL"),
    )
    op.drop_table("clients")
    op.drop_table("team_leaders")
    op.drop_index("uq_sync_runs_running", table_name="sync_runs", postgresql_where=sa.text("status = 'running'"))
    op.drop_index("ix_sync_runs_started", table_name="sync_runs")
    op.drop_index("ix_sync_runs_lease", table_name="sync_runs", postgresql_where=sa.text("status = 'running'"))
    op.drop_table("sync_runs")
    op.drop_index("ix_commercials_name", table_name="commercials")
    op.drop_index("ix_commercials_email", table_name="commercials")
    op.drop_table("commercials")
    op.drop_table("winleadplus_configs")
    op.drop_index("ix_users_email", table_name="users")
    op.drop_table("users")
    op.drop_table("teams")
    op.drop_table("products")
    op.drop_index("uq_companies_default", table_name="companies", postgresql_where=sa.text("is_default"))
    op.drop_table("companies")
    op.drop_table("schedule_ticks")
    op.drop_table("organisations")
    op.execute("DROP FUNCTION refresh_client_contracts")
    op.execute("DROP FUNCTION client_search_text")
    op.execute("DROP FUNCTION fold")
