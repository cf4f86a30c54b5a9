"""A cover year of which most is used: a task for the commercial of the client, once a year of each limit."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from webapp import tenancy
from webapp.extensions import db
from webapp.models.claims import ClaimEntry
from webapp.models.covers import CoverCapAlert
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.covers import ledger, loading
from webapp.services.covers.counters import Counters, remaining
from webapp.services.dunning import days
from webapp.transactions import transaction

SHARE = Decimal("0.8")
"""The part of a yearly limit from which somebody is told."""
TITLE = "Couverture {code}\u202f: presque tout est utilisé, {used}"
AT_ONCE = 500
YEAR_SINCE = """
  CASE WHEN v.year = 'civil' THEN date_trunc('year', CAST(:today AS date))::date
    WHEN c.effective_on + make_interval(years => this.years) > :today
      THEN (c.effective_on + make_interval(years => this.years - 1))::date
    ELSE (c.effective_on + make_interval(years => this.years))::date
  END
"""
"""The first day of the cover year that contains ``:today``, as ``lifetime.CoverLife.year_of`` reckons it."""
_USED = f"""
  claim_entries e
    JOIN covers c ON c.organisation_id = :organisation_id AND c.id = e.cover_id
    JOIN subscriptions s ON s.organisation_id = :organisation_id AND s.id = c.subscription_id
    CROSS JOIN LATERAL (
      SELECT p.version_id FROM cover_periods p
      WHERE p.organisation_id = :organisation_id AND p.cover_id = c.id AND p.since <= :today
      ORDER BY p.since DESC LIMIT 1
    ) present
    JOIN cover_plan_versions v ON v.organisation_id = :organisation_id AND v.id = present.version_id
    CROSS JOIN LATERAL (
      SELECT (extract(year FROM CAST(:today AS date)) - extract(year FROM c.effective_on))::int AS years
    ) this
    CROSS JOIN LATERAL (SELECT {YEAR_SINCE} AS since) year
  WHERE e.organisation_id = :organisation_id AND e.kind = 'covered' AND e.event_on >= year.since
    AND s.status NOT IN ('canceled', 'expired')
"""  # noqa: S608  an expression of ours
_UNTOLD = """NOT EXISTS (
    SELECT FROM cover_cap_alerts a
    WHERE a.organisation_id = :organisation_id AND a.cover_id = used.cover_id AND a.year_since = used.since
      AND a.option_code = used.option_code
  )"""
# While the waiting of another plan lasts, the limits are those of the plan before it: the least that the cover ever had
# find them all, and some others.
_NEAR = f"""
  SELECT used.cover_id FROM (
    SELECT c.id AS cover_id, year.since, '' AS option_code,
      CASE WHEN bool_or(e.draws_on_main) THEN greatest(sum(e.amount), 0) ELSE 0 END AS amount
    FROM {_USED}
    GROUP BY c.id, e.claim_id, year.since
  ) used
  CROSS JOIN LATERAL (
    SELECT min(v.cap_per_year) AS cap, min(v.claims_per_year) AS claims
    FROM cover_periods p
    JOIN cover_plan_versions v ON v.organisation_id = :organisation_id AND v.id = p.version_id
    WHERE p.organisation_id = :organisation_id AND p.cover_id = used.cover_id AND p.since <= :today
  ) lowest
  WHERE {_UNTOLD}
  GROUP BY used.cover_id, lowest.cap, lowest.claims
  HAVING sum(used.amount) >= :share * lowest.cap OR count(*) >= :share * lowest.claims
  UNION
  SELECT used.cover_id FROM (
    SELECT c.id AS cover_id, year.since, e.option_code, sum(e.amount) AS amount
    FROM {_USED} AND e.option_code IS NOT NULL
    GROUP BY c.id, year.since, e.option_code
  ) used
  JOIN cover_options k ON k.organisation_id = :organisation_id AND k.cover_id = used.cover_id
    AND k.since <= :today AND (k.until IS NULL OR k.until > :today)
  JOIN cover_plan_options o ON o.organisation_id = :organisation_id AND o.id = k.option_id
    AND o.code = used.option_code AND used.amount >= :share * o.cap_per_year
  WHERE {_UNTOLD}
  ORDER BY 1
"""  # noqa: S608  expressions of ours


class Limit(NamedTuple):
    """A limit of a cover year: the plan's, or the yearly cap of one of its options, by its code (empty: the plan's)."""

    cover_id: UUID
    year_since: date
    option_code: str


def raise_due(*, at: datetime) -> int:
    """Make a task, in every organisation, for each limit of which a cover has used most; returns how many."""

    def raise_here() -> int:
        ids = _list_near(days.local(at))
        return sum(_raise(ids[start : start + AT_ONCE], at=at) for start in range(0, len(ids), AT_ONCE))

    return each_organisation.work(raise_here, select(ClaimEntry.organisation_id))


def _raise(cover_ids: Sequence[UUID], *, at: datetime) -> int:
    """Whoever writes the alerts makes the tasks: two at once make one of each."""
    today = days.local(at)
    with transaction():
        entries, near = ledger.list_entries_of(cover_ids), dict[Limit, NewTask]()
        for cover in loading.list_covers(cover_ids):
            if cover.client.erased_at is not None:
                continue
            counters = remaining(loading.life_of(cover), entries[cover.id], today)
            for option_code, used in _near_limits(counters):
                title = TITLE.format(code=cover.code, used=used)
                near[Limit(cover.id, counters.year.since, option_code)] = NewTask(cover.client_id, title, today)
        new = _note(list(near), at=at)
        wanted = [task for limit, task in near.items() if limit in new]
        tasks.add_and_tell(wanted, at=at)
    return len(wanted)


def _near_limits(counters: Counters) -> Iterator[tuple[str, str]]:
    """Of which limits most is used: the code of the option (empty: the plan's), and how much in words."""
    limit = counters.claims_limit
    if _is_near(counters.amount, counters.cap) or (limit is not None and counters.claims >= SHARE * limit):
        yield "", counters.sentence
    for option in counters.options:
        if _is_near(option.amount, option.cap):
            yield option.code, option.sentence


def _is_near(amount: Decimal, cap: Decimal | None) -> bool:
    return cap is not None and amount >= SHARE * cap


def _note(limits: Sequence[Limit], *, at: datetime) -> set[Limit]:
    """Write that somebody was told of these limits; those of which nobody was before."""
    if not limits:
        return set()
    organisation_id = tenancy.current_organisation_id()
    rows = [{"organisation_id": organisation_id, **limit._asdict(), "at": at} for limit in limits]
    told = (CoverCapAlert.cover_id, CoverCapAlert.year_since, CoverCapAlert.option_code)
    statement = insert(CoverCapAlert).values(rows).on_conflict_do_nothing().returning(*told)
    return {Limit(*row) for row in db.session.execute(statement)}


def _list_near(today: date) -> Sequence[UUID]:
    """Covers of whose year most seems used, and that were not told of: the rest is reckoned cover by cover."""
    values = {"organisation_id": tenancy.current_organisation_id(), "today": today, "share": SHARE}
    return db.session.scalars(text(_NEAR), values).all()
