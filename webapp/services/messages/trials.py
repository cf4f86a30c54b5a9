"""« M’envoyer un essai »: a message to oneself, which is a message like any other."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.messages import SUBJECT_LENGTH, Channel, Message, MessageKind
from webapp.services.messages import writing
from webapp.services.messages.drafts import Draft
from webapp.services.messages.frames import find_frame
from webapp.services.messages.rendering import Text
from webapp.transactions import transaction

MARK = "[Essai] "
OF_SENDER = Text(
    "L’expéditeur fonctionne",
    "Ce message est un essai\u202f: si vous le lisez, l’expéditeur de votre société fonctionne.",
)


class SwitchedOffError(DomainError):
    """The company does not want this kind to be written."""


def try_sender(company_id: UUID, *, by: User, at: datetime) -> Message:
    """Send an e-mail by a company's sender to oneself; see ``send``."""
    return send(MessageKind.FREE, company_id, OF_SENDER, by=by, at=at)


def send(kind: MessageKind, company_id: UUID, words: Text, *, by: User, at: datetime) -> Message:
    """Send words, which are filled in, to oneself by e-mail; what cannot leave is held, with its reason.

    Raises NotFoundError, SwitchedOffError.
    """
    find_frame(company_id)
    draft = Draft(
        kind=kind,
        company_id=company_id,
        subject_id=by.id,
        occasion=f"essai.{new_id()}",
        variables={},
        user_id=by.id,
        channel=Channel.EMAIL,
        words=Text((MARK + words.subject)[:SUBJECT_LENGTH], words.body),
        is_asked_for=True,
    )
    with transaction():
        message_id = writing.write(draft, at=at, by=by.id)
        if message_id is None:
            raise SwitchedOffError("Cette société n’envoie pas ce message\u202f: reprenez-le d’abord.")
        return db.session.scalars(select(Message).where(Message.id == message_id)).one()
