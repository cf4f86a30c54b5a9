"""The columns that the lists of cases of dunning, of their letters, and of what figures are made of can have."""

from sqlalchemy import String, case, cast, func

from webapp.models import clients
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.dunning import (
    CaseStatus,
    DunningCase,
    DunningClaim,
    DunningSequenceStep,
    PauseReason,
    StepAction,
)
from webapp.models.invoices import Invoice
from webapp.models.organisations import Company
from webapp.services.dunning.figures import COUNTED
from webapp.services.dunning.listing import CASE_OF_CLAIM, CaseOrder
from webapp.services.list_columns import ListColumn, ValueKind, labels_of
from webapp.services.messages import columns as message_columns

DEFAULT = ("client", "numero", "societe", "montant", "devise", "depuis", "etape", "etape-le", "etat")
"""Those that the page shows where nobody chose others."""
_STEP = func.coalesce(
    func.nullif(DunningSequenceStep.title, ""),
    case(labels_of(StepAction), value=cast(DunningSequenceStep.action, String)),
)
COLUMNS = (
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("numero", "Numéro", func.concat(f"{DunningCase.LETTER}-", DunningCase.number)),
    ListColumn("societe", "Société", Company.name),
    ListColumn("montant", "Montant dû", DunningCase.amount, ValueKind.AMOUNT, sort=CaseOrder.LARGEST),
    ListColumn("devise", "Devise", DunningCase.currency),
    ListColumn("depuis", "Impayé depuis", DunningCase.since, ValueKind.DAY, sort=CaseOrder.AGE),
    ListColumn("etape", "Prochaine étape", _STEP),
    ListColumn("etape-le", "Prochaine étape le", DunningCase.next_on, ValueKind.DAY),
    ListColumn("etat", "État", DunningCase.status, ValueKind.CHOICE, labels=labels_of(CaseStatus)),
    ListColumn("pause", "Motif de la pause", DunningCase.pause_reason, ValueKind.CHOICE, labels=labels_of(PauseReason)),
    ListColumn("pause-au", "En pause jusqu’au", DunningCase.pause_until, ValueKind.DAY),
    ListColumn("email", "E-mail du client", Client.email),
    ListColumn("telephone", "Téléphone du client", Client.phone),
)
LETTERS = (
    COLUMNS[0],
    ListColumn("dossier", "Dossier", func.concat(f"{DunningCase.LETTER}-", DunningCase.number)),
    *(each for each in message_columns.LETTERS if each.key != "client"),
)
CLAIMS = (
    COLUMNS[0],
    ListColumn("prelevement", "Prélèvement", func.concat(f"{Charge.LETTER}-", Charge.number)),
    ListColumn("depuis", "Impayé depuis", DunningClaim.since, ValueKind.DAY),
    ListColumn("paye", "Payé", DunningClaim.left_at, ValueKind.INSTANT),
    ListColumn("dossier", "Dossier", func.concat(f"{DunningCase.LETTER}-", CASE_OF_CLAIM.number)),
    ListColumn("montant", "Montant", DunningClaim.amount, ValueKind.AMOUNT),
    ListColumn("devise", "Devise", Charge.currency),
)
DOCUMENTS = (
    ListColumn("document", "Document", Invoice.reference),
    COLUMNS[0],
    ListColumn("emis", "Émis le", Invoice.issued_on, ValueKind.DAY),
    ListColumn("montant", "Montant", COUNTED, ValueKind.AMOUNT),
    ListColumn("devise", "Devise", Invoice.currency),
)
