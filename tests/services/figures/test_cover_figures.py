"""The figures of covers against a plain count of what stands behind them, over lives drawn by chance."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from dateutil.relativedelta import relativedelta
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from tests.conftest import Cast
from tests.examples import some
from tests.services.figures.cover_world import World
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.claims import Claim, ClaimChange, ClaimEntry
from webapp.models.covers import Cover, CoverKind, Trade
from webapp.models.invoices import Allocation, Invoice
from webapp.models.money import cents
from webapp.models.payments import Payment
from webapp.services.covers import loading
from webapp.services.covers.intervals import intervals_of
from webapp.services.figures import cover_revenue, cover_rows, in_force, tallies
from webapp.services.figures.cover_figures import CoverFigures, CoverFiguresView, count_figures, count_with_course
from webapp.services.figures.cover_rows import Figure, FigureRowsView

ACTS = st.sampled_from(
    ["charge"] * 5
    + ["declare"] * 4
    + ["refund", "reverse", "accept", "refuse", "contest", "cancel", "start", "close", "paid", "paid", "recovered"]
    + ["reserve", "pause", "resume", "end", "option"]
)
AMOUNTS = st.sampled_from(["9.99", "12.90", "118.80", "420", "61.07"])
STEPS = st.lists(st.tuples(ACTS, st.integers(0, 5), AMOUNTS, st.integers(0, 40)), min_size=6, max_size=16)
PAID, CENT = Decimal(0), Decimal("0.01")


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def local(instant: Any) -> date:
    day: date = instant.astimezone(clock.PARIS).date()
    return day


class Oracle:
    """What the months from ``first`` to ``last`` come to, counted row by row and day by day."""

    def __init__(self, view: CoverFiguresView) -> None:
        self.view = view
        covers = db.session.scalars(select(Cover)).all()
        self.covers = {
            cover.id: cover
            for cover in covers
            if view.commercial_ids is None or cover.commercial_id in view.commercial_ids
        }
        self.of_subscription = {cover.subscription_id: cover for cover in self.covers.values()}

    def within(self, day: date) -> bool:
        return self.view.first <= day < self.view.end

    def counts(self, cover: Cover, day: date) -> bool:
        """Whether the cover has the plan, and promises the trade, on that day."""
        period = ([each for each in cover.periods if each.since <= day] or cover.periods[:1])[-1]
        options = [each for each in cover.options if each.since <= day and (not each.until or each.until > day)]
        trades = {*period.version.trades, *(trade for each in options for trade in each.option.trades)}
        is_of_plan = self.view.plan_id in (None, period.version.plan_id)
        return is_of_plan and (self.view.trade is None or self.view.trade.value in trades)

    def days(self) -> Iterator[tuple[Cover, date]]:
        """Each day on which a cover is in force at its end."""
        for cover_id in self.covers:
            cover = loading.find_cover(cover_id)
            intervals = intervals_of([loading.fact_of(row) for row in cover.facts])
            for number in range(self.view.days):
                day = self.view.first + timedelta(days=number)
                end = clock.start_of(day + timedelta(days=1)) - timedelta(microseconds=1)
                holds = [each for each in intervals if each.holds_at(end)]
                if holds and holds[0].kind not in (CoverKind.SUSPENDED, CoverKind.ENDED) and self.counts(cover, day):
                    yield cover, day

    def earned(self) -> Decimal:
        total = Decimal(0)
        for payment, charge in db.session.execute(select(Payment, Charge).join(Charge, Charge.id == Payment.charge_id)):
            cover = self.of_subscription.get(charge.subscription_id)
            if cover is None or not self.counts(cover, charge.period_start):
                continue
            premium = rounded(payment.amount * charge.amount_before_tax / charge.amount)
            length = (charge.period_end - charge.period_start).days
            start, end = (
                min(max(day, charge.period_start), charge.period_end) for day in (self.view.first, self.view.end)
            )
            until, before = ((day - charge.period_start).days for day in (end, start))
            total += rounded(premium * until / length) - rounded(premium * before / length)
        return total

    def claims(self) -> list[Claim]:
        known = db.session.scalars(select(Claim)).all()
        return [
            claim
            for claim in known
            if claim.cover_id in self.covers
            and self.view.trade in (None, claim.trade)
            and (self.view.plan_id is None or self._plan_of(claim) == self.view.plan_id)
        ]

    def _plan_of(self, claim: Claim) -> Any:
        periods = self.covers[claim.cover_id].periods
        return ([each for each in periods if each.since <= claim.event_on] or periods[:1])[-1].version.plan_id

    def entries(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        ids = {claim.id for claim in self.claims()}
        for entry in db.session.scalars(select(ClaimEntry)):
            if entry.claim_id in ids and self.within(local(entry.at)):
                sums[entry.kind.value] += entry.amount
        return sums

    def decided(self) -> Counter[str]:
        """How many were accepted, and refused: the state at the end of the months, less that at their beginning."""
        found: Counter[str] = Counter()
        for claim in self.claims():
            changes = (
                select(ClaimChange).where(ClaimChange.claim_id == claim.id).order_by(ClaimChange.at, ClaimChange.id)
            )
            for end, sign in ((self.view.end, 1), (self.view.first, -1)):
                past = [change for change in db.session.scalars(changes) if local(change.at) < end]
                status = past[-1].new_status.value if past else ""
                found[{"in_progress": "accepted", "closed": "accepted"}.get(status, status)] += sign
        return found

    def documents(self) -> tuple[Decimal, Decimal]:
        """What was still to be paid at the end, and what was invoiced."""
        receivables = invoiced = Decimal(0)
        invoices = {invoice.id: invoice for invoice in db.session.scalars(select(Invoice)) if invoice.number}
        for invoice in invoices.values():
            charge = db.session.get(Charge, (invoice.organisation_id, self._charge_of(invoice)))
            cover = charge and self.of_subscription.get(charge.subscription_id)
            if not charge or not cover or not self.counts(cover, charge.period_start):
                continue
            assert invoice.issued_on
            settled = db.session.scalars(select(Allocation).where(Allocation.invoice_id == invoice.id))
            paid = sum((each.amount for each in settled if local(each.at) < self.view.end), Decimal(0))
            receivables += (invoice.total if invoice.issued_on < self.view.end else 0) - paid
            invoiced += invoice.total if self.within(invoice.issued_on) else 0
        return receivables, invoiced

    @staticmethod
    def _charge_of(invoice: Invoice) -> Any:
        return invoice.charge_id or (invoice.corrects and invoice.corrects.charge_id)


def check(view: CoverFiguresView) -> CoverFigures:
    """The figures are the oracle's, and those of their rows."""
    db.session.expire_all()
    found, oracle = count_figures(view), Oracle(view)
    days = list(oracle.days())
    entries, decided = oracle.entries(), oracle.decided()
    last_day = view.end - timedelta(days=1)
    assert found.cover_days == len(days)
    assert found.in_force == sum(day == last_day for _, day in days)
    assert found.earned == oracle.earned()
    assert (found.paid, found.reserve, found.recovered) == tuple(
        entries.get(kind, PAID) for kind in ("paid", "reserve", "recovered")
    )
    assert (found.accepted, found.all_refused) == (decided["accepted"], decided["refused"])
    assert (found.receivables, found.invoiced) == oracle.documents()
    rows = {figure: rows_of(view, figure) for figure in Figure if figure in AMOUNT_OF}
    assert rows == {figure: amount(found) for figure, amount in AMOUNT_OF.items()}
    check_revenue(view)
    for reason, number in found.refused.items():
        assert rows_of(view, Figure.REFUSED, reason=reason) == number
    return found


