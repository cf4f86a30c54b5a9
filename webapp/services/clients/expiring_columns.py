"""The columns that the list of documents that expire can have."""

from collections.abc import Sequence
from datetime import date

from webapp.models import clients, commercials
from webapp.models.claims import Claim
from webapp.models.documents import Document, Validity
from webapp.services.list_columns import ListColumn, ValueKind, labels_of


def columns(today: date) -> Sequence[ListColumn]:
    """What a document is on a day is one of them."""
    state = Document.validity_in_sql(today)
    return (
        ListColumn("document", "Document", Document.name),
        ListColumn("valable", "Valable jusqu’au", Document.valid_until, ValueKind.DAY),
        ListColumn("etat", "État", state, ValueKind.CHOICE, labels=labels_of(Validity)),
        ListColumn("client", "Client", clients.full_name_in_sql()),
        ListColumn("commercial", "Commercial", commercials.full_name_in_sql()),
        ListColumn("dossier", "Dossier de sinistre", Claim.reference),
        ListColumn("ajoute", "Ajouté", Document.created_at, ValueKind.INSTANT),
    )
