"""Trying a text before it is saved: as a client would read it, with examples, or in one's own mailbox."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageKind
from webapp.services.messages import preparing, trials
from webapp.services.messages.drafts import Draft
from webapp.services.messages.emails import EmailParts
from webapp.services.messages.frames import find_frame
from webapp.services.messages.kinds import COMMON, KINDS
from webapp.services.messages.rendering import Text, cleaned, example_variables, to_email

UNSUBSCRIBE_EXAMPLE = "https://crm.example/desabonnement/…"
_OF_COMPANY = frozenset(variable.name for variable in COMMON if variable.name.startswith("societe"))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A text that may not be saved yet, in whose name it speaks, and with which client's data; None: examples."""

    kind: MessageKind
    channel: Channel
    company_id: UUID
    client_id: UUID | None
    text: Text


def fill_trial(trial: Trial) -> Text:
    """As it would be read: what depends on the occasion is an example. Raises WrongTextError."""
    kind = KINDS[trial.kind]
    own = {variable.name for variable in kind.variables}
    is_about_client = trial.client_id is not None and kind.is_for_clients
    examples = {
        name: value
        for name, value in example_variables(kind).items()
        if name in own or (not is_about_client and name not in _OF_COMPANY)
    }
    return preparing.fill_text(
        Draft(
            kind=trial.kind,
            company_id=trial.company_id,
            subject_id=trial.client_id or new_id(),
            occasion="essai",
            variables=examples,
            client_id=trial.client_id if is_about_client else None,
            channel=trial.channel,
            text=cleaned(*trial.text),
        )
    )


def to_trial_email(trial: Trial) -> EmailParts:
    """As an e-mail in its company's frame. Raises WrongTextError, NotFoundError."""
    unsubscribe_url = None if KINDS[trial.kind].is_required else UNSUBSCRIBE_EXAMPLE
    return to_email(fill_trial(trial), find_frame(trial.company_id), unsubscribe_url=unsubscribe_url)


def send_trial(trial: Trial, *, by: User, at: datetime) -> Message:
    """Send it to oneself. Raises WrongTextError; see ``trials.send``."""
    return trials.send(trial.kind, trial.company_id, fill_trial(trial), by=by, at=at)
