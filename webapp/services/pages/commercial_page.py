"""Everything about one commercial, for its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import joinedload

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.commercials import Commercial, Team
from webapp.models.contracts import Contract
from webapp.services.contracts.counting import Axis, count_by
from webapp.services.contracts.selection import ContractsView, OfTeam
from webapp.services.figures.breakdowns import Breakdown, Number, by_month, by_status, number, signed_within
from webapp.services.figures.kpi import change
from webapp.services.figures.period import Period
from webapp.services.figures.portfolio import ClientsNumber, count_portfolios, portfolio

DOCUMENTS_SHOWN = 100
_COMMERCIAL = (
    select(Commercial, Team)
    .outerjoin(Team, linked(Team, Commercial.team_id))
    .where(Commercial.id == bindparam("commercial_id"))
)


@dataclass(frozen=True)
class Rank:
    """The place in the team by contracts signed in a period; equals share a place."""

    place: int
    of: int


@dataclass(frozen=True)
class CommercialOverview:
    """A commercial's figures. ``rank`` is None without a team."""

    portfolio: ClientsNumber
    signed: Number
    before: Number
    months: Breakdown
    statuses: Breakdown
    rank: Rank | None

    @property
    def change(self) -> Decimal | None:
        """By what part the number of contracts changed since the period before; None where that had none."""
        return change(self.signed, self.before)


def find_commercial(commercial_id: UUID) -> tuple[Commercial, Team | None]:
    """A commercial of the current organisation, and their team. Raises NotFoundError."""
    row = db.session.execute(_COMMERCIAL, {"commercial_id": commercial_id}).first()
    if row is None:
        raise NotFoundError("Ce commercial n’existe pas ou plus.")
    return row[0], row[1]


def find_overview(commercial: Commercial, period: Period, *, today: date) -> CommercialOverview:
    """The commercial's figures for a period, as of ``today``; by month over the year that ends with it."""
    base = ContractsView(sold_by=(commercial.id,))
    return CommercialOverview(
        portfolio=portfolio(commercial.id, count_portfolios()),
        signed=number(signed_within(base, period)),
        before=number(signed_within(base, period.compared(today))),
        months=by_month(base, until=period.until),
        statuses=by_status(base),
        rank=_find_rank(commercial, period),
    )


def _find_rank(commercial: Commercial, period: Period) -> Rank | None:
    if commercial.team_id is None:
        return None
    team = signed_within(ContractsView(sold_by=(OfTeam(commercial.team_id),)), period)
    figures = count_by(team, Axis.COMMERCIAL)
    own = figures[commercial.id].contracts if commercial.id in figures else 0
    members = db.session.scalars(select(Commercial.id).where(Commercial.team_id == commercial.team_id)).all()
    return Rank(1 + sum(figure.contracts > own for figure in figures.values()), len(members))


def list_documents(commercial_id: UUID) -> Sequence[Contract]:
    """The commercial's contracts that came with documents, the newest DOCUMENTS_SHOWN."""
    has_documents = or_(Contract.document_url.is_not(None), Contract.audit_trail_url.is_not(None))
    statement = select(Contract).where(Contract.commercial_id == commercial_id, has_documents)
    statement = statement.options(joinedload(Contract.client))
    newest_first = (Contract.signed_key.desc(), Contract.id.desc())
    return db.session.scalars(statement.order_by(*newest_first).limit(DOCUMENTS_SHOWN)).all()
