"""The loop of a worker: claim a batch, call, record what came back, until nothing is left to take.

Claiming and recording are short transactions of this thread; the calls between them run in threads, so that a slow
provider holds up nobody. Killed anywhere, it leaves rows with a lease that the sweeper finds.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from webapp import clock
from webapp.services.charges import claiming, recording
from webapp.services.charges.calling import Callers
from webapp.services.charges.claiming import Claimed
from webapp.services.charges.recording import Listener, Recorded, Result
from webapp.transactions import transaction

log = structlog.get_logger()

BATCH = 64
"""Claims per transaction. With those in flight, few enough to be called within their lease."""
LOW_WATER = 48
"""More is claimed when fewer than this many calls are out."""
LINGER = 0.004
"""Seconds to wait for further calls to end, so that they are recorded in one transaction."""

Claimer = Callable[[int, datetime], Claimed]


def drive(claim: Claimer, *, on_progress: Listener) -> None:
    """Work for the current organisation until ``claim`` brings nothing more and every call has been recorded.

    ``on_progress`` hears, inside the transaction that records them, how many charges came to stand where.
    """
    with Callers() as callers:
        may_claim = True
        while True:
            if may_claim and callers.in_flight < LOW_WATER:
                claimed = _claim(claim, on_progress)
                callers.submit(claimed.claims)
                may_claim = not claimed.is_empty
                continue
            if not callers.in_flight:
                return
            recorded = _record(callers.collect(linger=LINGER), on_progress)
            callers.submit(recorded.again)
            may_claim = may_claim or not callers.in_flight  # what was just recorded may have brought up the next cycle


def _claim(claim: Claimer, on_progress: Listener) -> Claimed:
    with transaction():
        claimed = claim(BATCH, clock.now())
        if claimed.settled:
            on_progress(claimed.settled)
    return claimed


def _record(results: Sequence[Result], on_progress: Listener) -> Recorded:
    """Record a batch; if it fails, one by one, so that a single bad row costs one row. It keeps its lease meanwhile."""
    try:
        return recording.record(results, at=clock.now(), on_progress=on_progress)
    except Exception:
        if len(results) == 1:
            log.exception("charge_not_recorded", charge_id=str(results[0].claim.charge_id))
            return Recorded()
        log.warning("charges_recorded_one_by_one", exc_info=True)
    alone = [_record([result], on_progress) for result in results]
    return Recorded(again=[claim for each in alone for claim in each.again])


def claim_overdue(limit: int, at: datetime) -> Claimed:
    """What waits apart from the schedule: look-ups first, then new attempts."""
    claims = claiming.claim_look_ups(limit=limit, at=at)
    return claims if not claims.is_empty else claiming.claim_taken_up(limit=limit, at=at)
