"""An import from its file to its plan: kept, read by a worker, corrected, columns matched, planned as an operation."""

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import IO, Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.imports import KEPT_FOR, Import, ImportMapping, ImportRow, ImportState, Policy
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.queue import enqueue_after_commit
from webapp.services.contact import clean_text
from webapp.services.imports import columns, reading
from webapp.services.imports.planning import refuse_others
from webapp.services.imports.reading import KeptFile, NothingBelowError, Options, Reading
from webapp.services.imports.transforms import fold
from webapp.services.operations import deciding, runs
from webapp.services.products import ensure_product
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.imports.read"
SILENCE = timedelta(seconds=60)
"""After which a reading that nobody ended is asked for again."""
MAX_ATTEMPTS = 3
INTERRUPTED = "La lecture de ce fichier a été interrompue plusieurs fois\u202f: il est peut-être trop grand."
FIXED = "Ce plan est déjà appliqué, ou en train de l’être\u202f: déposez le fichier de nouveau."
MOST_DECISIONS = 1000
SHIPPED, UNSHIPPED = "expedie", "non-expedie"
"""What may be chosen for the name of a product that nobody knows: it is made, and whether new lines are shipped."""


class FixedError(DomainError):
    """The plan is being applied, or was: nothing of the import changes any more."""


def start(file_name: str, file: IO[bytes], *, by: User, at: datetime) -> UUID:
    """Keep a file and have it read. Returns its id. Raises ForbiddenError; InvalidInputError, field « file »."""
    refuse_others(by)
    size = file.seek(0, 2)
    if size > reading.SIZE_LIMIT:
        raise InvalidInputError(reading.TOO_LARGE, field="file")
    reading.kind_of(file)
    file.seek(0)
    stored = KeptFile.keep(file)
    try:
        with transaction():
            kept = Import(
                id=new_id(),
                user_id=by.id,
                file_name=clean_text(file_name)[:200] or "fichier",
                size=size,
                stored_as=stored.name,
                state=ImportState.READING,
                asked_at=at,
                created_at=at,
            )
            kept.keep_file_key(stored.key)
            db.session.add(kept)
            db.session.flush()
            enqueue_after_commit(JOB, stored.organisation_id, kept.id, on="operations")
            return kept.id
    except BaseException:
        document_store.drop(stored.name, organisation_id=stored.organisation_id)
        raise


def find(import_id: UUID, *, by: User) -> Import:
    """The import, for who may import. Raises ForbiddenError, NotFoundError."""
    refuse_others(by)
    wanted = select(Import).where(Import.id == import_id).execution_options(populate_existing=True)
    kept = db.session.scalar(wanted)
    if kept is None:
        raise NotFoundError("Cet import n’existe pas ou plus.")
    return kept


def _lock(import_id: UUID, by: User) -> Import:
    refuse_others(by)
    wanted = select(Import).where(Import.id == import_id).with_for_update().execution_options(populate_existing=True)
    kept = db.session.scalar(wanted)
    if kept is None:
        raise NotFoundError("Cet import n’existe pas ou plus.")
    if kept.stored_as is None:
        raise FixedError(reading.GONE)
    return kept


def reading_of(kept: Import) -> Reading | None:
    """How the file was read, once it was."""
    if kept.reading is None:
        return None
    return Reading(**orjson.loads(crypto.unseal(kept.reading, place=kept.place_of("reading"))))


def read(organisation_id: UUID, import_id: UUID) -> None:
    """Read the file, as it is asked for now. Safe to call at any time, any number of times."""
    with tenancy.organisation(organisation_id):
        asked = _claim(import_id)
        if asked is None:
            return
        file_kept, options, number = asked
        found: Reading | None = None
        error: InvalidInputError | None = None
        try:
            with reading.opened(file_kept) as file:
                found = reading.examine(file, Options.of(options))
        except InvalidInputError as refusal:
            error = refusal
        _record(import_id, number, found, error)


def _claim(import_id: UUID) -> tuple[KeptFile, dict[str, Any], int] | None:
    with transaction():
        wanted = select(Import).where(Import.id == import_id).with_for_update()
        kept = db.session.scalar(wanted.execution_options(populate_existing=True))
        if kept is None or kept.state is not ImportState.READING or kept.stored_as is None:
            return None
        if kept.attempts >= MAX_ATTEMPTS:
            kept.state, kept.error, kept.error_field = ImportState.UNREADABLE, INTERRUPTED, "file"
            return None
        kept.attempts += 1
        return KeptFile.of(kept), kept.options, kept.readings


