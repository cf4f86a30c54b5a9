"""The columns that the list of operations can have."""

from webapp.models import identity
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

COLUMNS = (
    ListColumn("operation", "Opération", Operation.title),
    ListColumn("genre", "Genre", Operation.kind, ValueKind.CHOICE, labels=labels_of(OperationKind)),
    ListColumn("etat", "État", Operation.state, ValueKind.CHOICE, labels=labels_of(OperationState)),
    ListColumn("appliques", "Appliqués", Operation.applied, ValueKind.INTEGER),
    ListColumn("ecartes", "Écartés", Operation.left_out, ValueKind.INTEGER),
    ListColumn("par", "Par", identity.full_name_in_sql()),
    ListColumn("le", "Le", Operation.created_at, ValueKind.INSTANT),
    ListColumn("terminee", "Terminée", Operation.finished_at, ValueKind.INSTANT),
)
DEFAULT = ("operation", "etat", "appliques", "par", "le")
"""Those that the page shows."""
