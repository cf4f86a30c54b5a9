"""Mandates are given, completed and revoked; their references are unique with a creditor."""

from datetime import date
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.mandates.conftest import AT, Fields
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateFault, MandateStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.mandates import commands
from webapp.services.mandates.commands import MandateStateError
from webapp.services.subscriptions.means import PaymentFields, find_means


def told(kind: EventKind) -> dict[str, list[str | None]]:
    event = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == kind)).one()
    return event.changes


def test_a_signed_mandate_can_be_charged_at_once(owner: Client, fields: Fields, cast: Cast) -> None:
    mandate = commands.create_mandate(owner.id, fields(signed_in="Lille"), by=cast.commercial, at=AT)
    assert (mandate.umr, mandate.status, mandate.signed_in) == ("MD-0000001", MandateStatus.ACTIVE, "Lille")
    assert mandate.fault(AT.date()) is None
    assert told(EventKind.MANDATE_ADDED) == {"umr": [None, "MD-0000001"]}
    means = find_means(
        PaymentFields(method="sepa", mandate_id=mandate.id),
        client_id=owner.id,
        company_id=factories.default_company().id,
    )
    assert (means.method, means.mandate) == (PaymentMethod.SEPA, mandate)


def test_an_unsigned_one_waits_for_its_signature(owner: Client, fields: Fields, cast: Cast) -> None:
    mandate = commands.create_mandate(owner.id, fields(signed_on=None), by=cast.commercial, at=AT)
    assert not mandate.is_usable(AT.date())
    commands.change_mandate(owner.id, mandate.id, fields(), by=cast.commercial, at=AT)
    assert (mandate.umr, mandate.is_usable(AT.date())) == ("MD-0000001", True)
    assert told(EventKind.MANDATE_CHANGED) == {"signed_on": [None, "03/11/2026"]}


def test_a_declared_one_is_completed_with_the_reference_on_the_paper(
    owner: Client, declared: Mandate, fields: Fields, cast: Cast
) -> None:
    commands.change_mandate(owner.id, declared.id, fields(umr=" wlp+12/A "), by=cast.commercial, at=AT)
    assert (declared.umr, declared.status) == ("wlp+12/A", MandateStatus.ACTIVE)
    assert declared.is_usable(AT.date())


def test_the_pattern_is_the_companys_and_what_is_taken_is_passed_over(
    owner: Client, fields: Fields, cast: Cast
) -> None:
    factories.default_company().umr_pattern = "BOX/{numero}"
    commands.create_mandate(owner.id, fields(umr="box/0000001"), by=cast.commercial, at=AT)
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    assert mandate.umr == "BOX/0000002"


