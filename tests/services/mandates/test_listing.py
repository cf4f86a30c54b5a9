"""The mandates that lack something: what, and how many subscriptions wait behind each."""

from datetime import date, timedelta

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.mandates.conftest import AT, Fields
from webapp import tenancy
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.services.mandates import commands, listing
from webapp.services.mandates.listing import Lack, MandatesView

TODAY = AT.date()


def lacks(view: MandatesView | None = None) -> list[tuple[str | None, Lack, int]]:
    page = listing.list_mandates(view or MandatesView(), today=TODAY)
    return [(row.mandate.umr, row.lack, row.waiting) for row in page.rows]


def test_each_lack_is_told_and_what_lacks_nothing_is_not_there(
    owner: Client, declared: Mandate, fields: Fields, cast: Cast
) -> None:
    signed = {"SOON": date(2024, 1, 2), "IDLE": date(2023, 11, 20), "WELL": date(2026, 1, 2), "OPEN": None}
    for number, (umr, day) in enumerate(signed.items()):
        at = AT + timedelta(minutes=number)
        commands.create_mandate(owner.id, fields(umr=umr, signed_on=day), by=cast.commercial, at=at)
    gone = factories.make_bank_account(owner, "DE89370400440532013000")
    commands.create_mandate(owner.id, fields(bank_account_id=gone.id), by=cast.commercial, at=AT + timedelta(hours=1))
    commands.archive_account(owner.id, gone.id, is_confirmed=True, by=cast.commercial, at=AT)
    factories.SubscriptionFactory(client_id=owner.id, mandate_id=declared.id, payment_method="sepa")
    db.session.commit()
    assert lacks() == [
        (None, Lack.DECLARED, 1),
        ("SOON", Lack.IDLE_SOON, 0),
        ("IDLE", Lack.IDLE, 0),
        ("OPEN", Lack.UNSIGNED, 0),
        ("MD-0000001", Lack.ACCOUNT, 0),
    ]
    assert listing.count_by_lack(today=TODAY) == dict.fromkeys(Lack, 1)
    for lack in Lack:
        assert [row[1] for row in lacks(MandatesView(lack=lack))] == [lack]
    assert len(lacks(MandatesView(search="durand lea"))) == 5
    assert lacks(MandatesView(search="personne")) == []


def test_a_revoked_one_lacks_nothing(owner: Client, declared: Mandate, cast: Cast) -> None:
    commands.revoke_mandate(owner.id, declared.id, by=cast.manager, at=AT)
    assert lacks() == []


def test_pages_follow_each_other_and_queries_do_not_grow(owner: Client, fields: Fields, cast: Cast) -> None:
    for number in range(5):
        at = AT + timedelta(minutes=number)
        commands.create_mandate(owner.id, fields(umr=f"N{number}", signed_on=None), by=cast.commercial, at=at)
    db.session.expire_all()
    with recorded_statements() as statements:
        first = listing.list_mandates(MandatesView(), today=TODAY, size=3)
    assert len([each for each in statements if each.startswith("SELECT")]) == 1
    rest = listing.list_mandates(MandatesView(cursor=first.next_cursor), today=TODAY, size=3)
    assert [row.mandate.umr for row in (*first.rows, *rest.rows)] == ["N0", "N1", "N2", "N3", "N4"]
    assert rest.next_cursor is None


def test_an_outsider_sees_none(declared: Mandate, cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        assert lacks() == []
        assert set(listing.count_by_lack(today=TODAY).values()) == {0}
