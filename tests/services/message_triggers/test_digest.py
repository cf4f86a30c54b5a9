"""The weekly digest: last week's figures of a team, once, to whoever leads it, on Monday at seven in Paris."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import declare, make_cover
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.contracts import PaymentMethod
from webapp.models.messages import Message, MessageKind
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import SubscriptionHistory, SubscriptionStatus
from webapp.services.message_triggers import digest

MONDAY_AT_SEVEN = datetime(2026, 11, 30, 6, tzinfo=UTC)
IN_THE_WEEK = datetime(2026, 11, 25, 12, tzinfo=UTC)
SUNDAY_NIGHT = datetime(2026, 11, 29, 22, 59, tzinfo=UTC)
"""One minute to midnight in Paris."""


@pytest.fixture
def rep(cast: Cast) -> Commercial:
    """A commercial of the manager's team, who has sold something in the week."""
    clock.start_at(MONDAY_AT_SEVEN)
    for created_at in (IN_THE_WEEK, SUNDAY_NIGHT, SUNDAY_NIGHT + timedelta(minutes=1)):
        factories.ClientFactory(commercial_id=cast.sales_rep.id, created_at=created_at)
    client = db.session.query(Client).order_by(Client.created_at).first()
    assert client is not None
    subscription = factories.SubscriptionFactory(client_id=client.id)
    for old, new in (
        (SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE),
        (SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED),
    ):
        db.session.add(
            SubscriptionHistory(
                subscription_id=subscription.id,
                client_id=client.id,
                currency="EUR",
                old_status=old,
                new_status=new,
                at=IN_THE_WEEK,
            )
        )
    for kind, amount, number in ((PaymentKind.CAPTURE, "50.00", 1), (PaymentKind.REFUND, "-8.00", 2)):
        db.session.add(
            Payment(
                company_id=subscription.company_id,
                client_id=client.id,
                kind=kind,
                amount=Decimal(amount),
                method=PaymentMethod.TRANSFER,
                external_id=str(number),
                happened_at=IN_THE_WEEK,
                recorded_at=IN_THE_WEEK,
            )
        )
    db.session.commit()
    return cast.sales_rep


def messages() -> list[Message]:
    """The digests that were written."""
    return db.session.query(Message).filter(Message.kind == MessageKind.WEEKLY_DIGEST).all()


def test_a_leader_reads_the_figures_of_the_week(cast: Cast, rep: Commercial) -> None:
    cover = make_cover(cast.commercial)
    cover.client.commercial_id = rep.id
    for days in (31, 8, 7):
        declare(cover, cast.commercial, "2026-02-20", at=MONDAY_AT_SEVEN - timedelta(days=days))
    theirs = make_cover(cast.commercial)  # of no team
    declare(theirs, cast.commercial, "2026-02-20", at=MONDAY_AT_SEVEN - timedelta(days=31))
    assert digest.write_due(at=MONDAY_AT_SEVEN) == 1
    [message] = messages()
    assert (message.user_id, message.client_id, message.is_asked_for) == (cast.manager.id, None, True)
    said = message.content_in_clear()["draft"]["variables"]
    assert (said["debut"], said["fin"]) == ({"date": "2026-11-23"}, {"date": "2026-11-29"})
    assert (said["nouveaux_clients"], said["nouveaux_abonnements"], said["abonnements_perdus"]) == (2, 1, 1)
    assert said["encaisse"] == {"decimal": "42.00"}
    assert (said["dossiers_sans_nouvelle"], said["provisions_a_revoir"]) == (2, 1)
    [row] = said["commerciaux"]
    assert (row["nom"], row["nouveaux_clients"]) == (rep.full_name, 2)


def test_it_is_written_once_a_week(rep: Commercial) -> None:
    assert digest.write_due(at=MONDAY_AT_SEVEN) == 1
    assert digest.write_due(at=MONDAY_AT_SEVEN + timedelta(hours=1)) == 0
    assert digest.write_due(at=MONDAY_AT_SEVEN + timedelta(days=7)) == 1


@pytest.mark.parametrize(
    ("offset", "written"),
    [(timedelta(minutes=-1), 0), (timedelta(hours=30), 1), (timedelta(days=2), 0), (timedelta(days=-1), 0)],
)
def test_it_is_for_monday_and_caught_up_until_wednesday(rep: Commercial, offset: timedelta, written: int) -> None:
    assert digest.write_due(at=MONDAY_AT_SEVEN + offset) == written


def test_in_summer_seven_is_seven_in_paris(rep: Commercial) -> None:
    assert digest.write_due(at=datetime(2026, 7, 6, 4, 59, tzinfo=UTC)) == 0
    assert digest.write_due(at=datetime(2026, 7, 6, 5, 0, tzinfo=UTC)) == 1


def test_nobody_reads_of_another_team_or_organisation(cast: Cast, rep: Commercial) -> None:
    rep.team_id = None
    db.session.commit()
    assert digest.write_due(at=MONDAY_AT_SEVEN) == 0
    with tenancy.organisation(cast.other_organisation.id):
        assert messages() == []
