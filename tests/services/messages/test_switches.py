"""Kinds that a company does not want to be written, and those that are always written."""

import pytest

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.models.messages import MessageKind
from webapp.services.messages.switches import (
    NotSwitchableError,
    load_switched_off,
    switch_off,
    switch_on,
    why_always_on,
)

ALWAYS_ON = {
    MessageKind.SEPA_NOTICE,
    MessageKind.FORMAL_NOTICE,
    MessageKind.SUSPENSION_NOTICE,
    MessageKind.TERMINATION_NOTICE,
    MessageKind.COVER_TERMINATED,
    MessageKind.COVER_RENOUNCED,
    MessageKind.SALE_SIGNED,
    MessageKind.FREE,
    MessageKind.SATISFACTION,
    MessageKind.PROSPECTION,
}


def test_a_kind_is_off_for_one_company_until_it_is_on_again(cast: Cast) -> None:
    ours, other = factories.default_company().id, factories.CompanyFactory(name="Autre").id
    for _ in range(2):
        switch_off(MessageKind.WELCOME, ours, at=NOW)
    switch_off(MessageKind.INVOICE, other, at=NOW)
    with recorded_queries() as queries:
        assert load_switched_off([ours, other]) == {(ours, "welcome"), (other, "invoice")}
    assert len(queries) == 1
    for _ in range(2):
        switch_on(MessageKind.WELCOME, ours)
    assert load_switched_off([ours]) == set()


@pytest.mark.parametrize("kind", list(MessageKind))
def test_what_the_law_or_a_colleague_wants_cannot_be_switched_off(cast: Cast, kind: MessageKind) -> None:
    assert (why_always_on(kind) is not None) == (kind in ALWAYS_ON)
    if kind in ALWAYS_ON:
        with pytest.raises(NotSwitchableError):
            switch_off(kind, factories.default_company().id, at=NOW)
    assert load_switched_off([factories.default_company().id]) == set()


def test_a_company_of_others_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        stranger = factories.CompanyFactory(name="Ailleurs").id
        switch_off(MessageKind.WELCOME, stranger, at=NOW)
    assert load_switched_off([stranger]) == set()
    with pytest.raises(NotFoundError):
        switch_off(MessageKind.WELCOME, stranger, at=NOW)
    with pytest.raises(NotFoundError):
        switch_on(MessageKind.WELCOME, stranger)
