"""Which covers a view of the figures counts: by their commercial, and by what they promised on the last day."""

from sqlalchemy import ColumnElement, select

from webapp import tenancy
from webapp.models.covers import Cover, CoverOption, CoverPeriod, CoverPlanOption, CoverPlanVersion
from webapp.services.figures.cover_figures import CoverFiguresView


def which_promise(view: CoverFiguresView) -> list[ColumnElement[bool]]:
    """What a cover must meet to be counted in a view; of a trade, it promised that on the last day."""
    conditions = conditions_of(view)
    if view.trade is not None:
        conditions.append(_has_version(view, CoverPlanVersion.trades.contains([view.trade.value])) | _has_option(view))
    return conditions


def conditions_of(view: CoverFiguresView) -> list[ColumnElement[bool]]:
    """What a cover must meet for its commercial and its plan on the last day to be those of a view."""
    conditions: list[ColumnElement[bool]] = []
    if view.commercial_ids is not None:
        conditions.append(Cover.commercial_id.in_(view.commercial_ids))
    if view.plan_id is not None:
        conditions.append(_has_version(view, CoverPlanVersion.plan_id == view.plan_id))
    return conditions


def _has_version(view: CoverFiguresView, which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a cover had such a version of a plan on the last day: looked up cover by cover, by key."""
    ours = tenancy.current_organisation_id()
    latest = (
        select(CoverPeriod.version_id)
        .where(
            CoverPeriod.organisation_id == ours,
            CoverPeriod.cover_id == Cover.id,
            CoverPeriod.since < view.end,
        )
        .order_by(CoverPeriod.since.desc())
        .limit(1)
        .correlate(Cover)
        .scalar_subquery()
    )
    return latest.in_(select(CoverPlanVersion.id).where(CoverPlanVersion.organisation_id == ours, which))


def _has_option(view: CoverFiguresView) -> ColumnElement[bool]:
    """Whether a cover had an option with the trade on the last day."""
    ours, trade = tenancy.current_organisation_id(), view.trade.value if view.trade else ""
    with_trade = select(CoverPlanOption.id).where(
        CoverPlanOption.organisation_id == ours, CoverPlanOption.trades.contains([trade])
    )
    return (
        select(CoverOption.id)
        .where(
            CoverOption.organisation_id == ours,
            CoverOption.cover_id == Cover.id,
            CoverOption.since < view.end,
            CoverOption.until.is_(None) | (CoverOption.until >= view.end),
            CoverOption.option_id.in_(with_trade),
        )
        .correlate(Cover)
        .exists()
    )
