"""Another home for a cover: from when on it holds, by the company's cut-off, and what the plan costs there.

Asked for before the cut-off that settles the present cycle, it holds from that on, today unless another day was wished;
after it from the next cycle on, as a change of preferences does. Where the zone has another price, the subscription
changes with it: by day where the home is covered today already, else with the next cycle. A cover of which nothing was
charged yet begins with the other home, and its first cycle costs what that home costs. The client has agreed to a
higher price: whoever asks notes that. The client is told by a message.
"""

from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.covers import Cover, CoverPlanVersion
from webapp.models.identity import User
from webapp.models.messages import MessageKind
from webapp.models.money import totals
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.covers import homes, loading, pricing, recording, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.pricing import Confirmed, Price
from webapp.services.covers.selling import CoverRequest
from webapp.services.dunning import days
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.plan_changes import changing
from webapp.services.preferences import cut_offs, settling
from webapp.services.subscriptions import lifecycle, planning, scheduling
from webapp.transactions import transaction


@dataclass(frozen=True)
class Move:
    """What another home comes to: ``since`` is its first day; ``is_at_once`` where the present cycle is not settled.

    ``is_from_start`` where nothing was charged yet: the cover begins with this home, or ``is_after_start`` with the
    present one, and has this one later. The plan costs ``monthly`` there
    (before tax), and ``monthly_now`` at the present home. ``price`` is what that does to the subscription, None where
    both are the same; ``priced_since`` is the first day of the new price.
    """

    address: str
    since: date
    is_at_once: bool
    is_from_start: bool
    is_after_start: bool
    version: CoverPlanVersion
    monthly: Decimal
    monthly_now: Decimal | None
    price: Price | None
    priced_since: date

    @property
    def is_priced(self) -> bool:
        """Whether the subscription's own lines change; else the price stays, or is changed by hand."""
        return self.price is not None and self.price.lines is not None

    @property
    def is_dearer(self) -> bool:
        """Whether the client has to agree to more than the cover costs now."""
        return self.is_priced and (self.monthly_now is None or self.monthly > self.monthly_now)


@dataclass(frozen=True, kw_only=True)
class ShownMove:
    """What the form showed: the first day, the price per month there, and what it does to the subscription.

    ``is_agreed`` where whoever sent it notes that the client agrees to a higher price.
    """

    since: date | None
    monthly: Decimal | None = None
    confirmed: Confirmed | None = None
    is_agreed: bool = False


def preview_move(cover_id: UUID, asked: CoverRequest, *, wished: date | None, at: datetime) -> Move:
    """What the move comes to, ``wished`` for a day; nothing is written.

    Raises NotFoundError, CoverStateError; InvalidInputError for a home at which the plan is not sold.
    """
    cover = loading.find_cover(cover_id)
    recording.check_living(cover)
    recording.refuse_open_claims(cover_id, selling.HOME_CHANGES)
    version = cover.periods[-1].version
    home = selling.check_home(cover.client_id, asked, at=at)
    today, is_from_start = days.local(at), _is_from_start(cover)
    cycle = cover.effective_on if is_from_start else _first_cycle(cover, at=at)
    since = max(cycle, wished or (cycle if is_from_start else today))
    selling.check_turn(cover, since, at=at)
    monthly, monthly_now = homes.price_at(version, home), version.price_at(cover.homes[-1].home.postcode)
    is_after_start = is_from_start and since > max(today, cover.effective_on)
    found = Move(
        home.one_line,
        since,
        cycle <= today,
        is_from_start,
        is_after_start,
        version,
        monthly,
        monthly_now,
        None,
        since,
    )
    return found if monthly == monthly_now else _priced(cover, found, at=at)


def _is_from_start(cover: Cover) -> bool:
    """Whether the cover can still begin with another home: it awaits its first payment, and none was asked for."""
    is_pending = cover.subscription.status is SubscriptionStatus.PENDING
    return is_pending and not planning.was_charged(cover.subscription_id)


def _priced(cover: Cover, found: Move, *, at: datetime) -> Move:
    """The move with what it does to the price. Raises CoverStateError; InvalidInputError (field « since »)."""
    today, next_cycle = days.local(at), recording.next_cycle(cover, at=at)
    latest = max(today, cover.effective_on if found.is_from_start else next_cycle)
    if found.since > latest:
        raise InvalidInputError(_too_late(found, latest), field="since")
    is_now = found.since <= today and not found.is_from_start
    by_hand = replace(found, price=Price(None), priced_since=found.since if is_now else next_cycle)
    if cover.subscription.is_of_shop:
        return by_hand
    lines = pricing.lines_now(cover) if is_now else pricing.lines_of_next_cycle(cover)
    place = pricing.find_place(lines, found.version.plan.label)
    if place is None:
        return by_hand
    lines[place] = pricing.plan_line(found.version, found.monthly, quantity=lines[place].quantity)
    return replace(by_hand, price=pricing.price_since(cover, lines, found.since, at=at) if is_now else Price(lines))


