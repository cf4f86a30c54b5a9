"""The nearest name, where a search found nobody."""

import pytest

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.services.clients import suggesting
from webapp.services.clients.suggesting import suggest


@pytest.fixture(autouse=True)
def _people(cast: Cast) -> None:
    for last, first in (("Dupont", "Marie"), ("Dupont", "Paul"), ("Duponchel", "Anne"), ("N’Diaye", "Awa")):
        factories.ClientFactory(last_name=last, first_name=first)
    with tenancy.organisation(cast.other_organisation.id):
        factories.ClientFactory(last_name="Dupond", first_name="Ailleurs")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dupond", "DUPONT"),
        ("DUPOND marie", "DUPONT MARIE"),
        ("dupont", None),  # there are some: nothing to be said
        ("ndiayi", "NDIAYE"),
        ("zzzzzz", None),
        ("dup", None),
        ("dupond zzzzzz", None),
        ("dupond 06", None),
        ("dupond a b c", None),
        ("", None),
    ],
)
def test_what_might_have_been_meant(typed: str, meant: str | None) -> None:
    assert suggest(typed) == meant


def test_a_suggestion_that_takes_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggesting, "PATIENCE_MS", 1)
    monkeypatch.setattr(suggesting, "LOOKED_THROUGH", 10**9)
    factories.ClientFactory.create_batch(300, last_name="Dupont")
    assert suggest("dupond dupand dupend") in (None, "DUPONT DUPONT DUPONT")
    assert factories.ClientFactory().id  # the transaction goes on
