"""Reserve, payments, what comes back: entries that are only ever added."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Cast
from tests.services.claims.files import NOON, declare, entries_of, make_cover
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimStatus, EntryKind
from webapp.services.claims import accounts, money, working
from webapp.services.claims.accounts import Sums
from webapp.services.claims.recording import ClaimStateError
from webapp.services.concurrent_edits import EditConflictError

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def claim(cast: Cast) -> Claim:
    """One of which 370 € are covered."""
    return declare(make_cover(cast.commercial), cast.commercial, asked="420")


def pay(claim: Claim, cast: Cast, amount: str | None, note: str = "", version: int | None = None) -> Claim:
    paid = None if amount is None else Decimal(amount)
    return money.add_paid(claim.id, paid, note=note, version=version, by=cast.manager, at=LATER)


def recover(claim: Claim, cast: Cast, amount: str) -> Claim:
    return money.add_recovered(claim.id, Decimal(amount), note="", version=None, by=cast.manager, at=LATER)


def sums_of(claim: Claim) -> Sums:
    return accounts.sums_of(claim.id)


def test_what_is_paid_is_no_longer_expected(cast: Cast, claim: Claim) -> None:
    pay(claim, cast, "300")
    assert sums_of(claim) == Sums(reserve=Decimal(70), covered=Decimal(370), paid=Decimal(300))
    with pytest.raises(InvalidInputError) as refused:
        pay(claim, cast, "70.01")
    assert refused.value.field == "note"
    pay(claim, cast, "80", note="Deuxième passage")
    recover(claim, cast, "50")
    assert sums_of(claim) == Sums(Decimal(0), Decimal(370), Decimal(380), Decimal(50))
    assert entries_of(claim, EntryKind.RESERVE) == [370, -300, -70]


def test_no_more_comes_back_than_was_paid(cast: Cast, claim: Claim) -> None:
    pay(claim, cast, "100")
    with pytest.raises(InvalidInputError) as refused:
        recover(claim, cast, "100.01")
    assert refused.value.field == "amount"


@pytest.mark.parametrize("amount", [None, "NaN", "-1", "0", "0.001", "1.005", "1000000.01"])
def test_amounts_that_are_none(cast: Cast, claim: Claim, amount: str | None) -> None:
    with pytest.raises(InvalidInputError) as refused:
        pay(claim, cast, amount, note="x")
    assert refused.value.field == "amount"
    assert sums_of(claim).paid == 0


def test_a_payment_pressed_twice_is_written_once(cast: Cast, claim: Claim) -> None:
    version = claim.version
    pay(claim, cast, "100", version=version)
    with pytest.raises(EditConflictError):
        pay(claim, cast, "100", version=version)
    assert sums_of(claim).paid == 100


def test_the_reserve_is_set_while_the_file_is_open(cast: Cast, claim: Claim) -> None:
    money.set_reserve(claim.id, Decimal("410.50"), note="Devis", version=None, by=cast.manager, at=LATER)
    assert entries_of(claim, EntryKind.RESERVE) == [370, Decimal("40.50")]
    working.cancel(claim.id, reason="Retiré", version=None, by=cast.manager, at=LATER)
    assert sums_of(claim) == Sums()
    with pytest.raises(ClaimStateError):
        money.set_reserve(claim.id, Decimal(1), note="", version=None, by=cast.manager, at=LATER)


def test_what_was_paid_for_is_not_canceled(cast: Cast, claim: Claim) -> None:
    pay(claim, cast, "100")
    with pytest.raises(ClaimStateError, match="récupéré"):
        working.cancel(claim.id, reason="x", version=None, by=cast.manager, at=LATER)
    recover(claim, cast, "100")
    working.cancel(claim.id, reason="x", version=None, by=cast.manager, at=LATER)
    assert claim.status is ClaimStatus.CANCELED


def test_nothing_is_paid_for_what_is_refused(cast: Cast) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial, "2026-02-01")
    with pytest.raises(ClaimStateError):
        pay(claim, cast, "10")


@pytest.mark.parametrize("change", ["UPDATE claim_entries SET amount = 1", "DELETE FROM claim_entries"])
def test_no_entry_ever_changes(claim: Claim, change: str) -> None:
    with pytest.raises(DBAPIError, match="only ever added to"):
        db.session.execute(text(change))
    db.session.rollback()
