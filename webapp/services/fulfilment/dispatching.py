"""DISPATCH: what is prepared of a locked batch becomes shipments with their parcels, by a worker, in one transaction.

The asking is kept in the batch (``work``); whoever comes to carry it out waits for the batch's lock, and finds nothing
left to do where somebody else was first. So it may be rung for as often as one likes.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import french, queue, tenancy
from webapp.clock import PARIS
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.models.carriers import HEAVIEST, CarrierAccount
from webapp.models.fulfilment import BatchStatus, BatchWork, FulfilmentBatch, ParcelStatus, consignment_code
from webapp.models.identity import User
from webapp.services.carriers import accounts, settings
from webapp.services.charges import decisions
from webapp.services.fulfilment import batches, labelling, totals
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.fulfilment.dispatch"
PATIENCE = timedelta(minutes=1)
"""How long a dispatch may be asked for before the sweeper thinks that its bell was not heard."""
UNEXPECTED = "Une erreur inattendue a arrêté l’expédition (référence {reference}). Rien n’est perdu\u202f: relancez-la."
NAMED = 3
"""So many consignments that are too heavy are named."""


class AlreadyDispatchedError(batches.BatchStateError):
    """Somebody was first."""


class NotReadyError(DomainError):
    """Something of the batch has to be decided before it can leave."""


class Unprepared(StrEnum):
    """What becomes of lines that are not prepared, as forms say it."""

    CARRY_OVER = "reporter"
    SET_ASIDE = "mettre-de-cote"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"reporter": "Reporter au prochain lot", "mettre-de-cote": "Mettre de côté"}[self.value]


_PREPARED = "l.organisation_id = :organisation_id AND l.batch_id = :batch_id AND l.status = 'prepared'"
_WEIGHT = ":packaging + ceil(sum(l.quantity * coalesce(p.weight_g, :item)))"
_PRODUCTS = "LEFT JOIN products p ON p.organisation_id = l.organisation_id AND p.id = l.product_id"
NEW_ID = """
encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
  substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
  'hex')::uuid
"""
"""An expression of SQL: a UUID of version 7, as models.base.new_id makes them, so that rows arrive in index order."""
_TOO_HEAVY = text(f"""
SELECT l.consignment_no, {_WEIGHT} AS weight_g, count(*) OVER () AS number
FROM fulfilment_batch_lines l {_PRODUCTS}
WHERE {_PREPARED}
GROUP BY l.consignment_no HAVING {_WEIGHT} > :heaviest
ORDER BY l.consignment_no LIMIT {NAMED}
""")  # noqa: S608  expressions of ours
_CONSIGNMENTS = text(f"""
CREATE TEMPORARY TABLE dispatched ON COMMIT DROP AS
SELECT consignment_no, client_id, address, weight_g, {NEW_ID} AS shipment_id, {NEW_ID} AS parcel_id
FROM (
  SELECT l.consignment_no, l.client_id, l.address_snapshot AS address, {_WEIGHT}::integer AS weight_g
  FROM fulfilment_batch_lines l {_PRODUCTS}
  WHERE {_PREPARED}
  GROUP BY l.consignment_no, l.client_id, l.address_snapshot
  ORDER BY l.consignment_no
) consignment
""")  # noqa: S608  expressions of ours
_SHIPMENTS = text("""
INSERT INTO shipments
  (organisation_id, id, batch_id, client_id, consignment_no, account_id, status, address, created_at)
SELECT :organisation_id, shipment_id, :batch_id, client_id, consignment_no, :account_id, :status, address, :at
FROM dispatched ORDER BY consignment_no
""")
_PARCELS = text("""
INSERT INTO parcels
  (organisation_id, id, shipment_id, account_id, number, weight_g, status, key, next_attempt_at, created_at)
SELECT :organisation_id, parcel_id, shipment_id, :account_id, 1, weight_g, :status, parcel_id::text,
  CAST(:next_attempt_at AS timestamptz), :at
