"""The columns that the lists of synchronisations and of their items can have."""

from functools import partial
from uuid import UUID

from sqlalchemy import String, case, cast, func
from sqlalchemy.orm import InstrumentedAttribute

from webapp.models import identity
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.services.list_columns import ListColumn, OpenedColumn, ValueKind, labels_of
from webapp.services.winleadplus.field_changes import place_of, words_of

RUNS = (
    ListColumn("debut", "Début", SyncRun.started_at, ValueKind.INSTANT),
    ListColumn("etat", "État", SyncRun.status, ValueKind.CHOICE, labels=labels_of(RunStatus)),
    ListColumn("simulation", "Simulation", SyncRun.dry_run, ValueKind.YES_NO),
    ListColumn("declenchement", "Déclenchement", SyncRun.trigger, ValueKind.CHOICE, labels=labels_of(RunTrigger)),
    ListColumn("par", "Demandée par", identity.full_name_in_sql()),
    ListColumn("lus", "Lus", SyncRun.done, ValueKind.INTEGER),
    ListColumn("crees", "Créés", SyncRun.created, ValueKind.INTEGER),
    ListColumn("mis-a-jour", "Mis à jour", SyncRun.updated, ValueKind.INTEGER),
    ListColumn("ignores", "Ignorés", SyncRun.skipped, ValueKind.INTEGER),
    ListColumn("en-erreur", "En erreur", SyncRun.errors, ValueKind.INTEGER),
    ListColumn("fin", "Fin", SyncRun.finished_at, ValueKind.INSTANT),
    ListColumn("erreur", "Erreur", SyncRun.error),
)
_DONE = {
    ItemKind.CREATED: "Créé",
    ItemKind.UPDATED: "Mis à jour",
    ItemKind.SKIPPED: "Ignoré",
    ItemKind.WARNING: "Avertissement",
    ItemKind.ERROR: "Erreur",
    ItemKind.CONFLICT: "À rattacher",
    ItemKind.ABSENT: "Absent",
}
_PLANNED = {**_DONE, ItemKind.CREATED: "À créer", ItemKind.UPDATED: "À mettre à jour"}
_KIND = cast(SyncItem.kind, String)
_RESULT = case((SyncRun.dry_run, case(_PLANNED, value=_KIND)), else_=case(_DONE, value=_KIND))


def _image(key: str, label: str, column: InstrumentedAttribute[bytes | None]) -> OpenedColumn:
    """The fields before or after, as the page tells them: what is secret is masked there, too."""
    return OpenedColumn(
        key=key,
        label=label,
        sealed=column,
        row_id=SyncItem.id,
        place=partial(_place, f"sync_items.{column.key}"),
        worded=words_of,
    )


def _place(table_column: str, organisation_id: UUID, item_id: UUID) -> str:
    return place_of(organisation_id, table_column, item_id)


ITEMS = (
    ListColumn("resultat", "Résultat", _RESULT),
    ListColumn("nom", "Nom", func.coalesce(func.nullif(SyncItem.label, ""), "Sans nom")),
    ListColumn("prospect", "Prospect ou ligne", SyncItem.external_id),
    ListColumn("motif", "Motif", SyncItem.reason),
    _image("avant", "Avant", SyncItem.before),
    _image("apres", "Après", SyncItem.after),
    ListColumn("traite", "Traité", SyncItem.resolved_at, ValueKind.INSTANT),
)
