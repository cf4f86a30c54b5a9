"""Finding contracts by what someone typed: a reference, or anything that tells their client."""

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.orm import aliased

from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.services.clients.search import find_terms

Sought = aliased(Client, name="sought")  # apart from the client that a list shows


def search_conditions(search: str) -> list[ColumnElement[bool]]:
    """What a contract must meet: each term is found in its reference, or in its client's names or contact.

    A client's ``search_text`` holds the references of all its contracts. Its index finds the candidates; what is
    then looked at leaves out those whose client has another contract of that reference.
    """
    terms = find_terms(search)
    if not terms:
        return []
    reference = literal(" ") + func.fold(Contract.reference)
    client_text = func.client_search_text(Sought.last_name, Sought.first_name, Sought.email, Sought.phone, "")
    candidates = [or_(*(Sought.search_text.like(pattern) for pattern in term)) for term in terms]
    matches = [or_(*(text.like(pattern) for pattern in term for text in (reference, client_text))) for term in terms]
    statement = select(Sought.id).where(linked(Sought, Contract.client_id), *candidates, *matches)
    return [statement.exists()]
