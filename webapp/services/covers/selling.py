"""Covers are made for subscriptions, and hold for another home, by rows that are only ever added."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp import french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.covers import (
    Cover,
    CoveredHome,
    CoverHome,
    CoverOption,
    CoverPeriod,
    CoverPlanOption,
    CoverPlanVersion,
)
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind
from webapp.services.clients.locking import lock_client
from webapp.services.covers import following, homes, loading, plans, pricing, recording, renouncing
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields, check_frequency
from webapp.services.subscriptions.means import PaymentFields
from webapp.transactions import transaction

EARLIEST = date(2000, 1, 1)
HOME_CHANGES = "le logement change"
FURTHEST = timedelta(days=366)
"""How far ahead a cover may take effect."""


NO_HOME = HomeFields()


@dataclass(frozen=True, kw_only=True)
class CoverRequest:
    """A cover as asked for. ``home_id`` is a home of the client's; without, ``home`` is written as a further one."""

    version_id: UUID | None
    option_codes: frozenset[str] = frozenset()
    home_id: UUID | None = None
    home: HomeFields = NO_HOME
    concluded_on: date | None = None
    effective_on: date | None = None


def add_cover(subscription_id: UUID, asked: CoverRequest, *, by: User, at: datetime) -> Cover:
    """Let a subscription give a cover.

    Raises NotFoundError; CoverStateError where it gives one already, or has ended; InvalidInputError, naming the field.
    """
    with transaction():
        subscription = lifecycle.find_for_update(subscription_id)
        if subscription.client.erased_at:
            raise CoverStateError(recording.ERASED)
        if subscription.status.is_final:
            raise CoverStateError("Cet abonnement est terminé\u202f: il ne peut plus donner de couverture.")
        if loading.find_of_subscription(subscription_id) is not None:
            raise CoverStateError("Cet abonnement donne déjà une couverture.")
        version = _find_sold(subscription, asked.version_id)
        options = find_options(version, asked.option_codes)
        concluded_on, effective_on = _checked_days(asked, on=days.local(at))
        home = _home(subscription.client_id, asked, version, at=at)
        window_end = renouncing.window_end(concluded_on)
        cover = Cover(
            subscription_id=subscription_id,
            client_id=subscription.client_id,
            concluded_on=concluded_on,
            effective_on=effective_on,
            window_ends_on=window_end if window_end >= days.local(at) else None,
            created_by_id=by.id,
            created_at=at,
        )
        db.session.add(cover)
        db.session.flush()
        _promise(cover, version, options, home, since=effective_on, by=by, at=at)
        cover = loading.find_for_update(cover.id)
        following.begin(cover, subscription, at=at)
        recording.tell(cover, EventKind.COVER_ADDED, {"plan": [None, version.plan.label]}, by=by, at=at)
    return loading.find_cover(cover.id)


def sell_cover(
    client_id: UUID,
    asked: CoverRequest,
    *,
    frequency: str,
    payment: PaymentFields,
    contract_id: UUID | None = None,
    by: User,
    at: datetime,
) -> Cover:
    """Sell a cover to a client: a pending subscription with the plan's and the options' prices, and its cover.

    It is of the contract that is named, if any. The first payment, or a person, activates it. A home is covered once by
    a plan, so that whoever sends the form twice sells once. Raises NotFoundError; InvalidInputError, naming the field.
    """
    with transaction():
        version = _find_any_sold(asked.version_id)
        options = find_options(version, asked.option_codes)
        _, effective_on = _checked_days(asked, on=days.local(at))
        _check_not_covered(client_id, asked, version)
        months = months_of(frequency)
        price = homes.price_at(version, check_home(client_id, asked, at=at))
        subscription = create_subscription(
            SubscriptionFields(
                client_id=client_id,
                company_id=version.plan.company_id,
                contract_id=contract_id,
                frequency=frequency,
                anchor_date=max(effective_on, days.local(at)),
                lines=sold_lines(version, price, options, months),
                payment=payment,
            ),
            by=by,
            at=at,
        )
        return add_cover(subscription.id, asked, by=by, at=at)


def months_of(frequency: str) -> int:
    """How many months are paid at once. Raises InvalidInputError (field « frequency »)."""
    months = pricing.MONTHS.get(check_frequency(frequency))
    if months is None:
        raise InvalidInputError("Une couverture se paie par mois, trimestre ou année.", field="frequency")
    return months


def sold_lines(
    version: CoverPlanVersion, price: Decimal, options: Iterable[CoverPlanOption], months: int
) -> list[SubscriptionLineFields]:
    """What is charged each time: the plan at its price per month where the home is, and each option."""
    quantity = Decimal(months)
    of_options = (pricing.option_line(each, vat_rate=version.vat_rate, quantity=quantity) for each in options)
    return [pricing.plan_line(version, price, quantity=quantity), *of_options]


def _check_not_covered(client_id: UUID, asked: CoverRequest, version: CoverPlanVersion) -> None:
    """The client is locked, so that of two that come at once the second sees the first."""
    lock_client(client_id)
    for cover in loading.list_of_client(client_id):
        home, plan = cover.homes[-1].home, cover.periods[-1].version.plan_id
        is_same = home.id == asked.home_id or (asked.home_id is None and asked.home.is_at(home))
        if is_same and plan == version.plan_id and not cover.subscription.status.is_final:
            raise InvalidInputError(
                f"Ce logement est déjà couvert par cette formule\u202f: couverture {cover.code}.", field="home"
            )


