"""Which mandates may be used."""

from datetime import date

import pytest
from sqlalchemy import select, update

from tests import factories
from tests.conftest import Cast
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateFault, MandateStatus

TODAY = date(2026, 11, 20)


GOOD = ("R", "R'(1)+?:.,-/2", "R" * 35)
BAD = ("/RUM", "RUM/", "R//M", " RUM", "RUM ", "RUM_1", "É")


def _mandate(**values: object) -> Mandate:
    return Mandate(**{"status": MandateStatus.ACTIVE, "umr": "RUM-1", "signed_on": date(2026, 1, 5)} | values)


def test_a_complete_mandate_is_usable() -> None:
    assert _mandate().is_usable(TODAY)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"status": MandateStatus.DECLARED}, MandateFault.DECLARED),
        ({"status": MandateStatus.REVOKED, "umr": None}, MandateFault.REVOKED),
        ({"umr": None}, MandateFault.INCOMPLETE),
        ({"signed_on": None}, MandateFault.INCOMPLETE),
        ({"signed_on": date(2023, 11, 20)}, MandateFault.IDLE),
    ],
)
def test_what_keeps_one_from_being_used_is_told(values: dict[str, object], fault: MandateFault) -> None:
    assert _mandate(**values).fault(TODAY) is fault
    assert fault.sentence.endswith(".")


def test_a_mandate_idle_for_36_months_is_not_usable_any_more() -> None:
    assert _mandate(signed_on=date(2023, 11, 21)).is_usable(TODAY)
    assert not _mandate(signed_on=date(2023, 11, 20)).is_usable(TODAY)
    assert _mandate(signed_on=date(2020, 1, 1), last_used_on=date(2025, 1, 1)).is_usable(TODAY)


@pytest.mark.parametrize("umr", BAD)
def test_a_reference_that_banks_refuse_does_not_enter(umr: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        _mandate(umr=umr)
    assert refusal.value.field == "umr"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": MandateStatus.DECLARED},
        {"status": MandateStatus.REVOKED},
        {"umr": None},
        {"umr": ""},
        *({"umr": umr} for umr in (*GOOD, *BAD)),
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
    umr = values.pop("umr", "RUM-1")
    mandate = _mandate(client_id=client.id, bank_account_id=account.id, **values)
    db.session.add(mandate)
    db.session.flush()
    db.session.execute(update(Mandate).values(umr=umr))  # as one that was there before references were checked
    db.session.refresh(mandate)
    found = db.session.scalars(select(Mandate.id).where(Mandate.usable_on(TODAY))).all()
    assert found == ([mandate.id] if mandate.is_usable(TODAY) else [])
    assert mandate.fault(TODAY) is not MandateFault.UNREADABLE or umr in (*BAD, "")
