"""A client's identity card, kept encrypted as WinLeadPlus sent it; whoever looks leaves a line in the timeline."""

import json
from datetime import datetime
from typing import Any
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
from webapp.services.clients.banking import may_reveal
from webapp.transactions import transaction


def reveal(client_id: UUID, *, by: User, at: datetime) -> dict[str, Any]:
    """What the card says, by the names that WinLeadPlus gives, for those who may see the client's IBANs.

    Raises NotFoundError, ForbiddenError.
    """
    with transaction():
        found = db.session.execute(
            select(Client, Commercial)
            .outerjoin(Client.commercial)
            .where(Client.id == client_id)
            .options(undefer(Client.identity_card))
        ).first()
        if found is None:
            raise NotFoundError("Ce client n’existe pas ou plus.")
        client, commercial = found
        if not may_reveal(by, commercial):
            raise ForbiddenError(
                "Seuls le commercial du client, un manager ou un administrateur peuvent voir cette pièce d’identité."
            )
        if client.identity_card is None:
            raise NotFoundError("Ce client n’a pas de pièce d’identité.")
        event = TimelineEvent(client_id=client_id, kind=EventKind.IDENTITY_CARD_REVEALED, at=at, user_id=by.id)
        db.session.add(event)
        card = json.loads(crypto.unseal(client.identity_card, place=client.place("identity_card")))
        return {name: value for name, value in card.items() if value and not isinstance(value, dict | list)}
