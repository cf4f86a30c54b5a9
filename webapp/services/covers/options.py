"""The options of a cover: one is added at once, prorated, and ends with the next cycle of the subscription."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.covers import Cover, CoverOption, CoverPlanOption
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.covers import ledger, loading, pricing, recording
from webapp.services.covers.changing import check_open
from webapp.services.covers.counters import remaining
from webapp.services.covers.pricing import Confirmed, Price
from webapp.services.covers.recording import CoverStateError
from webapp.services.covers.terms import NOTHING
from webapp.services.dunning import days
from webapp.transactions import transaction


@dataclass(frozen=True)
class OptionChange:
    """What adding an option, or its end, comes to. ``since`` is the first day with it, or the first without."""

    option: CoverPlanOption
    since: date
    price: Price


def preview_option(cover_id: UUID, code: str, *, at: datetime) -> OptionChange:
    """What adding an option of the cover's plan comes to; nothing is written. Its waiting begins with its first day.

    Raises NotFoundError, CoverStateError, HeldByShopError; InvalidInputError (field « option »).
    """
    cover = loading.find_cover(cover_id)
    check_open(cover)
    version, today = cover.periods[-1].version, days.local(at)
    option = next((each for each in version.options if each.code == code), None)
    if option is None:
        raise InvalidInputError("Choisissez une option de la formule.", field="option")
    since = max(today, cover.effective_on)
    _check_not_had(cover, code, since)
    months = pricing.MONTHS.get(cover.subscription.frequency)
    if months is None:
        return OptionChange(option, since, Price(None))
    line = pricing.option_line(option, vat_rate=version.vat_rate, quantity=Decimal(months))
    return OptionChange(option, since, pricing.price_now(cover, [*pricing.lines_now(cover), line], at=at))


def add_option(cover_id: UUID, code: str, confirmed: Confirmed, *, by: User, at: datetime) -> Cover:
    """Add an option of the cover's plan. Raises as ``preview_option`` and ``pricing.take``."""
    with transaction():
        change = preview_option(cover_id, code, at=at)
        pricing.take(loading.find_cover(cover_id), change.price, confirmed, by=by, at=at)
        cover = recording.find_living(cover_id, at=at)  # after the subscription, which whoever sells locks first
        _check_not_had(cover, code, change.since)
        option = change.option
        db.session.add(CoverOption(cover_id=cover_id, option_id=option.id, since=change.since, user_id=by.id, at=at))
        recording.tell(cover, EventKind.COVER_CHANGED, {"option": [None, option.label]}, by=by, at=at)
    return loading.find_cover(cover_id)


def preview_end(cover_id: UUID, cover_option_id: UUID, *, at: datetime) -> OptionChange:
    """What the end of an option comes to; nothing is written. It is paid for, and holds, until the next cycle.

    Raises NotFoundError, CoverStateError, HeldByShopError.
    """
    cover = loading.find_cover(cover_id)
    check_open(cover)
    period = _find_period(cover, cover_option_id)
    until = max(recording.next_cycle(cover, at=at), period.since + timedelta(days=1))
    counters = remaining(loading.life_of(cover), ledger.list_entries(cover_id), until)
    used = next((each.amount for each in counters.options if each.code == period.option.code), NOTHING)
    if used > 0:
        raise CoverStateError(
            f"Cette option a servi cette année ({french.short_money(used)})\u202f: "
            f"elle peut prendre fin à partir du {french.day(counters.year.renewed_on)}."
        )
    lines = pricing.lines_of_next_cycle(cover)
    place = pricing.find_place(lines, pricing.option_label(period.option))
    if place is not None:
        del lines[place]
    return OptionChange(period.option, until, Price(lines if place is not None and lines else None))


def end_option(cover_id: UUID, cover_option_id: UUID, confirmed: Confirmed, *, by: User, at: datetime) -> Cover:
    """Let an option end with the next cycle of the subscription. Raises as ``preview_end`` and ``pricing.take``."""
    with transaction():
        change = preview_end(cover_id, cover_option_id, at=at)
        pricing.take(loading.find_cover(cover_id), change.price, confirmed, by=by, at=at)
        cover = recording.find_living(cover_id, at=at)  # after the subscription, which whoever sells locks first
        period = _find_period(cover, cover_option_id)
        period.until = change.since
        recording.tell(cover, EventKind.COVER_CHANGED, {"option": [period.option.label, None]}, by=by, at=at)
    return loading.find_cover(cover_id)


def _check_not_had(cover: Cover, code: str, since: date) -> None:
    if any(each.option.code == code and (each.until is None or each.until > since) for each in cover.options):
        raise InvalidInputError("Cette couverture a déjà cette option.", field="option")


def _find_period(cover: Cover, cover_option_id: UUID) -> CoverOption:
    """The option that the cover has. Raises NotFoundError; CoverStateError where its end is known already."""
    period = next((each for each in cover.options if each.id == cover_option_id), None)
    if period is None:
        raise NotFoundError("Cette option n’existe pas ou plus.")
    if period.until is not None:
        raise CoverStateError(f"Cette option prend déjà fin le {french.day(period.until)}.")
    return period
