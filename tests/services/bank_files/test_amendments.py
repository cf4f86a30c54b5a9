"""What changed about a mandate travels with its next collection, exactly once."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.examples import some
from tests.queries import recorded_statements
from tests.services.bank_files.conftest import IBAN, NAMESPACE, NOW, MakeDebit, prepare, tell_all
from webapp.extensions import db
from webapp.gateways.providers.pain008 import hold_against_schema
from webapp.gateways.providers.sepa_file import end_to_end_id
from webapp.models.bank_files import BankFile
from webapp.models.banking import AmendmentKind, Mandate, MandateAmendment
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt, ChargeStatus, SequenceType
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import Provider, ProviderAccount
from webapp.services import amendments, organisations
from webapp.services.amendments import NOT_HEARD
from webapp.services.bank_files import files, returns
from webapp.services.mandates import commands
from webapp.services.mandates.commands import MandateStateError
from webapp.services.providers import accounts


def check_digits(iban: str) -> str:
    """The IBAN with the check digits that it should have."""
    rest = "".join(str(int(character, 36)) for character in iban[4:] + iban[:2] + "00")
    return f"{iban[:2]}{98 - int(rest) % 97:02}{iban[4:]}"


SAME_BANK = check_digits("FR0020041010050500013M02622")
OTHER_BANK = "FR7630006000011234567890189"
ICS = "FR72ZZZ123456"
NEW_ICS = "FR19ZZZ654321"

Amend = Callable[..., None]


@pytest.fixture
def debit(make_debit: MakeDebit) -> ChargeAttempt:
    """A first debit, which waits for its file."""
    return make_debit()


@pytest.fixture
def mandate(debit: ChargeAttempt) -> Mandate:
    return db.session.scalars(select(Mandate).where(Mandate.id == debit.mandate_id)).one()


@pytest.fixture
def amend(mandate: Mandate, cast: Cast) -> Amend:
    """Another account, or reference, for the mandate."""

    def do(
        *, iban: str = "", umr: str = "", client_id: UUID = mandate.client_id, mandate_id: UUID = mandate.id
    ) -> None:
        account_id = mandate.bank_account_id
        if iban:
            client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
            account_id = factories.make_bank_account(client, iban).id
        confirmed = {"bank_account_id": account_id, "umr": umr, "is_confirmed": True}
        commands.amend_mandate(client_id, mandate_id, **confirmed, by=cast.commercial, at=NOW)

    return do


def next_debit(mandate: Mandate, account: ProviderAccount) -> ChargeAttempt:
    """The next cycle's debit under the same mandate waits for a file."""
    before = db.session.scalars(select(Charge).where(Charge.client_id == mandate.client_id)).all()
    charge = factories.ChargeFactory(
        subscription_id=before[0].subscription_id,
        client_id=mandate.client_id,
        provider_account_id=account.id,
        payment_method=PaymentMethod.SEPA,
        status=ChargeStatus.PROCESSING,
        due_on=before[0].due_on,
        cycle_no=len(before),
    )
    attempt = ChargeAttempt(
        id=new_id(),
        charge_id=charge.id,
        number=1,
        provider_account_id=account.id,
        provider=Provider.SEPA_FILE,
        mandate_id=mandate.id,
        amount=Decimal("24.00"),
        status=AttemptStatus.PROCESSING,
    )
    db.session.add(attempt)
    db.session.commit()
    tell_all()
    return attempt


def export(account: ProviderAccount) -> tuple[BankFile, ElementTree.Element]:
    file = prepare(account)
    content = files.export_file(file.id, at=NOW)
    hold_against_schema(content)
    return file, ElementTree.fromstring(content)  # noqa: S314  # our own file


def told(document: ElementTree.Element) -> list[tuple[str, str]]:
    """What the file says of amendments: paths and texts."""
    found = document.findall(".//p:AmdmntInfDtls//", NAMESPACE)
    return [(each.tag.partition("}")[2], each.text) for each in found if each.text and each.tag[-5:] != "Prtry"]


def sequences(document: ElementTree.Element) -> list[str]:
    return [
        batch.findtext(".//p:SeqTp", "", NAMESPACE)
        for batch in document.iterfind(".//p:PmtInf", NAMESPACE)
        for _ in batch.iterfind("p:DrctDbtTxInf", NAMESPACE)
    ]


def test_the_first_file_tells_nothing_and_a_change_before_it_is_none(
    account: ProviderAccount, debit: ChargeAttempt, amend: Amend
) -> None:
    amend(iban=OTHER_BANK)
    _, document = export(account)
    assert (told(document), sequences(document)) == ([], ["RCUR"])
    assert document.findtext(".//p:DbtrAcct/p:Id/p:IBAN", "", NAMESPACE) == OTHER_BANK
    db.session.refresh(debit)
    assert debit.sequence is SequenceType.RECURRENT