def check_revenue(view: CoverFiguresView) -> None:
    """The MRR and what moved it are the sums of their rows."""
    found = cover_revenue.reckon(view, clock.now())
    assert rows_of(view, Figure.MRR) == found.yearly_at_end
    assert rows_of(view, Figure.LEFT) == found.left
    assert {part: rows_of(view, figure) for figure, part in cover_rows.PARTS.items()} == {
        part: amount for part, amount in found.yearly.items() if part != "start"
    }
    assert found.movements.end == cents(found.yearly_at_end / 12)
    assert found.yearly_at_end == yearly(view)


def yearly(view: CoverFiguresView) -> Decimal:
    """What a year brings at the end."""
    return cover_revenue.yearly_at_end(view, at=clock.now())


AMOUNT_OF = {
    Figure.EARNED: lambda found: found.earned,
    Figure.COST: lambda found: found.cost,
    Figure.PAID: lambda found: found.paid,
    Figure.RESERVE: lambda found: found.reserve,
    Figure.RECOVERED: lambda found: found.recovered,
    Figure.ACCEPTED: lambda found: found.accepted,
    Figure.REFUSED: lambda found: found.all_refused,
    Figure.IN_FORCE: lambda found: found.in_force,
    Figure.COVER_DAYS: lambda found: found.cover_days,
    Figure.INVOICED: lambda found: found.invoiced,
    Figure.RECEIVABLES: lambda found: found.receivables,
}


