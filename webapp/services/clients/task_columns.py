"""The columns that the list of tasks can have."""

from sqlalchemy import func

from webapp.models import clients
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.services.list_columns import ListColumn, ValueKind

COLUMNS = (
    ListColumn("echeance", "Échéance", Task.due_on, ValueKind.DAY),
    ListColumn("tache", "Tâche", Task.title),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn(
        "responsable",
        "Responsable",
        func.coalesce(func.nullif(func.btrim(func.concat(User.first_name, " ", User.last_name)), ""), User.email),
    ),
    ListColumn("cree", "Créée", Task.created_at, ValueKind.INSTANT),
)
