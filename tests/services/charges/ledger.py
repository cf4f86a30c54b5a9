"""A provider for tests, at the gateway's edge: it keeps a ledger, honours keys, and misbehaves as it is told.

What it knows lives in a SQLite file, so that processes that are killed share it with those that are not.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from webapp import clock
from webapp.gateways.providers.protocol import (
    KnownPayment,
    PaymentOutcome,
    PaymentRequest,
    PaymentState,
    ProviderRefund,
    ProviderRejectedError,
    ProviderUnreachableError,
    uuid_or_none,
)
from webapp.models.charges import RefusalClass
from webapp.models.contracts import PaymentMethod

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
  attempt TEXT PRIMARY KEY, key TEXT UNIQUE, subscription TEXT, cycle INTEGER, amount TEXT, state TEXT,
  refusal TEXT, created_at TEXT, visible_at TEXT, reversed INTEGER DEFAULT 0
);
CREATE TABLE IF NOT EXISTS refunds (
  attempt TEXT, key TEXT UNIQUE, refund TEXT, amount TEXT, visible_at TEXT, failed_at TEXT
);
CREATE TABLE IF NOT EXISTS calls (attempt TEXT, kind TEXT);
"""
LONGEST_DELAY = timedelta(minutes=5)
FAILURE = "expired_or_canceled_card"