REFUSED = {
    "forbidden letters": ({"umr": "RÛM 1"}, "umr", "35 caractères"),
    "slash at the end": ({"umr": "RUM/"}, "umr", "35 caractères"),
    "in the future": ({"signed_on": date(2026, 11, 21)}, "signed_on", "futur"),
    "no account": ({"bank_account_id": None}, "bank_account_id", "compte"),
    "an unknown account": ({"bank_account_id": uuid4()}, "bank_account_id", "compte"),
    "no company": ({"company_id": None}, "company_id", "société"),
    "an endless place": ({"signed_in": "x" * 71}, "signed_in", "70 caractères"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_names_its_field_and_writes_nothing(owner: Client, fields: Fields, cast: Cast, case: str) -> None:
    changes, field, words = REFUSED[case]
    with pytest.raises(InvalidInputError, match=words) as refusal:
        commands.create_mandate(owner.id, fields(**changes), by=cast.commercial, at=AT)
    assert refusal.value.field == field
    assert db.session.scalars(select(Mandate)).all() == []


def test_a_reference_is_one_mandates_with_a_creditor(owner: Client, fields: Fields, cast: Cast) -> None:
    commands.create_mandate(owner.id, fields(umr="ABC-1"), by=cast.commercial, at=AT)
    with pytest.raises(InvalidInputError, match="déjà celle d’un autre mandat") as refusal:
        commands.create_mandate(owner.id, fields(umr="abc-1"), by=cast.commercial, at=AT)
    assert refusal.value.field == "umr"
    elsewhere = factories.CompanyFactory()
    other = commands.create_mandate(owner.id, fields(umr="ABC-1", company_id=elsewhere.id), by=cast.commercial, at=AT)
    assert other.umr == "ABC-1"


def test_one_asked_for_twice_is_made_once_and_is_nobody_elses(owner: Client, fields: Fields, cast: Cast) -> None:
    mandate_id = uuid4()
    first, second = (
        commands.create_mandate(owner.id, fields(), mandate_id=mandate_id, by=cast.commercial, at=AT) for _ in range(2)
    )
    assert (first.id, first.umr) == (second.id, second.umr) == (mandate_id, "MD-0000001")
    stranger: Client = factories.ClientFactory()
    db.session.commit()
    with pytest.raises(NotFoundError):
        commands.create_mandate(stranger.id, fields(), mandate_id=mandate_id, by=cast.commercial, at=AT)


def test_another_clients_account_is_none_of_this_one(fields: Fields, cast: Cast) -> None:
    stranger: Client = factories.ClientFactory()
    db.session.commit()
    with pytest.raises(InvalidInputError) as refusal:
        commands.create_mandate(stranger.id, fields(), by=cast.commercial, at=AT)
    assert refusal.value.field == "bank_account_id"


def test_an_imported_account_outside_sepa_takes_no_mandate(owner: Client, fields: Fields, cast: Cast) -> None:
    account = factories.make_bank_account(owner, "BR1800360305000010009795493C1")
    db.session.commit()
    with pytest.raises(InvalidInputError, match="hors de la zone SEPA") as refused:
        commands.create_mandate(owner.id, fields(bank_account_id=account.id), by=cast.admin, at=AT)
    assert refused.value.field == "bank_account_id"


def test_one_under_which_money_was_collected_is_not_changed(owner: Client, fields: Fields, cast: Cast) -> None:
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    mandate.last_used_on = date(2026, 11, 10)
    with pytest.raises(MandateStateError, match="prélèvements ont été faits"):
        commands.change_mandate(owner.id, mandate.id, fields(umr="X"), by=cast.commercial, at=AT)
    assert mandate.umr == "MD-0000001"


def test_revoking_says_what_stops_and_holds_for_good(owner: Client, fields: Fields, cast: Cast) -> None:
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    living = factories.SubscriptionFactory(client_id=owner.id, mandate_id=mandate.id, payment_method="sepa")
    factories.SubscriptionFactory(
        client_id=owner.id, mandate_id=mandate.id, payment_method="sepa", status=SubscriptionStatus.CANCELED
    )
    db.session.commit()
    assert commands.find_stops(mandate) == ([living], 0)
    for _ in range(2):
        commands.revoke_mandate(owner.id, mandate.id, by=cast.manager, at=AT)
    assert (mandate.status, mandate.revoked_on, mandate.is_usable(AT.date())) == (
        MandateStatus.REVOKED,
        AT.date(),
        False,
    )
    assert told(EventKind.MANDATE_REVOKED) == {"umr": [None, "MD-0000001"]}
    with pytest.raises(MandateStateError, match="révoqué"):
        commands.change_mandate(owner.id, mandate.id, fields(), by=cast.commercial, at=AT)


def test_an_account_is_put_away_once_no_mandate_stands_on_it(
    owner: Client, bank_account: BankAccount, fields: Fields, cast: Cast
) -> None:
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    with pytest.raises(MandateStateError, match="confirmez"):
        commands.archive_account(owner.id, bank_account.id, by=cast.commercial, at=AT)
    commands.revoke_mandate(owner.id, mandate.id, by=cast.commercial, at=AT)
    for _ in range(2):
        commands.archive_account(owner.id, bank_account.id, by=cast.commercial, at=AT)
    assert bank_account.archived_at == AT
    assert told(EventKind.ACCOUNT_ARCHIVED) == {"iban": ["FR•• •••• 2606", None]}
    with pytest.raises(InvalidInputError) as refusal:
        commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    assert refusal.value.field == "bank_account_id"


def test_a_mandate_whose_account_is_gone_serves_again_on_another(
    owner: Client, bank_account: BankAccount, fields: Fields, cast: Cast
) -> None:
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    commands.archive_account(owner.id, bank_account.id, is_confirmed=True, by=cast.commercial, at=AT)
    assert mandate.fault(AT.date()) is MandateFault.ACCOUNT
    usable = select(Mandate.id).where(Mandate.usable_on(AT.date()))
    assert db.session.scalars(usable).all() == []
    other = factories.make_bank_account(owner, "DE89370400440532013000")
    written = {"bank_account_id": other.id, "umr": "", "is_confirmed": True}
    commands.amend_mandate(owner.id, mandate.id, **written, by=cast.commercial, at=AT)  # type: ignore[arg-type]
    assert (mandate.fault(AT.date()), db.session.scalars(usable).all()) == (None, [mandate.id])


def test_an_outsider_finds_none_of_it(owner: Client, bank_account: BankAccount, fields: Fields, cast: Cast) -> None:
    mandate = commands.create_mandate(owner.id, fields(), by=cast.commercial, at=AT)
    with tenancy.organisation(cast.other_organisation.id):
        for act in (
            lambda: commands.find_mandate(owner.id, mandate.id),
            lambda: commands.create_mandate(owner.id, fields(), by=cast.outsider, at=AT),
            lambda: commands.change_mandate(owner.id, mandate.id, fields(), by=cast.outsider, at=AT),
            lambda: commands.revoke_mandate(owner.id, mandate.id, by=cast.outsider, at=AT),
            lambda: commands.archive_account(owner.id, bank_account.id, by=cast.outsider, at=AT),
        ):
            with pytest.raises(NotFoundError):
                act()
    assert mandate.status is MandateStatus.ACTIVE
