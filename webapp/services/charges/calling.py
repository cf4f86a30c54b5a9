"""Calling providers: outside any transaction, a bounded number at once, no faster than the account allows.

Calls run in threads, which touch no database: they are given claims and hand back results.
"""

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from types import TracebackType
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import clock
from webapp.extensions import db
from webapp.gateways.providers import pacing, protocol
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState, ProviderError
from webapp.models.charges import RefusalClass
from webapp.models.providers import ProviderAccount
from webapp.services.charges.claiming import ChargeClaim, ClaimTask
from webapp.services.charges.recording import NOTHING_DELAYED, KeyLimits, Result
from webapp.services.providers.accounts import provider_of

log = structlog.get_logger()

CALL_LIMIT = timedelta(seconds=30)
"""How long before the end of its lease a call may begin at the latest: the result must still be recorded as ours."""
NOT_SET_UP = "Le compte chez le prestataire n’est pas configuré\u202f: {reason}"


class Callers:
    """The accounts of one organisation, as far as they are called, each with its threads. Use as a context manager."""

    def __init__(self) -> None:
        self._accounts: dict[UUID, _Account] = {}
        self._futures: set[Future[Result | None]] = set()

    def __enter__(self) -> "Callers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for account in self._accounts.values():
            account.threads.shutdown(wait=error is None, cancel_futures=True)

    @property
    def in_flight(self) -> int:
        """How many claims are out."""
        return len(self._futures)

    def submit(self, claims: Iterable[ChargeClaim]) -> None:
        """Have the claims called."""
        for claim in claims:
            account = self._account(claim.account_id)
            self._futures.add(account.threads.submit(account.answer, claim))

    def collect(self, *, linger: float) -> list[Result]:
        """Wait for a call to end, then take all that have ended ``linger`` seconds later."""
        if not self._futures:
            return []
        done, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
        if linger and self._futures:
            more, self._futures = wait(self._futures, timeout=linger)
            done |= more
        return [result for future in done if (result := future.result()) is not None]

    def _account(self, account_id: UUID) -> "_Account":
        if account_id not in self._accounts:
            self._accounts[account_id] = _Account(find_account(account_id))
        return self._accounts[account_id]


def find_account(account_id: UUID) -> ProviderAccount:
    """The account, with its sealed credentials."""
    statement = select(ProviderAccount).where(ProviderAccount.id == account_id)
    return db.session.scalars(statement.options(undefer(ProviderAccount.credentials))).one()


class _Account:
    """One account: its provider (none where it is not set up), its pace and its threads."""

    def __init__(self, account: ProviderAccount) -> None:
        self._id, self._rate, self._fault = str(account.id), account.rate_per_second, ""
        self._provider: protocol.PaymentProvider | None = None
        try:
            self._provider = provider_of(account)
        except ProviderError as error:
            self._fault = NOT_SET_UP.format(reason=error)
            log.warning("provider_not_set_up", account_id=self._id)
        self.threads = ThreadPoolExecutor(account.max_concurrency, thread_name_prefix="charges")

    def answer(self, claim: ChargeClaim) -> Result | None:
        """What comes of a claim; None where it came up too late to be called: the sweeper takes it over."""
        if self._provider is None:
            return Result(claim, self._nothing_sent(claim), NOTHING_DELAYED)
        pacing.take_turn(self._id, per_second=self._rate)
        if clock.now() + CALL_LIMIT >= claim.lease_until:
            log.warning("charge_called_too_late", charge_id=str(claim.charge_id))
            return None
        return Result(claim, self._ask(self._provider, claim), KeyLimits.of(self._provider))

    def _nothing_sent(self, claim: ChargeClaim) -> PaymentOutcome:
        if claim.task is ClaimTask.LOOK_UP:
            return PaymentOutcome(PaymentState.UNKNOWN, message=self._fault)
        refusal = RefusalClass.TECHNICAL
        return PaymentOutcome(PaymentState.REFUSED, refusal_class=refusal, code="not_set_up", message=self._fault)

    @staticmethod
    def _ask(provider: protocol.PaymentProvider, claim: ChargeClaim) -> PaymentOutcome | None:
        try:
            if claim.task is ClaimTask.SEND:
                return provider.create_payment(claim.request)
            return provider.find_payment(claim.request.attempt_id, provider_payment_id=claim.provider_payment_id)
        except Exception as error:  # whatever it was, the result is not known
            if not isinstance(error, ProviderError):
                log.exception("provider_call_failed", charge_id=str(claim.charge_id))
            return PaymentOutcome(PaymentState.UNKNOWN, code="error", message=f"{type(error).__name__}: {error}"[:500])
