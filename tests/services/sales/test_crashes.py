"""kill -9 while a client accepts, and two clicks in one instant: the sale is concluded whole, once. So it is with the
task for the means that the client did not give.
"""

from datetime import timedelta
from functools import partial
from uuid import UUID

from flask import Flask
from sqlalchemy import func, select, update

from tests import factories
from tests.concurrency import at_once
from tests.conftest import NOW, Cast
from tests.forking import die_at, fork, was_killed
from tests.views.sales.journey import make_client, on_sale
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.covers import Cover, HomeKind, Occupancy
from webapp.models.identity import User
from webapp.models.messages import Message, MessageKind
from webapp.models.sales import CoverSale, DocumentsWay, SaleStep
from webapp.models.subscriptions import Subscription
from webapp.models.tasks import Task
from webapp.services.clients.fields import ClientFields
from webapp.services.covers.homes import HomeFields
from webapp.services.sales import choosing, drafting, missing_means, signing
from webapp.services.subscriptions.means import PaymentFields

TOKEN = "token-of-the-client"
HOME = HomeFields(
    kind=HomeKind.FLAT, occupancy=Occupancy.TENANT, address_line1="3 rue du Port", postcode="59000", city="Lille"
)
DEATHS = (0, 4, 9, 16, 25, 36, 49)
"""Statements before which the process dies; the last ones are among those that write."""


def _sent(cast: Cast) -> None:
    """A sale whose client holds TOKEN; made by the steps, each saved by itself."""
    version, by = on_sale(), cast.commercial
    sale = drafting.open_sale(make_client().id, sale_id=None, by=by, at=NOW)
    drafting.write_home(sale.id, None, HOME, version=1, at=NOW)
    choosing.choose_plan(sale.id, version.id, frozenset({"SERRURERIE"}), "monthly", version=2, at=NOW)
    channel = choosing.ConsentChannel.PHONE
    choosing.give_documents(sale.id, DocumentsWay.BY_HAND, {}, channel, version=3, by=by, at=NOW)
    choosing.choose_payment(sale.id, PaymentFields(method="transfer"), version=4, by=by, at=NOW)
    choosing.write_start(sale.id, None, starts_at_once=True, version=5, at=NOW)
    sale = signing.send_link(sale.id, version=6, by=by, at=NOW)
    assert sale.step is SaleStep.SIGNATURE
    sale.token_hash = CoverSale.hash_of(TOKEN)
    db.session.commit()


def _accept() -> None:
    signing.accept(TOKEN, from_address="203.0.113.7", at=NOW)


def _accept_and_die(point: str, number: int) -> None:
    die_at(point, number)
    _accept()


def _made() -> list[int]:
    """How many contracts, subscriptions, covers, signed sales and confirmations there are."""
    db.session.rollback()
    signed = select(func.count()).select_from(CoverSale).where(CoverSale.signed_at.is_not(None))
    counts = [select(func.count()).select_from(model) for model in (Contract, Subscription, Cover)]
    confirmed = select(func.count()).select_from(Message).where(Message.kind == MessageKind.SALE_SIGNED)
    return [db.session.scalars(each).one() for each in (*counts, signed, confirmed)]


def test_killed_anywhere_nothing_is_concluded_and_two_clicks_conclude_once(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    _sent(cast)
    organisation_id = cast.organisation.id
    for point, number in [*(("before_cursor_execute", each) for each in DEATHS), ("commit", 0)]:
        assert was_killed(fork(partial(_accept_and_die, point, number))), (point, number)
        assert _made() == [0, 0, 0, 0, 0], (point, number)
    assert at_once(app, organisation_id, _accept, _accept) == ["done", "done"]
    assert _made() == [1, 1, 1, 1, 1]

    db.session.execute(update(Subscription).values(payment_method=None))
    db.session.commit()
    killed = fork(partial(_look_and_die, 0))
    assert was_killed(killed)
    assert _tasks() == 0
    assert at_once(app, organisation_id, _look, _look) == ["done", "done"]
    assert _tasks() == 1


def test_a_form_that_is_sent_twice_at_once_begins_one_sale_and_makes_one_client(app: Flask, committed: None) -> None:
    cast: Cast = factories.make_cast(Cast)
    organisation_id, by_id, client_id = cast.organisation.id, cast.commercial.id, make_client().id
    db.session.commit()

    def begin(sale_id: UUID) -> None:
        drafting.open_sale(client_id, sale_id=sale_id, by=db.session.get_one(User, (organisation_id, by_id)), at=NOW)

    def begin_with_client(sale_id: UUID) -> None:
        by = db.session.get_one(User, (organisation_id, by_id))
        written = ClientFields(last_name="Petit", first_name="Anne")
        drafting.open_with_client(written, confirmed=True, sale_id=sale_id, by=by, at=NOW)

    for act in (begin, begin_with_client):
        for _ in range(5):
            sent = partial(act, new_id())
            assert at_once(app, organisation_id, *[sent] * 4) == ["done"] * 4
    db.session.rollback()
    assert db.session.scalars(select(func.count()).select_from(CoverSale)).one() == 10
    assert db.session.scalars(select(func.count()).select_from(Client)).one() == 6


def _look() -> None:
    missing_means.look(at=NOW + timedelta(days=4))


def _look_and_die(number: int) -> None:
    die_at("commit", number)
    _look()


def _tasks() -> int:
    db.session.rollback()
    return db.session.scalars(select(func.count()).select_from(Task)).one()