def _record(import_id: UUID, number: int, found: Reading | None, error: InvalidInputError | None) -> None:
    """What came of a reading, unless another was asked for meanwhile."""
    with transaction():
        wanted = select(Import).where(Import.id == import_id, Import.readings == number).with_for_update()
        kept = db.session.scalar(wanted.execution_options(populate_existing=True))
        if kept is None or kept.state is not ImportState.READING:
            return
        kept.attempts = 0
        if found is None:
            kept.state = ImportState.UNREADABLE
            kept.error, kept.error_field = (error.message, error.field) if error else (INTERRUPTED, "file")
            if isinstance(error, NothingBelowError) and error.field != "file":
                _keep_reading(kept, error.reading)
            return
        kept.state, kept.error, kept.error_field = ImportState.READ, None, None
        _keep_reading(kept, found)
        own = _own(found.headings)
        remembered = db.session.scalar(select(ImportMapping).where(ImportMapping.shape == _shape(own)))
        kept.columns = columns.guess(found.headings)
        if remembered:
            known = dict(zip(columns.in_shape(own), remembered.columns, strict=False))
            kept.columns = [known.get(place) for place in range(len(found.headings))]
        kept.rules = dict(remembered.rules) if remembered else {"policy": Policy.FILL.value, "creates_clients": True}


def _keep_reading(kept: Import, found: Reading) -> None:
    kept.reading = crypto.seal(orjson.dumps(asdict(found)).decode(), place=kept.place_of("reading"))


def correct(import_id: UUID, written: dict[str, Any], *, by: User, at: datetime) -> None:
    """Have the file read in another way. Raises ForbiddenError, NotFoundError, FixedError, InvalidInputError."""
    options = {name: value for name, value in written.items() if value is not None}
    Options.of(options)
    with transaction():
        kept = _lock(import_id, by)
        _give_plan_up(kept, by=by, at=at)
        before = reading_of(kept)
        if before and options.get("sheet", before.sheet) != before.sheet and options.get("header") == before.header:
            del options["header"]  # the form sends the line of the sheet that is left
        kept.options, kept.state = options, ImportState.READING
        kept.readings += 1
        kept.attempts, kept.asked_at, kept.error = 0, at, None
        enqueue_after_commit(JOB, kept.organisation_id, kept.id, on="operations")


def match(import_id: UUID, keys: list[str | None], rules: dict[str, Any], *, by: User, at: datetime) -> UUID:
    """Say what the columns are, and have the plan made. Returns the operation's id.

    ``rules``: policy, creates_clients, creates_commercials, company_id, companies, products. Raises ForbiddenError,
    NotFoundError, FixedError; InvalidInputError, field « columns », « company_id » or « product_id ».
    """
    with transaction():
        kept = _lock(import_id, by)
        found = reading_of(kept)
        if found is None or kept.state is not ImportState.READ:
            raise InvalidInputError("Ce fichier n’est pas encore lu.", field="columns")
        if len(keys) != len(found.headings) or any(key and key not in columns.BY_KEY for key in keys):
            raise InvalidInputError("Ces colonnes ne sont pas celles du fichier.", field="columns")
        if faults := columns.faults_of_mapping(keys):
            raise InvalidInputError(" ".join(faults), field="columns")
        kept.columns, kept.rules, kept.decisions = keys, _checked(rules), {}
        _remember(found.headings, kept, at)
        return _plan(kept, found, by=by, at=at)


def decide(
    import_id: UUID,
    decisions: dict[str, str],
    companies: dict[str, str],
    *,
    products: dict[str, str] | None = None,
    by: User,
    at: datetime,
) -> UUID:
    """Say who undecided lines are, or which companies and products foreign names are, and have the plan made anew.

    ``decisions``: by line, and « everyone » for the rest: « new », « first », « skip », or a client's id. ``products``:
    by foreign name, a product's id, or SHIPPED or UNSHIPPED, which make a product of that name; it stays if the import
    is given up. Returns the operation's id. Raises as ``match`` does; InvalidInputError « name » as well.
    """
    with transaction():
        kept = _lock(import_id, by)
        found = reading_of(kept)
        if found is None or kept.state is not ImportState.READ:
            raise InvalidInputError("Ce fichier n’est pas encore lu.", field="columns")
        merged = {**kept.decisions, **{key: what for key, what in decisions.items() if _is_decision(key, what)}}
        if len(merged) > MOST_DECISIONS:
            raise InvalidInputError(
                "Trop de lignes sont décidées une à une\u202f: décidez pour toutes.", field="everyone"
            )
        kept.decisions = merged
        known = {**kept.rules.get("companies", {}), **companies}
        sold = {**kept.rules.get("products", {}), **_make_products(products or {})}
        kept.rules = _checked({**kept.rules, "companies": known, "products": sold})
        _remember(found.headings, kept, at)
        return _plan(kept, found, by=by, at=at)


def _make_products(chosen: dict[str, str]) -> dict[str, str]:
    """What was chosen for each foreign name, with the ids of those products that are to be made."""
    return {
        name: str(ensure_product(name, is_shipped=what == SHIPPED).id) if what in (SHIPPED, UNSHIPPED) else what
        for name, what in chosen.items()
    }


def _is_decision(key: str, what: str) -> bool:
    if key == "everyone":
        return what in ("new", "first", "skip")
    if not key.isdecimal() or len(key) > 9:
        return False
    if what in ("new", "first", "skip"):
        return True
    with suppress(ValueError):
        return bool(UUID(what))
    return False


