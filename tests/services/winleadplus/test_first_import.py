"""The click that the CRM was built for."""

from sqlalchemy import select

from demo.prospects import prospects
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import accounts_of, client_of, contract
from tests.services.winleadplus.raw import IBAN, first
from tests.upstream import Upstream
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Source
from webapp.models.runs import RunStatus


def test_the_first_run_creates_everybody_and_the_second_nobody(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve(list(prospects(250)))
    run = sync()
    assert (run.status, run.error) == (RunStatus.SUCCESS, None)
    assert counts(run) == (250, 0, 0)
    assert counts(sync()) == (0, 0, 250)


def test_all_that_an_import_makes_says_where_it_came_from(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN, "mandatSepa": True}])])
    sync()
    client = client_of(1)
    (account,) = accounts_of(client.id)
    (mandate,) = db.session.scalars(select(Mandate))
    made = (client, contract("1WNC"), account, mandate)
    assert {each.source for each in made} == {Source.WINLEADPLUS}
