"""A cover as in the worked example, on real rows, and claims of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect, text

from tests import factories
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimEntry, EntryKind
from webapp.models.covers import Cover, CoverPlanVersion, HomeKind, Occupancy, Trade
from webapp.models.identity import User
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.models.subscriptions import Subscription
from webapp.services.claims import declaring
from webapp.services.claims.declaring import ClaimFields
from webapp.services.covers import ledger, loading, options, selling
from webapp.services.covers.counters import Counters, remaining
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.pricing import Confirmed
from webapp.services.covers.selling import CoverRequest

EFFECTIVE = date(2026, 1, 10)
NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
HOME = HomeFields(
    kind=HomeKind.FLAT, occupancy=Occupancy.TENANT, address_line1="3 rue du Port", postcode="59000", city="Lille"
)


def sell(**terms: Any) -> CoverPlanVersion:
    """The plan of the worked example with its option, on sale."""
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(published_at=None, **terms)
    factories.CoverPlanOptionFactory(version_id=version.id)
    version.published_at = datetime(2025, 1, 1, tzinfo=UTC)
    db.session.commit()
    return version


def make_cover(by: User, **terms: Any) -> Cover:
    """A cover since 10 January 2026 of a client's subscription."""
    version = sell(**terms)
    client = factories.ClientFactory(last_name="Lefèvre", first_name="Anne")
    subscription: Subscription = factories.SubscriptionFactory(client_id=client.id)
    db.session.commit()
    asked = CoverRequest(version_id=version.id, home=HOME, concluded_on=EFFECTIVE, effective_on=EFFECTIVE)
    return selling.add_cover(subscription.id, asked, by=by, at=evening_of(EFFECTIVE))


def evening_of(day: date) -> datetime:
    """Six o'clock in the evening in Paris."""
    return clock.start_of(day) + timedelta(hours=18)


def declare(
    cover: Cover,
    by: User | None,
    on: str | date = "2026-11-19",
    asked: str | None = "200",
    *,
    trade: Trade = Trade.PLUMBING,
    at: datetime = NOON,
    **values: Any,
) -> Claim:
    """A burst pipe on a day, declared on that day."""
    day = on if isinstance(on, date) else date.fromisoformat(on)
    amount = None if asked is None else Decimal(asked)
    fields = {"trade": trade, "event_on": day, "declared_on": day, "asked": amount} | values
    cover_id = inspect(cover).identity[1]  # loads nothing
    return declaring.declare(cover_id, ClaimFields(**fields), by=by, at=at)


def counters_on(cover: Cover, day: date) -> Counters:
    """The counters of the cover by its ledger."""
    return remaining(loading.life_of(loading.find_cover(cover.id)), ledger.list_entries(cover.id), day)


def entries_of(claim: Claim, kind: EntryKind) -> list[Decimal]:
    """The amounts of a claim's entries of that kind, as they were written."""
    statement = db.select(ClaimEntry.amount).where(ClaimEntry.claim_id == claim.id, ClaimEntry.kind == kind)
    return list(db.session.scalars(statement.order_by(ClaimEntry.at, ClaimEntry.id)))


def erase_decisions() -> None:
    """What an erasure leaves of decisions."""
    operation = Operation(kind=OperationKind.ERASURE, title="Essai", state=OperationState.RUNNING)
    db.session.add(operation)
    db.session.flush()
    db.session.execute(text("SELECT set_config('crm.erasing', :id, true)"), {"id": str(operation.id)})
    db.session.execute(text("UPDATE claim_decisions SET content = '{}'"))
    db.session.execute(text("SELECT set_config('crm.erasing', '', true)"))
    db.session.commit()
    db.session.expire_all()


def add_option(cover: Cover, code: str, *, by: User, at: datetime) -> Cover:
    """Add an option at the price that is shown."""
    change = options.preview_option(cover.id, code, at=at)
    version = loading.find_cover(cover.id).subscription.version
    confirmed = Confirmed(shown=change.price.amount, change_id=new_id(), version=version)
    return options.add_option(cover.id, code, confirmed, by=by, at=at)