def _checked(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules as they are kept. Raises InvalidInputError."""
    try:
        policy = Policy(rules.get("policy", Policy.FILL))
    except ValueError as error:
        raise InvalidInputError("Ce choix n’existe pas.", field="policy") from error
    companies = {str(company_id) for company_id in db.session.scalars(select(Company.id))}
    named = dict(rules.get("companies") or {})
    if any(chosen not in companies for chosen in [*named.values(), *filter(None, [rules.get("company_id")])]):
        raise InvalidInputError("Cette société n’est pas disponible.", field="company_id")
    sold = dict(rules.get("products") or {})
    if sold and not set(sold.values()) <= {str(product_id) for product_id in db.session.scalars(select(Product.id))}:
        raise InvalidInputError("Ce produit n’est pas disponible.", field="product_id")
    return {
        "policy": policy.value,
        "creates_clients": bool(rules.get("creates_clients")),
        "creates_commercials": bool(rules.get("creates_commercials")),
        "company_id": rules.get("company_id") or None,
        "companies": named,
        "products": sold,
    }


def _plan(kept: Import, found: Reading, *, by: User, at: datetime) -> UUID:
    _give_plan_up(kept, by=by, at=at)
    plain = {**asdict(found), "rows": [], "above": [], "lines": []}  # without anybody's data
    settings = {
        "import_id": str(kept.id),
        "reading": plain,
        "headings": found.headings,
        "columns": kept.columns,
        "rules": kept.rules,
        "decisions": kept.decisions,
    }
    kept.operation_id = runs.start(
        OperationKind.IMPORT, f"Import de {kept.file_name}", by=by.id, at=at, settings=settings
    )
    return kept.operation_id


def _give_plan_up(kept: Import, *, by: User, at: datetime) -> None:
    """The plan that there is makes room for another. Raises FixedError where it is applied."""
    if kept.operation_id is None:
        return
    operation = runs.lock(kept.operation_id)
    if operation.state in (OperationState.PREPARING, OperationState.PLANNED):
        deciding.cancel(operation.id, by=by, at=at)
    elif operation.state not in (OperationState.CANCELED, OperationState.FAILED):
        raise FixedError(FIXED)
    kept.operation_id = None


def _remember(headings: list[str], kept: Import, at: datetime) -> None:
    own = _own(headings)
    in_shape = [kept.columns[place] for place in columns.in_shape(own)]
    values = {"columns": in_shape, "rules": kept.rules, "created_at": at}
    statement = insert(ImportMapping).values(
        organisation_id=kept.organisation_id, id=new_id(), shape=_shape(own), **values
    )
    db.session.execute(statement.on_conflict_do_update(index_elements=["organisation_id", "shape"], set_=values))


def has_reasons(headings: list[str]) -> bool:
    """Whether the last column holds the reasons of an earlier round: a file of rejects that was corrected."""
    return bool(headings) and fold(headings[-1]) == "motif"


def _own(headings: list[str]) -> list[str]:
    return headings[: len(headings) - has_reasons(headings)]


def _shape(headings: list[str]) -> str:
    return sha256(columns.shape_of(headings).encode()).hexdigest()


def sweep(*, at: datetime) -> int:
    """Ring again for every reading, of any organisation, that nobody ended."""
    with tenancy.across_organisations():
        silent = db.session.execute(
            select(Import.organisation_id, Import.id).where(
                Import.state == ImportState.READING, Import.asked_at < at - SILENCE
            )
        ).all()
    for organisation_id, import_id in silent:
        with tenancy.organisation(organisation_id), transaction():
            db.session.execute(update(Import).where(Import.id == import_id).values(asked_at=at))
            enqueue_after_commit(JOB, organisation_id, import_id, on="operations")
    return len(silent)


def drop_old(*, at: datetime) -> int:
    """Take away the files that are 30 days old, of any organisation, and lines that a plan left behind."""
    with tenancy.across_organisations():
        old = db.session.execute(
            select(Import.organisation_id, Import.id, Import.stored_as).where(
                Import.stored_as.is_not(None), Import.created_at < at - KEPT_FOR
            )
        ).all()
        left_behind = db.session.execute(
            select(ImportRow.organisation_id, ImportRow.operation_id)
            .outerjoin(Operation, Operation.id == ImportRow.operation_id)
            .where(Operation.state.is_distinct_from(OperationState.PREPARING))
            .distinct()
        ).all()
    for organisation_id, import_id, stored_as in old:
        # The file before the row: whoever dies in between comes again.
        document_store.drop(stored_as or "", organisation_id=organisation_id)
        with tenancy.organisation(organisation_id), transaction():
            db.session.execute(
                update(Import).where(Import.id == import_id).values(stored_as=None, file_key=None, reading=None)
            )
    for organisation_id, operation_id in left_behind:
        with tenancy.organisation(organisation_id), transaction():
            db.session.execute(delete(ImportRow).where(ImportRow.operation_id == operation_id))
    return len(old)
