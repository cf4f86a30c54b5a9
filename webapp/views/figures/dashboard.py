"""The dashboard: what a manager or an admin lands on."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.figures import activity, breakdowns
from webapp.services.figures.kpi import contracts_per_commercial
from webapp.services.figures.scope import figures_scope
from webapp.services.pages.first_steps import find_first_steps
from webapp.services.winleadplus import status
from webapp.views.figures.periods import read_period

bp = Blueprint("dashboard", __name__)


@bp.get("/")
def show() -> ResponseReturnValue:
    """The dashboard of a period. A commercial lands on the clients page, and finds own figures here by the menu."""
    user = current_user()
    if not request.args and not user.has_role(Role.MANAGER, Role.ADMIN):
        return redirect(url_for("clients.index"))
    now, today = clock.now(), clock.today()
    bar = read_period(request.args, "dashboard.show", today=today)
    scope = figures_scope(user)
    signed = breakdowns.signed_within(scope.view, bar.period)
    companies = breakdowns.by_company(signed)
    return render_template(
        "figures/dashboard.html",
        bar=bar,
        scope=scope,
        kpi=contracts_per_commercial(scope, bar.period, today=today),
        months=breakdowns.by_month(scope.view, until=bar.period.until),
        products=breakdowns.by_product(signed, total=companies.total),
        companies=companies,
        feed=activity.list_activities(limit=activity.FEED_SIZE),
        sync=status.overview(at=now),
        first_steps=find_first_steps(user.organisation, at=now) if user.has_role(Role.ADMIN) else {},
    )
