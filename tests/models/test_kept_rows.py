"""What the application's own role cannot take back: the schema's version, and rows that are only ever added to."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import AttemptStatus, ChargeAttempt
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose, ConsentState, ConsentWording
from webapp.models.subscriptions import SubscriptionHistory
from webapp.models.timeline import EventKind, TimelineEvent


def refused(statement: str, because: str = "is only ever added to") -> None:
    with pytest.raises(DBAPIError, match=because), db.session.begin_nested():
        db.session.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE alembic_version SET version_num = '0001'", "DELETE FROM alembic_version", "TRUNCATE alembic_version"],
)
def test_the_schemas_version_is_not_the_applications(cast: Cast, statement: str) -> None:
    refused(statement, because="permission denied")


def test_the_timeline_is_only_added_to(cast: Cast) -> None:
    client = factories.ClientFactory()
    db.session.add(
        TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED, at=clock.now(), user_id=cast.admin.id)
    )
    db.session.flush()
    refused("UPDATE timeline_events SET changes = NULL")
    refused("DELETE FROM timeline_events")
    db.session.delete(cast.admin)  # an account that goes leaves what it did, without its name
    db.session.flush()
    assert db.session.execute(text("SELECT count(*), count(user_id) FROM timeline_events")).one() == (1, 0)


def test_the_history_of_subscriptions_is_only_added_to(cast: Cast) -> None:
    subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id)
    db.session.add(
        SubscriptionHistory(
            subscription_id=subscription.id,
            client_id=subscription.client_id,
            currency="EUR",
            new_status=subscription.status,
        )
    )
    db.session.flush()
    refused("UPDATE subscription_history SET annual_after = 0")
    refused("DELETE FROM subscription_history")


def test_consents_and_their_wordings_are_only_added_to(cast: Cast) -> None:
    client = factories.ClientFactory()
    wording = ConsentWording(
        purpose=ConsentPurpose.SATISFACTION, version=1, text="Oui", active_from=clock.now(), user_id=cast.admin.id
    )
    db.session.add(wording)
    db.session.flush()
    consent = Consent(
        client_id=client.id,
        purpose=ConsentPurpose.SATISFACTION,
        state=ConsentState.GIVEN,
        at=clock.now(),
        channel=ConsentChannel.SHOP,
        wording_id=wording.id,
        user_id=cast.admin.id,
    )
    db.session.add(consent)
    db.session.flush()
    for table, column in (("consents", "note"), ("consent_wordings", "text")):
        refused(f"UPDATE {table} SET {column} = 'x'")
        refused(f"DELETE FROM {table}")
    for statement in (
        "UPDATE present_consents SET state = 'withdrawn'",
        "DELETE FROM present_consents",
        "INSERT INTO present_consents SELECT organisation_id, client_id, 'partners', state, at, consent_id"
        " FROM present_consents",
    ):
        refused(statement, because="not written by hand")
    db.session.delete(cast.admin)
    db.session.flush()
    assert db.session.execute(text("SELECT count(*), count(user_id) FROM consents")).one() == (1, 0)
    db.session.delete(client)  # all that is its own goes with it
    db.session.flush()
    assert db.session.execute(text("SELECT count(*) FROM present_consents")).scalar_one() == 0


def test_what_an_attempt_asked_for_stays_and_what_became_of_it_is_written(cast: Cast) -> None:
    subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id)
    charge = factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    account = factories.ProviderAccountFactory()
    attempt = ChargeAttempt(
        charge_id=charge.id,
        number=1,
        provider_account_id=account.id,
        provider=account.provider,
        amount=charge.amount,
    )
    db.session.add(attempt)
    db.session.flush()
    attempt.status, attempt.settled_at = AttemptStatus.SUCCEEDED, clock.now()
    db.session.flush()
    for change in ("amount = amount + 1", "currency = 'CHF'", "number = number + 1", "created_at = now()"):
        refused(f"UPDATE charge_attempts SET {change}")
    refused("DELETE FROM charge_attempts")


def test_in_a_merge_what_is_kept_may_change_its_client_and_nothing_else(cast: Cast) -> None:
    client, other = factories.ClientFactory(), factories.ClientFactory()
    db.session.add(
        TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED, at=clock.now(), user_id=cast.admin.id)
    )
    db.session.flush()
    refused(f"UPDATE timeline_events SET client_id = '{other.id}'")
    db.session.execute(text("SELECT set_config('crm.merging', 'on', true)"))
    refused("UPDATE timeline_events SET changes = '{}', body = 'x'")
    refused(f"UPDATE timeline_events SET client_id = '{other.id}', body = 'x'")
    refused("DELETE FROM timeline_events")
    db.session.execute(text(f"UPDATE timeline_events SET client_id = '{other.id}'"))
    assert db.session.execute(text("SELECT client_id FROM timeline_events")).scalar_one() == other.id
