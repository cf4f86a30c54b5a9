"""A plan of home-repair cover that is on sale in the demo organisation, and one client who has it.

Called at every start: where there is a plan already, nothing is added.
"""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.extensions import db
from webapp.models.covers import CoverPlan, HomeKind, Occupancy, PlanDocumentKind, Trade
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services.covers import documents, plans, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.plans import OptionFields, VersionFields
from webapp.services.covers.selling import CoverRequest
from webapp.transactions import transaction

OFFER = "Assistance habitation"
TERMS = VersionFields(
    trades=frozenset({Trade.PLUMBING, Trade.ELECTRICITY, Trade.HEATING}),
    waiting_days=30,
    deductible=Decimal(50),
    cap_per_claim=Decimal(500),
    cap_per_year=Decimal(1200),
    claims_per_year=3,
    price=Decimal("12.90"),
)
OPTION = OptionFields(
    code="SERRURERIE",
    label="Serrurerie",
    trades=frozenset({Trade.LOCKSMITH}),
    waiting_days=15,
    deductible=Decimal(50),
    cap_per_claim=Decimal(300),
    cap_per_year=Decimal(300),
    price=Decimal("2.90"),
)
EDITION = "2026-01"
HELD_FOR = timedelta(days=120)


def add_covers() -> None:
    """Make the plan, and the cover, of the current organisation, where it has none yet."""
    with transaction():
        if db.session.scalar(select(CoverPlan.id).limit(1)):
            return
        now, admin = clock.now(), db.session.scalars(select(User).where(User.roles.contains(["admin"]))).first()
        if admin is None:
            return
        company_id = db.session.scalars(select(Company.id).where(Company.is_default)).one()
        plan = plans.create_plan("HABITATION", OFFER, company_id, by=admin, at=now)
        plans.edit_draft(plan.id, TERMS, edits=1)
        plans.add_option(plan.id, OPTION)
        for kind in PlanDocumentKind:
            documents.add_document(plan.id, kind, EDITION, _pdf(f"{kind.label}, version {EDITION}"), at=now)
        version = plans.publish(plan.id, edits=5, at=now)
        _cover(version.id, by=admin)


def _pdf(title: str) -> bytes:
    """A page with a title, made by hand: nothing has to be loaded for it."""
    words = title.replace("’", "'").encode("cp1252")
    stream = b"BT /F1 18 Tf 60 760 Td (" + words + b") Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 6\n0000000000 65535 f \n" + table
    return content + head + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(content)


def _cover(version_id: UUID, *, by: User) -> None:
    statement = (
        select(Subscription)
        .join(SubscriptionLine, SubscriptionLine.subscription_id == Subscription.id)
        .where(SubscriptionLine.label == OFFER, Subscription.status == SubscriptionStatus.ACTIVE)
        .order_by(Subscription.number)
        .limit(1)
    )
    subscription = db.session.scalar(statement)
    if subscription is None:
        return
    now = clock.now()
    since = (now - HELD_FOR).astimezone(clock.PARIS).date()
    home = HomeFields(
        kind=HomeKind.FLAT,
        occupancy=Occupancy.TENANT,
        address_line1="14 rue des Tanneurs",
        postcode="59000",
        city="Lille",
        access_notes="Deuxième étage, interphone 24.",
    )
    asked = CoverRequest(version_id=version_id, home=home, concluded_on=since, effective_on=since)
    selling.add_cover(subscription.id, asked, by=by, at=now)
