"""Finding pairs by sets: clients are blocked by what they share, and only those of one block are compared.

A step is one kind of block and one part of its keys, so that a transaction stays short at a million clients.
"""
# ruff: noqa: S608  put together from names and expressions of ours

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Result, text

from webapp import tenancy
from webapp.extensions import db
from webapp.models.duplicates import DuplicateSearch
from webapp.services.duplicates.comparing import COMPARED, ROLES, SHARED_BY_MOST, email_key

PART = 250_000
"""Clients of a part of a whole search, about."""
TOUCHED_PART = 10_000
"""Clients of a part of a search among those that a synchronisation or an operation touched."""
LARGEST_BLOCK = 50
LARGEST_TOWN_BLOCK = 500
"""Blocks that hold more are left out: so many are no one's twin. Of one postcode and the same beginning of a name, that
is a town with thousands of clients, where those with the very same name still meet in a block of their own."""
WORK_MEMORY = "64MB"

_IN_PART = "(hashtext({key}) & 2147483647) % :parts = :part"
_PAIRS = """candidates AS (
  SELECT DISTINCT f.id AS first_id, s.id AS second_id
  FROM blocks, unnest(ids) WITH ORDINALITY f (id, n), unnest(ids) WITH ORDINALITY s (id, n)
  WHERE f.n < s.n
)"""


def _block(key: str, part_key: str, *, most: int, needs: str = "true") -> str:
    """Clients who share ``key``, two of them at least and ``most`` at most."""
    return f"""blocks AS (
      SELECT array_agg(id ORDER BY id) AS ids FROM clients c
      WHERE organisation_id = :organisation_id AND archived_at IS NULL AND {needs} AND {_IN_PART.format(key=part_key)}
      GROUP BY {key} HAVING count(*) BETWEEN 2 AND {most}
    ), {_PAIRS}"""


_CLOSE_NAMES = f"""blocks AS (
  SELECT array_agg(id ORDER BY id) AS ids, array_agg(name_key ORDER BY id) AS names
  FROM clients c CROSS JOIN LATERAL (
    SELECT left(c.name_key, 3) WHERE c.name_key <> '' UNION SELECT left(fold(c.first_name), 3) WHERE c.first_name <> ''
  ) beginnings (beginning)
  WHERE organisation_id = :organisation_id AND archived_at IS NULL AND postcode IS NOT NULL
    AND {_IN_PART.format(key="postcode")}
  GROUP BY postcode, beginning HAVING count(*) BETWEEN 2 AND {LARGEST_TOWN_BLOCK}
), candidates AS (
  SELECT DISTINCT f.id AS first_id, s.id AS second_id
  FROM blocks, unnest(ids, names) WITH ORDINALITY f (id, name, n), unnest(ids, names) WITH ORDINALITY s (id, name, n)
  WHERE f.n < s.n AND similarity(f.name, s.name) >= 0.5
)"""
_SORTED_NAMES = "least(fold(last_name), fold(first_name)) || ' ' || greatest(fold(last_name), fold(first_name))"

BLOCKS = (
    _block("c.phone", "c.phone", most=SHARED_BY_MOST, needs="c.phone IS NOT NULL"),
    _block("key", "key", most=SHARED_BY_MOST, needs="c.email IS NOT NULL").replace(
        "FROM clients c", f"FROM clients c CROSS JOIN LATERAL (SELECT {email_key('c')}) mailbox (key)"
    ),
    _block(
        f"c.birth_date, {_SORTED_NAMES}",
        "c.birth_date::text",
        most=LARGEST_BLOCK,
        needs="c.birth_date IS NOT NULL AND c.name_key <> ''",
    ),
    _block(
        "c.postcode, c.name_key", "c.postcode", most=LARGEST_BLOCK, needs="c.postcode IS NOT NULL AND c.name_key <> ''"
    ),
    _CLOSE_NAMES,
)
"""By telephone, e-mail, name and birth date, name and postcode, like names and postcode."""

