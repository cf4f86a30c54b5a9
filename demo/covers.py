"""Two plans of home-repair cover that are on sale in the demo organisation, by zone, and clients who have them.

One client is as in the worked example; the others have months of payments and claims behind them, told by the same
services as in life. Called at every start: where there is a plan already, nothing is added.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import select, update

from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.claims import ClaimStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.covers import Cover, CoverPlan, CoverPlanVersion, HomeKind, Occupancy, PlanDocumentKind, Trade
from webapp.models.identity import User
from webapp.models.money import totals
from webapp.models.organisations import Company
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services.claims import declaring, money
from webapp.services.claims.declaring import ClaimFields
from webapp.services.covers import documents, following, loading, plans, selling, zones
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.plans import OptionFields, VersionFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.covers.zones import ZoneFields
from webapp.services.figures import in_force
from webapp.services.invoices import allocating, crediting, drafting, finalising
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.services.subscriptions.means import PaymentFields
from webapp.transactions import transaction

ZONES = {
    "IDF": ZoneFields(label="Île-de-France", prefixes="75 77 78 91 92 93 94 95"),
    "LITTORAL": ZoneFields(label="Littoral méditerranéen", prefixes="06 13 34 83"),
    "NORD": ZoneFields(label="Nord et Pas-de-Calais", prefixes="59 62"),
    "OUTRE-MER": ZoneFields(label="Outre-mer", prefixes="971 972 973 974 976"),
}
OFFER = "Assistance habitation"
TERMS = VersionFields(
    trades=frozenset({Trade.PLUMBING, Trade.ELECTRICITY, Trade.HEATING}),
    waiting_days=30,
    deductible=Decimal(50),
    cap_per_claim=Decimal(500),
    cap_per_year=Decimal(1200),
    claims_per_year=3,
    price=Decimal("12.90"),
    zone_prices={"IDF": Decimal("15.90"), "LITTORAL": Decimal("13.90"), "OUTRE-MER": Decimal("18.90")},
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
FULL_OFFER = "Assistance sérénité"
FULL_TERMS = VersionFields(
    trades=frozenset(Trade) - {Trade.LOCKSMITH},
    waiting_days=15,
    deductible=Decimal(30),
    cap_per_claim=Decimal(800),
    cap_per_year=Decimal(2000),
    claims_per_year=4,
    price=None,
    zone_prices={"IDF": Decimal("24.90"), "LITTORAL": Decimal("21.90"), "NORD": Decimal("19.90")},
)


class Told(NamedTuple):
    """A claim: how many days after the cover began, of which trade, what was asked, and what was paid of it."""

    day: int
    trade: Trade
    asked: str
    paid: str = ""


class Life(NamedTuple):
    """A cover that was sold so many months ago, of the full plan or not, whose months are all paid.

    ``has_left``: it ended some days ago; ``is_refunded``: the last month was given back.
    """

    months: int
    is_full: bool
    claims: tuple[Told, ...] = ()
    has_left: bool = False
    is_refunded: bool = False


LIVES = (
    Life(11, is_full=True, claims=(Told(40, Trade.HEATING, "160", "130"), Told(180, Trade.APPLIANCES, "90", "60"))),
    Life(10, is_full=False, claims=(Told(20, Trade.PLUMBING, "180"), Told(75, Trade.PLUMBING, "150", "100"))),
    Life(9, is_full=False, claims=(Told(120, Trade.ELECTRICITY, "200", "150"),)),
    Life(8, is_full=True, claims=(Told(60, Trade.GLAZING, "120", "90"), Told(200, Trade.PLUMBING, "180"))),
    Life(8, is_full=False, has_left=True),
    Life(6, is_full=False, claims=(Told(90, Trade.GLAZING, "260"), Told(130, Trade.HEATING, "95", "45"))),
    Life(5, is_full=True, is_refunded=True),
    Life(4, is_full=False, claims=(Told(70, Trade.ELECTRICITY, "140", "90"),)),
    Life(3, is_full=False, claims=(Told(10, Trade.PLUMBING, "220"),)),
    Life(2, is_full=True, claims=(Told(35, Trade.APPLIANCES, "90"),)),
    Life(1, is_full=False),
)
STREETS = ("rue des Arts", "rue Royale", "rue de Paris", "quai du Wault", "rue Nationale", "rue Solférino")


def add_covers() -> None:
    """Make the plan, and the cover, of the current organisation, where it has none yet."""
    with transaction():
        if db.session.scalar(select(CoverPlan.id).limit(1)):
            return
        now, admin = clock.now(), db.session.scalars(select(User).where(User.roles.contains(["admin"]))).first()
        if admin is None:
            return
        company_id = db.session.scalars(select(Company.id).where(Company.is_default)).one()
        for code, zone in ZONES.items():
            zones.create_zone(code, zone, at=now)
        plan = plans.create_plan("HABITATION", OFFER, company_id, by=admin, at=now)
        plans.edit_draft(plan.id, TERMS, edits=1)
        plans.add_option(plan.id, OPTION)
        _add_documents(plan.id, at=now)
        version = plans.publish(plan.id, edits=5, at=now)
        full = plans.create_plan("SERENITE", FULL_OFFER, company_id, by=admin, at=now)
        plans.edit_draft(full.id, FULL_TERMS, edits=1)
        _add_documents(full.id, at=now)
        _cover(version.id, by=admin)
        _live({False: version, True: plans.publish(full.id, edits=4, at=now)}, by=admin, now=now)
    in_force.book()


def _add_documents(plan_id: UUID, *, at: datetime) -> None:
    for kind in PlanDocumentKind:
        documents.add_document(plan_id, kind, EDITION, _pdf(f"{kind.label}, version {EDITION}"), at=at)


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


def _live(versions: dict[bool, CoverPlanVersion], *, by: User, now: datetime) -> None:
    """Let clients of our commercials have had covers, month by month, so that invoices are numbered in order."""
    has_one = select(Subscription.client_id)
    statement = select(Client).where(Client.commercial_id.is_not(None), Client.id.not_in(has_one))
    clients = db.session.scalars(statement.order_by(Client.created_at, Client.id).limit(len(LIVES))).all()
    steps: list[tuple[datetime, int, Callable[[], object]]] = []
    for number, (life, client) in enumerate(zip(LIVES, clients, strict=False)):
        start = now - relativedelta(months=life.months) - timedelta(days=number)
        cover = _sell(versions[life.is_full], client, number, by=by, at=start)
        for month in range(life.months + 1):
            at = start + relativedelta(months=month)
            is_last = life.is_refunded and month == life.months
            steps.append((at, len(steps), partial(_charge, cover.subscription, month, at=at, is_refunded=is_last)))
        for told in life.claims:
            at = start + timedelta(days=told.day, hours=2)
            steps.append((at, len(steps), partial(_claim, cover.id, told, by=by, at=at)))
        if life.has_left:
            at = now - timedelta(days=12)
            leave = partial(lifecycle.cancel, cover.subscription_id, reason="Déménagement", by=by, at=at)
            steps.append((at, len(steps), leave))
    for at, _, step in sorted(steps):
        if at < now:
            step()
    _consider_invoices_sent()


def _consider_invoices_sent() -> None:
    """Each was sent in its month: nobody prints and sends all of them at the first start."""
    kinds = (OutboxKind.INVOICE_ISSUED, OutboxKind.CREDIT_NOTE_ISSUED)
    of_invoices = select(OutboxEvent.id).where(OutboxEvent.kind.in_(kinds))
    sent = update(OutboxDelivery).where(OutboxDelivery.event_id.in_(of_invoices))
    db.session.execute(sent.values(delivered_at=OutboxDelivery.next_attempt_at))


def _sell(version: CoverPlanVersion, client: Client, number: int, *, by: User, at: datetime) -> Cover:
    today = at.astimezone(clock.PARIS).date()
    home = HomeFields(
        kind=HomeKind.FLAT if number % 2 else HomeKind.HOUSE,
        occupancy=Occupancy.TENANT if number % 3 else Occupancy.OWNER,
        address_line1=f"{3 + 4 * number} {STREETS[number % len(STREETS)]}",
        postcode="59000",
        city="Lille",
    )
    asked = CoverRequest(version_id=version.id, home=home, concluded_on=today, effective_on=today)
    cover = selling.sell_cover(client.id, asked, frequency="monthly", payment=PaymentFields(), by=by, at=at)
    lifecycle.activate(cover.subscription_id, by=by, at=at)
    following.catch_up(loading.find_for_update(cover.id), at=at)
    return loading.find_cover(cover.id)


def _charge(subscription: Subscription, month: int, *, at: datetime, is_refunded: bool) -> None:
    """A month with its invoice, paid by transfer three days later; the next one falls due a month later."""
    paid_at = at + timedelta(days=3)
    is_paid = paid_at < clock.now()
    day = at.astimezone(clock.PARIS).date()
    line = subscription.lines[0]
    total = totals([(line.vat_rate, line.unit_price)])
    charge = Charge(
        id=new_id(),
        subscription_id=subscription.id,
        cycle_no=month,
        client_id=subscription.client_id,
        company_id=subscription.company_id,
        reference=f"{subscription.id}:{month}",
        due_on=day,
        period_start=day,
        period_end=day + relativedelta(months=1),
        amount_before_tax=total.before_tax,
        vat=total.as_json(),
        amount=total.with_tax,
        lines=[
            {
                "label": line.label,
                "product_id": None,
                "quantity": "1",
                "unit_price": str(line.unit_price),
                "discount": "0",
                "vat_rate": str(line.vat_rate),
                "amount": str(line.unit_price),
            }
        ],
        status=ChargeStatus.SUCCEEDED if is_paid else ChargeStatus.SCHEDULED,
        payment_method=PaymentMethod.TRANSFER,
        settled_at=paid_at if is_paid else None,
        created_at=at,
    )
    db.session.add(charge)
    db.session.flush()
    scheduling.advance(subscription)
    drafting.draft_for_charge(charge, at=at)
    finalising.finalise_drafts(subscription.organisation_id, at=at)
    if is_paid:
        _pay(charge, charge.amount, PaymentKind.CAPTURE, at=paid_at)
    if is_paid and is_refunded:
        refund = _pay(charge, -charge.amount, PaymentKind.REFUND, at=at + timedelta(days=5))
        invoice = crediting.lock_invoice_of(charge.id)
        crediting.credit_refund(invoice, refund, reason="Geste commercial", by_id=None, at=at + timedelta(days=5))


def _pay(charge: Charge, amount: Decimal, kind: PaymentKind, *, at: datetime) -> Payment:
    payment = Payment(
        company_id=charge.company_id,
        client_id=charge.client_id,
        charge_id=charge.id,
        kind=kind,
        amount=amount,
        method=PaymentMethod.TRANSFER,
        happened_at=at,
        recorded_at=at,
    )
    db.session.add(payment)
    db.session.flush()
    allocating.allocate([charge.id], at=at)
    return payment


def _claim(cover_id: UUID, told: Told, *, by: User, at: datetime) -> None:
    day = at.astimezone(clock.PARIS).date()
    fields = ClaimFields(trade=told.trade, event_on=day, declared_on=day, asked=Decimal(told.asked))
    claim = declaring.declare(cover_id, fields, by=by, at=at)
    if told.paid and claim.status is ClaimStatus.ACCEPTED:
        money.add_paid(
            claim.id, Decimal(told.paid), note="Facture du dépanneur", version=None, by=by, at=at + timedelta(days=9)
        )
