"""Another rhythm of a subscription, shown before it is kept; another company, or another contract."""

from datetime import date
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.subscriptions import RHYTHMS, Subscription
from webapp.security import current_user
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.organisations import list_companies
from webapp.services.subscriptions import history, lifecycle, rhythm, selling_company
from webapp.services.subscriptions.selling_company import StillOpenError
from webapp.services.subscriptions.terms import AskedCycle, find_terms
from webapp.views.lists import read
from webapp.views.subscriptions.answers import done, seen_version
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("subscription_rhythm", __name__, url_prefix="/abonnements/<uuid:subscription_id>")

FREQUENCIES = [(frequency.value, frequency.label) for frequency in RHYTHMS]
MEANWHILE_SHOWN = 20


@bp.get("/rythme")
def show(subscription_id: UUID) -> ResponseReturnValue:
    """The forms of its rhythm, of its company and contract."""
    return _page(lifecycle.find_ours(subscription_id))


@bp.post("/rythme")
def change(subscription_id: UUID) -> ResponseReturnValue:
    """Show the next due dates in another rhythm; with ``confirmer``, keep it."""
    subscription, frequency = lifecycle.find_ours(subscription_id), request.form.get("frequence", "")
    try:
        first_due = asked_day("premiere", field="anchor_date")
        if "confirmer" not in request.form:
            cycles = rhythm.preview_rhythm(subscription, frequency, first_due, at=clock.now())
            return _page(subscription, cycles=cycles)
        by, at = current_user(), clock.now()
        rhythm.change_rhythm(subscription_id, frequency, first_due, version=seen_version(), by=by, at=at)
    except (InvalidInputError, EditConflictError) as error:
        return _page(lifecycle.find_ours(subscription_id), problem=error), error.status
    return done(subscription_id, "Rythme enregistré.")


@bp.post("/societe")
def change_company(subscription_id: UUID) -> ResponseReturnValue:
    """Let another company sell it, or by another contract."""
    try:
        selling_company.change_company(
            subscription_id,
            company_id=read(UUID, request.form.get("societe")),
            contract_id=read(UUID, request.form.get("contrat")),
            version=seen_version(),
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, EditConflictError, StillOpenError) as error:
        return _page(lifecycle.find_ours(subscription_id), problem=error), error.status
    return done(subscription_id, "Société et contrat enregistrés.")


def _page(
    subscription: Subscription, *, cycles: list[AskedCycle] | None = None, problem: DomainError | None = None
) -> str:
    is_stale = isinstance(problem, EditConflictError)
    missed = max(subscription.version - seen_version(), 1)
    companies = list_companies()
    contracts = selling_company.list_contracts(subscription.client_id)
    lost = {
        company.name: words
        for company in companies
        if company.id != subscription.company_id
        and (words := selling_company.fitting_means(subscription, company.id)[1])
    }
    return render_template(
        "subscriptions/rhythm.html",
        subscription=subscription,
        frequencies=FREQUENCIES,
        frequency=request.form.get("frequence", subscription.frequency.value),
        first_due=request.form.get("premiere", _end_of_paid(subscription).isoformat()),
        cycles=cycles,
        companies=[(str(company.id), company.name) for company in companies],
        company=request.form.get("societe", str(subscription.company_id)),
        contracts=[("", "Aucun"), *((str(each.id), each.reference or "Sans référence") for each in contracts)],
        contract=request.form.get("contrat", str(subscription.contract_id or "")),
        lost=lost,
        still_open=selling_company.list_open(subscription.id),
        problem=problem,
        meanwhile=history.list_history(subscription.id, limit=min(missed, MEANWHILE_SHOWN)) if is_stale else [],
    )


def _end_of_paid(subscription: Subscription) -> date:
    return find_terms(subscription).due_on(subscription.cycle_no)