def _too_late(found: Move, latest: date) -> str:
    """Why the day is too late for another price, and what can be done instead."""
    if found.is_from_start:
        return (
            "Le prix est différent à cette adresse, et l’abonnement attend son premier paiement\u202f:"
            f" choisissez un jour jusqu’au {french.day(latest)}, pour commencer à ce prix, ou attendez ce paiement pour"
            " un jour plus tard."
        )
    return (
        "Le prix est différent à cette adresse, et change au plus tard avec la prochaine échéance\u202f: choisissez un"
        f" jour jusqu’au {french.day(latest)}."
    )


def move(
    cover_id: UUID, asked: CoverRequest, *, wished: date | None, shown: ShownMove, by: User, at: datetime
) -> Cover:
    """Let the cover hold for another home, at the price that was shown.

    Sent twice, it is done once. Raises as ``preview_move`` and ``pricing.take``; InvalidInputError (field « since »)
    where the day or the price is another one than ``shown`` by now, (field « agreed ») where the client has to agree.
    """
    with transaction():
        subscription_id = loading.find_cover(cover_id).subscription_id
        changing.lock_charges(subscription_id)
        settling.hold_batches(lifecycle.find_for_update(subscription_id))
        cover = loading.find_cover(cover_id)
        if _is_done(cover, asked, shown, at=at):
            return cover
        found = preview_move(cover_id, asked, wished=wished, at=at)
        if found.since != shown.since:
            raise InvalidInputError("Vérifiez à partir de quel jour, puis confirmez.", field="since")
        if found.price is not None:
            if found.monthly != shown.monthly or shown.confirmed is None:
                raise InvalidInputError("Vérifiez le prix à cette adresse, puis confirmez.", field="since")
            if found.is_dearer and not shown.is_agreed:
                raise InvalidInputError(
                    "Le prix est plus élevé à cette adresse\u202f: notez que le client l’accepte.", field="agreed"
                )
            pricing.take(cover, found.price, shown.confirmed, by=by, at=at)
        cover = selling.move_home(cover_id, asked, since=found.since, told=_told(found), by=by, at=at)
        _write(cover, found, by=by, at=at)
    return cover


def _is_done(cover: Cover, asked: CoverRequest, shown: ShownMove, *, at: datetime) -> bool:
    """Whether the latest move is this very one."""
    latest = cover.homes[-1]
    if len(cover.homes) == 1 or latest.since != shown.since:
        return False
    home = selling.check_home(cover.client_id, asked, at=at)
    names = [field.name for field in fields(HomeFields)]
    return all(getattr(home, name) == getattr(latest.home, name) for name in names)


def _told(found: Move) -> dict[str, list[str | None]]:
    """What the timeline tells besides the homes."""
    if not found.is_priced:
        return {}
    now = None if found.monthly_now is None else str(found.monthly_now)
    agreed: dict[str, list[str | None]] = {"price_agreed": [None, "accepté par le client"]} if found.is_dearer else {}
    return {"monthly_price": [now, str(found.monthly)], **agreed}


def _write(cover: Cover, found: Move, *, by: User, at: datetime) -> None:
    """Tell the client, in the caller's transaction."""
    home = cover.homes[-1]
    with_tax = totals([(found.version.vat_rate, found.monthly)]).with_tax
    draft = Draft(
        kind=MessageKind.COVER_MOVED,
        company_id=cover.subscription.company_id,
        client_id=cover.client_id,
        subject_id=cover.id,
        occasion=f"{home.since}:{home.home_id}",
        variables={
            "couverture": cover.code,
            "formule": found.version.plan.label,
            "logement": found.address,
            "depuis": found.since,
            "prix": with_tax if found.is_priced else None,
            "prix_depuis": found.priced_since if found.is_priced else None,
            "accord": "oui" if found.is_dearer else None,
        },
    )
    writing.write(draft, at=at, by=by.id)


def _first_cycle(cover: Cover, *, at: datetime) -> date:
    """The first day of the earliest cycle for which a move still holds: the present one until it is settled."""
    subscription = cover.subscription
    cut_off = cut_offs.find_cut_off(subscription.company_id)
    if settling.first_cycle_for_change(subscription, cut_off, at=at) < subscription.cycle_no:
        return max(scheduling.date_of(subscription, subscription.cycle_no - 1), cover.effective_on)
    next_cycle = recording.next_cycle(cover, at=at)
    return next_cycle if next_cycle > days.local(at) else cover.effective_on
