"""The columns that the rows behind the figures of Depanssur can have, as files."""

from sqlalchemy import literal

from webapp.models import clients
from webapp.models.claims import Claim
from webapp.models.covers import Cover, CoverPlan, Trade
from webapp.models.figures import FigureEntry, FigureKind
from webapp.models.invoices import Invoice
from webapp.services.covers.decisions import Step
from webapp.services.figures.cover_rows import ANSWERED_ON, COUNTED, PERSON, reason_label
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

_REASONS = {reason: reason_label(reason) for reason in (*(step.value for step in Step), PERSON)}
_CLIENT = ListColumn("client", "Client", clients.full_name_in_sql())
_COVER = ListColumn("couverture", "Couverture", literal(f"{Cover.LETTER}-").concat(Cover.number))
_AMOUNT = ListColumn("montant", "Montant", COUNTED, ValueKind.AMOUNT)
ENTRIES = (
    ListColumn("jour", "Jour", FigureEntry.day, ValueKind.DAY),
    ListColumn("mois", "Compté en", FigureEntry.month, ValueKind.DAY),
    ListColumn("genre", "Genre", FigureEntry.kind, ValueKind.CHOICE, labels=labels_of(FigureKind)),
    _COVER,
    _CLIENT,
    ListColumn("formule", "Formule", CoverPlan.label),
    ListColumn("dossier", "Dossier", Claim.reference),
    ListColumn("metier", "Métier", Claim.trade, ValueKind.CHOICE, labels=labels_of(Trade)),
    ListColumn("motif", "Motif", FigureEntry.reason, ValueKind.CHOICE, labels=_REASONS),
    ListColumn("facture", "Facture", Invoice.reference),
    _AMOUNT,
)
COVERS = (_COVER, _CLIENT, ListColumn("valeur", "Valeur", COUNTED, ValueKind.AMOUNT))
CLIENTS = (_CLIENT, ListColumn("annuel", "Variation du revenu annuel", COUNTED, ValueKind.AMOUNT))
RECEIVABLES = (
    ListColumn("facture", "Document", Invoice.reference),
    _CLIENT,
    ListColumn("emission", "Émis le", Invoice.issued_on, ValueKind.DAY),
    _AMOUNT,
)
ANSWERS = (
    ListColumn("jour", "Répondu le", ANSWERED_ON, ValueKind.DAY),
    _CLIENT,
    _COVER,
    ListColumn("dossier", "Dossier", Claim.reference),
    ListColumn("metier", "Métier", Claim.trade, ValueKind.CHOICE, labels=labels_of(Trade)),
    ListColumn("note", "Note", COUNTED, ValueKind.INTEGER),
)
