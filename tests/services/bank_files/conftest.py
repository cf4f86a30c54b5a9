"""What the tests of bank files stand on: an account, debits that wait, and steps of a file."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from tests import factories
from tests.conftest import Cast
from webapp.extensions import db
from webapp.gateways.providers import pain008
from webapp.models.bank_files import BankFile
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.messages import Message, MessageKind, MessageStatus
from webapp.models.payments import Payment
from webapp.models.providers import Provider, ProviderAccount
from webapp.services.bank_files import files, notices
from webapp.services.providers import accounts

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=25)
COLLECTED_ON = date(2026, 12, 16)
IBAN = "FR1420041010050500013M02606"
NAMESPACE = {"p": f"urn:iso:std:iso:20022:tech:xsd:{pain008.SCHEMA}"}

MakeDebit = Callable[..., ChargeAttempt]


@pytest.fixture
def account(cast: Cast) -> ProviderAccount:
    """The company's account for bank files."""
    company = factories.default_company()
    company.name = "Société d’essai & Cie"
    return accounts.save_account(
        company.id, Provider.SEPA_FILE, credentials={"iban": IBAN, "bic": "PSSTFRPPXXX"}, ics="FR72ZZZ123456"
    )


@pytest.fixture
def make_debit(account: ProviderAccount) -> MakeDebit:
    """A charge that waits for a bank file, under a signed mandate; by default its client was told long ago."""

    def make(
        *,
        due_on: date = date(2026, 12, 1),
        signed_on: date = date(2026, 1, 2),
        is_told: bool = True,
        **values: Any,
    ) -> ChargeAttempt:
        client = factories.ClientFactory(
            last_name="Durand", first_name="Léa", address_line1="1 rue de l’Église", postcode="59000", city="Lille"
        )
        mandate = Mandate(
            id=new_id(),
            client_id=client.id,
            bank_account_id=factories.make_bank_account(client, IBAN).id,
            company_id=account.company_id,
            umr=f"RUM-{client.id.hex[-8:]}",
            status=MandateStatus.ACTIVE,
            signed_on=signed_on,
        )
        db.session.add(mandate)
        subscription = factories.SubscriptionFactory(client_id=client.id, provider_account_id=account.id)
        charge = factories.ChargeFactory(
            subscription_id=subscription.id,
            client_id=client.id,
            provider_account_id=account.id,
            payment_method=PaymentMethod.SEPA,
            status=ChargeStatus.PROCESSING,
            due_on=due_on,
        )
        attempt = ChargeAttempt(
            id=new_id(),
            charge_id=charge.id,
            number=1,
            provider_account_id=account.id,
            provider=Provider.SEPA_FILE,
            mandate_id=mandate.id,
            **{"amount": Decimal("24.00"), "status": AttemptStatus.PROCESSING} | values,
        )
        db.session.add(attempt)
        db.session.commit()
        if is_told:
            tell_all()
        return attempt

    return make


def tell_all() -> None:
    """The clients of all debits that wait were told long ago."""
    notices.announce_waiting(at=LONG_AGO)
    send_notices(at=LONG_AGO)


def send_notices(*, at: datetime) -> None:
    """Every notice that has not left leaves at ``at``."""
    unsent = update(Message).where(Message.kind == MessageKind.SEPA_NOTICE, Message.sent_at.is_(None))
    db.session.execute(unsent.values(status=MessageStatus.SENT, held_reason=None, sent_at=at))
    db.session.commit()


def prepare(account: ProviderAccount) -> BankFile:
    return files.prepare_file(account.id, collected_on=COLLECTED_ON, at=NOW)


def confirm(file: BankFile) -> None:
    later = NOW + timedelta(days=16)
    files.export_file(file.id, at=NOW)
    files.mark_sent(file.id, at=NOW)
    files.mark_confirmed(file.id, at=later)
    files.settle(file.organisation_id, file.id, at=later)


def status_of(attempt: ChargeAttempt) -> tuple[AttemptStatus, ChargeStatus]:
    db.session.expire_all()
    charge = db.session.scalars(select(Charge).where(Charge.id == attempt.charge_id)).one()
    return db.session.scalars(select(ChargeAttempt).where(ChargeAttempt.id == attempt.id)).one().status, charge.status


def amounts() -> list[Decimal]:
    return list(db.session.scalars(select(Payment.amount).order_by(Payment.id)))


def confirm_without_settling(file: BankFile) -> None:
    files.export_file(file.id, at=NOW)
    files.mark_sent(file.id, at=NOW)
    files.mark_confirmed(file.id, at=NOW + timedelta(days=16))