class Ledger:
    """The pretend provider. ``behave`` tells what the next payments come to."""

    honoured_key_age = timedelta(hours=20)
    page_methods: frozenset[PaymentMethod] = frozenset()
    longest_delay = LONGEST_DELAY

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self.mode = "succeed"
        self._database().executescript(SCHEMA)

    def behave(self, mode: str) -> None:
        """``succeed``, one of STATES; ``lost`` (nothing reaches it),
        ``timeout`` (it commits and does not answer), ``late`` (it commits four minutes later), ``down``. Refunds fare
        likewise; every kind of refusal refuses them, and ``failing`` has them fail as soon as they are made.
        """
        self.mode = mode

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See PaymentProvider."""
        self._note("create", request.attempt_id)
        if self.mode in ("lost", "down"):
            return PaymentOutcome(PaymentState.UNKNOWN, code="lost")
        state, refusal = STATES.get(self.mode, (PaymentState.SUCCEEDED, None))
        now = clock.now()
        visible = now + timedelta(minutes=4) if self.mode == "late" else now
        with self._database() as database:
            database.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
                (
                    str(request.attempt_id),
                    request.idempotency_key,
                    str(request.metadata.subscription_id),
                    request.metadata.cycle_no,
                    str(request.amount),
                    state.value,
                    refusal.value if refusal else None,
                    now.isoformat(),
                    visible.isoformat(),
                ),
            )
        if self.mode in ("timeout", "late"):
            return PaymentOutcome(PaymentState.UNKNOWN, code="timeout")
        found = self._find(request.attempt_id)
        assert found is not None
        return found

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See PaymentProvider."""
        self._note("find", attempt_id)
        if self.mode == "down":
            raise ProviderUnreachableError("down")
        return self._find(attempt_id)

    def _find(self, attempt_id: UUID) -> PaymentOutcome | None:
        row = (
            self._database()
            .execute(
                "SELECT * FROM payments WHERE attempt = ? AND visible_at <= ?",
                (str(attempt_id), clock.now().isoformat()),
            )
            .fetchone()
        )
        if row is None:
            return None
        refusal = RefusalClass(row["refusal"]) if row["refusal"] else None
        return PaymentOutcome(
            PaymentState.REVERSED if row["reversed"] else PaymentState(row["state"]),
            provider_payment_id=f"pay_{row['attempt']}",
            refusal_class=refusal,
            code=row["refusal"],
            message="Provision insuffisante" if refusal else None,
            occurred_at=datetime.fromisoformat(row["visible_at"]),
            amount=Decimal(row["amount"]),
            currency="EUR",
            authentication_url="https://example.org/3ds" if refusal is RefusalClass.AUTHENTICATION else None,
            reversed_at=clock.now() if row["reversed"] else None,
            reversal_reason="AM04" if row["reversed"] else None,
            refunds=tuple(self.told_refunds(attempt_id)),
        )

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """See PaymentProvider."""
        attempt_id = UUID(provider_payment_id.removeprefix("pay_"))
        with self._database() as database:
            database.execute(
                "UPDATE payments SET state = 'canceled' WHERE attempt = ? AND state NOT IN ('succeeded', 'refused')",
                (str(attempt_id),),
            )
        found = self._find(attempt_id)
        assert found is not None
        return found

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """See PaymentProvider."""
        attempt_id = UUID(provider_payment_id.removeprefix("pay_"))
        self._note("refund", attempt_id)
        if self.mode in ("lost", "down"):
            raise ProviderUnreachableError(self.mode)
        if self.mode in STATES:
            raise ProviderRejectedError(self.mode)
        if not self.give_back(attempt_id, amount, key=idempotency_key, refund_id=refund_id):
            raise ProviderRejectedError("more than is left")
        if self.mode in ("timeout", "late"):
            raise ProviderUnreachableError(self.mode)
        return next(told for told in self.told_refunds(attempt_id) if told.refund_id == refund_id)

    def give_back(self, attempt_id: UUID, amount: Decimal, *, key: str, refund_id: UUID | None = None) -> bool:
        """Money goes back, once per key; without ``refund_id`` somebody asked for it at the provider's own site.

        False where the payment has not so much left.
        """
        made = self._database().execute("SELECT * FROM refunds WHERE attempt = ?", (str(attempt_id),)).fetchall()
        payment = self._database().execute("SELECT * FROM payments WHERE attempt = ?", (str(attempt_id),)).fetchone()
        if any(row["key"] == key for row in made):
            return True
        if sum(Decimal(row["amount"]) for row in made if row["failed_at"] is None) + amount > Decimal(
            payment["amount"]
        ):
            return False
        visible = clock.now() + timedelta(minutes=4) if self.mode == "late" else clock.now()
        with self._database() as database:
            database.execute(
                "INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    str(attempt_id),
                    key,
                    str(refund_id or ""),
                    str(amount),
                    visible.isoformat(),
                    visible.isoformat() if self.mode == "failing" else None,
                ),
            )
        return True

    def fail_refund(self, external_id: str) -> None:
        """The client's bank does not take a refund: its money stays here."""
        with self._database() as database:
            database.execute(
                "UPDATE refunds SET failed_at = coalesce(failed_at, ?) WHERE 're_' || key = ?",
                (clock.now().isoformat(), external_id),
            )

    def refunds(self) -> list[ProviderRefund]:
        """What it has given back, and what has not failed since."""
        return [told for told in self.told_refunds() if told.failure is None]

    def told_refunds(self, attempt_id: UUID | None = None) -> list[ProviderRefund]:
        """Every refund that it knows of, of one payment or of all."""
        rows = self._database().execute(
            "SELECT * FROM refunds WHERE visible_at <= ? AND ? IN ('', attempt) ORDER BY rowid",
            (clock.now().isoformat(), str(attempt_id or "")),
        )
        return [
            ProviderRefund(
                external_id=f"re_{row['key']}",
                amount=Decimal(row["amount"]),
                happened_at=datetime.fromisoformat(row["visible_at"]),
                refund_id=uuid_or_none(row["refund"]),
                failure=FAILURE if row["failed_at"] else None,
                failed_at=datetime.fromisoformat(row["failed_at"]) if row["failed_at"] else None,
            )
            for row in rows
        ]

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """See PaymentProvider."""
        if self.mode == "down":
            raise ProviderUnreachableError("down")
        rows = self._database().execute("SELECT attempt FROM payments WHERE created_at <= ?", (until.isoformat(),))
        for row in rows.fetchall():
            found = self._find(UUID(row["attempt"]))
            if found is not None:
                yield KnownPayment(UUID(row["attempt"]), found)

    def confirm(self, attempt_id: UUID, state: PaymentState = PaymentState.SUCCEEDED) -> None:
        """What was processing, or waited for the client, comes to its end."""
        with self._database() as database:
            database.execute("UPDATE payments SET state = ? WHERE attempt = ?", (state.value, str(attempt_id)))

    def reverse(self, attempt_id: UUID) -> None:
        """The bank takes a captured payment back."""
        with self._database() as database:
            database.execute(
                "UPDATE payments SET reversed = 1 WHERE attempt = ? AND state = 'succeeded'", (str(attempt_id),)
            )

    def peek(self, attempt_id: UUID) -> PaymentOutcome | None:
        """How a payment stands, without anybody having asked."""
        return self._find(attempt_id)

    def waiting(self) -> list[UUID]:
        """Payments that wait for a bank or for the client."""
        statement = "SELECT attempt FROM payments WHERE state IN ('processing', 'authentication_required')"
        return [UUID(row["attempt"]) for row in self._database().execute(statement)]

    def forget(self) -> None:
        """Begin anew."""
        self._database().executescript("DELETE FROM payments; DELETE FROM refunds; DELETE FROM calls")

    def invent(self) -> None:
        """A payment that nobody asked for."""
        with self._database() as database:
            database.execute(
                "INSERT INTO payments SELECT ?, 'x', subscription, 99, amount, state, NULL, created_at, visible_at, 0"
                " FROM payments LIMIT 1",
                (str(uuid4()),),
            )

    def captures(self) -> list[tuple[UUID, int, Decimal]]:
        """What it captured and did not give back: subscription, cycle, amount."""
        rows = self._database().execute("SELECT * FROM payments WHERE state = 'succeeded' AND reversed = 0").fetchall()
        return sorted((UUID(row["subscription"]), row["cycle"], Decimal(row["amount"])) for row in rows)

    def attempts(self) -> list[UUID]:
        """Every attempt that reached it."""
        return [UUID(row["attempt"]) for row in self._database().execute("SELECT attempt FROM payments ORDER BY rowid")]

    def count_calls(self, kind: str) -> int:
        """How often it was called."""
        row = self._database().execute("SELECT count(*) FROM calls WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    def _note(self, kind: str, attempt_id: UUID) -> None:
        with self._database() as database:
            database.execute("INSERT INTO calls VALUES (?, ?)", (str(attempt_id), kind))

    def _database(self) -> sqlite3.Connection:
        """A connection per thread and, since forked children may not share one, per process."""
        key = (threading.get_ident(), os.getpid())
        if getattr(self._local, "key", None) != key:
            database = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = OFF")
            self._local.key, self._local.database = key, database
        found: sqlite3.Connection = self._local.database
        return found


STATES = {
    "soft": (PaymentState.REFUSED, RefusalClass.SOFT),
    "hard": (PaymentState.REFUSED, RefusalClass.HARD),
    "technical": (PaymentState.REFUSED, RefusalClass.TECHNICAL),
    "authenticate": (PaymentState.AUTHENTICATION_REQUIRED, RefusalClass.AUTHENTICATION),
    "decline for authentication": (PaymentState.REFUSED, RefusalClass.AUTHENTICATION),
    "process": (PaymentState.PROCESSING, None),
}
