"""Another home for a cover: from when on it holds, by the company's cut-off, and what the plan says of it.

Asked for before the cut-off that settles the present cycle, it holds from that on, today unless another day was wished;
after it from the next cycle on, as a change of preferences does.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from webapp.errors import InvalidInputError
from webapp.models.covers import Cover, CoverPlanVersion
from webapp.models.identity import User
from webapp.services.covers import ledger, loading, recording, selling
from webapp.services.covers.recording import CoverStateError
from webapp.services.covers.selling import CoverRequest
from webapp.services.dunning import days
from webapp.services.preferences import cut_offs, settling
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.transactions import transaction


@dataclass(frozen=True)
class Move:
    """What another home comes to: ``since`` is its first day; ``is_at_once`` where the present cycle is not settled.

    The plan is sold there, at the same price.
    """

    address: str
    since: date
    is_at_once: bool
    version: CoverPlanVersion


def preview_move(cover_id: UUID, asked: CoverRequest, *, wished: date | None, at: datetime) -> Move:
    """What the move comes to, ``wished`` for a day; nothing is written.

    Raises NotFoundError, CoverStateError; InvalidInputError for a home at which the plan is not sold.
    """
    cover = loading.find_cover(cover_id)
    recording.check_living(cover)
    if ledger.has_open_claim(cover_id):
        raise CoverStateError(selling.CLAIM_IS_OPEN)
    version = cover.periods[-1].version
    home = selling.check_home(cover.client_id, asked, version, at=at)
    today, cycle = days.local(at), _first_cycle(cover, at=at)
    since = max(cycle, wished or today)
    return Move(home.one_line, since, cycle <= today, version)


def move(
    cover_id: UUID, asked: CoverRequest, *, wished: date | None, shown: date | None, by: User, at: datetime
) -> Cover:
    """Let the cover hold for another home. ``shown`` is the first day that the preview told.

    Raises as ``preview_move``; InvalidInputError (field « since ») where that is another day by now.
    """
    with transaction():
        cover = loading.find_cover(cover_id)
        settling.hold_batches(lifecycle.find_for_update(cover.subscription_id))
        found = preview_move(cover_id, asked, wished=wished, at=at)
        if found.since != shown:
            raise InvalidInputError("Vérifiez à partir de quel jour, puis confirmez.", field="since")
        return selling.move_home(cover_id, asked, since=found.since, by=by, at=at)


def _first_cycle(cover: Cover, *, at: datetime) -> date:
    """The first day of the earliest cycle for which a move still holds: the present one until it is settled."""
    subscription = cover.subscription
    cut_off = cut_offs.find_cut_off(subscription.company_id)
    if settling.first_cycle_for_change(subscription, cut_off, at=at) < subscription.cycle_no:
        return max(scheduling.date_of(subscription, subscription.cycle_no - 1), cover.effective_on)
    next_cycle = recording.next_cycle(cover, at=at)
    return next_cycle if next_cycle > days.local(at) else cover.effective_on
