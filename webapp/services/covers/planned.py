"""What a cover changes with the next cycle, and the planned change of its subscription: neither is taken back alone."""

from datetime import datetime
from uuid import UUID

from webapp import french
from webapp.models.covers import Cover, CoverOption
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind
from webapp.services.covers import loading, pricing, recording
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.subscriptions import lifecycle, planning
from webapp.services.subscriptions.fields import SubscriptionLineFields
from webapp.transactions import transaction


def withdraw(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Change nothing with the next cycle: an option of the cover that was to end for it goes on.

    Raises as ``planning.withdraw_plan``; CoverStateError where the cover gets another plan or home by then.
    """
    with transaction():
        lifecycle.find_for_update(subscription_id)  # whoever changes a cover locks its subscription first
        cover = loading.find_of_subscription(subscription_id)
        if cover is not None:
            cover = loading.find_for_update(cover.id)
            _check_free(cover, at=at)
            for option in _ending(cover, at=at):
                told = f"{option.option.label}, fin le {french.day(option.until)}" if option.until else ""
                option.until = None
                changes: dict[str, list[str | None]] = {"option": [told, option.option.label]}
                recording.tell(cover, EventKind.COVER_CHANGED, changes, by=by, at=at)
        return planning.withdraw_plan(subscription_id, version=version, by=by, at=at)


def _check_free(cover: Cover, *, at: datetime) -> None:
    """Plans and homes are only ever added to a cover: their price comes with them."""
    today, plan, home = days.local(at), cover.periods[-1], cover.homes[-1]
    if plan.since > today:
        raise CoverStateError(
            f"La couverture {cover.code} passe à la formule «\u00a0{plan.version.plan.label}\u00a0» le"
            f" {french.day(plan.since)}\u202f: son prix change avec elle. Après ce jour, choisissez de nouveau la"
            " formule."
        )
    if home.since > today and _is_priced_anew(cover):
        raise CoverStateError(
            f"La couverture {cover.code} change de logement le {french.day(home.since)}\u202f: son prix change avec"
            " lui. Corrigez d’abord le logement couvert."
        )


def _is_priced_anew(cover: Cover) -> bool:
    """Whether the plan costs something else with the next cycle."""
    label = cover.periods[-1].version.plan.label
    lines, present = pricing.lines_of_next_cycle(cover), list(map(SubscriptionLineFields.of, cover.subscription.lines))
    place, place_now = pricing.find_place(lines, label), pricing.find_place(present, label)
    if place is None or place_now is None:
        return False
    return lines[place].unit_price != present[place_now].unit_price


def _ending(cover: Cover, *, at: datetime) -> list[CoverOption]:
    """The options that are paid for now and end with the planned change."""
    plan, today = planning.find_plan(cover.subscription_id), days.local(at)
    if plan is None or plan.lines is None:
        return []
    sold = {line.label for line in cover.subscription.lines} - {line["label"] for line in plan.lines}
    return [
        each
        for each in cover.options
        if each.until is not None and each.until > today and pricing.option_label(each.option) in sold
    ]