def _find_any_sold(version_id: UUID | None) -> CoverPlanVersion:
    version = next((each for each in plans.list_sold() if each.id == version_id), None)
    if version is None:
        raise InvalidInputError("Choisissez une formule en vente.", field="version")
    return version


def _promise(
    cover: Cover,
    version: CoverPlanVersion,
    options: Iterable[CoverPlanOption],
    home: CoveredHome,
    *,
    since: date,
    by: User,
    at: datetime,
) -> None:
    db.session.add(CoverPeriod(cover_id=cover.id, since=since, version_id=version.id, user_id=by.id, at=at))
    db.session.add(CoverHome(cover_id=cover.id, since=since, home_id=home.id, user_id=by.id, at=at))
    for option in options:
        db.session.add(CoverOption(cover_id=cover.id, option_id=option.id, since=since, user_id=by.id, at=at))
    db.session.flush()


def check_turn(cover: Cover, since: date, *, at: datetime) -> None:
    """Raise InvalidInputError (field « since ») for another home before the latest one, or on a day that has begun."""
    standing, today = cover.homes[-1], days.local(at)
    is_planned = not cover.facts or standing.since > today
    if since > standing.since or (since == standing.since and is_planned):
        return
    first = french.day(standing.since)
    if standing.since > today:
        sentence = f"Un autre logement est déjà prévu le {first}\u202f: choisissez ce jour, ou un jour plus tard."
    else:
        sentence = f"Le logement actuel est couvert depuis le {first}\u202f: choisissez un jour qui vient après."
    raise InvalidInputError(sentence, field="since")


def move_home(
    cover_id: UUID,
    asked: CoverRequest,
    *,
    since: date,
    told: dict[str, list[str | None]] | None = None,
    by: User,
    at: datetime,
) -> Cover:
    """Let the cover hold for another home from a day on; the timeline tells that, and what is ``told`` besides.

    A home that does not hold yet is replaced on its own day. Raises NotFoundError, CoverStateError; InvalidInputError.
    """
    with transaction():
        cover = recording.find_living(cover_id, at=at)
        recording.refuse_open_claims(cover_id, HOME_CHANGES)
        check_turn(cover, since, at=at)
        standing = cover.homes[-1]
        home = _home(cover.client_id, asked, cover.periods[-1].version, at=at)
        if home.id == standing.home_id:
            raise InvalidInputError("Ce logement est déjà celui qui est couvert.", field="home")
        db.session.add(CoverHome(cover_id=cover_id, since=since, home_id=home.id, user_id=by.id, at=at))
        changes: dict[str, list[str | None]] = {"home": [standing.home.one_line, home.one_line], **(told or {})}
        recording.tell(cover, EventKind.COVER_CHANGED, changes, by=by, at=at)
    return loading.find_cover(cover_id)


def _find_sold(subscription: Subscription, version_id: UUID | None) -> CoverPlanVersion:
    sold = plans.list_sold(subscription.company_id)
    version = next((each for each in sold if each.id == version_id), None)
    if version is None:
        raise InvalidInputError("Choisissez une formule en vente chez la société de l’abonnement.", field="version")
    return version


def find_options(version: CoverPlanVersion, codes: Collection[str]) -> list[CoverPlanOption]:
    """The options of those codes. Raises InvalidInputError (field « options ») for one that the version has not."""
    if set(codes) - {option.code for option in version.options}:
        raise InvalidInputError("Choisissez des options de cette formule.", field="options")
    return [option for option in version.options if option.code in codes]


def _checked_days(asked: CoverRequest, *, on: date) -> tuple[date, date]:
    concluded_on = asked.concluded_on or on
    effective_on = asked.effective_on or concluded_on
    if not EARLIEST <= concluded_on <= on:
        raise InvalidInputError("La date de conclusion est aujourd’hui au plus tard.", field="concluded_on")
    if not concluded_on <= effective_on <= on + FURTHEST:
        raise InvalidInputError(
            "La couverture prend effet le jour de sa conclusion au plus tôt, dans un an au plus tard.",
            field="effective_on",
        )
    return concluded_on, effective_on


def _home(client_id: UUID, asked: CoverRequest, version: CoverPlanVersion, *, at: datetime) -> CoveredHome:
    home = check_home(client_id, asked, at=at)
    homes.price_at(version, home)
    return homes.add_home(client_id, home, at=at) if isinstance(home, HomeFields) else home


def check_home(client_id: UUID, asked: CoverRequest, *, at: datetime) -> CoveredHome | HomeFields:
    """The client's home that was chosen, or the one that was written. Raises InvalidInputError."""
    if asked.home_id is None:
        return asked.home.normalised(on=days.local(at))
    statement = select(CoveredHome).where(CoveredHome.id == asked.home_id, CoveredHome.client_id == client_id)
    home = db.session.scalar(statement)
    if home is None:
        raise InvalidInputError("Choisissez un logement du client.", field="home")
    return home
