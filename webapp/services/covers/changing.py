"""Another plan for a cover: a dearer one at once, prorated by day; a cheaper one from the next cycle on.

What the client was covered for the day before has no new waiting, and counters go on (``lifetime``). The subscription's
line that bears the plan's name becomes the new plan's; other lines stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.covers import Cover, CoverPeriod, CoverPlanVersion
from webapp.models.identity import User
from webapp.models.plan_changes import Settlement
from webapp.models.subscriptions import SubscriptionLine
from webapp.models.timeline import EventKind
from webapp.services.covers import homes, ledger, loading, plans, selling
from webapp.services.covers.counters import find_excess, remaining
from webapp.services.covers.selling import CoverStateError
from webapp.services.dunning import days
from webapp.services.plan_changes import changing
from webapp.services.plan_changes.changing import ChangePreview
from webapp.services.subscriptions import lifecycle, planning
from webapp.services.subscriptions.fields import SubscriptionLineFields
from webapp.transactions import transaction


@dataclass(frozen=True)
class PlanChange:
    """What taking another version comes to.

    ``since`` is its first day. ``preview`` is what the days until the next cycle cost more, where it is taken at once.
    ``lines`` are None where no line of the subscription bears the present plan's name: its price is changed by hand.
    """

    version: CoverPlanVersion
    since: date
    is_at_once: bool
    lines: list[SubscriptionLineFields] | None
    preview: ChangePreview | None

    @property
    def amount(self) -> Decimal:
        """What is asked for the days until the next cycle, with tax."""
        return self.preview.proration.amount if self.preview else Decimal("0.00")


def list_choices(cover: Cover) -> list[CoverPlanVersion]:
    """What the company sells besides what the cover has."""
    present = cover.periods[-1].version_id
    sold = plans.list_sold(cover.periods[-1].version.plan.company_id)
    return [version for version in sold if version.id != present]


def preview_plan(cover_id: UUID, version_id: UUID | None, *, at: datetime) -> PlanChange:
    """What taking that version comes to; nothing is written.

    Raises NotFoundError, CoverStateError; InvalidInputError (fields « version », « kind », « postcode »).
    """
    cover = loading.find_cover(cover_id)
    _check_open(cover)
    return _change(cover, version_id, at=at)


def change_plan(
    cover_id: UUID,
    version_id: UUID | None,
    *,
    shown: Decimal,
    adjustment_id: UUID,
    version: int,
    by: User,
    at: datetime,
) -> Cover:
    """Take another version. ``shown`` is the amount that the preview told, ``version`` the subscription's.

    ``adjustment_id`` is the form's: sent twice, it is done once. Raises as ``preview_plan``; OtherAmountError where the
    amount is another one by now, EditConflictError where somebody changed the subscription.
    """
    with transaction():
        cover = loading.find_cover(cover_id)
        if cover.periods[-1].version_id == version_id:
            return cover  # sent twice
        change = preview_plan(cover_id, version_id, at=at)
        _change_lines(cover, change, shown=shown, adjustment_id=adjustment_id, version=version, by=by, at=at)
        cover = selling.find_living(cover_id, at=at)  # after the subscription, which whoever sells locks first
        _check_open(cover)
        _check_turn(cover, change.since)
        period = CoverPeriod(cover_id=cover_id, since=change.since, version_id=change.version.id, user_id=by.id, at=at)
        db.session.add(period)
        told: dict[str, list[str | None]] = {"plan": [_name(cover.periods[-1].version), _name(change.version)]}
        selling.tell(cover, EventKind.COVER_CHANGED, told, by=by, at=at)
    return loading.find_cover(cover_id)


def _change_lines(
    cover: Cover, change: PlanChange, *, shown: Decimal, adjustment_id: UUID, version: int, by: User, at: datetime
) -> None:
    subscription_id = cover.subscription_id
    if change.lines is None:
        lifecycle.find_for_update(subscription_id)
    elif change.preview is None:
        planning.plan_lines(subscription_id, change.lines, version=version, by=by, at=at)
    else:
        changing.change_now(
            subscription_id,
            change.lines,
            day=change.since,
            settlement=settlement_of(change.preview),
            shown=shown,
            adjustment_id=adjustment_id,
            version=version,
            by=by,
            at=at,
        )


def settlement_of(preview: ChangePreview) -> Settlement | None:
    """With the next cycle wherever there is one: nobody is debited for a few days of difference."""
    if Settlement.NEXT_CYCLE in preview.ways:
        return Settlement.NEXT_CYCLE
    return preview.ways[0] if preview.ways else None


def _change(cover: Cover, version_id: UUID | None, *, at: datetime) -> PlanChange:
    version = next((each for each in list_choices(cover) if each.id == version_id), None)
    if version is None:
        raise InvalidInputError("Choisissez une autre formule en vente.", field="version")
    today, present = days.local(at), cover.periods[-1].version
    is_at_once = version.price >= present.price
    since = today if is_at_once else max(selling.next_cycle(cover, at=at), today + timedelta(days=1))
    _check_turn(cover, since)
    homes.check_sold_at(version, cover.homes[-1].home)
    if not is_at_once:
        counters = remaining(loading.life_of(cover), ledger.list_entries(cover.id), since)
        excess = find_excess(counters, loading.plan_terms(version))
        if excess:
            raise InvalidInputError(excess, field="version")
    lines = _lines(cover.subscription.lines, present, version)
    preview = None
    if is_at_once and lines is not None:
        preview = changing.preview_change(cover.subscription_id, lines, day=since, at=at)
    return PlanChange(version, since, is_at_once, lines, preview)


def _check_open(cover: Cover) -> None:
    lifecycle.refuse_of_shop(cover.subscription)
    if ledger.has_open_claim(cover.id):
        raise CoverStateError("Un sinistre est en cours\u202f: la formule change une fois son dossier clos.")


def _check_turn(cover: Cover, since: date) -> None:
    """Two changes on one day have no order, and what is planned stands."""
    last = cover.periods[-1].since
    if since <= last:
        raise CoverStateError(f"La formule date du {french.day(last)}\u202f: la suivante vient après ce jour.")


def _lines(
    lines: Sequence[SubscriptionLine], present: CoverPlanVersion, version: CoverPlanVersion
) -> list[SubscriptionLineFields] | None:
    """The subscription's lines with the new plan's in the place of the present one's; None where there is none."""
    place = next((number for number, line in enumerate(lines) if line.label == present.plan.label), None)
    if place is None:
        return None
    fields = [
        SubscriptionLineFields(
            label=line.label,
            unit_price=line.unit_price,
            quantity=line.quantity,
            vat_rate=line.vat_rate,
            discount=line.discount,
            product_id=line.product_id,
            is_shipped=line.is_shipped,
        )
        for line in lines
    ]
    fields[place] = SubscriptionLineFields(
        label=version.plan.label,
        unit_price=version.price,
        quantity=lines[place].quantity,
        vat_rate=version.vat_rate,
        is_shipped=False,
    )
    return fields


def _name(version: CoverPlanVersion) -> str:
    return f"{version.plan.label}, version {version.version}"
