"""Amending a mandate by its page, and what the page says until the bank knows."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.bank_files.conftest import NOW, MakeDebit, account, make_debit, prepare
from tests.services.bank_files.test_amendments import OTHER_BANK
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.providers import ProviderAccount
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.bank_files import files

__all__ = ["account", "make_debit"]


@pytest.fixture
def heard_of(account: ProviderAccount, make_debit: MakeDebit) -> Mandate:
    """A mandate under which a file was generated."""
    debit = make_debit()
    files.export_file(prepare(account).id, at=NOW)
    mandate = db.session.scalars(select(Mandate).where(Mandate.id == debit.mandate_id)).one()
    mandate.last_used_on = NOW.date()
    db.session.commit()
    return mandate


def page_of(mandate: Mandate) -> str:
    return f"/clients/{mandate.client_id}/mandats/{mandate.id}"


def test_another_iban_is_noted_and_shown_until_it_travels(client: FlaskClient, heard_of: Mandate) -> None:
    owner = db.session.scalars(select(Client).where(Client.id == heard_of.client_id)).one()
    account_id = factories.make_bank_account(owner, OTHER_BANK).id
    db.session.commit()
    address = f"{page_of(heard_of)}/avenant"
    assert address in client.get(page_of(heard_of)).text
    assert str(account_id) in client.get(address).text
    answer = client.post(address, data={"compte": str(account_id), "rum": "", "confirme": "1"})
    assert (answer.status_code, answer.location) == (303, page_of(heard_of))
    page = client.get(page_of(heard_of)).text
    assert "avec le prochain prélèvement" in page
    assert "FR•• •••• 2606" in page
    [event] = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == EventKind.MANDATE_AMENDED))
    assert event.changes == {"iban": ["FR•• •••• 2606", "FR•• •••• 0189"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"confirme": None}, "par écrit"), ({"rum": "é"}, "35 caractères"), ({"compte": "x"}, "compte bancaire")],
)
def test_what_is_refused_stands_in_the_form(
    client: FlaskClient, heard_of: Mandate, changes: dict[str, str | None], words: str
) -> None:
    written = {"compte": str(heard_of.bank_account_id), "rum": "NEW-9", "confirme": "1"} | changes
    sent = {name: value for name, value in written.items() if value is not None}
    answer = client.post(f"{page_of(heard_of)}/avenant", data=sent)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert "avenants-titre" not in client.get(page_of(heard_of)).text


def test_an_outsider_amends_nothing(outsider_client: FlaskClient, heard_of: Mandate, cast: Cast) -> None:
    address = f"{page_of(heard_of)}/avenant"
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(address, data={"rum": "X", "confirme": "1"}).status_code == 404