def test_an_account_at_the_same_bank_is_told_by_its_former_iban(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    export(account)
    amend(iban=SAME_BANK)
    next_debit(mandate, account)
    _, document = export(account)
    assert (told(document), sequences(document)) == ([("IBAN", IBAN)], ["RCUR"])
    next_debit(mandate, account)
    assert told(export(account)[1]) == []


def test_an_account_at_another_bank_is_told_as_smnda_and_first(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    export(account)
    amend(iban=OTHER_BANK)
    [first, second] = [next_debit(mandate, account) for _ in range(2)]
    file, document = export(account)
    assert (told(document), sequences(document)) == ([("Id", "SMNDA")], ["FRST", "RCUR"])
    path = ".//p:AmdmntInfDtls/p:OrgnlDbtrAcct/p:Id/p:Othr/p:Id"
    assert document.findtext(path, "", NAMESPACE) == "SMNDA"
    assert len({each.text for each in document.iterfind(".//p:PmtInfId", NAMESPACE)}) == 2
    assert document.findtext(".//p:GrpHdr/p:NbOfTxs", "", NAMESPACE) == "2"
    db.session.expire_all()
    assert (first.sequence, second.sequence) == (SequenceType.FIRST, SequenceType.RECURRENT)
    [noted] = amendments.list_of_mandate(mandate.id)
    assert (noted.kind, noted.original, noted.file) == (AmendmentKind.ACCOUNT, "FR•• •••• 2606", file)


def test_changes_between_two_collections_are_one_and_the_original_is_what_the_bank_heard(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    old = mandate.umr or ""
    export(account)
    for umr in ("NEW-1", "NEW-2"):
        amend(umr=umr)
    amend(iban=OTHER_BANK)
    amend(iban=SAME_BANK)
    next_debit(mandate, account)
    assert told(export(account)[1]) == [("OrgnlMndtId", old), ("IBAN", IBAN)]


def test_what_is_changed_back_in_time_is_not_told(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend, cast: Cast
) -> None:
    old, old_account = mandate.umr or "", mandate.bank_account_id
    export(account)
    amend(iban=OTHER_BANK, umr="NEW-1")
    back = {"bank_account_id": old_account, "umr": old, "is_confirmed": True}
    commands.amend_mandate(mandate.client_id, mandate.id, **back, by=cast.commercial, at=NOW)
    assert amendments.list_of_mandate(mandate.id) == []
    next_debit(mandate, account)
    assert told(export(account)[1]) == []


def test_what_came_back_before_it_was_settled_travels_again_and_afterwards_not(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    export(account)
    amend(umr="NEW-1")
    for code in ("AM04", None):
        attempt = next_debit(mandate, account)
        file, document = export(account)
        assert [name for name, _ in told(document)] == ["OrgnlMndtId"]
        files.mark_sent(file.id, at=NOW)
        if code:
            returns.note_return(end_to_end_id(attempt.id), code=code, returned_on=NOW.date(), at=NOW)
            assert amendments.list_of_mandate(mandate.id)[0].file is None
    later = NOW + timedelta(days=16)
    files.mark_confirmed(file.id, at=later)
    files.settle(file.organisation_id, file.id, at=later)
    returns.note_return(end_to_end_id(attempt.id), code="MD06", returned_on=later.date(), at=later)
    next_debit(mandate, account)
    assert told(export(account)[1]) == []


def test_a_file_is_the_same_whatever_changes_after_it(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    export(account)
    amend(iban=OTHER_BANK)
    next_debit(mandate, account)
    file = prepare(account)
    first = files.export_file(file.id, at=NOW)
    amend(umr="NEW-1")
    organisations.describe_company(None, {"name": "Un autre nom"})
    assert files.export_file(file.id, at=NOW + timedelta(days=1)) == first


def test_one_in_a_file_that_was_taken_apart_travels_with_the_next(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, amend: Amend
) -> None:
    export(account)
    amend(umr="NEW-1")
    next_debit(mandate, account)
    files.take_apart(prepare(account).id)
    assert [name for name, _ in told(export(account)[1])] == ["OrgnlMndtId"]


def test_a_creditors_name_and_identifier_are_told_for_every_mandate_in_as_many_statements(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate, make_debit: MakeDebit, cast: Cast
) -> None:
    counts = []
    for name, ics in (("Nouveau Nom", NEW_ICS), ("Société d’essai & Cie", ICS)):
        export(account)
        db.session.expire_all()
        with recorded_statements() as statements:
            accounts.save_account(account.company_id, Provider.SEPA_FILE, ics=ics)
            organisations.describe_company(None, {"name": name})
        counts.append(len(statements))
        for each in db.session.scalars(select(Mandate)).all():
            next_debit(each, account)
        make_debit(), make_debit()  # given to the creditor as it is now
    assert counts[0] == counts[1]
    _, document = export(account)
    assert told(document) == [("Nm", "Nouveau Nom"), ("Id", NEW_ICS)] * 3
    original = document.find(".//p:AmdmntInfDtls/p:OrgnlCdtrSchmeId/p:Id/p:PrvtId/p:Othr/p:Id", NAMESPACE)
    assert original is not None


def test_a_name_that_banks_read_the_same_is_no_other(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate
) -> None:
    export(account)
    organisations.describe_company(None, {"name": "Societe d’essai + Cie"})
    assert amendments.list_of_mandate(mandate.id) == []


def test_with_the_companys_setting_the_first_is_first_until_it_was_not_refused(
    account: ProviderAccount, debit: ChargeAttempt, mandate: Mandate
) -> None:
    accounts.save_account(account.company_id, Provider.SEPA_FILE, first_as_frst=True)
    file, document = export(account)
    assert sequences(document) == ["FRST"]
    files.mark_sent(file.id, at=NOW)
    returns.note_return(end_to_end_id(debit.id), code="AM04", returned_on=NOW.date(), at=NOW)
    for expected in ("FRST", "RCUR"):
        next_debit(mandate, account)
        assert sequences(export(account)[1]) == [expected]


REFUSED = {
    "not confirmed": ({"is_confirmed": False}, "is_confirmed"),
    "no account": ({"bank_account_id": None}, "bank_account_id"),
    "forbidden letters": ({"umr": "é"}, "umr"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_amendment_that_makes_no_sense_names_its_field(mandate: Mandate, cast: Cast, case: str) -> None:
    changes, field = REFUSED[case]
    usual = {"bank_account_id": mandate.bank_account_id, "umr": "", "is_confirmed": True}
    with pytest.raises(commands.InvalidInputError) as refusal:
        commands.amend_mandate(mandate.client_id, mandate.id, **usual | changes, by=cast.commercial, at=NOW)  # type: ignore[arg-type]
    assert refusal.value.field == field


def test_a_revoked_mandate_is_not_amended(mandate: Mandate, amend: Amend, cast: Cast) -> None:
    commands.revoke_mandate(mandate.client_id, mandate.id, by=cast.commercial, at=NOW)
    with pytest.raises(MandateStateError):
        amend(umr="NEW")


STEPS = ("account", "bank", "reference", "export", "return", "settle")
TOLD_AS = {AmendmentKind.REFERENCE: "OrgnlMndtId", AmendmentKind.ACCOUNT: "OrgnlDbtrAcct"}


class Bank:
    """A mandate, what becomes of it step by step, and what each of its collections told."""

    def __init__(self, account: ProviderAccount, first: ChargeAttempt, cast: Cast) -> None:
        self.account, self.waiting, self.cast = account, [first], cast
        self.mandate = db.session.scalars(select(Mandate).where(Mandate.id == first.mandate_id)).one()
        self.client = db.session.scalars(select(Client).where(Client.id == self.mandate.client_id)).one()
        self.sent: list[tuple[BankFile, ChargeAttempt, set[str]]] = []

    def amend(self, *, iban: str = "", umr: str = "") -> None:
        account_id = factories.make_bank_account(self.client, iban).id if iban else self.mandate.bank_account_id
        written = {"bank_account_id": account_id, "umr": umr, "is_confirmed": True}
        commands.amend_mandate(self.client.id, self.mandate.id, **written, by=self.cast.commercial, at=NOW)

    def export(self) -> None:
        attempt = self.waiting.pop() if self.waiting else next_debit(self.mandate, self.account)
        file, document = export(self.account)
        files.mark_sent(file.id, at=NOW)
        details = document.findall(".//p:AmdmntInfDtls/", NAMESPACE)
        self.sent.append((file, attempt, {each.tag.partition("}")[2] for each in details}))

    def under_way(self) -> list[tuple[BankFile, ChargeAttempt, set[str]]]:
        db.session.expire_all()
        return [each for each in self.sent if each[1].status is AttemptStatus.PROCESSING]

    def settle(self, file: BankFile) -> None:
        later = NOW + timedelta(days=16)
        files.mark_confirmed(file.id, at=later)
        files.settle(file.organisation_id, file.id, at=later)

    def do(self, step: str, number: int) -> None:
        if step in ("account", "bank"):
            bank = "20041" if step == "account" else "30006"
            self.amend(iban=check_digits(f"FR00{bank}{number:018}"))
        elif step == "reference":
            self.amend(umr=f"{self.client.id.hex[-20:]}-{number}")
        elif step == "export":
            self.export()
        elif oldest := self.under_way()[:1]:
            [(file, attempt, _)] = oldest
            if step == "settle":
                self.settle(file)
            else:
                returns.note_return(end_to_end_id(attempt.id), code="AM04", returned_on=NOW.date(), at=NOW)


@settings(max_examples=some(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=14))
def test_each_amendment_travels_exactly_once_in_whatever_order(
    account: ProviderAccount, make_debit: MakeDebit, cast: Cast, steps: list[str]
) -> None:
    """What came back before it was settled told the bank nothing: of the others, one file tells it."""
    bank = Bank(account, make_debit(), cast)
    for number, step in enumerate([*steps, "export"]):
        bank.do(step, number)
    db.session.expire_all()
    rows = db.session.scalars(select(MandateAmendment).where(MandateAmendment.mandate_id == bank.mandate.id)).all()
    for kind, name in TOLD_AS.items():
        noted = {row.told_in_id for row in rows if row.kind is kind}
        heard = {attempt.id for _, attempt, told in bank.sent if name in told and attempt.status not in NOT_HEARD}
        assert noted == heard
