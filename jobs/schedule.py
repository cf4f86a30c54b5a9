"""``python -m jobs.schedule``: the timetable, and the loop that keeps it.

Two schedulers are harmless (each tick is a row that only one can insert), and a scheduler that was down catches up
once. RQ's own cron is not used: it has no leader, skips missed ticks and speaks pickle.
"""

import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from webapp import clock
from webapp.config import load_settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services import health, outbox
from webapp.services.bank_files import files, notices
from webapp.services.charges import reconciling, sweeping
from webapp.services.charges import runs as charge_runs
from webapp.services.clients import validity
from webapp.services.covers import alerts as cover_alerts
from webapp.services.covers import renouncing
from webapp.services.dunning import steps as dunning_steps
from webapp.services.duplicates import searches as duplicate_searches
from webapp.services.exports import carrying_out as exports
from webapp.services.figures import in_force, tallies
from webapp.services.fulfilment import dispatching, documents, labelling, lock_runs, tracking_rounds
from webapp.services.imports import commands as imports
from webapp.services.invoices import finalising
from webapp.services.means_requests import looking
from webapp.services.message_triggers import cards, digest
from webapp.services.message_triggers import covers as cover_messages
from webapp.services.messages import mailboxes
from webapp.services.messages import sweeping as messages_sweeping
from webapp.services.operations import runs as operation_runs
from webapp.services.operators import comparing as operator_files
from webapp.services.operators import fetching as operator_documents
from webapp.services.operators import handling as operator_events
from webapp.services.operators import telling as operator_deliveries
from webapp.services.provider_events import webhooks
from webapp.services.refunds import sweeping as refunds_sweeping
from webapp.services.rights import erasing
from webapp.services.sales import missing_means
from webapp.services.schedule import take_tick, tick_at
from webapp.services.subscriptions import lifecycle
from webapp.services.winleadplus import runs, timing
from webapp.services.woocommerce import claiming as shop_events
from webapp.services.woocommerce import pulls as shop_pulls

log = structlog.get_logger()

PULSE_SECONDS = 2.0


class TimetableEntry(NamedTuple):
    """What is done, and how often."""

    job: str
    every: timedelta
    work: Callable[..., object]


