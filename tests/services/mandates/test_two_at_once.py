"""Two colleagues at one client in the same instant: one puts an account away, the other amends a mandate on it."""

import pytest
from flask import Flask

from tests import factories
from tests.concurrency import in_turn
from tests.conftest import Cast
from tests.services.mandates.conftest import AT
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.services.mandates import commands
from webapp.services.mandates.commands import MandateFields


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

    with pytest.raises(InvalidInputError) as refusal:
        in_turn(
            app,
            organisation_id,
            lambda: commands.archive_account(client_id, account_id, is_confirmed=True, by=by, at=AT),
            lambda: commands.amend_mandate(
                client_id, mandate_id, bank_account_id=account_id, umr="R-2", is_confirmed=True, by=by, at=AT
            ),
        )
    assert refusal.value.field == "bank_account_id"
