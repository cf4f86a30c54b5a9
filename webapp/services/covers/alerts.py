"""A cover year of which most is used: a task for the commercial of the client, once a year of each cover."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
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
_NEAR = f"""
  SELECT used.cover_id FROM (
    SELECT c.id AS cover_id, year.since, v.cap_per_year, v.claims_per_year,
      CASE WHEN bool_or(e.draws_on_main) THEN greatest(sum(e.amount), 0) ELSE 0 END AS amount
    FROM claim_entries e
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
    GROUP BY c.id, e.claim_id, year.since, v.cap_per_year, v.claims_per_year
  ) used
  WHERE NOT EXISTS (
    SELECT FROM cover_cap_alerts a
    WHERE a.organisation_id = :organisation_id AND a.cover_id = used.cover_id AND a.year_since = used.since
  )
  GROUP BY used.cover_id, used.cap_per_year, used.claims_per_year
  HAVING sum(used.amount) >= :share * used.cap_per_year OR count(*) >= :share * used.claims_per_year
  ORDER BY used.cover_id
"""  # noqa: S608  expressions of ours


def raise_due(*, at: datetime) -> int:
    """Make a task, in every organisation, for each cover that has used most of its year; returns how many."""

    def raise_here() -> int:
        ids = _list_near(days.local(at))
        return sum(_raise(ids[start : start + AT_ONCE], at=at) for start in range(0, len(ids), AT_ONCE))

    return each_organisation.work(raise_here, select(ClaimEntry.organisation_id))


def _raise(cover_ids: Sequence[UUID], *, at: datetime) -> int:
    """Whoever writes the alerts makes the tasks: two at once make one of each."""
    today = days.local(at)
    with transaction():
        entries, near = ledger.list_entries_of(cover_ids), {}
        for cover in loading.list_covers(cover_ids):
            counters = remaining(loading.life_of(cover), entries[cover.id], today)
            if cover.client.erased_at is None and _is_near(counters):
                near[cover.id] = (cover, counters)
        new = _note({cover_id: counters.year.since for cover_id, (_, counters) in near.items()}, at=at)
        wanted = [
            NewTask(cover.client_id, TITLE.format(code=cover.code, used=counters.sentence), today)
            for cover_id, (cover, counters) in near.items()
            if cover_id in new
        ]
        tasks.add_and_tell(wanted, at=at)
    return len(wanted)


def _is_near(counters: Counters) -> bool:
    used_up = counters.cap is not None and counters.amount >= SHARE * counters.cap
    limit = counters.claims_limit
    return used_up or (limit is not None and counters.claims >= SHARE * limit)


def _note(years: Mapping[UUID, date], *, at: datetime) -> set[UUID]:
    """Write that the years of these covers were told of; those that were not before."""
    if not years:
        return set()
    organisation_id = tenancy.current_organisation_id()
    rows = [
        {"organisation_id": organisation_id, "cover_id": cover_id, "year_since": since, "at": at}
        for cover_id, since in years.items()
    ]
    statement = insert(CoverCapAlert).values(rows).on_conflict_do_nothing().returning(CoverCapAlert.cover_id)
    return set(db.session.scalars(statement))


def _list_near(today: date) -> Sequence[UUID]:
    """Covers of whose year most seems used, and that were not told of: the rest is reckoned cover by cover."""
    values = {"organisation_id": tenancy.current_organisation_id(), "today": today, "share": SHARE}
    return db.session.scalars(text(_NEAR), values).all()
