"""« Vouliez-vous dire DUPONT ? »: the nearest name, where a search found nobody."""

import re

import structlog
from sqlalchemy import func, literal, select, text
from sqlalchemy.exc import OperationalError

from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.services.clients.search import fold_search

log = structlog.get_logger()

SHORTEST = 4
"""Letters of a word for which a neighbour is looked: shorter ones are near to everything."""
MOST_WORDS = 3
LOOKED_THROUGH = 300
"""Names that trigrams find near, among which the nearest word is chosen."""
NEAR = 0.4
"""How alike two words must be (trigrams in common, of all that they have)."""
PATIENCE_MS = 300
_WORD = re.compile(r"[^\W\d_]+")


def suggest(search: str) -> str | None:
    """The search with its words replaced by the nearest ones of clients' names, in capitals; None where none is near.

    Looks no longer than PATIENCE_MS: without a suggestion the page says the rest.
    """
    words = fold_search(search).split()
    if not 1 <= len(words) <= MOST_WORDS or not all(_WORD.fullmatch(word) for word in words):
        return None
    try:
        with db.session.begin_nested():
            db.session.execute(text(f"SET LOCAL statement_timeout = {PATIENCE_MS}"))
            nearest = [_nearest(word) if len(word) >= SHORTEST else word for word in words]
            db.session.execute(text("SET LOCAL statement_timeout = DEFAULT"))
    except OperationalError:
        log.info("suggestion_given_up")
        return None
    known = [word for word in nearest if word]
    return " ".join(known).upper() if len(known) == len(words) and known != words else None


def _nearest(word: str) -> str | None:
    joined = (func.joined_name(Client.last_name), func.joined_name(Client.first_name))
    near = (
        select(func.concat(Client.name_key, *joined).label("names"))
        .where(
            Client.organisation_id == tenancy.current_organisation_id(),
            Client.archived_at.is_(None),
            Client.search_text.op("%>")(literal(word)),
        )
        .limit(LOOKED_THROUGH)
        .subquery()
    )
    words = select(func.unnest(func.string_to_array(near.c.names, " ")).label("word")).subquery()
    likeness = func.similarity(words.c.word, word)
    return db.session.execute(
        select(words.c.word)
        .where(likeness >= NEAR)
        .group_by(words.c.word)
        .order_by(likeness.desc(), func.count().desc(), words.c.word)
        .limit(1)
    ).scalar()
