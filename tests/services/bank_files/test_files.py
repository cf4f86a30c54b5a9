"""Bank files, from what waits for one to what it collected."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.bank_files.conftest import (
    COLLECTED_ON,
    NAMESPACE,
    NOW,
    MakeDebit,
    amounts,
    confirm_without_settling,
    prepare,
    status_of,
)
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import ProviderRejectedError
from webapp.gateways.providers.sepa_file import SepaFile, end_to_end_id
from webapp.models.bank_files import BankFileStatus
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, ChargeStatus
from webapp.models.providers import Milestone, ProviderAccount
from webapp.services.bank_files import files, listing, notices, returns
from webapp.services.bank_files.files import BankFileStateError
from webapp.services.charges import recording


class TestWaiting:
    def test_in_short_it_says_how_many_how_much_and_from_when(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        [before] = listing.list_bank_accounts(at=NOW)
        assert (before.number, before.collect_on) == (0, date(2026, 12, 2))
        make_debit()
        make_debit(due_on=date(2026, 12, 24))
        [waiting] = listing.list_bank_accounts(at=NOW)
        assert (waiting.number, waiting.total) == (2, Decimal("48.00"))
        assert waiting.collect_on == date(2026, 12, 24)

    def test_the_first_day_for_all_is_one_on_which_banks_work(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(due_on=date(2026, 12, 25))
        [waiting] = listing.list_bank_accounts(at=NOW)
        assert waiting.collect_on == date(2026, 12, 28)

    def test_an_account_out_of_use_is_shown_as_long_as_something_waits(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        account.is_active = False
        db.session.commit()
        assert listing.list_bank_accounts(at=NOW) == []
        make_debit()
        assert len(listing.list_bank_accounts(at=NOW)) == 1

    def test_each_says_what_keeps_it_out(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        made = [make_debit(), make_debit(signed_on=date(2023, 1, 1)), make_debit()]
        made[2].mandate_id = None
        db.session.commit()
        notices.announce_due(at=NOW)
        problems = [each.problem(NOW.date()) for each in listing.list_waiting(account.id).rows]
        assert problems[0] is None
        assert "36 mois" in (problems[1] or "")
        assert "Aucun mandat" in (problems[2] or "")

    def test_it_is_read_page_by_page(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        days = [date(2026, 12, day) for day in (3, 1, 2)]
        for day in days:
            make_debit(due_on=day)
        first = listing.list_waiting(account.id, size=2)
        rest = listing.list_waiting(account.id, size=2, cursor=first.next_cursor)
        assert [each.charge.due_on for each in (*first.rows, *rest.rows)] == sorted(days)
        assert rest.next_cursor is None


class TestFile:
    def test_one_that_nobody_has_can_be_taken_apart(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        attempt = make_debit()
        file = prepare(account)
        with pytest.raises(BankFileStateError):
            files.read_content(file.id)
        files.take_apart(file.id)
        assert listing.list_files() == []
        with pytest.raises(NotFoundError):
            files.take_apart(file.id)
        with pytest.raises(NotFoundError):
            returns.note_return(end_to_end_id(attempt.id), code="AC04", returned_on=NOW.date(), at=NOW)
        again = prepare(account)
        content = files.export_file(again.id, at=NOW)
        assert files.read_content(again.id)[1] == content
        with pytest.raises(BankFileStateError):
            files.take_apart(again.id)

    def test_it_follows_the_schema_and_says_who_pays_what(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        first, _ = make_debit(), make_debit()
        file = prepare(account)
        content = files.export_file(file.id, at=NOW)
        document = ElementTree.fromstring(content)  # noqa: S314  # our own file
        assert document.findtext(".//p:GrpHdr/p:MsgId", "", NAMESPACE) == file.message_id
        assert document.findtext(".//p:GrpHdr/p:CtrlSum", "", NAMESPACE) == "48.00"
        assert document.findtext(".//p:ReqdColltnDt", "", NAMESPACE) == "2026-12-16"
        assert document.findtext(".//p:GrpHdr/p:CreDtTm", "", NAMESPACE) == "2026-12-01T10:00:00"
        debit = document.find(".//p:DrctDbtTxInf", NAMESPACE)
        assert debit is not None
        assert debit.findtext(".//p:EndToEndId", "", NAMESPACE) == end_to_end_id(first.id)
        assert debit.findtext(".//p:Dbtr/p:Nm", "", NAMESPACE) == "Durand Lea"
        address = debit.find(".//p:Dbtr/p:PstlAdr", NAMESPACE)
        assert address is not None
        assert [(each.tag.partition("}")[2], each.text) for each in address] == [
            ("StrtNm", "1 rue de l'Eglise"),
            ("PstCd", "59000"),
            ("TwnNm", "Lille"),
            ("Ctry", "FR"),
        ]

    def test_downloading_again_gives_the_same_bytes(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        file = prepare(account)
        first = files.export_file(file.id, at=NOW)
        factories.default_company().name = "Un autre nom"
        db.session.commit()
        assert files.export_file(file.id, at=NOW + timedelta(days=1)) == first

    def test_identifiers_are_kept_before_the_export(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        attempt = make_debit()
        file = prepare(account)
        db.session.refresh(attempt)
        assert (file.message_id[:3], file.content) == ("CRM", None)
        assert attempt.end_to_end_id == end_to_end_id(attempt.id)
        assert len(attempt.end_to_end_id or "") <= 35

    def test_a_debit_is_in_one_file_only(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        prepare(account)
        with pytest.raises(BankFileStateError):
            prepare(account)

    def test_what_was_announced_for_later_waits(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        make_debit()
        make_debit(due_on=date(2026, 12, 20))
        assert prepare(account).number_of_debits == 1
        [left] = listing.list_waiting(account.id).rows
        assert left.earliest == date(2026, 12, 20)

    def test_a_mandate_that_slept_for_three_years_is_left_out(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(signed_on=date(2023, 1, 1))
        with pytest.raises(BankFileStateError):
            prepare(account)

    @pytest.mark.parametrize("day", [date(2026, 12, 1), date(2026, 12, 19), date(2026, 12, 25), date(2027, 3, 26)])
    def test_banks_do_not_collect_on_every_day(
        self, account: ProviderAccount, make_debit: MakeDebit, day: date
    ) -> None:
        make_debit()
        with pytest.raises(InvalidInputError):
            files.prepare_file(account.id, collected_on=day, at=NOW)

    def test_a_waiting_debit_can_be_withdrawn_and_one_in_a_file_cannot(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        withdrawn, filed = make_debit(), make_debit()
        files.withdraw(withdrawn.id, at=NOW)
        assert status_of(withdrawn)[0] is AttemptStatus.CANCELED
        assert prepare(account).number_of_debits == 1
        with pytest.raises(BankFileStateError):
            files.withdraw(filed.id, at=NOW)

    def test_another_organisation_finds_nothing(
        self, cast: Cast, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        attempt = make_debit()
        file = prepare(account)
        with tenancy.organisation(cast.other_organisation.id):
            for act in (
                lambda: files.export_file(file.id, at=NOW),
                lambda: files.read_content(file.id),
                lambda: files.take_apart(file.id),
                lambda: files.mark_sent(file.id, at=NOW),
                lambda: files.prepare_file(account.id, collected_on=COLLECTED_ON, at=NOW),
                lambda: files.withdraw(attempt.id, at=NOW),
                lambda: returns.note_return(end_to_end_id(attempt.id), code="AC04", returned_on=NOW.date(), at=NOW),
            ):
                with pytest.raises(NotFoundError):
                    act()
            assert listing.list_files() == []


class TestStates:
    def test_prepared_sent_confirmed_and_no_way_back(self, account: ProviderAccount, make_debit: MakeDebit) -> None:
        attempt = make_debit()
        file = prepare(account)
        for act in (files.mark_sent, files.mark_confirmed):  # not exported, not sent
            with pytest.raises(BankFileStateError):
                act(file.id, at=NOW)
        files.export_file(file.id, at=NOW)
        assert files.mark_sent(file.id, at=NOW).status is BankFileStatus.SENT
        for act in (files.mark_sent, files.mark_confirmed):  # twice; before the day
            with pytest.raises(BankFileStateError):
                act(file.id, at=NOW)
        files.mark_confirmed(file.id, at=NOW + timedelta(days=16))
        assert files.settle(file.organisation_id, file.id, at=NOW) == 1
        assert files.settle(file.organisation_id, file.id, at=NOW) == 0
        assert status_of(attempt) == (AttemptStatus.SUCCEEDED, ChargeStatus.SUCCEEDED)
        assert amounts() == [Decimal("24.00")]

    def test_the_sweeper_finds_a_confirmed_file_that_was_not_settled(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit()
        file = prepare(account)
        files.export_file(file.id, at=NOW)
        files.mark_sent(file.id, at=NOW)
        confirmed_at = NOW + timedelta(days=16)
        files.mark_confirmed(file.id, at=confirmed_at)
        assert files.sweep(at=confirmed_at) == 0
        assert files.sweep(at=confirmed_at + timedelta(minutes=3)) == 1
        assert files.sweep(at=confirmed_at + timedelta(days=60)) == 1
        files.settle(file.organisation_id, file.id, at=confirmed_at)
        assert files.sweep(at=confirmed_at + timedelta(minutes=3)) == 0

    def test_the_sweeper_rings_once_for_a_file_and_not_for_one_that_is_only_sent(
        self, account: ProviderAccount, make_debit: MakeDebit
    ) -> None:
        make_debit(), make_debit()
        confirm_without_settling(prepare(account))
        make_debit()
        other = prepare(account)
        files.export_file(other.id, at=NOW)
        files.mark_sent(other.id, at=NOW)
        assert files.sweep(at=NOW + timedelta(days=17)) == 1

    def test_settling_that_breaks_off_goes_on_where_it_stood(
        self, account: ProviderAccount, make_debit: MakeDebit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "SETTLED_AT_ONCE", 2)
        for _ in range(5):
            make_debit()
        file = prepare(account)
        confirm_without_settling(file)
        apply, calls = recording.apply_outcomes, iter(range(5))

        def break_off(*args: Any, **kwargs: Any) -> Any:
            found = apply(*args, **kwargs)
            if next(calls) == 1:
                raise KeyboardInterrupt
            return found

        monkeypatch.setattr(recording, "apply_outcomes", break_off)
        with pytest.raises(KeyboardInterrupt):
            files.settle(file.organisation_id, file.id, at=NOW)
        assert listing.count_unsettled(file.id) == 3
        assert files.settle(file.organisation_id, file.id, at=NOW) == 3
        assert amounts() == [Decimal("24.00")] * 5


class TestThousands:
    def counts(self, account: ProviderAccount, make_debit: MakeDebit, number: int) -> dict[str, int]:
        """The statements of every step with a file of so many debits: half are refused, and the others come back."""
        rows = [f"{end_to_end_id(make_debit().id)};AC04;2026-12-01" for _ in range(number)]
        half, later, counts = number // 2, NOW + timedelta(days=16), {}

        def count(step: str, act: Callable[[], Any]) -> Any:
            db.session.expire_all()
            with recorded_statements() as statements:
                done = act()
            counts[step] = len(statements)
            return done

        def import_returns(rows: list[str], at: datetime) -> None:
            found = returns.import_returns("\n".join(["EndToEndId;Code;Date", *rows]).encode(), at=at)
            assert [line.fault for line in found] == [None] * half

        file_id = count("prepare", lambda: prepare(account)).id
        count("generate", lambda: files.export_file(file_id, at=NOW))
        count("refuse", lambda: import_returns(rows[:half], NOW))
        files.mark_sent(file_id, at=NOW)
        count("confirm", lambda: files.mark_confirmed(file_id, at=later))
        assert count("settle", lambda: files.settle(account.organisation_id, file_id, at=later)) == half
        count("reverse", lambda: import_returns(rows[half:], later))
        return counts

    @pytest.mark.parametrize("ship_at", list(Milestone))
    def test_the_number_of_statements_does_not_grow_with_the_debits(
        self, account: ProviderAccount, make_debit: MakeDebit, ship_at: Milestone
    ) -> None:
        account.ship_at = ship_at
        db.session.commit()
        few = self.counts(account, make_debit, 2)
        assert self.counts(account, make_debit, 8) == few


def test_the_gateway_only_says_that_a_debit_waits() -> None:
    gateway = SepaFile()
    attempt_id = new_id()
    found = gateway.find_payment(attempt_id)
    assert found is not None
    assert found.provider_payment_id == end_to_end_id(attempt_id)
    with pytest.raises(ProviderRejectedError):
        gateway.cancel("x")
    assert list(gateway.list_payments(since=NOW, until=NOW)) == []