def rows_of(view: CoverFiguresView, figure: Figure, reason: str | None = None) -> Decimal:
    """What the rows behind a figure come to, page by page."""
    rows = FigureRowsView(**vars(view), figure=figure, at=clock.now(), reason=reason)
    page = cover_rows.list_rows(rows)
    total = sum((row.amount for row in page.rows), Decimal(0))
    while page.next_cursor:
        page = cover_rows.list_rows(replace(rows, cursor=page.next_cursor))
        total += sum(row.amount for row in page.rows)
    return total


@settings(
    max_examples=some(15),
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, first=st.integers(0, 9), months=st.integers(1, 13), narrowing=st.integers(0, 3))
def test_each_figure_is_that_of_its_rows(
    cast: Cast, steps: list[tuple[str, int, str, int]], first: int, months: int, narrowing: int
) -> None:
    world = World(cast)
    for step in [("charge", 1, "118.80", 3), ("declare", 0, "420", 40), *steps]:
        world.do(*step)
    in_force.book()
    begin = date(2026, 1, 1) + relativedelta(months=first)
    narrowed: list[dict[str, Any]] = [
        {},
        {"plan_id": world.sold[0].plan_id},
        {"trade": Trade.HEATING},
        {"commercial_ids": frozenset({cast.sales_rep.id})},
    ]
    view = CoverFiguresView(first=begin, last=begin + relativedelta(months=months - 1), **narrowed[narrowing])
    found = check(view)
    assert in_force.book() == 0
    tallies.fold(cast.organisation.id)
    check_revenue(view)
    db.session.execute(select(func.rebuild_cover_revenue(cast.organisation.id)))
    check_revenue(view)
    whole, course = count_with_course(view)
    assert whole == found
    assert course[view.last] == count_figures(CoverFiguresView(**{**vars(view), "first": view.last}))


def test_revenue_counts_for_whom_the_cover_does_also_once_that_changes(cast: Cast) -> None:
    world = World(cast)
    view = CoverFiguresView(first=date(2026, 1, 1), last=date(2026, 12, 1))
    hers = replace(view, commercial_ids=frozenset({cast.sales_rep.id}))
    assert (yearly(view), yearly(hers)) == (240, 120)
    world.do("pause", 0, "1", 3)
    assert (yearly(view), yearly(hers)) == (120, 0)
    db.session.execute(update(Cover).values(commercial_id=cast.sales_rep.id))
    assert (yearly(view), yearly(hers)) == (120, 120)
    check_revenue(hers)


def test_decisions_of_earlier_months_that_were_taken_back_give_no_part_and_no_mean() -> None:
    taken_back = CoverFigures(days=30, cover_days=365, accepted=2, refused={"waiting": -1, "trade": 2}, late={})
    assert (taken_back.share_of("waiting"), taken_back.share_of("trade")) == (None, Decimal(2) / 3)
    assert taken_back.takes_refusals_back
    assert replace(taken_back, refused={"waiting": -1}).refused_share is None
    assert replace(taken_back, accepted=8, paid=Decimal(465)).mean_cost == Decimal("58.13")
    none_left = replace(taken_back, accepted=-1, paid=Decimal(100))
    assert (none_left.mean_cost, none_left.frequency) == (None, None)
