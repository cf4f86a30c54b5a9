"""What a cover changes with the next cycle, and the planned change of its subscription: neither is taken back alone."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import delete, exists, select

from webapp import french
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.covers import Cover, CoverHome, CoverOption, CoverPeriod, CoverPlanVersion, CoverWithdrawnPeriod
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind
from webapp.services.covers import homes, loading, pricing, recording
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.subscriptions import lifecycle, planning
from webapp.services.subscriptions.fields import SubscriptionLineFields
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction


def keep_plan(
    cover_id: UUID, *, version_id: UUID | None, since: date | None, version: int, by: User, at: datetime
) -> Cover:
    """Take the plan back that was to come on a day: the present one goes on, at its price, and so does all else.

    ``version`` is the subscription's. Sent twice, it is done once. Raises NotFoundError, EditConflictError,
    HeldByShopError, InvalidInputError; CoverStateError once the plan holds, or its price is charged.
    """
    with transaction():
        lifecycle.find_ours_for_update(loading.find_cover(cover_id).subscription_id)
        cover = recording.find_living(cover_id, at=at)
        coming = _find_coming(cover, at=at)
        if coming is None or (coming.version_id, coming.since) != (version_id, since):
            if _was_withdrawn(cover, version_id, since):
                return cover
            raise CoverStateError(_why_not(cover, version_id, since))
        _restore_price(cover, coming, version=version, by=by, at=at)
        _take_back(cover, coming, by=by, at=at)
    return loading.find_cover(cover_id)


def withdraw(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Change nothing with the next cycle: the cover keeps its plan, and an option that was to end for it goes on.

    Raises as ``planning.withdraw_plan``; CoverStateError where the cover gets another home by then, at its price.
    """
    with transaction():
        lifecycle.find_for_update(subscription_id)  # whoever changes a cover locks its subscription first
        cover = loading.find_of_subscription(subscription_id)
        if cover is not None:
            cover = loading.find_for_update(cover.id)
            coming = _find_priced(cover, at=at)
            _check_home(cover, coming, at=at)
            for option in _ending(cover, at=at):
                told = f"{option.option.label}, fin le {french.day(option.until)}" if option.until else ""
                option.until = None
                changes: dict[str, list[str | None]] = {"option": [told, option.option.label]}
                recording.tell(cover, EventKind.COVER_CHANGED, changes, by=by, at=at)
            if coming is not None:
                _take_back(cover, coming, by=by, at=at)
        return planning.withdraw_plan(subscription_id, version=version, by=by, at=at)


def _find_coming(cover: Cover, *, at: datetime) -> CoverPeriod | None:
    """The plan that is to replace the present one, if one is."""
    latest = cover.periods[-1]
    return latest if len(cover.periods) > 1 and latest.since > days.local(at) else None


def _find_priced(cover: Cover, *, at: datetime) -> CoverPeriod | None:
    """The same, where it is what the subscription's planned change sells."""
    coming, plan = _find_coming(cover, at=at), planning.find_plan(cover.subscription_id)
    if coming is None or plan is None or plan.lines is None:
        return None
    place = pricing.find_place(pricing.lines_of_next_cycle(cover), coming.version.plan.label)
    return None if place is None else coming


def _was_withdrawn(cover: Cover, version_id: UUID | None, since: date | None) -> bool:
    statement = select(
        exists().where(
            CoverWithdrawnPeriod.organisation_id == current_organisation_id(),
            CoverWithdrawnPeriod.cover_id == cover.id,
            CoverWithdrawnPeriod.version_id == version_id,
            CoverWithdrawnPeriod.since == since,
        )
    )
    return bool(db.session.scalar(statement))


def _why_not(cover: Cover, version_id: UUID | None, since: date | None) -> str:
    latest = cover.periods[-1]
    if (latest.version_id, latest.since) == (version_id, since):
        return (
            f"La formule «\u00a0{latest.version.plan.label}\u00a0» vaut depuis le {french.day(latest.since)}\u202f:"
            " choisissez de nouveau l’autre formule."
        )
    return "Aucun changement de formule n’est prévu pour cette couverture."