TIMETABLE = (
    # Each organisation has its own interval (one hour, unless set otherwise); this only looks whose time has come.
    TimetableEntry("winleadplus-due", timedelta(seconds=30), timing.start_due_runs),
    TimetableEntry("winleadplus-sweep", timedelta(seconds=15), runs.sweep),
    TimetableEntry("imports-sweep", timedelta(seconds=30), imports.sweep),
    TimetableEntry("imports-drop-old", timedelta(hours=1), imports.drop_old),
    TimetableEntry("operations-sweep", timedelta(seconds=15), operation_runs.sweep),
    # Each shop once an hour, and once a night whole; this only looks whose time has come.
    TimetableEntry("shop-pulls-due", timedelta(minutes=1), shop_pulls.start_due),
    TimetableEntry("shop-pulls-sweep", timedelta(seconds=15), shop_pulls.sweep),
    TimetableEntry("shop-events-sweep", timedelta(seconds=15), shop_events.sweep),
    TimetableEntry("shop-events-prune", timedelta(minutes=10), shop_events.prune),
    TimetableEntry("shop-pulls-prune", timedelta(days=1), shop_pulls.prune),
    TimetableEntry("operator-events-sweep", timedelta(seconds=15), operator_events.sweep),
    TimetableEntry("operator-events-prune", timedelta(minutes=10), operator_events.prune),
    TimetableEntry("operator-documents-sweep", timedelta(seconds=30), operator_documents.sweep),
    TimetableEntry("operator-deliveries-sweep", timedelta(seconds=15), operator_deliveries.sweep),
    TimetableEntry("operator-files-compare", timedelta(days=7), operator_files.ring),
    # Each organisation once a night, and after each synchronisation; this only looks whose time has come.
    TimetableEntry("duplicates-due", timedelta(minutes=1), duplicate_searches.start_due),
    TimetableEntry("duplicates-sweep", timedelta(seconds=30), duplicate_searches.sweep),
    TimetableEntry("outbox-sweep", timedelta(seconds=15), outbox.sweep),
    TimetableEntry("outbox-prune", timedelta(minutes=10), outbox.prune),
    TimetableEntry("webhooks-sweep", timedelta(seconds=15), webhooks.sweep),
    TimetableEntry("means-requests-sweep", timedelta(seconds=30), looking.sweep),
    TimetableEntry("webhooks-prune", timedelta(minutes=10), webhooks.prune),
    TimetableEntry("bank-files-sweep", timedelta(minutes=1), files.sweep),
    TimetableEntry("sepa-notices", timedelta(hours=1), notices.announce_due),
    TimetableEntry("invoices-sweep", timedelta(seconds=30), finalising.sweep),
    TimetableEntry("charges-run", timedelta(hours=1), charge_runs.start_due_runs),
    TimetableEntry("charges-sweep", timedelta(seconds=30), sweeping.ring),
    TimetableEntry("messages-due", timedelta(seconds=30), messages_sweeping.ring_due),
    TimetableEntry("messages-sweep", timedelta(seconds=30), messages_sweeping.sweep),
    TimetableEntry("messages-held", timedelta(hours=1), messages_sweeping.look_again),
    TimetableEntry("bounces", timedelta(minutes=5), mailboxes.ring),
    TimetableEntry("card-expiry", timedelta(days=1), cards.tell_expiring),
    TimetableEntry("covers-open", timedelta(days=1), cover_messages.tell_open),
    TimetableEntry("covers-renewed", timedelta(days=1), cover_messages.tell_renewed),
    TimetableEntry("renunciations-end", timedelta(days=1), renouncing.tell_ended),
    TimetableEntry("means-missing", timedelta(hours=1), missing_means.look),
    TimetableEntry("covers-near-cap", timedelta(days=1), cover_alerts.raise_due),
    TimetableEntry("documents-expire", timedelta(days=1), validity.tell_due),
    TimetableEntry("digest", timedelta(hours=1), digest.write_due),
    TimetableEntry("refunds-sweep", timedelta(seconds=30), refunds_sweeping.sweep),
    TimetableEntry("dunning-steps", timedelta(hours=1), dunning_steps.ring),
    TimetableEntry("dispatch-sweep", timedelta(seconds=30), dispatching.sweep),
    TimetableEntry("labels-sweep", timedelta(seconds=30), labelling.sweep),
    TimetableEntry("batch-documents-sweep", timedelta(seconds=30), documents.sweep),
    TimetableEntry("tracking", tracking_rounds.EVERY, tracking_rounds.ring),
    TimetableEntry("batch-documents-prune", timedelta(days=1), documents.prune),
    TimetableEntry("fulfilment-lock", timedelta(minutes=1), lock_runs.ring_due),
    TimetableEntry("fulfilment-sweep", timedelta(seconds=30), lock_runs.sweep),
    TimetableEntry("erasure-files-sweep", timedelta(minutes=10), erasing.sweep),
    TimetableEntry("exports-sweep", timedelta(seconds=30), exports.sweep),
    TimetableEntry("exports-prune", timedelta(hours=1), exports.prune),
    TimetableEntry("charges-reconcile", timedelta(days=1), reconciling.ring),
    # Days begin at different instants in different zones: looked at often, done once.
    TimetableEntry("subscriptions-resume", timedelta(minutes=5), lifecycle.resume_due),
    TimetableEntry("subscriptions-end", timedelta(minutes=5), lifecycle.end_due),
    TimetableEntry("tallies-fold", timedelta(hours=1), tallies.fold_all),
    TimetableEntry("cover-figures", timedelta(minutes=1), in_force.book_all),
)


def perform_due(timetable: tuple[TimetableEntry, ...], *, at: datetime, seen: dict[str, datetime]) -> None:
    """Do what is due at ``at``. A failing entry is logged and tried at its next tick; the others go on.

    ``seen`` keeps the last tick of each entry that this process took, or found taken: the database is not asked again.
    """
    for entry in timetable:
        tick = tick_at(at, entry.every)
        if seen.get(entry.job) == tick:
            continue
        try:
            is_ours = take_tick(entry.job, every=entry.every, at=at)
            seen[entry.job] = tick
            if is_ours:
                entry.work(at=at)
        except Exception:
            log.exception("schedule_entry_failed", job=entry.job)
        finally:
            db.session.remove()


def main() -> None:
    """Keep the timetable until SIGTERM; with CRM_SCHEDULE=off only wait for it."""
    settings = load_settings()
    health.refuse_powerful_role(settings)
    app = create_app(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not settings.crm_schedule:
        log.info("schedule_off")
        stop.wait()
        return
    log.info("schedule_on")
    seen: dict[str, datetime] = {}
    while not stop.is_set():
        with app.app_context():
            perform_due(TIMETABLE, at=clock.now(), seen=seen)
        stop.wait(PULSE_SECONDS)


if __name__ == "__main__":
    main()
