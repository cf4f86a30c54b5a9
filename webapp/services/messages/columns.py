"""The columns that the lists of messages, of letters and of what is blocked can have."""

from sqlalchemy import String, and_, case, cast, func

from webapp.models import clients
from webapp.models.clients import Client
from webapp.models.messages import Channel, HeldReason, Message, MessageStatus, Suppression, SuppressionReason
from webapp.models.organisations import Company
from webapp.services.list_columns import ListColumn, OpenedColumn, ValueKind, labels_of
from webapp.services.messages.kinds import KINDS

DEFAULT = ("message", "numero", "client", "moyen", "etat", "societe", "ecrit")
"""Those that the page shows where nobody chose others."""
_WAITS_FOR_POST = and_(Message.channel == Channel.LETTER, Message.status == MessageStatus.QUEUED)
COLUMNS = (
    ListColumn(
        "message",
        "Message",
        Message.kind,
        ValueKind.CHOICE,
        labels={code.value: kind.label for code, kind in KINDS.items()},
    ),
    ListColumn("numero", "Numéro", func.concat(f"{Message.LETTER}-", Message.number)),
    ListColumn("client", "Client", case((Message.client_id.is_not(None), clients.full_name_in_sql()), else_="Équipe")),
    ListColumn("moyen", "Moyen", Message.channel, ValueKind.CHOICE, labels=labels_of(Channel)),
    ListColumn(
        "etat",
        "État",
        case((_WAITS_FOR_POST, "À poster"), else_=case(labels_of(MessageStatus), value=cast(Message.status, String))),
    ),
    ListColumn("societe", "Société", Company.name),
    ListColumn("ecrit", "Écrit", Message.created_at, ValueKind.INSTANT),
    ListColumn("retenu", "Retenu", Message.held_reason, ValueKind.CHOICE, labels=labels_of(HeldReason)),
    ListColumn("parti", "Parti", Message.sent_at, ValueKind.INSTANT),
    ListColumn("recommande", "Numéro de recommandé", Message.registered_no),
    ListColumn("erreur", "Erreur", Message.error),
)
LETTERS = tuple(each for each in COLUMNS if each.key in ("message", "numero", "client", "societe", "ecrit"))
"""Those of the letters that wait to be printed and posted."""
SUPPRESSIONS = (
    OpenedColumn(
        key="adresse",
        label="Adresse",
        sealed=Suppression.to,
        row_id=Suppression.id,
        place=Suppression.place_of_to,
    ),
    ListColumn("motif", "Pourquoi", Suppression.reason, ValueKind.CHOICE, labels=labels_of(SuppressionReason)),
    ListColumn("depuis", "Depuis", Suppression.since, ValueKind.INSTANT),
    ListColumn("client", "Message à", case((Client.id.is_not(None), clients.full_name_in_sql()))),
)
"""Those of the addresses and telephones that get nothing more."""
