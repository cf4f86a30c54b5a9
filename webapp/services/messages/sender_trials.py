"""« M’envoyer un essai »: an e-mail to oneself, by a company's sender."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageKind
from webapp.services.messages import writing
from webapp.services.messages.frames import find_frame
from webapp.services.messages.preparing import Draft
from webapp.services.messages.rendering import Text
from webapp.transactions import transaction

TEXT = Text(
    "[Essai] L’expéditeur fonctionne",
    "Ce message est un essai\u202f: si vous le lisez, l’expéditeur de votre société fonctionne.",
)


class SwitchedOffError(DomainError):
    """The company does not want messages of this kind to be written."""


def send_trial(company_id: UUID, *, by: User, at: datetime) -> Message:
    """Write it; what cannot leave is held, with its reason. Raises NotFoundError, SwitchedOffError."""
    find_frame(company_id)
    draft = Draft(
        kind=MessageKind.FREE,
        company_id=company_id,
        subject_id=by.id,
        occasion=f"essai.{new_id()}",
        variables={},
        user_id=by.id,
        channel=Channel.EMAIL,
        text=TEXT,
        is_asked_for=True,
    )
    with transaction():
        message_id = writing.write(draft, at=at, by=by.id)
        if message_id is None:
            raise SwitchedOffError("Cette société n’envoie pas de messages écrits par vos équipes.")
        return db.session.scalars(select(Message).where(Message.id == message_id)).one()
