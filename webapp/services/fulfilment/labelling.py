"""Labels: claim → call → record, as charges are; 200 a turn, 16 at a time, no faster than the account allows.

The claim is committed before the carrier is called, outside any transaction; what it answers is recorded under the
claim's fence. A result that nobody knows is looked up. A label is asked for again under the same key where the carrier
honours it; else a person decides. A carrier that is not there is left alone, longer each time: its parcels wait, and
those of other accounts do not.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways.carriers.protocol import (
    Capabilities,
    CarrierError,
    CarrierRejectedError,
    LabelCarrier,
    LabelOutcome,
    LabelRequest,
    LabelState,
    refused,
    unknown,
)
from webapp.gateways.providers import pacing
from webapp.gateways.wording import words
from webapp.models.base import linked
from webapp.models.carriers import CarrierAccount
from webapp.models.fulfilment import Parcel, ParcelStatus, Shipment
from webapp.services.carriers import accounts
from webapp.services.fulfilment import label_requests, standing
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.fulfilment.label"
TURN = 200
"""Labels that one job asks for at most: what else waits in its queue gets a turn."""
AT_ONCE = 16
LEASE = timedelta(minutes=3)
CALL_LIMIT = timedelta(seconds=40)
"""How long before the end of its lease a call may begin at the latest: the result must still be recorded as ours."""
LINGER = 0.02
"""Seconds to wait for further calls to end, so that they are recorded in one transaction."""
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30, 60))
"""How long a parcel, and a carrier, are left alone after each time in a row that nothing came of it."""
UNKNOWNS_IN_ROW = 3
"""After so many results in a row that nobody knows, the carrier is thought to be down."""
FOR_A_PERSON = "Un numéro existe peut-être chez le transporteur\u202f: refaire l’étiquette\u202f?"
NOBODY_KNOWS = "Le transporteur n’a pas répondu clairement\u202f: il est interrogé à nouveau. {reason}"
NOT_CALLED_OFF = "L’étiquette n’a pas été annulée chez le transporteur\u202f: {reason}"
NOT_SET_UP = "Le compte n’est pas prêt\u202f: {reason}"
TAKEN_UP = (ParcelStatus.TO_LABEL, ParcelStatus.SENDING, ParcelStatus.UNKNOWN, ParcelStatus.CANCELED)


class Task(StrEnum):
    """What the carrier is asked."""

    SEND = "send"
    LOOK_UP = "look_up"
    CALL_OFF = "call_off"


@dataclass(frozen=True, kw_only=True)
class LabelClaim:
    """The right to ask the carrier once about a parcel. It holds while the fence is still ``fence``."""

    parcel_id: UUID
    fence: int
    task: Task
    lease_until: datetime
    key: str
    tracking_number: str | None
    request: LabelRequest = field(repr=False)


class Result(NamedTuple):
    """What came of a claim: an outcome; None where the carrier has no such label, or (``fault``) does not answer."""

    claim: LabelClaim
    outcome: LabelOutcome | None
    fault: str | None = None

    @property
    def is_general(self) -> bool:
        """Whether any other parcel would fare the same now."""
        return self.fault is not None or bool(self.outcome and self.outcome.is_general)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what became of it."""
        return self.outcome is not None and self.outcome.state is LabelState.UNKNOWN


def ring(account_id: UUID) -> None:
    """Have the account's labels asked for, once the transaction has committed."""
    queue.enqueue_once_after_commit(JOB, current_organisation_id(), account_id, on="fulfilment")


def sweep(*, at: datetime) -> int:
    """Ring for every account, of any organisation, with labels to ask for or to look up; returns how many."""
    due = exists().where(Parcel.organisation_id == CarrierAccount.organisation_id, *_due(CarrierAccount.id, at))
    waiting = select(CarrierAccount.organisation_id, CarrierAccount.id).where(
        CarrierAccount.is_active,
        or_(CarrierAccount.paused_until.is_(None), CarrierAccount.paused_until <= at),
        due,
    )
    with tenancy.across_organisations():
        found = db.session.execute(waiting).all()
    for organisation_id, account_id in found:
        queue.enqueue_once_after_commit(JOB, organisation_id, account_id, on="fulfilment")
    return len(found)


