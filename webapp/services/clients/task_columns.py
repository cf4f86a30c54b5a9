"""The columns that the list of tasks can have."""

from webapp.models import clients, identity
from webapp.models.tasks import Task
from webapp.services.list_columns import ListColumn, ValueKind

COLUMNS = (
    ListColumn("echeance", "Échéance", Task.due_on, ValueKind.DAY),
    ListColumn("tache", "Tâche", Task.title),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("responsable", "Responsable", identity.full_name_in_sql()),
    ListColumn("cree", "Créée", Task.created_at, ValueKind.INSTANT),
)