FROM dispatched ORDER BY consignment_no
""")
_LINES = text(f"""
UPDATE fulfilment_batch_lines l SET shipment_id = d.shipment_id
FROM dispatched d WHERE {_PREPARED} AND l.consignment_no = d.consignment_no
""")  # noqa: S608  expressions of ours
_UNPREPARED = "organisation_id = :organisation_id AND batch_id = :batch_id AND status = 'to_prepare'"
_SET_ASIDE = text(f"""
UPDATE fulfilment_batch_lines SET status = 'set_aside', reason = :reason, decided_at = :at, decided_by_id = :by_id
WHERE {_UNPREPARED} RETURNING consignment_no
""")  # noqa: S608  names of states
_CARRY_OVER = text(f"""
WITH carried AS (
  UPDATE fulfilment_batch_lines
  SET status = 'carried_over', reason = :reason, decided_at = :at, decided_by_id = :by_id
  WHERE {_UNPREPARED} RETURNING *
), added AS (
  INSERT INTO fulfilment_batch_lines (organisation_id, id, batch_id, charge_id, position, subscription_id, cycle_no,
    client_id, product_id, label, quantity, status, charged_at, created_at)
  SELECT organisation_id, {NEW_ID}, :next_id, charge_id, position, subscription_id, cycle_no,
    client_id, product_id, label, quantity, 'pending', charged_at, :at
  FROM carried ORDER BY id
)
SELECT consignment_no FROM carried
""")  # noqa: S608  names of states
_COUNTS = text("""
SELECT count(*) FILTER (WHERE status IN ('to_prepare', 'prepared') AND flag IS NOT NULL AND ships_anyway_at IS NULL)
    AS flagged,
  count(*) FILTER (WHERE status = 'to_prepare') AS unprepared
FROM fulfilment_batch_lines WHERE organisation_id = :organisation_id AND batch_id = :batch_id
""")


def ask(
    batch_id: UUID,
    *,
    account_id: UUID | None = None,
    unprepared: Unprepared | None = None,
    reason: str = "",
    by: User,
    at: datetime,
) -> FulfilmentBatch:
    """Have a locked batch dispatched by a worker; asked again meanwhile, nothing more happens.

    ``account_id`` names the account that carries, by default the company's usual one. Lines that are not prepared are
    refused unless ``unprepared`` says what becomes of them, with a reason.

    Raises NotFoundError, BatchStateError, AlreadyDispatchedError, NotReadyError; InvalidInputError naming the field.
    """
    with transaction():
        batch = batches.lock_batch(batch_id)
        check_locked(batch)
        if batch.work is BatchWork.DISPATCH:
            return batch
        account = _account(batch.company_id, account_id)
        if unprepared is not None:
            _leave(batch, unprepared, decisions.checked_reason(reason), by=by, at=at)
        _check_ready(batch)
        batch.work, batch.work_at, batch.work_by_id = BatchWork.DISPATCH, at, by.id
        batch.work_account_id, batch.work_error = account.id, None
        queue.enqueue_after_commit(JOB, batch.organisation_id, batch.id, on="fulfilment")
    return batch


def check_locked(batch: FulfilmentBatch) -> None:
    """Raise BatchStateError for a batch that cannot be dispatched; of one that was, who did it and when."""
    if batch.status is BatchStatus.OPEN:
        raise batches.BatchStateError("Ce lot est encore ouvert\u202f: verrouillez-le d’abord.")
    if batch.status is not BatchStatus.LOCKED and batch.dispatched_at is not None:
        who = f" par {batch.dispatched_by.full_name}" if batch.dispatched_by else ""
        when = batch.dispatched_at.astimezone(PARIS)
        raise AlreadyDispatchedError(f"Déjà expédié{who} le {french.day(when.date())} à {when:%H:%M}.")


def _account(company_id: UUID, account_id: UUID | None) -> CarrierAccount:
    if account_id is None:
        return accounts.default_account(company_id)
    account = accounts.find_account(account_id)
    if account.company_id != company_id or not account.is_active:
        raise InvalidInputError("Choisissez un compte actif de cette société.", field="account_id")
    return account


def _leave(batch: FulfilmentBatch, unprepared: Unprepared, reason: str, *, by: User, at: datetime) -> None:
    """Lines that are not prepared do not go with the batch."""
    values = {**_of(batch), "reason": reason, "at": at, "by_id": by.id}
    if unprepared is Unprepared.CARRY_OVER:
        values["next_id"] = batches.join_open(batch.company_id, at=at).id
    statement = _CARRY_OVER if unprepared is Unprepared.CARRY_OVER else _SET_ASIDE
    left = set(db.session.scalars(statement, values))
    if left:
        db.session.expire_all()
        totals.restate(batch.id, left)


def _check_ready(batch: FulfilmentBatch) -> None:
    """Raise NotReadyError for what a person has to decide first."""
    counts = db.session.execute(_COUNTS, _of(batch)).one()
    if counts.flagged:
        number = french.counted(counts.flagged, "ligne signalée attend", "lignes signalées attendent")
        raise NotReadyError(
            f"{number} une décision (rejet ou remboursement), sous «\u00a0De côté\u00a0»\u202f: à retirer du lot, ou à "
            "expédier quand même."
        )
    if counts.unprepared:
        number = french.counted(counts.unprepared, "ligne n’est pas préparée", "lignes ne sont pas préparées")
        raise NotReadyError(
            f"{number}\u202f: à préparer, à reporter au prochain lot ou à mettre de côté.", field="unprepared"
        )
    _check_weights(batch)


def count_unprepared(batch_id: UUID) -> int:
    """How many lines of a batch are to be prepared."""
    values = {"organisation_id": current_organisation_id(), "batch_id": batch_id}
    number: int = db.session.execute(_COUNTS, values).one().unprepared
    return number


def _check_weights(batch: FulfilmentBatch) -> None:
    heavy = db.session.execute(_TOO_HEAVY, {**_of(batch), **_weights(batch), "heaviest": HEAVIEST}).all()
    if not heavy:
        return
    named = ", ".join(
        f"{consignment_code(batch.number, row.consignment_no)} ({french.kilograms(row.weight_g)})" for row in heavy
    )
    more = f" et {french.whole(heavy[0].number - len(heavy))} autres" if heavy[0].number > len(heavy) else ""
    raise NotReadyError(
        f"Un colis pèse au plus 30\u00a0kg\u202f: {named}{more}. Corrigez le poids des produits, ou mettez de côté une "
        "ligne de chacun."
    )


def _of(batch: FulfilmentBatch) -> dict[str, object]:
    return {"organisation_id": current_organisation_id(), "batch_id": batch.id}


def _weights(batch: FulfilmentBatch) -> dict[str, int]:
    """Grams: of the packaging, and of an item whose product names none."""
    usual = settings.settings_of(batch.company_id)
    return {"packaging": usual.packaging_weight_g, "item": usual.item_weight_g}


def carry_out(organisation_id: UUID, batch_id: UUID, *, at: datetime) -> None:
    """Dispatch what was asked for, or keep the sentence on why it could not be."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(batch_id=str(batch_id)):
        try:
            dispatch(batch_id, at=at)
        except DomainError as refusal:
            _end(batch_id, refusal.message)
        except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
            raise  # the database is away: the sweeper rings again once it is back
        except Exception:
            reference = uuid4().hex[:8]
            log.exception("dispatch_failed", reference=reference)
            _end(batch_id, UNEXPECTED.format(reference=reference))


