"""Returns: what the bank sends back, noted one by one or from a list."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.services.bank_files.conftest import (
    NOW,
    MakeDebit,
    amounts,
    confirm,
    confirm_without_settling,
    prepare,
    status_of,
)
from webapp.errors import InvalidInputError
from webapp.gateways.providers.sepa_file import end_to_end_id
from webapp.models.charges import AttemptStatus, ChargeStatus
from webapp.models.providers import ProviderAccount
from webapp.services.bank_files import returns


class TestReturns:
    LATER = NOW + timedelta(days=20)

    def test_before_the_confirmation_a_return_is_a_refusal(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        soft, hard = make_debit(), make_debit()
        prepare(account)
        returns.note_return(end_to_end_id(soft.id), code="am04", returned_on=NOW.date(), at=NOW)
        returns.note_return(end_to_end_id(hard.id), code="AC04", returned_on=NOW.date(), at=NOW)
        assert status_of(soft) == (AttemptStatus.REFUSED, ChargeStatus.RETRYING)
        assert status_of(hard) == (AttemptStatus.REFUSED, ChargeStatus.FAILED)
        assert amounts() == []

    @pytest.mark.parametrize("is_settled", [True, False])
    def test_afterwards_it_takes_the_money_back(
        self, account: ProviderAccount, make_debit: MakeDebit, is_settled: bool
    ) -> None:
        attempt = make_debit()
        file = prepare(account)
        confirm(file) if is_settled else confirm_without_settling(file)
        reference = end_to_end_id(attempt.id)
        returns.note_return(reference, code="MD06", returned_on=date(2026, 12, 18), at=self.LATER)
        assert status_of(attempt) == (AttemptStatus.REVERSED, ChargeStatus.REVERSED)
        assert amounts() == [Decimal("24.00"), Decimal("-24.00")]
        with pytest.raises(returns.AlreadyReturnedError):
            returns.note_return(reference, code="MD06", returned_on=date(2026, 12, 18), at=self.LATER)

    @pytest.mark.parametrize("heading", ["EndToEndId;Code;Date", "\ufeffEnd-to-End ID,Code,Date,Montant"])
    def test_a_list_is_read_line_by_line_and_twice_is_once(
        self, account: ProviderAccount, make_debit: MakeDebit, heading: str
    ) -> None:
        attempt = make_debit()
        confirm(prepare(account))
        mark = ";" if ";" in heading else ","
        rows = [
            (end_to_end_id(attempt.id), "MD06", "18/12/2026"),
            ("INCON\0NU", "MD06", "2026-12-18"),
            (end_to_end_id(attempt.id), "ZZ99", "2026-12-18"),
            (end_to_end_id(attempt.id), "MD06", "2026-02-30"),
            (end_to_end_id(attempt.id), "MD06", "2027-12-18"),
        ]
        content = "\n".join([heading, *(mark.join(row) for row in rows)]).encode()
        first = returns.import_returns(content, at=self.LATER)
        assert [line.fault is None for line in first] == [True, False, False, False, False]
        assert [line.number for line in first] == [2, 3, 4, 5, 6]
        again = returns.import_returns(content, at=self.LATER)
        assert again[0].fault == "Ce rejet est déjà noté."
        assert amounts() == [Decimal("24.00"), Decimal("-24.00")]

    def test_a_list_is_noted_in_its_order_whichever_the_file_and_a_debit_once(
        self, account: ProviderAccount, make_debit: MakeDebit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(returns, "NOTED_AT_ONCE", 3)
        paid = make_debit()
        confirm(prepare(account))
        refused, waiting = make_debit(), make_debit(due_on=date(2026, 12, 30))
        prepare(account)
        references = [end_to_end_id(each.id) for each in (refused, paid, refused, waiting, refused)]
        rows = [f"{reference};MD06;2026-12-18" for reference in references]
        found = returns.import_returns("\n".join(["EndToEndId;Code;Date", *rows]).encode(), at=self.LATER)
        assert [(line.number, line.end_to_end_id) for line in found] == list(enumerate(references, start=2))
        already, unknown = "Ce rejet est déjà noté.", "Référence inconnue."
        assert [line.fault for line in found] == [None, None, already, unknown, already]
        assert (status_of(refused)[0], status_of(paid)[0]) == (AttemptStatus.REFUSED, AttemptStatus.REVERSED)
        assert status_of(waiting)[0] is AttemptStatus.PROCESSING

    @pytest.mark.parametrize("content", [b"", b"\x00\xff", b"a;b\n1;2", b"EndToEndId;Code\nx;y", b'"'])
    def test_what_is_no_list_is_refused_with_a_sentence(self, account: ProviderAccount, content: bytes) -> None:
        with pytest.raises(InvalidInputError, match="liste de rejets"):
            returns.import_returns(content, at=NOW)
