"""Makes the plan of an import: the file is read and staged line by line, compared by sets, and written as items."""

from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.commercials import Commercial
from webapp.models.identity import Role, User
from webapp.models.imports import Import, Policy
from webapp.models.operations import ItemAction, ItemTarget, Operation
from webapp.models.organisations import Company
from webapp.services.imports import reading
from webapp.services.imports.comparing import Comparison
from webapp.services.imports.reading import KeptFile, Reading
from webapp.services.imports.rows import Directory, RowReader
from webapp.services.imports.staging import Stage
from webapp.services.operations import plans
from webapp.services.operations.handlers import Handler
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.transactions import transaction

STAGED_AT_ONCE = 5_000
COMPARED_AT_ONCE = 20_000


def refuse_others(user: User) -> None:
    """Raise ForbiddenError for who may not import: an import changes the clients of everybody."""
    if not user.has_role(Role.MANAGER, Role.ADMIN):
        raise ForbiddenError("Seuls un manager ou un administrateur importent des fichiers.")


def _check_right(operation: Operation, user: User) -> None:
    refuse_others(user)


def prepare(work: Work) -> None:
    """The whole plan, begun anew whatever an earlier process had come to. Raises InvalidInputError for a bad file."""
    operation = work.operation
    settings = operation.settings
    kept = db.session.scalar(select(Import).where(Import.id == UUID(settings["import_id"])))
    if kept is None:
        raise NotFoundError(reading.GONE)
    read = Reading(**settings["reading"])
    directory = Directory.load(settings["rules"], has_products="contract.product" in settings["columns"])
    stage = Stage(operation, inactive_ids=directory.inactive_ids)
    plans.begin(work)
    with transaction():
        stage.clear()
    last = _stage_file(work, kept, read, directory, stage)
    _match(work, stage, settings, last)
    _compare(work, stage, directory, last)
    with transaction():
        stage.clear()
        _keep_unknown(operation, directory)
    plans.end(work)


def _stage_file(work: Work, kept: Import, read: Reading, directory: Directory, stage: Stage) -> int:
    """Read every line into the stage. Returns the last one's number."""
    settings = work.operation.settings
    reader = RowReader(
        settings["columns"], settings["headings"], directory, operation_id=work.operation.id, is_1904=read.is_1904
    )
    last = 0
    with reading.opened(KeptFile.of(kept)) as file:
        rows = reading.read_all(file, read)
        chunk = reader.staged(list(islice(rows, STAGED_AT_ONCE)))
        while chunk:
            last = chunk[-1].line
            with transaction():
                with stage.adding(chunk):  # PostgreSQL takes these in while the next ones are read
                    chunk = reader.staged(list(islice(rows, STAGED_AT_ONCE)))
                work.save()
    return last


def _match(work: Work, stage: Stage, settings: dict[str, Any], last: int) -> None:
    with transaction():
        stage.group()
        work.save()
    for after in range(0, last, COMPARED_AT_ONCE):
        with transaction():
            stage.find(after, min(after + COMPARED_AT_ONCE, last))
            work.save()
    with transaction():
        decisions = settings.get("decisions", {})
        lines = [(int(line), what) for line, what in decisions.items() if line.isdecimal()]
        if decisions:
            stage.decide(decisions.get("everyone"), lines)
        stage.settle()
        work.save()


def _compare(work: Work, stage: Stage, directory: Directory, last: int) -> None:
    settings, company_id = work.operation.settings, directory.company_id
    with transaction():
        plans.add(work, [_new_commercial(each, values) for each, values in directory.new_commercials.items()])
    currency = db.session.execute(select(Company.currency).where(Company.id == company_id)).scalar_one()
    comparison = Comparison(
        Policy(settings["rules"].get("policy", Policy.FILL)),
        settings["columns"],
        company_id=company_id,
        currency=currency,
    )
    for after in range(0, last, COMPARED_AT_ONCE):
        with transaction():
            position = work.operation.position
            position += comparison.write(stage, after, min(after + COMPARED_AT_ONCE, last), position=position)
            work.save(position=position)
            work.operation.position = position


def _new_commercial(commercial_id: UUID, values: dict[str, str]) -> PlannedItem:
    name = Commercial(**values).full_name
    return PlannedItem(ItemTarget.COMMERCIAL, ItemAction.CREATE, name, commercial_id, after=values)


def _keep_unknown(operation: Operation, directory: Directory) -> None:
    """The companies and products that the file names and nobody knows: a person says which they are."""
    settings = {
        **operation.settings,
        "unknown_companies": list(directory.unknown_companies),
        "unknown_products": list(directory.unknown_products),
    }
    db.session.execute(update(Operation).where(Operation.id == operation.id).values(settings=settings))


HANDLER = Handler(check_right=_check_right, prepare=prepare)