def dispatch(batch_id: UUID, *, at: datetime) -> int:
    """Make the shipments of a batch whose dispatch was asked for; returns how many.

    Raises NotFoundError, BatchStateError, NotReadyError where something has changed since it was asked for.
    """
    with transaction():
        batch = batches.lock_batch(batch_id)
        if batch.work is not BatchWork.DISPATCH:
            return 0
        check_locked(batch)
        _check_ready(batch)
        account = _account(batch.company_id, batch.work_account_id)
        number = _make_shipments(batch, account, at=at)
        batches.move(batch, BatchStatus.DISPATCHED)
        batch.dispatched_at, batch.dispatched_by_id = at, batch.work_by_id
        _clear(batch, None)
        if account.carrier.is_called:
            labelling.ring(account.id)
    return number


def _make_shipments(batch: FulfilmentBatch, account: CarrierAccount, *, at: datetime) -> int:
    """Set-based. Rows that were just written are joined through a temporary table that is analysed."""
    is_called = account.carrier.is_called
    values = {
        **_of(batch),
        **_weights(batch),
        "account_id": account.id,
        "status": ParcelStatus.TO_LABEL.value if is_called else ParcelStatus.LABELLED.value,
        "next_attempt_at": at if is_called else None,
        "at": at,
    }
    db.session.execute(text("DROP TABLE IF EXISTS dispatched"))
    db.session.execute(_CONSIGNMENTS, values)
    db.session.execute(text("ANALYZE dispatched"))
    number: int = db.session.execute(_SHIPMENTS, values).rowcount  # type: ignore[attr-defined]
    db.session.execute(_PARCELS, values)
    db.session.execute(_LINES, values)
    return number


def _end(batch_id: UUID, error: str) -> None:
    with transaction():
        batch = batches.lock_batch(batch_id)
        if batch.work is BatchWork.DISPATCH:
            _clear(batch, error)


def _clear(batch: FulfilmentBatch, error: str | None) -> None:
    batch.work = batch.work_at = batch.work_by_id = batch.work_account_id = None
    batch.work_error = error


def sweep(*, at: datetime) -> int:
    """Ring again for dispatches whose bell was lost; returns how many."""
    waiting = select(FulfilmentBatch.organisation_id, FulfilmentBatch.id).where(
        FulfilmentBatch.work == BatchWork.DISPATCH, FulfilmentBatch.work_at < at - PATIENCE
    )
    with tenancy.across_organisations():
        asked = db.session.execute(waiting).all()
    for organisation_id, batch_id in asked:
        queue.enqueue_once_after_commit(JOB, organisation_id, batch_id, on="fulfilment")
    return len(asked)