def _restore_price(cover: Cover, coming: CoverPeriod, *, version: int, by: User, at: datetime) -> None:
    """Let the next cycle ask for the present plan, where it asks for the one that was to come."""
    if _is_charged(cover, coming):
        raise CoverStateError(
            f"L’échéance à partir du {french.day(coming.since)} est déjà demandée au prix de la formule"
            f" «\u00a0{coming.version.plan.label}\u00a0»\u202f: après ce jour, choisissez de nouveau la formule."
        )
    lines = pricing.lines_of_next_cycle(cover)
    place = pricing.find_place(lines, coming.version.plan.label)
    is_planned = _find_priced(cover, at=at) is not None
    if place is None or not (is_planned or not planning.was_charged(cover.subscription_id)):
        return  # the price is changed by hand
    sold = list(map(SubscriptionLineFields.of, cover.subscription.lines))
    lines[place] = _line_again(cover, sold if is_planned else [], lines[place], at=at)
    if is_planned and lines == sold:
        planning.withdraw_lines(cover.subscription_id, version=version, by=by, at=at)
    else:
        planning.plan_lines(cover.subscription_id, lines, version=version, by=by, at=at)


def _is_charged(cover: Cover, coming: CoverPeriod) -> bool:
    """Whether a cycle was claimed that reaches beyond the day on which the plan was to come."""
    statement = select(
        exists().where(
            Charge.organisation_id == current_organisation_id(),
            Charge.subscription_id == cover.subscription_id,
            Charge.cycle_no.is_not(None),
            Charge.period_end > coming.since,
        )
    )
    return bool(db.session.scalar(statement))


def _line_again(
    cover: Cover, sold: list[SubscriptionLineFields], line: SubscriptionLineFields, *, at: datetime
) -> SubscriptionLineFields:
    """The line of the present plan: as it is ``sold``, or at the price of the home that is to come."""
    present = cover.periods[-2].version
    place = pricing.find_place(sold, present.plan.label)
    if place is not None and not _costs_otherwise(cover, present, at=at):
        return sold[place]
    return pricing.plan_line(present, homes.price_at(present, cover.homes[-1].home), quantity=line.quantity)


def _take_back(cover: Cover, coming: CoverPeriod, *, by: User | None, at: datetime) -> None:
    """Move the row to those that were withdrawn, and tell the client's timeline, in the caller's transaction."""
    withdrawn = CoverWithdrawnPeriod(
        cover_id=cover.id,
        since=coming.since,
        at=coming.at,
        version_id=coming.version_id,
        user_id=by.id if by else None,
        withdrawn_at=at,
    )
    db.session.add(withdrawn)
    db.session.flush()
    db.session.execute(
        delete(CoverPeriod).where(
            CoverPeriod.cover_id == cover.id, CoverPeriod.since == coming.since, CoverPeriod.at == coming.at
        )
    )
    present = cover.periods[-2].version
    told: dict[str, list[str | None]] = {
        "plan": [f"{coming.version.title}, prévue le {french.day(coming.since)}", present.title],
        "planned_change": ["prévu", "retiré"],
    }
    recording.tell(cover, EventKind.COVER_CHANGED, told, by=by, at=at)


def _check_home(cover: Cover, coming: CoverPeriod | None, *, at: datetime) -> None:
    """A home stays that is to come: its price comes with it."""
    home = _home_to_come(cover, at=at)
    if home is None:
        return
    costs_otherwise = _costs_otherwise(cover, cover.periods[-2].version, at=at) if coming else _is_priced_anew(cover)
    if costs_otherwise:
        raise CoverStateError(
            f"La couverture {cover.code} change de logement le {french.day(home.since)}\u202f: son prix change avec"
            " lui. Corrigez d’abord le logement couvert."
        )


def _home_to_come(cover: Cover, *, at: datetime) -> CoverHome | None:
    latest = cover.homes[-1]
    return latest if latest.since > days.local(at) else None


def _costs_otherwise(cover: Cover, version: CoverPlanVersion, *, at: datetime) -> bool:
    """Whether that version has another price where the home is that is to come."""
    home = _home_to_come(cover, at=at)
    if home is None:
        return False
    present = [each for each in cover.lasting_homes if each.since < home.since]
    return bool(present) and version.price_at(present[-1].home.postcode) != version.price_at(home.home.postcode)


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
