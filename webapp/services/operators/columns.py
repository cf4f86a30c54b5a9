"""The columns that the list of what operators tell can have; never bodies."""

from sqlalchemy import case

from webapp.models.claims import Claim
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorEvent
from webapp.models.operators import CoverOperator
from webapp.services.list_columns import ListColumn, ValueKind, labels_of
from webapp.services.operators.contract import EventType

EVENTS = (
    ListColumn("recu", "Reçu", OperatorEvent.received_at, ValueKind.INSTANT),
    ListColumn("operateur", "Opérateur", CoverOperator.name),
    ListColumn("type", "Type", case(labels_of(EventType), value=OperatorEvent.type, else_=OperatorEvent.type)),
    ListColumn("dossier", "Dossier", Claim.reference),
    ListColumn("numero", "Numéro chez l’opérateur", OperatorEvent.external_id),
    ListColumn("revision", "Révision", OperatorEvent.revision, ValueKind.INTEGER),
    ListColumn("etat", "État", OperatorEvent.state, ValueKind.CHOICE, labels=labels_of(EventState)),
    ListColumn("motif", "Motif", OperatorEvent.reason),
    ListColumn("essais", "Essais", OperatorEvent.attempts, ValueKind.INTEGER),
)
