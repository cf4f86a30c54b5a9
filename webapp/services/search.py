"""Search everywhere: clients, contracts and commercials by any fragment of what tells them, the best first.

Candidates are gathered by trigram indexes, then ranked: what begins with the words before what merely holds them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select

from webapp import tenancy
from webapp.extensions import db
from webapp.french import day
from webapp.models import clients, commercials
from webapp.models.bank_files import BankFile
from webapp.models.base import linked, read_code
from webapp.models.charges import Charge, Refund
from webapp.models.clients import Client, Source
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract
from webapp.models.dunning import DunningCase
from webapp.models.subscriptions import Subscription
from webapp.services.clients.search import Term, fold_search, terms_of
from webapp.services.clients.suggesting import suggest

CLIENTS_SHOWN = 8
OTHERS_SHOWN = 5
GATHERED = 5000
"""Beyond so many matches nobody finds theirs by rank alone: they type another letter."""
FRAGMENT_LENGTH = 3


class Hit(NamedTuple):
    """Something found: how it is called, and what tells it from others of that name."""

    id: UUID
    title: str
    detail: str
    source: Source | None = None


class NumberedHit(NamedTuple):
    """What bears the number that was typed. ``kind`` is its letter; of a refund, ``id`` is that of its charge."""

    kind: str
    id: UUID
    title: str
    detail: str


class SearchResults(NamedTuple):
    """What was found, or, where nothing was asked for (``is_recent``), what changed last.

    ``suggestion`` is what might have been meant, where nothing was found.
    """

    clients: Sequence[Hit]
    contracts: Sequence[Hit]
    commercials: Sequence[Hit]
    numbered: Sequence["NumberedHit"] = ()
    is_recent: bool = False
    suggestion: str | None = None

    @property
    def number(self) -> int:
        """How many hits are shown."""
        return len(self.clients) + len(self.contracts) + len(self.commercials) + len(self.numbered)


def search_everywhere(typed: str) -> SearchResults:
    """The best hits for what was typed; case and accents do not matter, nor does the order of words."""
    folded = " ".join(fold_search(typed).split())
    terms = terms_of(folded)
    if not terms:
        return _find_recent()
    if numbered := _find_numbered(typed):
        return SearchResults([], [], [], numbered)
    clients = _find_clients(folded, terms)
    hits = SearchResults(clients, _find_contracts(folded, terms, [hit.id for hit in clients]), _find_commercials(terms))
    return hits if hits.number else hits._replace(suggestion=suggest(typed))


def _find_numbered(typed: str) -> list[NumberedHit]:
    """The charge, refund, bank file, subscription or case of dunning of that number."""
    code = read_code(typed)
    if code is None or code.letter not in _NUMBERED:
        return []
    model, kind, statement = _NUMBERED[code.letter]
    wanted = statement.where(model.organisation_id == tenancy.current_organisation_id(), model.number == code.number)
    title = f"{kind} {code.letter}-{code.number}"
    return [
        NumberedHit(code.letter, row_id, title, _numbered_detail(detail))
        for row_id, *detail in db.session.execute(wanted)
    ]


_NUMBERED: dict[
    str, tuple[type[Subscription | Charge | Refund | BankFile | DunningCase], str, Select[*tuple[Any, ...]]]
] = {
    Subscription.LETTER: (
        Subscription,
        "Abonnement",
        select(Subscription.id, Client.last_name, Client.first_name).join(Subscription.client),
    ),
    Charge.LETTER: (
        Charge,
        "Prélèvement",
        select(Charge.id, Client.last_name, Client.first_name).join(Charge.client),
    ),
    Refund.LETTER: (
        Refund,
        "Remboursement",
        select(Refund.charge_id, Client.last_name, Client.first_name)
        .join(Charge, linked(Charge, Refund.charge_id))
        .join(Charge.client),
    ),
    DunningCase.LETTER: (
        DunningCase,
        "Dossier de relance",
        select(DunningCase.id, Client.last_name, Client.first_name).join(DunningCase.client),
    ),
    BankFile.LETTER: (BankFile, "Fichier bancaire", select(BankFile.id, BankFile.collected_on)),
}
"""By letter: what bears it, how it is called, and where its number leads, with its client's name or its day."""


def _numbered_detail(detail: Sequence[Any]) -> str:
    """The client's name, or the day of a file."""
    return f"du {day(detail[0])}" if len(detail) == 1 else clients.full_name(*detail)


def _find_recent() -> SearchResults:
    changed_last = _CLIENTS.order_by(Client.changed_at.desc(), Client.id.desc()).limit(CLIENTS_SHOWN)
    signed_last = _CONTRACTS.order_by(Contract.signed_key.desc(), Contract.id.desc()).limit(OTHERS_SHOWN)
    return SearchResults(_client_hits(changed_last), _contract_hits(signed_last), [], is_recent=True)


