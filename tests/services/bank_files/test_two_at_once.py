"""Several people at the same file or account in the same instant: each thing happens once, or is refused."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from tests import concurrency, factories
from tests.conftest import Cast
from tests.services.bank_files.conftest import COLLECTED_ON, NOW, MakeDebit, prepare
from tests.services.bank_files.test_amendments import OTHER_BANK, next_debit
from webapp import clock
from webapp.extensions import db
from webapp.models.bank_files import BankFile
from webapp.models.banking import Mandate, MandateAmendment
from webapp.models.charges import ChargeAttempt
from webapp.models.clients import Client
from webapp.models.outbox import OutboxEvent
from webapp.models.payments import Payment
from webapp.models.providers import Provider, ProviderAccount
from webapp.services.bank_files import files
from webapp.services.mandates import commands
from webapp.services.providers import accounts

AtOnce = Callable[..., list[str]]


@pytest.fixture
def cast(committed: None) -> Cast:
    """The cast, really committed."""
    found: Cast = factories.make_cast(Cast)
    return found


@pytest.fixture
def at_once(app: Flask, cast: Cast) -> AtOnce:
    """Do things at the same time, each by somebody of the organisation; how each ended."""
    return partial(concurrency.at_once, app, cast.organisation.id)


def files_of_debits() -> set[UUID | None]:
    db.session.rollback()
    db.session.expire_all()
    return set(db.session.scalars(select(ChargeAttempt.bank_file_id)))


def test_one_of_several_prepares_the_file(account: ProviderAccount, make_debit: MakeDebit, at_once: AtOnce) -> None:
    account_id = account.id
    for _ in range(5):
        make_debit()
    prepare = lambda: files.prepare_file(account_id, collected_on=COLLECTED_ON, at=NOW)  # noqa: E731
    ended = at_once(*[prepare] * 4)
    assert ended == ["BankFileStateError"] * 3 + ["done"]
    [file] = db.session.scalars(select(BankFile)).all()
    assert file.number_of_debits == 5
    assert files_of_debits() == {file.id}
    assert db.session.query(OutboxEvent).count() == 5  # each client is told once


def test_a_file_is_taken_apart_or_generated_never_both(
    account: ProviderAccount, make_debit: MakeDebit, at_once: AtOnce
) -> None:
    account_id = account.id
    make_debit()
    for _ in range(4):
        file_id = files.prepare_file(account_id, collected_on=COLLECTED_ON, at=NOW).id
        ended = at_once(lambda: files.take_apart(file_id), lambda: files.export_file(file_id, at=NOW))  # noqa: B023
        assert ended in (["BankFileStateError", "done"], ["NotFoundError", "done"])
        if ended[0] == "BankFileStateError":
            assert files_of_debits() == {file_id}
            return
        assert files_of_debits() == {None}


def test_two_who_generate_a_file_get_the_same_bytes(
    account: ProviderAccount, make_debit: MakeDebit, at_once: AtOnce
) -> None:
    make_debit()
    file_id = files.prepare_file(account.id, collected_on=COLLECTED_ON, at=NOW).id
    contents = []
    assert at_once(*[lambda: contents.append(files.export_file(file_id, at=clock.now()))] * 4) == ["done"] * 4
    assert len(set(contents)) == 1


def test_a_file_is_settled_once_by_several_workers(
    account: ProviderAccount, make_debit: MakeDebit, at_once: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED_AT_ONCE", 2)
    for _ in range(7):
        make_debit()
    file = files.prepare_file(account.id, collected_on=COLLECTED_ON, at=NOW)
    organisation_id, file_id = file.organisation_id, file.id
    files.export_file(file_id, at=NOW)
    files.mark_sent(file_id, at=NOW)
    files.mark_confirmed(file_id, at=NOW + timedelta(days=16))
    settled: list[int] = []
    settle = lambda: settled.append(files.settle(organisation_id, file_id, at=NOW))  # noqa: E731
    assert at_once(*[settle] * 3) == ["done"] * 3
    db.session.rollback()
    assert (sum(settled), db.session.query(Payment).count()) == (7, 7)


def test_an_account_is_opened_once(cast: Cast, at_once: AtOnce) -> None:
    company_id = factories.default_company().id
    keys = {"api_key": "sk_test", "webhook_secret": "whsec_test"}
    ended = at_once(*[lambda: accounts.save_account(company_id, Provider.STRIPE, credentials=keys)] * 4)
    assert ended == ["done"] * 4
    assert len(accounts.list_accounts()) == 1


@pytest.mark.parametrize("turn", range(4))
def test_a_mandate_is_amended_before_its_file_or_after_it_never_within(
    account: ProviderAccount, make_debit: MakeDebit, at_once: AtOnce, cast: Cast, turn: int
) -> None:
    first = make_debit()
    mandate = db.session.scalars(select(Mandate).where(Mandate.id == first.mandate_id)).one()
    client_id, mandate_id, account_id = mandate.client_id, mandate.id, account.id
    client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
    other_id = factories.make_bank_account(client, OTHER_BANK).id
    db.session.commit()
    files.export_file(prepare(account).id, at=NOW)
    next_debit(mandate, account)
    file_id = files.prepare_file(account_id, collected_on=COLLECTED_ON, at=NOW).id
    written = {"bank_account_id": other_id, "umr": "", "is_confirmed": True, "by": cast.commercial, "at": NOW}
    amend = lambda: commands.amend_mandate(client_id, mandate_id, **written)  # noqa: E731
    export = lambda: files.export_file(file_id, at=NOW)  # noqa: E731
    assert at_once(*((amend, export) if turn % 2 else (export, amend))) == ["done", "done"]
    db.session.rollback()
    db.session.expire_all()
    [amendment] = db.session.scalars(select(MandateAmendment)).all()
    content = files.read_content(file_id)[1].decode()
    is_told = amendment.told_in_id is not None
    assert (OTHER_BANK in content, "SMNDA" in content) == (is_told, is_told)
