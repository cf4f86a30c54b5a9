"""What the page of a cover shows: how it stands, its line of time, what is used; and whether a thing is covered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select

from webapp.extensions import db
from webapp.models.claims import Claim as ClaimRow
from webapp.models.covers import Cover, CoverCause, CoveredHome, CoverOption, CoverPlanVersion, Trade
from webapp.services.covers import ledger, loading, renouncing
from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.counters import Counters, remaining
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision
from webapp.services.covers.intervals import Interval
from webapp.services.covers.lifetime import CoverLife
from webapp.services.covers.terms import Terms
from webapp.services.dunning import days, suspending

CLAIMS_SHOWN = 10


@dataclass(frozen=True)
class CoverProfile:
    """A cover as it stands. ``state`` is None before it takes effect; ``claims`` are the latest of ``claims_count``.

    ``resumes_at`` is the hour at which it goes on, where it is suspended for what was paid since.
    """

    cover: Cover
    life: CoverLife
    on: date
    state: Interval | None
    line_of_time: tuple[Interval, ...]
    counters: Counters
    claims: list[ClaimRow]
    claims_count: int
    resumes_at: datetime | None = None

    @property
    def version(self) -> CoverPlanVersion:
        """The version of the plan that it has today, or will have first."""
        periods = [period for period in self.cover.periods if period.since <= self.on]
        return (periods or self.cover.periods)[-1 if periods else 0].version

    @property
    def next_version(self) -> tuple[CoverPlanVersion, date] | None:
        """The version that it will have, and from when on, where that is another one."""
        coming = [each for each in self.cover.periods if each.since > max(self.on, self.cover.effective_on)]
        return (coming[0].version, coming[0].since) if coming else None

    @property
    def home(self) -> CoveredHome:
        """The home that it holds for today, or will first hold for."""
        first, *others = self.cover.lasting_homes
        return [first, *(each for each in others if each.since <= self.on)][-1].home

    @property
    def next_home(self) -> tuple[CoveredHome, date] | None:
        """The home that it will hold for, and from when on, where that is another one."""
        coming = [each for each in self.cover.lasting_homes if each.since > max(self.on, self.cover.effective_on)]
        return (coming[0].home, coming[0].since) if coming else None

    @property
    def options(self) -> list[CoverOption]:
        """The options that it has or will have."""
        return [each for each in self.cover.options if each.until is None or each.until > self.on]

    @property
    def offered_options(self) -> list[tuple[str, str]]:
        """The options of its plan that it does not have: code and name."""
        had = {each.option.code for each in self.options}
        return [(option.code, option.label) for option in self.version.options if option.code not in had]

    @property
    def trades(self) -> str:
        """The trades that it covers, by plan and options, in words."""
        options = [trade for each in self.options for trade in each.option.trades]
        return ", ".join(each.label for each in Trade if each.value in {*self.version.trades, *options})

    @property
    def waiting_until(self) -> date:
        """The last day of the plan's waiting."""
        return self.cover.effective_on + timedelta(days=self.life.plans[0].terms.waiting_days - 1)

    @property
    def limits(self) -> Terms:
        """Deductible and caps as they hold today, or will first hold."""
        return self.life.limits_on(max(self.on, self.cover.effective_on))

    @property
    def change_waits_until(self) -> date | None:
        """The last day on which what the present plan gives beyond the former one waits."""
        return self.life.waits_until(max(self.on, self.cover.effective_on))

    @property
    def renounced_until(self) -> date:
        """The last day on which the client may give the cover up."""
        return renouncing.last_day(self.cover)

    @property
    def may_renounce(self) -> bool:
        """Whether that can be done today."""
        subscription = self.cover.subscription
        is_living = not (subscription.status.is_final or subscription.is_of_shop or self.cover.client.erased_at)
        return is_living and self.on <= self.renounced_until


def find_profile(cover_id: UUID, *, at: datetime) -> CoverProfile:
    """What the page shows. Raises NotFoundError."""
    (profile,) = _profiles([loading.find_cover(cover_id)], at=at)
    return profile


def list_profiles(client_id: UUID, *, at: datetime) -> list[CoverProfile]:
    """The same of each of a client's covers, the latest first; as many queries however many there are."""
    return _profiles(loading.list_of_client(client_id), at=at)


def _profiles(covers: Sequence[Cover], *, at: datetime) -> list[CoverProfile]:
    cover_ids = [cover.id for cover in covers]
    entries, claims, on = ledger.list_entries_of(cover_ids), _latest_claims(cover_ids), days.local(at)
    profiles = [_profile(cover, entries[cover.id], claims[cover.id], on=on, at=at) for cover in covers]
    unpaid = [each.cover.subscription_id for each in profiles if each.state and each.state.cause is CoverCause.UNPAID]
    hours = suspending.list_resumptions(unpaid) if unpaid else {}
    return [replace(each, resumes_at=hours.get(each.cover.subscription_id)) for each in profiles]


def _profile(cover: Cover, entries: list[Entry], latest: "_Latest", *, on: date, at: datetime) -> CoverProfile:
    life = loading.life_of(cover)
    return CoverProfile(
        cover=cover,
        life=life,
        on=on,
        state=life.state_at(at),
        line_of_time=life.line_of_time(),
        counters=remaining(life, entries, max(on, cover.effective_on)),
        claims=latest.claims,
        claims_count=latest.count,
    )


@dataclass
class _Latest:
    """The latest claims of a cover, so many as are shown, and how many there are."""

    claims: list[ClaimRow]
    count: int = 0


def _latest_claims(cover_ids: Sequence[UUID]) -> dict[UUID, _Latest]:
    latest_first = (ClaimRow.event_on.desc(), ClaimRow.id.desc())
    place = func.row_number().over(partition_by=ClaimRow.cover_id, order_by=latest_first).label("place")
    count = func.count().over(partition_by=ClaimRow.cover_id).label("count")
    ranked = select(ClaimRow.id, place, count).where(ClaimRow.cover_id.in_(cover_ids)).subquery()
    statement = select(ClaimRow, ranked.c.count).join(ranked, ranked.c.id == ClaimRow.id)
    found = {cover_id: _Latest([]) for cover_id in cover_ids}
    for claim, number in db.session.execute(statement.where(ranked.c.place <= CLAIMS_SHOWN).order_by(*latest_first)):
        found[claim.cover_id].claims.append(claim)
        found[claim.cover_id].count = number
    return found


def would_be_covered(
    cover_id: UUID, *, trade: Trade, event_on: date, asked: Decimal | None, at: datetime, names_homes: bool = True
) -> Decision:
    """What would be decided of such a claim if it were declared now, in sentences that name homes, or do not.

    Raises NotFoundError; InvalidInputError for what no claim can say.
    """
    claim = Claim(trade=trade, event_on=event_on, declared_on=days.local(at), asked=asked)
    return decide(
        loading.life_of(loading.find_cover(cover_id), names_homes=names_homes), claim, ledger.list_entries(cover_id), at
    )
