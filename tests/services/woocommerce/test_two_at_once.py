"""A person decides on a charge of a shop in the instant in which the shop tells of its order."""

from datetime import timedelta
from threading import Event

from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.concurrency import PATIENCE, at_once, wait_until_somebody_waits
from tests.conftest import NOW, Cast
from tests.services.woocommerce import bodies
from tests.services.woocommerce.telling import CUSTOMER, ORDER, SUBSCRIPTION, Teller, make_shop
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.subscriptions import Subscription
from webapp.services.woocommerce import projecting
from webapp.transactions import transaction


def test_neither_stands_in_the_way_of_the_other(app: Flask, committed: None) -> None:
    cast = factories.make_cast(Cast)
    teller = Teller(make_shop(factories.default_company().id))
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=NOW))
    teller.tell(ORDER, bodies.order(44, at=NOW, paid_at=NOW))
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=NOW))
    charge_id = db.session.scalars(select(Charge.id)).one()
    organisation_id, shop_id = cast.organisation.id, teller.shop.id
    db.session.commit()
    is_held = Event()

    def decide() -> None:
        """Locks the charge, then its subscription, which must be free."""
        with transaction():
            db.session.scalars(select(Charge).where(Charge.id == charge_id).with_for_update()).one()
            is_held.set()
            wait_until_somebody_waits()
            db.session.scalars(select(Subscription).with_for_update(nowait=True)).one()

    def hear() -> None:
        assert is_held.wait(PATIENCE)
        with transaction():
            shop = db.session.get_one(type(teller.shop), (organisation_id, shop_id))
            projecting.project(shop, SUBSCRIPTION, 45, at=NOW + timedelta(days=1))

    assert at_once(app, organisation_id, decide, hear) == ["done", "done"]
