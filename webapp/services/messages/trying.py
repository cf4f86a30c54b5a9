"""Trying a text before it is saved: as a client would read it, or with examples."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.messages import Channel, MessageKind
from webapp.services.messages.emails import EmailParts
from webapp.services.messages.frames import Frame, find_frame
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text, cleaned, example_variables, fill, to_email

UNSUBSCRIBE_EXAMPLE = "https://crm.example/desabonnement/…"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A text that may not be saved yet, in whose name it speaks, and with which client's data; None: examples."""

    kind: MessageKind
    channel: Channel
    company_id: UUID
    client_id: UUID | None
    text: Text


def fill_trial(trial: Trial) -> Text:
    """As it would be read. Raises WrongTextError, NotFoundError."""
    kind = KINDS[trial.kind]
    return fill(kind, trial.channel, cleaned(*trial.text), variables_of(trial))


def to_trial_email(trial: Trial) -> EmailParts:
    """As an e-mail in its company's frame. Raises WrongTextError, NotFoundError."""
    unsubscribe_url = None if KINDS[trial.kind].is_required else UNSUBSCRIBE_EXAMPLE
    return to_email(fill_trial(trial), find_frame(trial.company_id), unsubscribe_url=unsubscribe_url)


def variables_of(trial: Trial) -> dict[str, object]:
    """Examples, but for what is known of the company, and of the client if one was chosen. Raises NotFoundError."""
    known = _said_of_company(find_frame(trial.company_id))
    if trial.client_id is not None and KINDS[trial.kind].is_for_clients:
        known |= _said_of_client(trial.client_id)
    return example_variables(KINDS[trial.kind]) | known


def _said_of_company(frame: Frame) -> dict[str, object]:
    return {"societe": frame.name, "societe_telephone": frame.phone, "societe_email": frame.email}


def _said_of_client(client_id: UUID) -> dict[str, object]:
    client = db.session.scalar(select(Client).where(Client.id == client_id).options(joinedload(Client.commercial)))
    if client is None:
        raise NotFoundError
    return {
        "civilite": client.civility.value if client.civility else "",
        "prenom": client.first_name,
        "nom": client.last_name,
        "nom_complet": f"{client.first_name} {client.last_name}".strip(),
        "commercial": client.commercial.full_name if client.commercial else "",
    }
