"""Bank files (SEPA direct debit): nothing is called; a debit waits until a person hands the file to the bank.

So a payment is PROCESSING as soon as it is asked for, under an EndToEndId that its attempt decides, and what became of
it is told by a person or by a list of returns (services/payments). Asking twice is asking once.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sepaxml import SepaDD
from sepaxml.validation import ValidationError

from webapp.gateways.payments.protocol import (
    BadSignatureError,
    KnownPayment,
    PaymentOutcome,
    PaymentRequest,
    PaymentState,
    ProviderEvent,
    ProviderRejectedError,
    Refund,
    UnreadableWebhookError,
)


def end_to_end_id(attempt_id: UUID) -> str:
    """The debit's EndToEndId (at most 35 characters): from it, the attempt is found again in a list of returns."""
    return f"CRM{attempt_id.hex.upper()}"


SCHEMA = "pain.008.001.08"


@dataclass(frozen=True)
class Creditor:
    """Who collects. ``ics`` is its SEPA creditor identifier."""

    name: str
    iban: str
    bic: str
    ics: str


@dataclass(frozen=True)
class Debit:
    """One collection. The address is structured, as banks demand since November 2026; ``country`` is ISO 3166."""

    end_to_end_id: str
    amount: Decimal
    name: str
    iban: str
    bic: str | None
    umr: str
    signed_on: date
    text: str
    street: str | None
    postcode: str | None
    city: str | None
    country: str


class InvalidFileError(Exception):
    """The file would not follow its schema; the message says where."""


def build_file(
    creditor: Creditor, debits: Iterable[Debit], *, message_id: str, collected_on: date, at: datetime
) -> bytes:
    """A pain.008 file with one batch, checked against its schema. Raises InvalidFileError.

    sepaxml makes up identifiers and takes the wall clock where nobody stops it, and alters the dictionaries it is
    given; so it gets fresh ones, and the header is put right.
    """
    config = {
        "name": creditor.name,
        "IBAN": creditor.iban,
        "BIC": creditor.bic,
        "batch": True,
        "creditor_id": creditor.ics,
        "currency": "EUR",
        "instrument": "CORE",
    }
    file = SepaDD(config, schema=SCHEMA, clean=True)
    header = file._xml.find("CstmrDrctDbtInitn/GrpHdr")
    header.find("MsgId").text = message_id
    header.find("CreDtTm").text = at.strftime("%Y-%m-%dT%H:%M:%S")
    for debit in debits:
        file.add_payment(_payment(debit, collected_on))
    try:
        content: bytes = file.export(validate=True)
    except ValidationError as error:
        raise InvalidFileError(str(error.__cause__ or error)) from error
    return content


def _payment(debit: Debit, collected_on: date) -> dict[str, object]:
    """A debit as sepaxml wants it. RCUR serves for the first one too (SEPA Core rulebook, since 2016)."""
    address = {
        "street_name": _plain(debit.street, 70),
        "postcode": _plain(debit.postcode, 16),
        "town": _plain(debit.city, 35),
        "country": debit.country,
    }
    payment: dict[str, object] = {
        "name": debit.name,
        "IBAN": debit.iban,
        "amount": int(debit.amount * 100),
        "type": "RCUR",
        "collection_date": collected_on,
        "mandate_id": debit.umr,
        "mandate_date": debit.signed_on,
        "description": debit.text,
        "endtoend_id": debit.end_to_end_id,
    }
    if debit.bic:
        payment["BIC"] = debit.bic
    if address["town"]:  # with the country it is the least of a structured address
        payment["address"] = {name: value for name, value in address.items() if value}
    return payment


def _plain(text: str | None, length: int) -> str:
    """In the letters that every bank reads."""
    decomposed = unicodedata.normalize("NFKD", (text or "").replace("’", "'"))
    return decomposed.encode("ascii", "ignore").decode()[:length].strip()


class SepaFile:
    """Debits that wait for a bank file."""

    honoured_key_age = timedelta(days=3650)  # the attempt itself decides: the same one is the same debit for ever
    longest_delay = timedelta(0)

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See Provider."""
        return self._waiting(request.attempt_id)

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See Provider."""
        return self._waiting(attempt_id)

    def _waiting(self, attempt_id: UUID) -> PaymentOutcome:
        return PaymentOutcome(PaymentState.PROCESSING, provider_payment_id=end_to_end_id(attempt_id))

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """See Provider."""
        raise ProviderRejectedError("a debit is taken out of its bank file, or recalled at the bank")

    def refund(self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID) -> Refund:
        """See Provider."""
        raise ProviderRejectedError("a debit is paid back by a transfer")

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, at: datetime) -> ProviderEvent:
        """See Provider."""
        raise BadSignatureError("banks send no webhooks")

    def read_event(self, body: bytes) -> ProviderEvent:
        """See Provider."""
        raise UnreadableWebhookError("banks send no webhooks")

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """See Provider."""
        return iter(())
