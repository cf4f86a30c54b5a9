"""The columns that the list of claim files can have."""

from webapp.models import clients
from webapp.models.claims import Claim, ClaimChannel, ClaimStatus
from webapp.models.covers import CoverPlan, Trade
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

CLAIMS = (
    ListColumn("dossier", "Dossier", Claim.reference),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("formule", "Formule", CoverPlan.label),
    ListColumn("metier", "Métier", Claim.trade, ValueKind.CHOICE, labels=labels_of(Trade)),
    ListColumn("evenement", "Jour de l’événement", Claim.event_on, ValueKind.DAY),
    ListColumn("declaration", "Déclaré le", Claim.declared_on, ValueKind.DAY),
    ListColumn("canal", "Canal", Claim.channel, ValueKind.CHOICE, labels=labels_of(ClaimChannel)),
    ListColumn("etat", "État", Claim.status, ValueKind.CHOICE, labels=labels_of(ClaimStatus)),
    ListColumn("demande", "Demandé", Claim.asked, ValueKind.AMOUNT),
    ListColumn("pris-en-charge", "Pris en charge", Claim.covered, ValueKind.AMOUNT),
    ListColumn("franchise", "Franchise", Claim.deductible, ValueKind.AMOUNT),
    ListColumn("au-dela", "Au-delà des plafonds", Claim.over, ValueKind.AMOUNT),
    ListColumn("a-revoir", "À revoir", Claim.doubt),
)
DEFAULT = ("dossier", "client", "formule", "metier", "evenement", "declaration", "etat", "demande", "pris-en-charge")
