"""The columns that the list of cases of dunning can have."""

from sqlalchemy import String, case, cast, func

from webapp.models import clients
from webapp.models.clients import Client
from webapp.models.dunning import CaseStatus, DunningCase, DunningSequenceStep, PauseReason, StepAction
from webapp.models.organisations import Company
from webapp.services.dunning.listing import CaseOrder
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

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
