"""The rows behind the figures of Depanssur: entries of the book, covers, invoices, or clients, by what a figure counts.

A list and its figure come from the same conditions; what a row comes to is COUNTED.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Numeric,
    Select,
    Subquery,
    Uuid,
    case,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import Claim, ClaimSatisfaction
from webapp.models.clients import Client, full_name_in_sql
from webapp.models.covers import Cover, CoverPlan, Trade
from webapp.models.figures import FigureEntry, FigureKind
from webapp.models.invoices import Invoice
from webapp.models.subscriptions import SubscriptionHistory
from webapp.services import keyset
from webapp.services.covers.decisions import Step
from webapp.services.figures import cover_moves, cover_satisfaction
from webapp.services.figures.cover_figures import COST, CoverFiguresView
from webapp.services.figures.cover_scope import which_promise
from webapp.services.keyset import Position
from webapp.services.subscriptions import metrics

PAGE_SIZE = 50


class Figure(StrEnum):
    """The figures that open rows, as the address says them."""

    MRR = "mrr"
    NEW = "nouveaux"
    EXPANSION = "expansion"
    REACTIVATION = "reactivation"
    CONTRACTION = "contraction"
    CHURN = "attrition"
    LEFT = "partis"
    IN_FORCE = "en-vigueur"
    COVER_DAYS = "exposition"
    EARNED = "primes"
    COST = "charge"
    PAID = "paye"
    RESERVE = "provisions"
    RECOVERED = "recupere"
    ACCEPTED = "acceptes"
    REFUSED = "refuses"
    INVOICED = "facture"
    RECEIVABLES = "creances"
    SATISFACTION = "satisfaction"

    @property
    def label(self) -> str:
        """What the rows are, on the screen."""
        return _LABELS[self]


_LABELS = {
    Figure.MRR: "MRR des couvertures",
    Figure.NEW: "Nouveaux clients",
    Figure.EXPANSION: "Expansion",
    Figure.REACTIVATION: "Réactivation",
    Figure.CONTRACTION: "Contraction",
    Figure.CHURN: "Attrition",
    Figure.LEFT: "Clients partis en 30 jours",
    Figure.IN_FORCE: "Couvertures en vigueur",
    Figure.COVER_DAYS: "Exposition",
    Figure.EARNED: "Prime acquise",
    Figure.COST: "Charge des sinistres",
    Figure.PAID: "Payé",
    Figure.RESERVE: "Variation des provisions",
    Figure.RECOVERED: "Récupéré",
    Figure.ACCEPTED: "Sinistres acceptés",
    Figure.REFUSED: "Sinistres refusés",
    Figure.INVOICED: "Facturé TTC",
    Figure.RECEIVABLES: "Reste à payer TTC",
    Figure.SATISFACTION: "Réponses des clients (NPS)",
}
KINDS = {
    Figure.EARNED: (FigureKind.EARNED,),
    Figure.COST: COST,
    Figure.PAID: (FigureKind.PAID,),
    Figure.RESERVE: (FigureKind.RESERVE,),
    Figure.RECOVERED: (FigureKind.RECOVERED,),
    Figure.ACCEPTED: (FigureKind.ACCEPTED,),
    Figure.REFUSED: (FigureKind.REFUSED,),
    Figure.INVOICED: (FigureKind.INVOICED,),
}
"""The figures whose rows are entries of the book."""
PARTS = {
    Figure.NEW: "new",
    Figure.EXPANSION: "expansion",
    Figure.REACTIVATION: "reactivation",
    Figure.CONTRACTION: "contraction",
    Figure.CHURN: "churn",
}
OF_COVERS = (Figure.MRR, Figure.IN_FORCE, Figure.COVER_DAYS)
OF_CLIENTS = (*PARTS, Figure.LEFT)
YEARLY = (Figure.MRR, *OF_CLIENTS)
"""Rows come to the revenue of a year: the twelfth of their sum, rounded once, is the figure."""
NUMBERS = (Figure.IN_FORCE, Figure.COVER_DAYS, Figure.ACCEPTED, Figure.REFUSED, Figure.SATISFACTION)
"""Rows come to numbers; those of the others to euros."""
ANSWERED_ON = cast(func.timezone("Europe/Paris", ClaimSatisfaction.answered_at), Date)
COUNTED = literal_column("counted.amount", Numeric(18, 2))
_CLIENT = literal_column("counted.client_id", Uuid())
"""What clients stand in the order of: that of the index by which their revenue is read."""


@dataclass(frozen=True, kw_only=True)
class FigureRowsView(CoverFiguresView):
    """The rows of one figure; of refused claims, those with a ``reason`` alone where it is given.

    ``at`` is now, for whom of late left; ``cursor`` is where the page starts.
    """

    figure: Figure
    at: datetime
    reason: str | None = None
    cursor: str | None = None


PERSON = "person"
"""The reason of a refusal that no rule gives."""


_REASONS = {
    Step.IN_FORCE: "Pas en vigueur",
    Step.WAITING: "En carence",
    Step.SUSPENDED: "Suspendue",
    Step.TRADE: "Métier non couvert",
    Step.HOME: "Autre logement",
    Step.DECLARED: "Déclaré trop tard",
    Step.CLAIMS_LEFT: "Nombre de sinistres atteint",
    Step.DEDUCTIBLE: "Sous la franchise",
    Step.CAP_PER_CLAIM: "Plafond par intervention",
    Step.CAP_PER_YEAR: "Plafond annuel atteint",
    Step.COVERED: "Rien à prendre en charge",
}


def reason_label(reason: str) -> str:
    """Why claims were refused, on the screen."""
    return "Décision d’une personne" if reason == PERSON else _REASONS[Step(reason)]


class FigureRow(NamedTuple):
    """A row: what it is of, and what it comes to. Empty is what its figure does not tell."""

    id: UUID
    amount: Decimal
    client_id: UUID
    client: str
    cover_id: UUID | None = None
    number: int | None = None
    plan: str | None = None
    day: date | None = None
    month: date | None = None
    kind: FigureKind | None = None
    trades: Sequence[str] = ()
    claim_id: UUID | None = None
    claim: str | None = None
    invoice_id: UUID | None = None
    invoice: str | None = None
    reason: str | None = None

    @property
    def is_late(self) -> bool:
        """Whether it concerns a month that was closed before."""
        return self.day is not None and self.month is not None and self.day < self.month

    @property
    def trade(self) -> str | None:
        """The trade of a claim, on the screen."""
        return Trade(self.trades[0]).label if self.claim_id else None

    @property
    def reason_label(self) -> str | None:
        """Why a claim was refused, on the screen."""
        return reason_label(self.reason) if self.reason else None

    @property
    def cover(self) -> str:
        """The number of the cover as people say it."""
        return f"{Cover.LETTER}-{self.number}" if self.number is not None else ""


def list_rows(view: FigureRowsView) -> keyset.Page[FigureRow]:
    """A page of the rows, the latest first."""
    shape = _shape(view)
    columns = {"amount": COUNTED, "client_id": Client.id, "client": full_name_in_sql(), **shape.columns}
    shown = [shape.order[-1], *(column.label(name) for name, column in columns.items())]
    statements = [rows.with_only_columns(*shown, maintain_column_froms=True) for rows in _select_apart(view)]

    def read(start: Position | None) -> Sequence[FigureRow]:
        pages = [keyset.cut(each, shape.order, start, is_descending=True, size=PAGE_SIZE) for each in statements]
        found = [row for page in pages for row in db.session.execute(page)]
        rows = [FigureRow(id=row[0], **dict(zip(columns, row[1:], strict=True))) for row in found]
        if len(pages) > 1:
            is_backward = start is not None and start.is_backward
            rows = sorted(rows, key=place, reverse=not is_backward)[: PAGE_SIZE + 1]
        return rows

    def place(row: FigureRow) -> tuple[Any, UUID]:
        return (row.day if shape.kind is date else row.number) or "", row.id

    start = keyset.decode(view.cursor, sort=shape.sort, kind=shape.kind)
    return keyset.page(read, start, place=place, sort=shape.sort, size=PAGE_SIZE)


def _select_apart(view: FigureRowsView) -> Sequence[Select[*tuple[Any, ...]]]:
    """The rows of a view; of entries of several kinds, those of each: an index has their order kind by kind. So it is
    with clients who moved once, and the others.
    """
    if view.figure in PARTS:
        return [_clients(view, part) for part in cover_moves.moved_apart(view)]
    kinds = KINDS.get(view.figure, ())
    return [_entries(view, [kind]) for kind in kinds] if len(kinds) > 1 else [select_rows(view)]


class _Shape(NamedTuple):
    """In which order rows stand, by what a cursor names a place in it, and what they tell beyond the client."""

    order: Sequence[InstrumentedAttribute[Any] | ColumnElement[Any]]
    sort: str
    kind: type[keyset.Key]
    columns: dict[str, Any]


def _shape(view: FigureRowsView) -> _Shape:
    if view.figure in KINDS:
        columns: dict[str, Any] = {
            "cover_id": Cover.id,
            "number": Cover.number,
            "plan": CoverPlan.label,
            "day": FigureEntry.day,
            "month": FigureEntry.month,
            "kind": FigureEntry.kind,
            "trades": FigureEntry.trades,
            "claim_id": Claim.id,
            "claim": Claim.reference,
            "invoice_id": Invoice.id,
            "invoice": Invoice.reference,
            "reason": FigureEntry.reason,
        }
        return _Shape([FigureEntry.day, FigureEntry.id], "jour", date, columns)
    if view.figure in OF_COVERS:
        columns = {"cover_id": Cover.id, "number": Cover.number}
        return _Shape([Cover.number, Cover.id], "numero", int, columns)
    if view.figure in OF_CLIENTS:
        return _Shape([_CLIENT], "client", str, {})
    if view.figure is Figure.SATISFACTION:
        columns = {
            "cover_id": Cover.id,
            "number": Cover.number,
            "day": ANSWERED_ON,
            "trades": array([Claim.trade]),
            "claim_id": Claim.id,
            "claim": Claim.reference,
        }
        return _Shape([ClaimSatisfaction.id], "reponse", str, columns)
    columns = {"day": Invoice.issued_on, "invoice_id": Invoice.id, "invoice": Invoice.reference}
    return _Shape([Invoice.issued_on, Invoice.id], "emission", date, columns)


def select_all(view: FigureRowsView) -> Select[*tuple[Any, ...]]:
    """Every row in that order: an export adds the columns."""
    return select_rows(view).order_by(*(column.desc() for column in _shape(view).order))


def select_rows(view: FigureRowsView) -> Select[*tuple[Any, ...]]:
    """The rows of a view, in no order, joined with what its columns need and with what each comes to."""
    if view.figure in KINDS:
        return _entries(view, KINDS[view.figure])
    if view.figure in OF_COVERS:
        return _covers(view)
    if view.figure in OF_CLIENTS:
        is_left = view.figure is Figure.LEFT
        return _clients(view, cover_moves.left(view, at=view.at) if is_left else cover_moves.moved(view))
    return _answers(view) if view.figure is Figure.SATISFACTION else _invoices(view)


def _entries(view: FigureRowsView, kinds: Sequence[FigureKind]) -> Select[*tuple[Any, ...]]:
    """Entries of these kinds. Of the cost of claims, what came back is taken off."""
    is_taken_off = (FigureEntry.kind == FigureKind.RECOVERED) & (view.figure is Figure.COST)
    conditions = [
        *view.conditions(FigureEntry),
        FigureEntry.kind.in_(kinds) if len(kinds) > 1 else FigureEntry.kind == kinds[0],
        FigureEntry.month >= view.first,
        FigureEntry.day < view.end,  # whatever is booked in a month happened before its end; the index begins there
    ]
    if view.reason is not None:
        conditions.append(FigureEntry.reason == view.reason)
    amount = case((is_taken_off, -FigureEntry.amount), else_=FigureEntry.amount)
    counted = select(amount.label("amount")).correlate(FigureEntry).lateral("counted")
    return (
        select(FigureEntry.id)
        .join(Cover, linked(Cover, FigureEntry.cover_id))
        .join(Client, linked(Client, Cover.client_id))
        .join(CoverPlan, linked(CoverPlan, FigureEntry.plan_id))
        .outerjoin(Claim, linked(Claim, FigureEntry.claim_id))
        .outerjoin(Invoice, linked(Invoice, FigureEntry.invoice_id))
        .join(counted, true())
        .where(*conditions)
    )


def _covers(view: FigureRowsView) -> Select[*tuple[Any, ...]]:
    which: list[ColumnElement[bool]] = []
    if view.figure is Figure.MRR:
        which = which_promise(view)
        change = func.sum(metrics.CHANGE)
        amount = select(change.label("amount")).where(
            *metrics.EVERYTHING.conditions(),
            SubscriptionHistory.organisation_id == Cover.organisation_id,
            SubscriptionHistory.subscription_id == Cover.subscription_id,
            SubscriptionHistory.at < clock.start_of(view.end),
        )
    else:
        amount = select(_level(view).label("amount")).where(
            *view.conditions(FigureEntry),
            FigureEntry.organisation_id == Cover.organisation_id,
            FigureEntry.cover_id == Cover.id,
            FigureEntry.kind == FigureKind.IN_FORCE,
        )
    counted = amount.correlate(Cover).lateral("counted")
    return (
        select(Cover.id)
        .join(Client, linked(Client, Cover.client_id))
        .join(counted, true())
        .where(Cover.organisation_id == tenancy.current_organisation_id(), *which, COUNTED != 0)
    )


def _level(view: FigureRowsView) -> ColumnElement[Any]:
    """What a cover counts at the end, or its days: of what was booked before, those of all the months."""
    if view.figure is Figure.IN_FORCE:
        return func.sum(FigureEntry.amount)
    days = case((FigureEntry.month < view.first, view.days), else_=_days_until(view.end))
    return func.sum(FigureEntry.amount * days)


def _days_until(end: date) -> ColumnElement[int]:
    return func.date_mi(end, FigureEntry.day)


def _clients(view: FigureRowsView, found: Subquery) -> Select[*tuple[Any, ...]]:
    """Those of the clients found who are the movement, and by how much a year’s revenue changed."""
    which = [metrics.parts_of(found)[PARTS[view.figure]]] if view.figure in PARTS else []
    change = (found.c.end - found.c.start).label("amount")
    counted = select(found.c.client_id, change).where(*which).subquery("counted")
    return (
        select(Client.id)
        .join(counted, counted.c.client_id == Client.id)
        .where(Client.organisation_id == tenancy.current_organisation_id())
    )


def _answers(view: FigureRowsView) -> Select[*tuple[Any, ...]]:
    latest = cover_satisfaction.select_latest(view).subquery()
    counted = select(latest.c.id, latest.c.score.label("amount")).subquery("counted")
    return (
        select(ClaimSatisfaction.id)
        .join(counted, counted.c.id == ClaimSatisfaction.id)
        .join(Claim, linked(Claim, ClaimSatisfaction.claim_id))
        .join(Cover, linked(Cover, Claim.cover_id))
        .join(Client, linked(Client, ClaimSatisfaction.client_id))
        .where(ClaimSatisfaction.organisation_id == tenancy.current_organisation_id())
    )


def _invoices(view: FigureRowsView) -> Select[*tuple[Any, ...]]:
    """Invoices and credit notes of which something was still to be paid at the end."""
    amount = case((FigureEntry.kind == FigureKind.SETTLED, -FigureEntry.amount), else_=FigureEntry.amount)
    counted = (
        select(func.sum(amount).label("amount"))
        .where(
            *view.conditions(FigureEntry),
            FigureEntry.organisation_id == Invoice.organisation_id,
            FigureEntry.invoice_id == Invoice.id,
        )
        .correlate(Invoice)
        .lateral("counted")
    )
    return (
        select(Invoice.id)
        .join(Client, linked(Client, Invoice.client_id))
        .join(counted, true())
        .where(Invoice.organisation_id == tenancy.current_organisation_id(), COUNTED != 0)
    )
