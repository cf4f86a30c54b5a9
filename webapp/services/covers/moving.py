"""Another home for a cover: from when on it holds, by the company's cut-off, and what the plan costs there.

Asked for before the cut-off that settles the present cycle, it holds from that on, today unless another day was wished;
after it from the next cycle on, as a change of preferences does. Where the zone has another price, the subscription
changes with it: by day where the home is covered today already, else with the next cycle.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.covers import Cover, CoverPlanVersion
from webapp.models.identity import User
from webapp.services.covers import homes, ledger, loading, pricing, recording, selling
from webapp.services.covers.pricing import Confirmed, Price
from webapp.services.covers.recording import CoverStateError
from webapp.services.covers.selling import CoverRequest
from webapp.services.dunning import days
from webapp.services.plan_changes import changing
from webapp.services.preferences import cut_offs, settling
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.transactions import transaction


@dataclass(frozen=True)
class Move:
    """What another home comes to: ``since`` is its first day; ``is_at_once`` where the present cycle is not settled.

    The plan costs ``monthly`` there (before tax), and ``monthly_now`` at the present home. ``price`` is what that does
    to the subscription, None where both are the same; ``priced_since`` is the first day of the new price.
    """

    address: str
    since: date
    is_at_once: bool
    version: CoverPlanVersion
    monthly: Decimal
    monthly_now: Decimal | None
    price: Price | None
    priced_since: date


@dataclass(frozen=True, kw_only=True)
class ShownMove:
    """What the form showed: the first day, the price per month there, and what it does to the subscription."""

    since: date | None
    monthly: Decimal | None = None
    confirmed: Confirmed | None = None


def preview_move(cover_id: UUID, asked: CoverRequest, *, wished: date | None, at: datetime) -> Move:
    """What the move comes to, ``wished`` for a day; nothing is written.

    Raises NotFoundError, CoverStateError; InvalidInputError for a home at which the plan is not sold.
    """
    cover = loading.find_cover(cover_id)
    recording.check_living(cover)
    if ledger.has_open_claim(cover_id):
        raise CoverStateError(selling.CLAIM_IS_OPEN)
    version = cover.periods[-1].version
    home = selling.check_home(cover.client_id, asked, at=at)
    today, cycle = days.local(at), _first_cycle(cover, at=at)
    since = max(cycle, wished or today)
    monthly, monthly_now = homes.price_at(version, home), version.price_at(cover.homes[-1].home.postcode)
    found = Move(home.one_line, since, cycle <= today, version, monthly, monthly_now, None, since)
    return found if monthly == monthly_now else _priced(cover, found, at=at)


def _priced(cover: Cover, found: Move, *, at: datetime) -> Move:
    """The move with what it does to the price. Raises CoverStateError; InvalidInputError (field « since »)."""
    today, next_cycle = days.local(at), recording.next_cycle(cover, at=at)
    if found.since > max(today, next_cycle):
        raise InvalidInputError(
            "Le prix est différent à cette adresse, et change au plus tard avec la prochaine échéance\u202f: "
            f"choisissez un jour jusqu’au {french.day(next_cycle)}.",
            field="since",
        )
    is_now = found.since <= today
    by_hand = replace(found, price=Price(None), priced_since=found.since if is_now else next_cycle)
    if cover.subscription.is_of_shop:
        return by_hand
    lines = pricing.lines_now(cover) if is_now else pricing.lines_of_next_cycle(cover)
    place = pricing.find_place(lines, found.version.plan.label)
    if place is None:
        return by_hand
    lines[place] = pricing.plan_line(found.version, found.monthly, quantity=lines[place].quantity)
    return replace(by_hand, price=pricing.price_since(cover, lines, found.since, at=at) if is_now else Price(lines))


def move(
    cover_id: UUID, asked: CoverRequest, *, wished: date | None, shown: ShownMove, by: User, at: datetime
) -> Cover:
    """Let the cover hold for another home, at the price that was shown.

    Raises as ``preview_move`` and ``pricing.take``; InvalidInputError (field « since ») where the day or the price is
    another one than ``shown`` by now.
    """
    with transaction():
        cover = loading.find_cover(cover_id)
        changing.lock_charges(cover.subscription_id)
        settling.hold_batches(lifecycle.find_for_update(cover.subscription_id))
        found = preview_move(cover_id, asked, wished=wished, at=at)
        if found.since != shown.since:
            raise InvalidInputError("Vérifiez à partir de quel jour, puis confirmez.", field="since")
        if found.price is not None:
            if found.monthly != shown.monthly or shown.confirmed is None:
                raise InvalidInputError("Vérifiez le prix à cette adresse, puis confirmez.", field="since")
            pricing.take(cover, found.price, shown.confirmed, by=by, at=at)
        return selling.move_home(cover_id, asked, since=found.since, by=by, at=at)


def _first_cycle(cover: Cover, *, at: datetime) -> date:
    """The first day of the earliest cycle for which a move still holds: the present one until it is settled."""
    subscription = cover.subscription
    cut_off = cut_offs.find_cut_off(subscription.company_id)
    if settling.first_cycle_for_change(subscription, cut_off, at=at) < subscription.cycle_no:
        return max(scheduling.date_of(subscription, subscription.cycle_no - 1), cover.effective_on)
    next_cycle = recording.next_cycle(cover, at=at)
    return next_cycle if next_cycle > days.local(at) else cover.effective_on
