"""A client's identity card, kept encrypted as WinLeadPlus sent it; whoever looks leaves a line in the timeline."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import crypto
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.banking import may_reveal, refuse_fresh_taking
from webapp.transactions import transaction

FACTS_LIMIT = 100
DEPTH_LIMIT = 6
TEXT_LIMIT = 1000
"""How much of a card is shown: it holds whatever WinLeadPlus sent."""


def reveal(client_id: UUID, *, by: User, at: datetime) -> dict[str, str]:
    """What the card says, by the names that WinLeadPlus gives, for those who may see the client's IBANs.

    Raises NotFoundError, ForbiddenError.
    """
    with transaction():
        row = db.session.execute(
            select(Client, Commercial)
            .outerjoin(Client.commercial)
            .where(Client.id == client_id)
            .options(undefer(Client.identity_card))
        ).first()
        if row is None:
            raise NotFoundError("Ce client n’existe pas ou plus.")
        client, commercial = row
        if not may_reveal(by, commercial):
            raise ForbiddenError(
                "Seuls le commercial du client, un manager ou un administrateur peuvent voir cette pièce d’identité."
            )
        refuse_fresh_taking(client_id, by=by, at=at)
        if client.identity_card is None:
            raise NotFoundError("Ce client n’a pas de pièce d’identité.")
        event = TimelineEvent(client_id=client_id, kind=EventKind.IDENTITY_CARD_REVEALED, at=at, user_id=by.id)
        db.session.add(event)
        card = json.loads(crypto.unseal(client.identity_card, place=client.place("identity_card")))
        return dict(islice(_facts(card), FACTS_LIMIT))


def _facts(card: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """What the card says, fact by fact, each with the names that lead to it; a text alone is « Contenu »."""
    if isinstance(card, dict) and depth < DEPTH_LIMIT:
        for key, value in card.items():
            yield from _facts(value, f"{name} › {key}" if name else str(key), depth + 1)
    elif isinstance(card, list) and depth < DEPTH_LIMIT:
        for number, value in enumerate(card, 1):
            yield from _facts(value, f"{name} {number}".strip(), depth + 1)
    elif isinstance(card, bool):
        yield name or "Contenu", "oui" if card else "non"
    elif card not in (None, "", [], {}):
        yield name or "Contenu", str(card)[:TEXT_LIMIT]