# Columns, not entities: rows to read need no identity map.
_CLIENTS = select(Client.id, Client.last_name, Client.first_name, Client.email, Client.city, Client.source).where(
    Client.archived_at.is_(None)
)
_CONTRACTS = select(
    Contract.id, Contract.reference, Contract.source, Client.last_name, Client.first_name, Client.city
).join(Contract.client)


def _find_clients(folded: str, terms: list[Term]) -> list[Hit]:
    """Names that begin with the words are looked up apart: a fragment may have more matches than are gathered."""
    ours = Client.organisation_id == tenancy.current_organisation_id()
    begins = Client.name_key.like(_beginning(folded))
    ours = and_(ours, Client.archived_at.is_(None))
    first = select(Client.id).where(ours, begins).order_by(Client.name_key).limit(CLIENTS_SHOWN)
    is_wanted = Client.id.in_(first.subquery().select())
    if len(folded) >= FRAGMENT_LENGTH:
        matches = select(Client.id).where(ours, *(_client_matches(term) for term in terms)).limit(GATHERED)
        is_wanted = Client.id.in_(first.subquery().select().union(matches.subquery().select()))
    rank = case(
        (Client.name_key == folded, 0),
        (begins, 1),
        (Client.search_text.like(f"% {_beginning(folded)}"), 2),
        else_=3,
    )
    statement = _CLIENTS.where(ours, is_wanted).order_by(rank, Client.changed_at.desc(), Client.id)
    return _client_hits(statement.limit(CLIENTS_SHOWN))


def _client_matches(term: Term) -> ColumnElement[bool]:
    return or_(
        *(Client.search_text.like(pattern) for pattern in term),
        *(Client.city_key.like(_at_start(pattern)) for pattern in term),
    )


def _find_contracts(folded: str, terms: list[Term], client_ids: list[UUID]) -> list[Hit]:
    """By reference; then those of the clients that were found."""
    ours = Contract.organisation_id == tenancy.current_organisation_id()
    key = Contract.reference_key
    matches = [or_(*(key.like(_at_start(pattern)) for pattern in term)) for term in terms]
    gathered = select(Contract.id).where(ours, *matches).limit(GATHERED).subquery()
    rank = case((key == folded, 0), (key.like(_beginning(folded)), 1), else_=2)
    by_reference = _CONTRACTS.where(ours, Contract.id.in_(gathered.select()))
    hits = _contract_hits(by_reference.order_by(rank, Contract.signed_key.desc(), Contract.id).limit(OTHERS_SHOWN))
    if len(hits) == OTHERS_SHOWN or not client_ids:
        return hits
    of_clients = _CONTRACTS.where(
        ours, Contract.client_id.in_(client_ids), Contract.id.not_in([hit.id for hit in hits])
    )
    newest = of_clients.order_by(Contract.signed_key.desc(), Contract.id).limit(OTHERS_SHOWN - len(hits))
    return hits + _contract_hits(newest)


def _find_commercials(terms: list[Term]) -> list[Hit]:
    """Few enough to be looked through."""
    names = Commercial.name_key + func.joined_name(Commercial.last_name) + func.joined_name(Commercial.first_name)
    text = literal(" ") + names + " " + func.coalesce(func.fold(Commercial.email), "")
    matches = and_(*(or_(*(text.like(pattern) for pattern in term)) for term in terms))
    rows = db.session.execute(
        select(
            Commercial.id,
            Commercial.first_name,
            Commercial.last_name,
            Commercial.email,
            Commercial.external_id,
        )
        .where(Commercial.organisation_id == tenancy.current_organisation_id(), matches)
        .order_by(Commercial.is_active.desc(), Commercial.name_key, Commercial.id)
        .limit(OTHERS_SHOWN)
    )
    return [Hit(row.id, commercials.full_name(*row[1:]), row.email or "") for row in rows]


def _client_hits(statement: Select[*tuple[object, ...]]) -> list[Hit]:
    return [
        Hit(
            row.id,
            clients.full_name(row.last_name, row.first_name),
            " · ".join(filter(None, (row.email, row.city))),
            row.source,
        )
        for row in db.session.execute(statement)
    ]


def _contract_hits(statement: Select[*tuple[object, ...]]) -> list[Hit]:
    return [
        Hit(
            row.id,
            row.reference,
            " · ".join(filter(None, (clients.full_name(row.last_name, row.first_name), row.city))),
            row.source,
        )
        for row in db.session.execute(statement)
    ]


def _beginning(folded: str) -> str:
    escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped}%"


def _at_start(pattern: str) -> str:
    """Short words match at the start of a word; a key has no space before its first."""
    return pattern.removeprefix("% ") if pattern.startswith("% ") else pattern