def _due(account_id: UUID | InstrumentedAttribute[UUID], at: datetime) -> Sequence[ColumnElement[bool]]:
    return Parcel.account_id == account_id, Parcel.next_attempt_at <= at, Parcel.status.in_(TAKEN_UP)


def carry_out(organisation_id: UUID, account_id: UUID) -> int:
    """Ask for the account's labels that are due, a turn of them; returns how many calls were recorded."""
    queue.heard(JOB, organisation_id, account_id)
    with tenancy.organisation(organisation_id):
        try:
            with transaction():  # ended before the carrier is called
                account = accounts.find_account(account_id)
                turn = _Turn(account, accounts.carrier_of(account))
        except CarrierError as error:
            _pause(account_id, NOT_SET_UP.format(reason=words(error)), at=clock.now())
            return 0
        turn.run()
        if turn.is_more_left:
            ring(account_id)
    return turn.recorded


class _Turn:
    """One job's share: claims, calls in threads that touch no database, records."""

    def __init__(self, account: CarrierAccount, carrier: LabelCarrier) -> None:
        self._account_id, self._pace, self._carrier = account.id, account.calls_per_second, carrier
        # What is claimed and not called yet when a worker dies is looked up; where that tells nothing, none waits.
        self._waiting = AT_ONCE if carrier.capabilities.honoured_key_age is not None else 0
        self._calls: set[Future[Result | None]] = set()
        self._left = TURN
        self._may_claim = True
        self._unknowns = UNKNOWNS_IN_ROW - 1 if account.pauses else 0  # one is enough of a carrier that was not there
        self.recorded = 0

    @property
    def is_more_left(self) -> bool:
        """Whether the turn ended before the parcels did."""
        return self._left == 0

    def run(self) -> None:
        """Until nothing is left to take, or the turn is over, or the carrier is not there."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="labels") as threads:
            while True:
                room = min(AT_ONCE, self._left, AT_ONCE + self._waiting - len(self._calls))
                if self._may_claim and room > 0 and len(self._calls) <= AT_ONCE:
                    self._submit(threads, self._claim(room))
                elif self._calls:
                    self._submit(threads, self._record(self._collect()))
                else:
                    return

    def _claim(self, room: int) -> Sequence[LabelClaim]:
        claims = claim(self._account_id, room, is_first=not self._calls, at=clock.now())
        self._left -= len(claims)
        self._may_claim = bool(claims)
        return claims

    def _submit(self, threads: ThreadPoolExecutor, claims: Iterable[LabelClaim]) -> None:
        self._calls |= {threads.submit(self._ask, claim) for claim in claims}

    def _ask(self, claim: LabelClaim) -> Result | None:
        """Call the carrier; None where the turn came too late: the sweeper takes it over."""
        pacing.take_turn(f"carrier:{self._account_id}", per_second=self._pace)
        if clock.now() + CALL_LIMIT >= claim.lease_until:
            log.warning("label_called_too_late", parcel_id=str(claim.parcel_id))
            return None
        return ask(self._carrier, claim)

    def _collect(self) -> list[Result]:
        done, self._calls = wait(self._calls, return_when=FIRST_COMPLETED)
        if self._calls:
            more, self._calls = wait(self._calls, timeout=LINGER)
            done |= more
        return [result for future in done if (result := future.result()) is not None]

    def _record(self, results: Sequence[Result]) -> Sequence[LabelClaim]:
        unknown = [result for result in results if result.is_unknown]
        self._unknowns = len(unknown) + (self._unknowns if len(unknown) == len(results) else 0)
        down = next((each for each in results if each.is_general), None)
        if down is None and unknown and self._unknowns >= UNKNOWNS_IN_ROW:
            down = unknown[-1]
        self._may_claim = down is None
        self.recorded += len(results)
        return record(self._account_id, results, self._carrier.capabilities, down=down, at=clock.now())


# ---------------------------------------------------------------------------------------------- claim


def claim(account_id: UUID, limit: int, *, is_first: bool, at: datetime) -> Sequence[LabelClaim]:
    """Take the account's parcels that are due, and note before anything goes out that it may have.

    A carrier that was not there is tried with one parcel: ``is_first`` says that none is out yet.
    """
    with transaction():
        account = db.session.scalar(
            select(CarrierAccount)
            .where(CarrierAccount.id == account_id, CarrierAccount.is_active)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if account is None or (account.paused_until is not None and account.paused_until > at):
            return []
        if account.pauses:
            limit = 1 if is_first else 0
        parcels = _lock_due(account_id, limit, at) if limit else []
        tasks = {parcel.id: _take(parcel, at=at) for parcel in parcels}
        requests = label_requests.build(parcels)
        standing.restate({parcel.shipment_id for parcel in parcels})
        return [_claim_of(parcel, tasks[parcel.id], requests[parcel.id]) for parcel in parcels]


def _lock_due(account_id: UUID, limit: int, at: datetime) -> Sequence[Parcel]:
    """With their shipments, which everybody locks first."""
    statement = (
        select(Parcel)
        .join(Shipment, linked(Shipment, Parcel.shipment_id))
        .where(*_due(account_id, at))
        .order_by(Parcel.next_attempt_at, Parcel.id)
        .limit(limit)
        .with_for_update(of=(Shipment, Parcel), skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(statement).all()


def _take(parcel: Parcel, *, at: datetime) -> Task:
    """What was under way when its worker died is looked up; what a person had asked for anew is sent."""
    if parcel.status is ParcelStatus.CANCELED:
        _hold(parcel, at=at)
        return Task.CALL_OFF
    if parcel.status is ParcelStatus.TO_LABEL or not parcel.sends:
        _send(parcel, at=at)
        return Task.SEND
    parcel.status = ParcelStatus.UNKNOWN
    _hold(parcel, at=at)
    return Task.LOOK_UP


def _send(parcel: Parcel, *, at: datetime) -> None:
    parcel.status = ParcelStatus.SENDING
    parcel.sends += 1
    parcel.first_sent_at, parcel.last_sent_at = parcel.first_sent_at or at, at
    _hold(parcel, at=at)


def _hold(parcel: Parcel, *, at: datetime) -> None:
    parcel.fence += 1
    parcel.lease_until = parcel.next_attempt_at = at + LEASE


def _claim_of(parcel: Parcel, task: Task, request: LabelRequest) -> LabelClaim:
    if parcel.lease_until is None:
        raise ValueError("a claim is held")
    return LabelClaim(
        parcel_id=parcel.id,
        fence=parcel.fence,
        task=task,
        lease_until=parcel.lease_until,
        key=parcel.key,
        tracking_number=parcel.tracking_number,
        request=request,
    )


# ---------------------------------------------------------------------------------------------- call


def ask(carrier: LabelCarrier, claim: LabelClaim) -> Result:
    """Call the carrier, outside any transaction. Whatever goes wrong after sending, the result is not known."""
    try:
        if claim.task is Task.SEND:
            return Result(claim, carrier.create_label(claim.request, claim.key))
        if claim.task is Task.CALL_OFF:
            return Result(claim, _call_off(carrier, claim))
        return Result(claim, carrier.find_label(claim.key) if carrier.capabilities.finds else None)
    except CarrierError as error:
        if claim.task is Task.CALL_OFF and isinstance(error, CarrierRejectedError):
            return Result(claim, refused("rejected", error))
        return Result(claim, None, fault=words(error) or type(error).__name__)
    except Exception as error:
        log.exception("label_call_failed", parcel_id=str(claim.parcel_id))
        return Result(claim, unknown("error", f"{type(error).__name__}: {error}"))


def _call_off(carrier: LabelCarrier, claim: LabelClaim) -> LabelOutcome | None:
    """Have a label not paid for, where there is one. None once there is none."""
    number = claim.tracking_number
    if number is None and carrier.capabilities.finds and (found := carrier.find_label(claim.key)):
        number = found.tracking_number
    if number is not None:
        carrier.cancel(number)
    return None


# ---------------------------------------------------------------------------------------------- record


def record(
    account_id: UUID, results: Sequence[Result], can: Capabilities, *, down: Result | None, at: datetime
) -> Sequence[LabelClaim]:
    """Write what came of claims, each under its fence. Returns those that are to be sent again.

    ``down`` is the result that tells that the carrier is not there.
    """
    with transaction():
        parcels = _lock_claimed(results)
        again = []
        for result in results:
            parcel = parcels.get(result.claim.parcel_id)
            if parcel is not None and parcel.fence == result.claim.fence and _settle(parcel, result, can, at=at):
                again.append(_claim_of(parcel, Task.SEND, result.claim.request))
        standing.restate({parcel.shipment_id for parcel in parcels.values()})
        if down is not None:
            _pause(account_id, _words(down), at=at)
        elif results:
            _resume(account_id)
    return again


def _lock_claimed(results: Sequence[Result]) -> dict[UUID, Parcel]:
    statement = (
        select(Parcel)
        .join(Shipment, linked(Shipment, Parcel.shipment_id))
        .where(Parcel.id.in_([result.claim.parcel_id for result in results]))
        .order_by(Shipment.id, Parcel.id)
        .with_for_update(of=(Shipment, Parcel))
        .execution_options(populate_existing=True)
    )
    return {parcel.id: parcel for parcel in db.session.scalars(statement)}


def _settle(parcel: Parcel, result: Result, can: Capabilities, *, at: datetime) -> bool:
    """Bring a parcel to where the result says; whether its label is to be asked for again, by us."""
    outcome = result.outcome
    parcel.lease_until = parcel.next_attempt_at = None
    if parcel.status is ParcelStatus.CANCELED:
        _note_calling_off(parcel, result, at=at)
        return False
    if outcome is None:
        return _look_again(parcel, result, can, at=at)
    if outcome.state is LabelState.LABELLED:
        parcel.status, parcel.error = ParcelStatus.LABELLED, None
        parcel.tracking_number, parcel.label_file = outcome.tracking_number, outcome.label
        return False
    parcel.error = _words(result)
    if outcome.state is LabelState.UNKNOWN:
        parcel.status, parcel.error = ParcelStatus.UNKNOWN, NOBODY_KNOWS.format(reason=_words(result))
        parcel.next_attempt_at = at + _wait_of(parcel.fence)
    elif outcome.is_general:  # refused for now: it is asked for again
        parcel.status, parcel.next_attempt_at = ParcelStatus.TO_LABEL, at + WAITS[0]
    else:
        parcel.status, parcel.tracking_number = ParcelStatus.REFUSED, outcome.tracking_number
    return False


def _note_calling_off(parcel: Parcel, result: Result, *, at: datetime) -> None:
    is_done = result.outcome is None and result.fault is None
    parcel.error = None if is_done else NOT_CALLED_OFF.format(reason=_words(result))
    if result.fault is not None or result.is_unknown:
        parcel.next_attempt_at = at + _wait_of(parcel.fence)


def _look_again(parcel: Parcel, result: Result, can: Capabilities, *, at: datetime) -> bool:
    """The look-up brought nothing: later again, or sent again, or a person decides."""
    if result.fault is not None:
        parcel.error = NOBODY_KNOWS.format(reason=result.fault)
        parcel.next_attempt_at = at + _wait_of(parcel.fence)
        return False
    first, last = parcel.first_sent_at or at, parcel.last_sent_at or at
    if can.honoured_key_age is None or at + CALL_LIMIT >= first + can.honoured_key_age:
        parcel.error = FOR_A_PERSON
        return False
    if at < last + can.longest_delay:
        parcel.next_attempt_at = last + can.longest_delay
        return False
    _send(parcel, at=at)
    return True


def _wait_of(times: int) -> timedelta:
    return WAITS[min(max(times, 1), len(WAITS)) - 1]


def _words(result: Result) -> str:
    return result.fault or (result.outcome and (result.outcome.message or result.outcome.code)) or ""


def _pause(account_id: UUID, reason: str, *, at: datetime) -> None:
    """Leave the carrier alone, longer each time."""
    with transaction():
        account = _lock_account(account_id)
        if account.paused_until is None or account.paused_until <= at:
            account.pauses += 1
            account.paused_until = at + _wait_of(account.pauses)
        account.pause_reason = reason
        log.warning("carrier_paused", account_id=str(account_id))


def _resume(account_id: UUID) -> None:
    """It answers again."""
    db.session.execute(
        update(CarrierAccount)
        .where(CarrierAccount.id == account_id, CarrierAccount.pauses > 0)
        .values(pauses=0, paused_until=None, pause_reason=None)
        .execution_options(synchronize_session=False)
    )


def _lock_account(account_id: UUID) -> CarrierAccount:
    statement = select(CarrierAccount).where(CarrierAccount.id == account_id).with_for_update(key_share=True)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()
