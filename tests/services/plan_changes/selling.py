"""What tests of changes do, in few words."""

from datetime import date
from decimal import Decimal

from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.plan_changes import Settlement, SubscriptionAdjustment
from webapp.models.subscriptions import Subscription
from webapp.services.plan_changes import changing
from webapp.services.subscriptions.fields import SubscriptionLineFields


def line(price: str, rate: str = "20", label: str = "Coffret") -> SubscriptionLineFields:
    """One of it."""
    return SubscriptionLineFields(label=label, unit_price=Decimal(price), vat_rate=Decimal(rate))


def change(
    world: World,
    cast: Cast,
    subscription: Subscription,
    *lines: SubscriptionLineFields,
    day: date | None = None,
    by: Settlement | None = None,
) -> changing.ChangePreview:
    """Sell other lines at once, settled as asked for, else in the first way; returns what the preview told."""
    preview = changing.preview_change(subscription.id, lines, day=day, at=clock.now())
    changing.change_now(
        subscription.id,
        lines,
        day=day,
        settlement=by or next(iter(preview.ways), None),
        shown=preview.proration.amount,
        adjustment_id=new_id(),
        version=world.reload(subscription).version,
        by=cast.manager,
        at=clock.now(),
    )
    db.session.commit()
    return preview


def adjustments(subscription: Subscription) -> list[SubscriptionAdjustment]:
    """What its changes came to, the first first."""
    statement = select(SubscriptionAdjustment).where(SubscriptionAdjustment.subscription_id == subscription.id)
    return list(db.session.scalars(statement.order_by(SubscriptionAdjustment.at, SubscriptionAdjustment.id)))
