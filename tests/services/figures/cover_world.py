"""Two covers, and what happens to them: payments, refunds, claims, pauses, options, ends."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import HOME, add_option, declare, sell
from webapp import clock
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.claims import Claim
from webapp.models.covers import Cover, CoverPlanVersion, Trade
from webapp.models.invoices import Invoice
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Subscription, SubscriptionHistory
from webapp.services.claims import deciding, money, working
from webapp.services.covers import following, loading, selling
from webapp.services.covers.selling import CoverRequest
from webapp.services.invoices import allocating, crediting, drafting, finalising
from webapp.services.subscriptions import lifecycle

BEGINNING = date(2026, 1, 10)
REASON = "Motif"


class World:
    """Two plans, a cover of each, and a client with a commercial, one without."""

    def __init__(self, cast: Cast) -> None:
        self.cast, self.by = cast, cast.manager
        self.at = clock.start_of(BEGINNING) + timedelta(hours=18)
        self.sold = [sell(), sell(trades=("heating",))]
        whose = (cast.sales_rep.id, None)
        self.covers = [self.cover(version, who) for version, who in zip(self.sold, whose, strict=True)]
        self.charges: list[Charge] = []
        self.claims: list[Claim] = []

    def cover(self, version: CoverPlanVersion, commercial_id: UUID | None) -> Cover:
        """A new cover of a new client."""
        client = factories.ClientFactory(commercial_id=commercial_id)
        subscription: Subscription = factories.SubscriptionFactory(
            client_id=client.id, anchor_date=BEGINNING, recurring_amount=Decimal(10)
        )
        begun = {"old_status": None, "new_status": subscription.status, "annual_after": Decimal(120)}
        db.session.add(
            SubscriptionHistory(
                subscription_id=subscription.id, client_id=client.id, currency="EUR", at=self.at, **begun
            )
        )
        db.session.commit()
        today = self.at.date()
        asked = CoverRequest(version_id=version.id, home=HOME, concluded_on=today, effective_on=today)
        return selling.add_cover(subscription.id, asked, by=self.by, at=self.at)

    def do(self, act: str, number: int, amount: str, days: int) -> None:
        """One step, some days after the one before; what is refused changes nothing."""
        self.at += timedelta(days=days, minutes=7)
        try:
            self.acts(number, Decimal(amount))[act]()
        except DomainError:
            db.session.rollback()
        db.session.commit()

    def acts(self, number: int, amount: Decimal) -> dict[str, Callable[[], object]]:
        cover = self.covers[number % 2]
        common = {"version": None, "by": self.by, "at": self.at}
        noted = common | {"note": "Remarque"}
        why = common | {"reason": REASON}

        def of_claim(work: Callable[[UUID], object]) -> object:
            return work(self.claims[number % len(self.claims)].id) if self.claims else None

        def of_charge(work: Callable[[Charge], object]) -> object:
            return work(self.charges[number % len(self.charges)]) if self.charges else None

        def of_subscription(work: Callable[[UUID], object]) -> None:
            work(cover.subscription_id)
            following.catch_up(loading.find_for_update(cover.id), at=self.at)

        return {
            "charge": lambda: self.charge(cover, number, amount),
            "refund": lambda: of_charge(lambda charge: self.give_back(charge, amount)),
            "reverse": lambda: of_charge(lambda charge: self.pay(charge, -charge.amount, PaymentKind.REVERSAL)),
            "declare": lambda: self.claims.append(self.declare(cover, number, amount)),
            "accept": lambda: of_claim(lambda claim: deciding.accept(claim, covered=amount, **why)),
            "refuse": lambda: of_claim(lambda claim: deciding.refuse(claim, **why)),
            "contest": lambda: of_claim(lambda claim: deciding.contest(claim, **why)),
            "cancel": lambda: of_claim(lambda claim: working.cancel(claim, **why)),
            "start": lambda: of_claim(lambda claim: working.start(claim, **common)),
            "close": lambda: of_claim(lambda claim: working.close(claim, **common)),
            "paid": lambda: of_claim(lambda claim: money.add_paid(claim, amount, **noted)),
            "recovered": lambda: of_claim(lambda claim: money.add_recovered(claim, amount, **noted)),
            "reserve": lambda: of_claim(lambda claim: money.set_reserve(claim, amount, **noted)),
            "pause": lambda: of_subscription(
                lambda each: lifecycle.pause(each, reason=REASON, resume_on=None, by=self.by, at=self.at)
            ),
            "resume": lambda: of_subscription(lambda each: lifecycle.resume(each, by=self.by, at=self.at)),
            "end": lambda: of_subscription(lambda each: lifecycle.cancel(each, reason=REASON, by=self.by, at=self.at)),
            "option": lambda: add_option(cover, "SERRURERIE", by=self.by, at=self.at),
        }

    def charge(self, cover: Cover, number: int, amount: Decimal) -> None:
        """A paid cycle of one, three or twelve months, with its numbered invoice."""
        start = self.at.date() - timedelta(days=number)
        tax = Decimal("1.09")
        line = {"label": "Formule", "product_id": None, "quantity": "1", "discount": "0", "vat_rate": "9"}
        before_tax = (amount / tax).quantize(Decimal("0.01"))
        charge: Charge = factories.ChargeFactory(
            subscription_id=cover.subscription_id,
            client_id=cover.client_id,
            cycle_no=len(self.charges),
            status=ChargeStatus.SUCCEEDED,
            due_on=start,
            period_start=start,
            period_end=start + relativedelta(months=(1, 3, 12)[number % 3]),
            amount_before_tax=before_tax,
            amount=amount,
            vat=[{"rate": "9", "base": str(before_tax), "tax": str(amount - before_tax)}],
            lines=[line | {"unit_price": str(before_tax), "amount": str(before_tax)}],
        )
        self.charges.append(charge)
        drafting.draft_for_charge(charge, at=self.at)
        self.pay(charge, charge.amount, PaymentKind.CAPTURE)
        if number % 4:
            finalising.finalise_drafts(self.cast.organisation.id, at=self.at)

    def pay(self, charge: Charge, amount: Decimal, kind: PaymentKind) -> Payment:
        """A movement of money, settled on the invoice."""
        payment = Payment(
            company_id=charge.company_id,
            client_id=charge.client_id,
            charge_id=charge.id,
            kind=kind,
            amount=amount,
            happened_at=self.at,
        )
        db.session.add(payment)
        db.session.flush()
        allocating.allocate([charge.id], at=self.at)
        return payment

    def give_back(self, charge: Charge, amount: Decimal) -> None:
        """A refund with its credit note."""
        refund = self.pay(charge, -min(amount, charge.amount), PaymentKind.REFUND)
        invoice = crediting.lock_invoice_of(charge.id)
        if invoice.number:
            crediting.credit_refund(invoice, refund, reason=REASON, by_id=None, at=self.at)
            finalising.finalise_drafts(self.cast.organisation.id, at=self.at)

    def declare(self, cover: Cover, number: int, amount: Decimal) -> Claim:
        trade = Trade.HEATING if number % 2 else Trade.PLUMBING
        return declare(cover, self.by, self.at.date(), str(amount), trade=trade, at=self.at)

    def invoices(self) -> list[Invoice]:
        """Every document."""
        return list(db.session.scalars(select(Invoice)))


NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
