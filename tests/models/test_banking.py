"""Which mandates may be used."""

from datetime import date

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus

TODAY = date(2026, 11, 20)


def _mandate(**values: object) -> Mandate:
    return Mandate(**{"status": MandateStatus.ACTIVE, "umr": "RUM-1", "signed_on": date(2026, 1, 5)} | values)


def test_a_complete_mandate_is_usable() -> None:
    assert _mandate().is_usable(TODAY)


@pytest.mark.parametrize(
    "values",
    [{"status": MandateStatus.DECLARED}, {"status": MandateStatus.REVOKED}, {"umr": None}, {"signed_on": None}],
)
def test_an_incomplete_or_revoked_one_is_not(values: dict[str, object]) -> None:
    assert not _mandate(**values).is_usable(TODAY)


def test_a_mandate_idle_for_36_months_is_not_usable_any_more() -> None:
    assert _mandate(signed_on=date(2023, 11, 21)).is_usable(TODAY)
    assert not _mandate(signed_on=date(2023, 11, 20)).is_usable(TODAY)
    assert _mandate(signed_on=date(2020, 1, 1), last_used_on=date(2025, 1, 1)).is_usable(TODAY)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": MandateStatus.DECLARED},
        {"status": MandateStatus.REVOKED},
        {"umr": None},
        {"signed_on": None},
        {"signed_on": date(2023, 11, 20)},
        {"signed_on": date(2023, 11, 21)},
        {"signed_on": date(2020, 1, 1), "last_used_on": date(2025, 1, 1)},
        {"signed_on": date(2020, 1, 1), "last_used_on": date(2023, 11, 20)},
        {"signed_on": None, "last_used_on": date(2025, 1, 1)},
    ],
)
def test_a_statement_finds_those_that_are_usable(cast: Cast, values: dict[str, object]) -> None:
    client = factories.ClientFactory()
    account = factories.make_bank_account(client, "FR1420041010050500013M02606")
    mandate = _mandate(client_id=client.id, bank_account_id=account.id, **values)
    db.session.add(mandate)
    db.session.flush()
    found = db.session.scalars(select(Mandate.id).where(Mandate.usable_on(TODAY))).all()
    assert found == ([mandate.id] if mandate.is_usable(TODAY) else [])
