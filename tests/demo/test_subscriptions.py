"""The demo's subscriptions."""

from datetime import date

from sqlalchemy import func, select

from demo.subscriptions import STORIES, add_subscriptions
from tests.conftest import Cast
from tests.factories import ClientFactory, make_bank_account
from webapp import clock
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus


def test_the_stories_are_told_once(cast: Cast) -> None:
    for number in range(len(STORIES)):
        client = ClientFactory()
        account = make_bank_account(client)
        db.session.add(
            Mandate(
                client_id=client.id,
                bank_account_id=account.id,
                umr=f"RUM-{number}",
                status=MandateStatus.ACTIVE,
                signed_on=clock.today(),
            )
        )
    db.session.commit()
    for _ in range(2):
        add_subscriptions()
    told = db.session.scalars(select(Subscription)).all()
    assert len(told) == len(STORIES)
    assert {each.status for each in told} == {
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PENDING,
        SubscriptionStatus.PAUSED,
    }
    due: list[date] = [each.next_charge_on for each in told if each.next_charge_on]
    assert min(due) == clock.today()
    assert db.session.scalar(select(func.count()).select_from(ProviderAccount)) == 1
    assert sum(each.mandate_id is not None for each in told) == 1
    assert db.session.scalar(select(func.count()).select_from(SavedPaymentMethod)) == len(STORIES) - 2
