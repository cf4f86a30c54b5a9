"""What is shipped and where to, the holidays that cut-offs avoid, and the cycles that clients skip.

Revision: 0031, after 0030
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

WEIGHT = "ck_products_weight_in_a_parcel"
TRUE = ("cut_offs.before_holidays", "cut_offs.locks_itself", "products.is_shipped", "subscription_lines.is_shipped")
EMPTY: dict[str, Any] = {
    "cut_offs.holiday_region": sa.String(3),
    "products.weight_g": sa.Integer(),
    "clients.delivery_name": sa.String(200),
    "clients.delivery_instructions": sa.String(200),
    "subscriptions.skips_cycle": sa.Integer(),
    "subscriptions.delivery_name": sa.String(200),
    "subscriptions.delivery_company": sa.String(200),
    "subscriptions.delivery_line1": sa.String(200),
    "subscriptions.delivery_line2": sa.String(200),
    "subscriptions.delivery_postcode": sa.String(20),
    "subscriptions.delivery_city": sa.String(100),
    "subscriptions.delivery_country": sa.String(2),
    "subscriptions.delivery_phone": sa.String(20),
    "subscriptions.delivery_instructions": sa.String(200),
    "subscriptions.gift_message": sa.String(300),
}
"""New columns (table.column): those that are true to begin with, and those that are empty."""


def upgrade() -> None:
    for place in TRUE:
        table, name = place.split(".")
        op.add_column(table, sa.Column(name, sa.Boolean(), server_default=sa.true(), nullable=False))
    for place, kind in EMPTY.items():
        table, name = place.split(".")
        op.add_column(table, sa.Column(name, kind))
    op.create_check_constraint(op.f(WEIGHT), "products", "weight_g BETWEEN 1 AND 30000")


def downgrade() -> None:
    op.drop_constraint(op.f(WEIGHT), "products", type_="check")
    for place in (*EMPTY, *TRUE):
        table, name = place.split(".")
        op.drop_column(table, name)
