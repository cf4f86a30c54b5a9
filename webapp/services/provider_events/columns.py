"""The columns that the list of what payment providers have told us can have; never what they say of a client."""

from sqlalchemy import case

from webapp.models.provider_events import WebhookEvent, WebhookState
from webapp.models.providers import Provider, ProviderAccount
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

_OPEN = case((WebhookEvent.error.is_not(None), WebhookState.FAILED.label), else_=WebhookState.WAITING.label)
_ENDED = case((WebhookEvent.error.is_not(None), WebhookState.CLOSED.label), else_=WebhookState.HANDLED.label)
COLUMNS = (
    ListColumn("recue", "Reçue", WebhookEvent.received_at, ValueKind.INSTANT),
    ListColumn("prestataire", "Prestataire", ProviderAccount.provider, ValueKind.CHOICE, labels=labels_of(Provider)),
    ListColumn("type", "Type", WebhookEvent.kind),
    ListColumn("identifiant", "Identifiant", WebhookEvent.event_id),
    ListColumn("etat", "État", case((WebhookEvent.handled_at.is_(None), _OPEN), else_=_ENDED)),
    ListColumn("essais", "Essais", WebhookEvent.attempts, ValueKind.INTEGER),
    ListColumn("traitee", "Traitée", WebhookEvent.handled_at, ValueKind.INSTANT),
    ListColumn("erreur", "Erreur", WebhookEvent.error),
)
