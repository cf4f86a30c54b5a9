"""Another plan for a cover: a dearer one at once, prorated; a cheaper one from the next cycle on.

What the client was covered for the day before has no new waiting, and counters go on (``lifetime``).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.covers import Cover, CoverPeriod, CoverPlanVersion
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.covers import homes, ledger, loading, plans, pricing, recording
from webapp.services.covers.counters import find_excess, remaining
from webapp.services.covers.pricing import Confirmed, Price
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction


@dataclass(frozen=True)
class PlanChange:
    """What taking another version comes to. ``since`` is its first day; ``monthly`` its price before tax where the
    home is.
    """

    version: CoverPlanVersion
    monthly: Decimal
    since: date
    is_at_once: bool
    price: Price


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
    check_open(cover)
    return _change(cover, version_id, at=at)


def change_plan(cover_id: UUID, version_id: UUID | None, confirmed: Confirmed, *, by: User, at: datetime) -> Cover:
    """Take another version. Raises as ``preview_plan`` and ``pricing.take``."""
    with transaction():
        cover = loading.find_cover(cover_id)
        if cover.periods[-1].version_id == version_id:
            return cover  # sent twice
        change = preview_plan(cover_id, version_id, at=at)
        pricing.take(cover, change.price, confirmed, by=by, at=at)
        cover = recording.find_living(cover_id, at=at)  # after the subscription, which whoever sells locks first
        check_open(cover)
        _check_turn(cover, change.since, at=at)
        period = CoverPeriod(cover_id=cover_id, since=change.since, version_id=change.version.id, user_id=by.id, at=at)
        db.session.add(period)
        told: dict[str, list[str | None]] = {"plan": [cover.periods[-1].version.title, change.version.title]}
        recording.tell(cover, EventKind.COVER_CHANGED, told, by=by, at=at)
    return loading.find_cover(cover_id)


def check_open(cover: Cover) -> None:
    """Raise CoverStateError where a claim is under way, HeldByShopError where a shop holds the subscription."""
    lifecycle.refuse_of_shop(cover.subscription)
    recording.refuse_open_claims(cover.id, "la couverture change")


def _change(cover: Cover, version_id: UUID | None, *, at: datetime) -> PlanChange:
    version = next((each for each in list_choices(cover) if each.id == version_id), None)
    if version is None:
        raise InvalidInputError("Choisissez une autre formule en vente.", field="version")
    today, present, home = days.local(at), cover.periods[-1].version, cover.homes[-1].home
    monthly, monthly_now = homes.price_at(version, home), present.price_at(home.postcode)
    is_at_once = monthly_now is None or monthly >= monthly_now
    since = today if is_at_once else max(recording.next_cycle(cover, at=at), today + timedelta(days=1))
    _check_turn(cover, since, at=at)
    if not is_at_once:
        counters = remaining(loading.life_of(cover), ledger.list_entries(cover.id), since)
        excess = find_excess(counters, loading.plan_terms(version))
        if excess:
            raise InvalidInputError(excess, field="version")
    lines = pricing.lines_now(cover) if is_at_once else pricing.lines_of_next_cycle(cover)
    place = pricing.find_place(lines, present.plan.label)
    if place is None:
        return PlanChange(version, monthly, since, is_at_once, Price(None))
    lines[place] = pricing.plan_line(version, monthly, quantity=lines[place].quantity)
    price = pricing.price_now(cover, lines, at=at) if is_at_once else Price(lines)
    return PlanChange(version, monthly, since, is_at_once, price)


def _check_turn(cover: Cover, since: date, *, at: datetime) -> None:
    """Two changes on one day have no order, and what is planned stands."""
    period = cover.periods[-1]
    last = period.since
    if last > days.local(at):
        raise CoverStateError(
            f"La couverture passe déjà à la formule «\u00a0{period.version.plan.label}\u00a0» le {french.day(last)}"
            "\u202f: gardez d’abord la formule en cours, ou choisissez-en une autre après ce jour."
        )
    if since <= last:
        raise CoverStateError(f"La formule date du {french.day(last)}\u202f: la suivante vient après ce jour.")
