"""Names are found with or without what joins them (N’DIAYE by « ndiaye »), and case goes in every alphabet.

Revision: 0017, after 0016

Only rows whose keys change are written again, so that a table of 300,000 clients is locked row by row, for those alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

JOINERS = "-‐‑‒–—''’‘ʼ´`′"
"""Hyphens and apostrophes as people, telephones and other programs write them; the straight one doubled for SQL."""
LETTERS = len(JOINERS) - 1

# Unicode's own rules where PostgreSQL has them built in (17 and later), else those of ICU; the final sigma is a sigma.
FOLD = """
CREATE OR REPLACE FUNCTION fold(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT translate(
    lower(
      translate(public.unaccent('public.unaccent'::regdictionary, value), '{joiners}', '{spaces}') COLLATE {collation}
    ),
    'ς', 'σ'
  ) COLLATE "C"
$$
"""

# The words of a name that something joins, written as one word, each with a space in front.
JOINED = """
CREATE FUNCTION joined_name(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN translate(value, '{joiners}', '') = value OR value IS NULL THEN ''
    ELSE ' ' || public.fold(translate(value, '{joiners}', ''))
  END
$$
"""

SEARCH_TEXT = """
CREATE OR REPLACE FUNCTION client_search_text(
  last_name text, first_name text, email text, phone text, contract_references text
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ' ' || public.fold(
    coalesce(last_name, '') || ' ' || coalesce(first_name, '') || ' ' || coalesce(email, '') || ' '
    || CASE WHEN phone LIKE '+33%' THEN '0' || substr(phone, 4) ELSE '' END || ' '
    || ltrim(coalesce(phone, ''), '+') || ' ' || coalesce(contract_references, '')
  ){joined}
$$
"""

OLD_FOLD = """
CREATE OR REPLACE FUNCTION fold(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT lower(translate(public.unaccent('public.unaccent'::regdictionary, value), '-''’', '   ') COLLATE "C")
$$
"""

# A row that is written again gets its generated columns anew.
AGAIN = (
    """UPDATE clients SET last_name = last_name
       WHERE name_key <> fold(last_name || ' ' || first_name) OR city_key <> fold(coalesce(city, ''))
          OR search_text <> client_search_text(last_name, first_name, email, phone, contract_references)""",
    "UPDATE commercials SET last_name = last_name WHERE name_key <> fold(last_name || ' ' || first_name)",
    "UPDATE contracts SET reference = reference WHERE reference_key <> fold(reference)",
    "UPDATE products SET name = name WHERE name_key <> fold(name)",
)


def upgrade() -> None:
    _replace(FOLD.format(joiners=JOINERS, spaces=" " * LETTERS, collation=_collation()))
    _replace(JOINED.format(joiners=JOINERS))
    _replace(SEARCH_TEXT.format(joined=" || public.joined_name(last_name) || public.joined_name(first_name)"))
    _write_again()


def downgrade() -> None:
    _replace(OLD_FOLD)
    _replace(SEARCH_TEXT.format(joined=""))
    op.execute("DROP FUNCTION joined_name")
    _write_again()


def _replace(function: str) -> None:
    op.execute(sa.text(function.replace(":", "\\:")))


def _write_again() -> None:
    for statement in AGAIN:
        op.execute(statement)


def _collation() -> str:
    """The first of the known collations that this server has."""
    there = set(op.get_bind().scalars(sa.text("SELECT collname FROM pg_collation")))
    return next(f'"{name}"' for name in ("pg_c_utf8", "und-x-icu", "C") if name in there)
