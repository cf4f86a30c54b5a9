"""The demo's covers."""

from sqlalchemy import func, select

from demo.covers import LIVES, add_covers
from tests.conftest import NOW, Cast
from tests.factories import ClientFactory
from webapp.extensions import db
from webapp.models.invoices import Invoice
from webapp.models.messages import Message
from webapp.services import outbox


def test_nobody_is_sent_the_invoices_of_past_months(cast: Cast) -> None:
    ClientFactory(commercial_id=cast.sales_rep.id, email="client@example.com")
    add_covers()
    outbox.deliver(cast.organisation.id, at=NOW)
    assert db.session.scalar(select(func.count()).select_from(Invoice)) == LIVES[0].months
    assert db.session.scalars(select(Message)).all() == []