_OF_TOUCHED = """touched AS MATERIALIZED (
  SELECT c.* FROM clients c
  WHERE c.organisation_id = :organisation_id AND c.id = ANY(:client_ids)
), candidates AS (
  SELECT first_id, second_id FROM duplicate_pairs
  WHERE organisation_id = :organisation_id AND (first_id = ANY(:client_ids) OR second_id = ANY(:client_ids))
  UNION SELECT least(t.id, o.id), greatest(t.id, o.id) FROM touched t
  JOIN LATERAL (
    SELECT o.id FROM clients o WHERE o.organisation_id = :organisation_id AND o.email = t.email
    UNION ALL SELECT o.id FROM clients o WHERE o.organisation_id = :organisation_id AND o.phone = t.phone
    UNION ALL SELECT o.id FROM clients o
      WHERE o.organisation_id = :organisation_id AND o.archived_at IS NULL AND t.name_key <> ''
        AND o.name_key = ANY(ARRAY[t.name_key, fold(t.first_name || ' ' || t.last_name)])
        AND (o.postcode = t.postcode OR o.birth_date = t.birth_date)
  ) o ON o.id <> t.id
)"""
"""Through the indexes that there are; that of names holds the clients who are not archived. What is alike but not equal
(names in one town) is found at night."""

_KEEP = """, kept AS (
  INSERT INTO duplicate_pairs (organisation_id, id, first_id, second_id, score, evidence, found_at, search_id)
  SELECT :organisation_id, gen_random_uuid(), first_id, second_id, score, evidence, :at, :search_id
  FROM compared WHERE score IS NOT NULL ORDER BY first_id, second_id
  ON CONFLICT (organisation_id, first_id, second_id)
  DO UPDATE SET score = EXCLUDED.score, evidence = EXCLUDED.evidence, search_id = EXCLUDED.search_id
  RETURNING 1
) SELECT count(*) FROM kept"""

_BY_SYNC = """SELECT DISTINCT client_id FROM sync_items
  WHERE organisation_id = :organisation_id AND run_id = :cause_id AND kind IN ('created', 'updated')
    AND client_id IS NOT NULL"""
_BY_OPERATION = """SELECT DISTINCT row_id AS client_id FROM operation_items
  WHERE organisation_id = :organisation_id AND operation_id = :cause_id AND target = 'client'
    AND action IN ('create', 'update') AND left_out IS NULL AND row_id IS NOT NULL"""


def count_steps(search: DuplicateSearch) -> int:
    """How many steps a search takes."""
    if search.is_whole:
        return len(BLOCKS) * count_parts()
    number = _scalar(f"SELECT count(*) FROM ({_touched(search)}) touched", cause_id=search.cause_id)
    return -(-number // TOUCHED_PART)


def _touched(search: DuplicateSearch) -> str:
    return _BY_OPERATION if search.operation_id else _BY_SYNC


def count_parts() -> int:
    """In how many parts the clients of the organisation are looked at."""
    return 1 + _scalar("SELECT count(*) FROM clients WHERE organisation_id = :organisation_id") // PART


def take_step(search: DuplicateSearch, step: int, *, at: datetime) -> int:
    """Find the pairs of one step and write them down, in the caller's transaction. Returns how many it saw."""
    db.session.execute(text(f"SET LOCAL work_mem = '{WORK_MEMORY}'"))
    given = {"at": at, "search_id": search.id, "roles": list(ROLES)}
    if search.is_whole:
        block, part = divmod(step, search.steps // len(BLOCKS))
        parts = search.steps // len(BLOCKS)
        return _scalar(f"WITH {BLOCKS[block]}, {COMPARED}{_KEEP}", **given, parts=parts, part=part)
    return _scalar(f"WITH {_OF_TOUCHED}, {COMPARED}{_KEEP}", **given, client_ids=_touched_of(search, step))


def _touched_of(search: DuplicateSearch, step: int) -> list[UUID]:
    page = f"{_touched(search)} ORDER BY client_id LIMIT {TOUCHED_PART} OFFSET :offset"
    return list(_execute(page, cause_id=search.cause_id, offset=step * TOUCHED_PART).scalars())


def forget_unseen(search: DuplicateSearch) -> int:
    """Delete the pairs that the search should have seen and did not: what spoke for them is gone. Returns how many.

    What a person has said of a pair stays.
    """
    among = "" if search.is_whole else "AND (first_id IN ({0}) OR second_id IN ({0}))".format(_touched(search))
    return _scalar(
        f"""WITH gone AS (
          DELETE FROM duplicate_pairs
          WHERE organisation_id = :organisation_id AND dismissed_at IS NULL AND search_id <> :search_id {among}
          RETURNING 1
        ) SELECT count(*) FROM gone""",
        search_id=search.id,
        cause_id=search.cause_id,
    )


def _scalar(statement: str, **given: Any) -> int:
    return int(_execute(statement, **given).scalar_one())


def _execute(statement: str, **given: Any) -> Result[Any]:
    return db.session.execute(text(statement), {"organisation_id": tenancy.current_organisation_id(), **given})
