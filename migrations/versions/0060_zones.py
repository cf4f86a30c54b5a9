"""A table of zones; versions of plans keep it with their prices.

Revision: 0060, after 0059

Versions that named beginnings of postcodes are sold there and nowhere else at the price that they had. Of those that
are drafts or on sale, the beginnings become zones: one for those that the same versions name. A sale keeps the price of
the plan that was chosen. All rows are few but for sales, of which only those with a plan are written.
"""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

HAS_PRICE = "ck_cover_sales_plan_has_price"
ZONES = """
CREATE TEMPORARY TABLE new_zones ON COMMIT DROP AS
SELECT organisation_id, sold_by, array_agg(prefix ORDER BY prefix) AS prefixes, gen_random_uuid() AS id,
  row_number() OVER (PARTITION BY organisation_id ORDER BY min(prefix)) AS place
FROM (
  SELECT organisation_id, prefix, array_agg(DISTINCT id ORDER BY id) AS sold_by
  FROM cover_plan_versions, unnest(postcodes) prefix
  WHERE retired_at IS NULL
  GROUP BY organisation_id, prefix
) places
GROUP BY organisation_id, sold_by
"""
FILL_ZONES = (
    """INSERT INTO cover_zones (organisation_id, id, code, label, created_at)
    SELECT organisation_id, id, 'ZONE-' || place, 'Zone ' || place, now() FROM new_zones""",
    """INSERT INTO cover_zone_prefixes (organisation_id, prefix, zone_id)
    SELECT organisation_id, unnest(prefixes), id FROM new_zones""",
    """INSERT INTO cover_plan_zones (organisation_id, version_id, code, label, prefixes, price)
    SELECT v.organisation_id, v.id, 'ZONE-' || z.place, 'Zone ' || z.place, z.prefixes, v.price
    FROM new_zones z JOIN cover_plan_versions v ON v.organisation_id = z.organisation_id AND v.id = ANY(z.sold_by)""",
    """INSERT INTO cover_plan_zones (organisation_id, version_id, code, label, prefixes, price)
    SELECT organisation_id, id, 'ZONE', 'Codes postaux', postcodes, price
    FROM cover_plan_versions WHERE retired_at IS NOT NULL AND postcodes <> '{}'""",
    "UPDATE cover_plan_versions SET price = NULL WHERE postcodes <> '{}'",
)
FILL_SALES = """
UPDATE cover_sales s SET plan_price = v.price FROM cover_plan_versions v
WHERE v.organisation_id = s.organisation_id AND v.id = s.plan_version_id
"""
TAKE_BACK = (
    """UPDATE cover_plan_versions v SET price = z.price, postcodes = z.prefixes
    FROM (
      SELECT organisation_id, version_id, max(price) AS price, array_agg(DISTINCT prefix ORDER BY prefix) AS prefixes
      FROM cover_plan_zones, unnest(prefixes) prefix WHERE price IS NOT NULL GROUP BY organisation_id, version_id
    ) z
    WHERE v.price IS NULL AND z.organisation_id = v.organisation_id AND z.version_id = v.id""",
    "UPDATE cover_plan_versions SET price = 0 WHERE price IS NULL",  # a draft that nobody has given a price yet
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_tables()
    op.add_column("cover_sales", sa.Column("plan_price", sa.Numeric(precision=14, scale=2), nullable=True))
    op.alter_column("cover_plan_versions", "price", existing_type=sa.Numeric(14, 2), nullable=True)
    with_rows_free("cover_sales", FILL_SALES)
    op.create_check_constraint(op.f(HAS_PRICE), "cover_sales", "(plan_version_id IS NULL) = (plan_price IS NULL)")
    op.execute(ZONES)
    with_rows_free("cover_plan_versions", *FILL_ZONES)
    op.drop_column("cover_plan_versions", "postcodes")
    op.execute(
        "CREATE TRIGGER cover_plan_zones_kept BEFORE INSERT OR UPDATE OR DELETE ON cover_plan_zones"
        " FOR EACH ROW EXECUTE FUNCTION keep_published_plan()"
    )


def with_rows_free(table: str, *statements: str) -> None:
    """Change rows of a table that its trigger keeps as they are."""
    op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_kept")
    for statement in statements:
        op.execute(statement)
    op.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_kept")


def _create_tables() -> None:
    op.create_table(
        "cover_zones",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=30), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_zones_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "id", name=op.f("pk_cover_zones")),
        sa.UniqueConstraint("organisation_id", "code", name=op.f("uq_cover_zones_organisation_id_code")),
    )
    op.create_table(
        "cover_zone_prefixes",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.String(length=5), nullable=False),
        sa.Column("zone_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "zone_id"],
            ["cover_zones.organisation_id", "cover_zones.id"],
            name=op.f("fk_cover_zone_prefixes_organisation_id_zone_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_zone_prefixes_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "prefix", name=op.f("pk_cover_zone_prefixes")),
    )
    op.create_index("ix_cover_zone_prefixes_zone", "cover_zone_prefixes", ["organisation_id", "zone_id"])
    op.create_table(
        "cover_plan_zones",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=30), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("prefixes", sa.ARRAY(sa.String(length=5)), nullable=False),
        sa.Column("price", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.CheckConstraint("price >= 0", name=op.f("ck_cover_plan_zones_price")),
        sa.ForeignKeyConstraint(
            ["organisation_id", "version_id"],
            ["cover_plan_versions.organisation_id", "cover_plan_versions.id"],
            name=op.f("fk_cover_plan_zones_organisation_id_version_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_cover_plan_zones_organisation_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "version_id", "code", name=op.f("pk_cover_plan_zones")),
    )


def downgrade() -> None:
    op.add_column(
        "cover_plan_versions",
        sa.Column("postcodes", sa.ARRAY(sa.String(length=10)), server_default="{}", nullable=False),
    )
    op.alter_column("cover_plan_versions", "postcodes", server_default=None)
    with_rows_free("cover_plan_versions", *TAKE_BACK)
    op.alter_column("cover_plan_versions", "price", existing_type=sa.Numeric(14, 2), nullable=False)
    op.drop_constraint(op.f(HAS_PRICE), "cover_sales", type_="check")
    op.drop_column("cover_sales", "plan_price")
    op.drop_table("cover_plan_zones")
    op.drop_table("cover_zone_prefixes")
    op.drop_table("cover_zones")
