"""The loop that keeps the timetable."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobs.schedule import TIMETABLE, TimetableEntry, perform_due
from tests.conftest import Cast
from tests.queries import recorded_statements
from webapp import tenancy

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_failing_entry_does_not_stop_the_others(cast: Cast) -> None:
    done: list[datetime] = []

    def fail(*, at: datetime) -> None:
        raise RuntimeError("broken entry")

    def work(*, at: datetime) -> None:
        done.append(at)

    timetable = (TimetableEntry("first", MINUTE, fail), TimetableEntry("second", MINUTE, work))
    seen: dict[str, datetime] = {}
    for moment in (NOON, NOON + MINUTE, NOON + MINUTE + timedelta(seconds=20)):
        perform_due(timetable, at=moment, seen=seen)
    assert done == [NOON + MINUTE]


def test_between_two_ticks_the_database_is_not_asked(cast: Cast) -> None:
    done: list[datetime] = []
    timetable = (TimetableEntry("only", MINUTE, lambda *, at: done.append(at)),)
    seen: dict[str, datetime] = {}
    perform_due(timetable, at=NOON, seen=seen)
    with recorded_statements() as queries:
        perform_due(timetable, at=NOON + timedelta(seconds=59), seen=seen)
    assert queries == []
    perform_due(timetable, at=NOON + MINUTE, seen=seen)
    assert done == [NOON + MINUTE]


def test_of_two_schedulers_one_works_at_a_tick(cast: Cast) -> None:
    done: list[datetime] = []
    timetable = (TimetableEntry("only", MINUTE, lambda *, at: done.append(at)),)
    one: dict[str, datetime] = {}
    other: dict[str, datetime] = {}
    for moment in (NOON, NOON + MINUTE, NOON + 2 * MINUTE):
        perform_due(timetable, at=moment, seen=one)
        perform_due(timetable, at=moment, seen=other)
    assert done == [NOON + MINUTE, NOON + 2 * MINUTE]


def test_the_timetable_is_as_agreed() -> None:
    """A name that changes forgets when its entry was last done; a function or a period, what was promised."""

    def seconds(number: int) -> timedelta:
        return timedelta(seconds=number)

    def minutes(number: int) -> timedelta:
        return timedelta(minutes=number)

    def hours(number: int) -> timedelta:
        return timedelta(hours=number)

    def name_of(work: Callable[..., object]) -> str:
        return f"{work.__module__.removeprefix('webapp.services.')}.{work.__name__}"

    kept = {(each.job, each.every, name_of(each.work)) for each in TIMETABLE}
    assert kept == {
        ("winleadplus-due", seconds(30), "winleadplus.timing.start_due_runs"),
        ("winleadplus-sweep", seconds(15), "winleadplus.runs.sweep"),
        ("shop-pulls-due", minutes(1), "woocommerce.pulls.start_due"),
        ("shop-pulls-sweep", seconds(15), "woocommerce.pulls.sweep"),
        ("shop-pulls-prune", hours(24), "woocommerce.pulls.prune"),
        ("duplicates-due", minutes(1), "duplicates.searches.start_due"),
        ("duplicates-sweep", seconds(30), "duplicates.searches.sweep"),
        ("outbox-sweep", seconds(15), "outbox.sweep"),
        ("outbox-prune", minutes(10), "outbox.prune"),
        ("covers-open", hours(24), "message_triggers.covers.tell_open"),
        ("covers-renewed", hours(24), "message_triggers.covers.tell_renewed"),
        ("covers-near-cap", hours(24), "covers.alerts.raise_due"),
        ("renunciations-end", hours(24), "covers.renouncing.tell_ended"),
        ("means-missing", hours(1), "sales.missing_means.look"),
        ("documents-expire", hours(24), "clients.validity.tell_due"),
        ("messages-due", seconds(30), "messages.sweeping.ring_due"),
        ("messages-held", hours(1), "messages.sweeping.look_again"),
        ("messages-sweep", seconds(30), "messages.sweeping.sweep"),
        ("bounces", minutes(5), "messages.mailboxes.ring"),
        ("shop-events-sweep", seconds(15), "woocommerce.claiming.sweep"),
        ("shop-events-prune", minutes(10), "woocommerce.claiming.prune"),
        ("operator-events-sweep", seconds(15), "operators.handling.sweep"),
        ("operator-events-prune", minutes(10), "operators.handling.prune"),
        ("operator-documents-sweep", seconds(30), "operators.fetching.sweep"),
        ("operator-files-compare", hours(24 * 7), "operators.comparing.ring"),
        ("operator-deliveries-sweep", seconds(15), "operators.telling.sweep"),
        ("webhooks-sweep", seconds(15), "provider_events.webhooks.sweep"),
        ("means-requests-sweep", seconds(30), "means_requests.looking.sweep"),
        ("webhooks-prune", minutes(10), "provider_events.webhooks.prune"),
        ("bank-files-sweep", minutes(1), "bank_files.files.sweep"),
        ("imports-sweep", seconds(30), "imports.commands.sweep"),
        ("imports-drop-old", timedelta(hours=1), "imports.commands.drop_old"),
        ("operations-sweep", seconds(15), "operations.runs.sweep"),
        ("sepa-notices", hours(1), "bank_files.notices.announce_due"),
        ("invoices-sweep", seconds(30), "invoices.finalising.sweep"),
        ("dispatch-sweep", seconds(30), "fulfilment.dispatching.sweep"),
        ("labels-sweep", seconds(30), "fulfilment.labelling.sweep"),
        ("tracking", hours(2), "fulfilment.tracking_rounds.ring"),
        ("batch-documents-sweep", seconds(30), "fulfilment.documents.sweep"),
        ("batch-documents-prune", hours(24), "fulfilment.documents.prune"),
        ("fulfilment-lock", minutes(1), "fulfilment.lock_runs.ring_due"),
        ("fulfilment-sweep", seconds(30), "fulfilment.lock_runs.sweep"),
        ("charges-run", hours(1), "charges.runs.start_due_runs"),
        ("charges-sweep", seconds(30), "charges.sweeping.ring"),
        ("card-expiry", hours(24), "message_triggers.cards.tell_expiring"),
        ("digest", hours(1), "message_triggers.digest.write_due"),
        ("refunds-sweep", seconds(30), "refunds.sweeping.sweep"),
        ("dunning-steps", hours(1), "dunning.steps.ring"),
        ("erasure-files-sweep", minutes(10), "rights.erasing.sweep"),
        ("exports-sweep", seconds(30), "exports.carrying_out.sweep"),
        ("exports-prune", hours(1), "exports.carrying_out.prune"),
        ("charges-reconcile", hours(24), "charges.reconciling.ring"),
        ("subscriptions-resume", minutes(5), "subscriptions.lifecycle.resume_due"),
        ("subscriptions-end", minutes(5), "subscriptions.lifecycle.end_due"),
        ("tallies-fold", hours(1), "figures.tallies.fold_all"),
        ("cover-figures", minutes(1), "figures.in_force.book_all"),
    }


def test_every_entry_can_be_done(session: None) -> None:
    perform_due(TIMETABLE, at=NOON, seen={})
    for entry in TIMETABLE:
        with tenancy.organisation(None):  # type: ignore[arg-type]
            entry.work(at=NOON)
