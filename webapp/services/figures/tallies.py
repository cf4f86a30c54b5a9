"""Keeping the tallies short: rows of one kind that statements have added since are folded into their sum.

Figures are the same before, during and after. What is folded never changes meanwhile (rows are only ever added), and
two that fold at once would count twice: they take turns.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text

from webapp import tenancy
from webapp.extensions import db
from webapp.models.figures import CoverMovementTally, FigureTally
from webapp.models.organisations import Organisation
from webapp.models.tallies import ClientTally, ContractTally
from webapp.services.subscriptions import metrics
from webapp.transactions import transaction

Table = type[ContractTally] | type[ClientTally] | type[FigureTally] | type[CoverMovementTally]
_MEASURES: dict[Table, tuple[str, ...]] = {
    ContractTally: ("contracts", "amount"),
    ClientTally: ("clients",),
    FigureTally: ("amount", "days"),
    CoverMovementTally: ("active", "level", *metrics.PARTS),
}


def fold_all(*, at: datetime) -> int:
    """Fold the tallies of every organisation. Returns how many rows that saved; ``at`` is the timetable's."""
    with tenancy.across_organisations():
        organisation_ids = db.session.scalars(select(Organisation.id)).all()
    return sum(fold(organisation_id) for organisation_id in organisation_ids)


def fold(organisation_id: UUID) -> int:
    """Fold an organisation's tallies. Returns how many rows that saved."""
    with transaction():
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"fold|{organisation_id}", 0))))
        return sum(
            db.session.execute(text(_statement(table)), {"organisation_id": organisation_id}).scalar_one()
            for table in _MEASURES
        )


def rebuild(organisation_id: UUID) -> None:
    """Count everything anew, after rows were written with the triggers off. Writers wait meanwhile."""
    with transaction():
        db.session.execute(select(func.rebuild_tallies(organisation_id)))


def _statement(table: Table) -> str:
    measures = _MEASURES[table]
    kept = ", ".join(column.name for column in table.__table__.columns if column.name not in ("id", *measures))
    summed = ", ".join(f"sum({measure}) AS {measure}" for measure in measures)
    has_any = " OR ".join(f"{measure} <> 0" for measure in measures)
    name = table.__tablename__
    return f"""
    WITH scattered AS (
      SELECT {kept}, {summed}, array_agg(id) AS ids FROM {name}
      WHERE organisation_id = :organisation_id GROUP BY {kept} HAVING count(*) > 1
    ), gone AS (
      DELETE FROM {name} USING (SELECT unnest(ids) AS id FROM scattered) folded
      WHERE {name}.organisation_id = :organisation_id AND {name}.id = folded.id RETURNING 1
    ), made AS (
      INSERT INTO {name} ({kept}, {", ".join(measures)})
      SELECT {kept}, {", ".join(measures)} FROM scattered WHERE {has_any} RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM made)
    """  # noqa: S608  names of our own tables and columns
