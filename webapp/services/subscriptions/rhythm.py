"""Another frequency, or another day: from the end of what is paid, so that no day is charged twice and none is free."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.identity import User
from webapp.models.plan_changes import PlannedChange
from webapp.models.subscriptions import Rhythm, Subscription
from webapp.services.subscriptions import history, scheduling
from webapp.services.subscriptions.editing import editing
from webapp.services.subscriptions.fields import check_dates, check_frequency
from webapp.services.subscriptions.planning import find_plan, new_plan, restate, was_charged
from webapp.services.subscriptions.terms import AskedCycle, Terms, find_terms

SHOWN = 6


def preview_rhythm(
    subscription: Subscription, frequency: str, first_due: date | None, *, at: datetime
) -> list[AskedCycle]:
    """The next six cycles in another rhythm; the first is shorter where ``first_due`` leaves a gap to be paid.

    Raises InvalidInputError, naming the field.
    """
    changed = _changed(subscription, frequency, first_due, at)
    cycles, terms = [], changed
    for cycle in range(subscription.cycle_no, subscription.cycle_no + SHOWN):
        asked, terms = terms.ask(cycle)
        cycles.append(asked)
    return cycles


def _changed(subscription: Subscription, written: str, first_due: date | None, at: datetime) -> Terms:
    """The terms with the change made, or planned where something was charged. Raises InvalidInputError."""
    frequency, terms = check_frequency(written), find_terms(subscription)
    end_of_paid = terms.due_on(subscription.cycle_no)
    day = first_due or end_of_paid
    if frequency is subscription.frequency and day == end_of_paid:
        raise InvalidInputError("Ce rythme est déjà celui de l’abonnement.", field="frequency")
    if not was_charged(subscription.id):
        day = check_dates(day, subscription.ends_on, today=_today(subscription, at), is_imported=False)
        return replace(terms, frequency=frequency, anchor_date=day, anchor_cycle=subscription.cycle_no)
    _check_first_due(day, end_of_paid, frequency)
    lines = terms.planned.lines if terms.planned else None
    return replace(terms, planned=PlannedChange(lines=lines, frequency=frequency, anchor_date=day))


def _today(subscription: Subscription, at: datetime) -> date:
    return scheduling.local_date(at, subscription.timezone)


def _check_first_due(day: date, end_of_paid: date, frequency: Rhythm) -> None:
    if day < end_of_paid:
        raise InvalidInputError(
            f"Les jours avant le {french.day(end_of_paid)} sont déjà prélevés\u202f: choisissez ce jour ou un jour plus"
            " tard.",
            field="anchor_date",
        )
    latest = scheduling.due_date(end_of_paid, frequency, 1)
    if day >= latest:
        raise InvalidInputError(
            f"Choisissez un jour avant le {french.day(latest)}\u202f: la période intermédiaire serait plus longue"
            " qu’une échéance.",
            field="anchor_date",
        )


def change_rhythm(
    subscription_id: UUID, frequency: str, first_due: date | None, *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Fall due in another rhythm from the end of what is paid on; at once while nothing was charged.

    The days until ``first_due`` are charged as a shorter cycle. Cycles are counted on. Raises NotFoundError,
    EditConflictError, EndedError; InvalidInputError, naming the field.
    """
    with editing(subscription_id, version) as subscription:
        changed = _changed(subscription, frequency, first_due, at)
        before = subscription.revenue_per_year
        if changed.planned is None:
            changes = {
                "frequency": [subscription.frequency.label, changed.frequency.label],
                "anchor_date": [subscription.anchor_date.isoformat(), changed.anchor_date.isoformat()],
            }
            subscription.frequency = changed.frequency
            subscription.anchor_date, subscription.anchor_cycle = changed.anchor_date, changed.anchor_cycle
            scheduling.schedule(subscription, subscription.cycle_no)
            restate(subscription)
        else:
            plan = find_plan(subscription_id) or new_plan(subscription_id, by=by, at=at)
            plan.frequency, plan.anchor_date = changed.planned.frequency, changed.planned.anchor_date
            words = f"{check_frequency(frequency).label}, le {plan.anchor_date:%d/%m/%Y}"
            changes = {"planned_rhythm": ["", words]}
        moved = {name: [old or None, new] for name, (old, new) in changes.items() if old != new}
        history.record_change(subscription, changes=moved, before=before, by=by, at=at)
    return subscription
