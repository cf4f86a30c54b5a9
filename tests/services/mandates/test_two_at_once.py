"""Two colleagues at one client in the same instant: one puts an account away, the other amends a mandate on it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from flask import Flask

from tests import factories
from tests.conftest import Cast
from tests.services.mandates.conftest import AT
from tests.waiting import until_somebody_waits
from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.services.mandates import commands
from webapp.services.mandates.commands import MandateFields
from webapp.transactions import transaction


def test_who_comes_second_is_told_that_the_account_is_gone(app: Flask, committed: None) -> None:
    cast = factories.make_cast(Cast)
    owner: Client = factories.ClientFactory()
    account = factories.make_bank_account(owner)
    fields = MandateFields(
        bank_account_id=account.id, company_id=factories.default_company().id, umr="R-1", signed_on=AT.date()
    )
    mandate_id = commands.create_mandate(owner.id, fields, by=cast.manager, at=AT).id
    client_id, account_id, organisation_id, by = owner.id, account.id, cast.organisation.id, cast.manager
    db.session.commit()
    is_held = Event()

    def archive() -> None:
        with app.app_context(), tenancy.organisation(organisation_id):
            with transaction():
                commands.archive_account(client_id, account_id, is_confirmed=True, by=by, at=AT)
                is_held.set()
                with db.session.no_autoflush:  # the mandate itself is written at the commit
                    until_somebody_waits()
            db.session.remove()

    def amend() -> None:
        with app.app_context(), tenancy.organisation(organisation_id):
            assert is_held.wait(10)
            with pytest.raises(InvalidInputError) as refusal:
                commands.amend_mandate(
                    client_id, mandate_id, bank_account_id=account_id, umr="R-2", is_confirmed=True, by=by, at=AT
                )
            assert refusal.value.field == "bank_account_id"
            db.session.remove()

    with ThreadPoolExecutor(2) as threads:
        for work in [threads.submit(archive), threads.submit(amend)]:
            work.result(30)
