"""Merging clients: everything goes along, one is kept, and taking it back puts everything where it was."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from tests import factories
from tests.conftest import NOW, Cast
from tests.examples import some
from tests.queries import recorded_statements
from tests.rows import make_row, table_named
from webapp import crypto, tenancy
from webapp.errors import DomainError, ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import Base, new_id
from webapp.models.charges import ChargeStatus
from webapp.models.clients import Client, ClientStatus
from webapp.models.consents import ConsentChannel, ConsentPurpose, ConsentState
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationState
from webapp.models.providers import DefaultMeans
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind, LastContact, TimelineEvent
from webapp.models.winleadplus import SyncMapping
from webapp.services.clients import editing
from webapp.services.clients.fields import ClientFields
from webapp.services.merging import commands
from webapp.services.merging.commands import Choices, StaleError, merge
from webapp.services.merging.preview import AlreadyMergedError, list_default_choices, preview
from webapp.services.merging.tables import BELONGINGS, STAY
from webapp.services.operations import deciding, runs, undoing
from webapp.services.operations.carry_out import carry_out

LATER = NOW + timedelta(days=1)
OTHER_IBAN = "FR7630006000011234567890189"
IGNORED = {"version", "changed_at"}


def picture(client_ids: Collection[UUID]) -> dict[str, Any]:
    """Every row that belongs to one of the clients, and the clients; without what merges themselves have told."""
    tables = ["clients", *BELONGINGS, "present_consents", "last_contacts"]
    rows: dict[str, Any] = {}
    for table in tables:
        column = "id" if table == "clients" else "client_id"
        told = "AND t.operation_id IS NULL" if table == "timeline_events" else ""
        found = db.session.execute(
            text(f"SELECT to_jsonb(t) FROM {table} t WHERE {column} = ANY(:ids) {told}"), {"ids": list(client_ids)}
        ).scalars()
        rows[table] = sorted(
            (
                {name: value for name, value in row.items() if table != "clients" or name not in IGNORED}
                for row in found
            ),
            key=str,
        )
    return rows


def owners(table: str) -> set[UUID]:
    return set(db.session.execute(text(f"SELECT client_id FROM {table} WHERE client_id IS NOT NULL")).scalars())


def unmerge(operation_id: UUID, by: User) -> Operation:
    undo_id = undoing.plan_undo(operation_id, by=by, at=LATER)
    carry_out(tenancy.current_organisation_id(), undo_id)
    deciding.apply(undo_id, by=by, at=LATER)
    carry_out(tenancy.current_organisation_id(), undo_id)
    return runs.find(undo_id)


def merged(*clients: Client, by: User, **choices: Any) -> Operation:
    """Merge into the first."""
    chosen = Choices(**{"kept_id": clients[0].id, "is_understood": True, **choices})
    operation = merge([client.id for client in clients], chosen, by=by, at=NOW)
    db.session.expire_all()
    assert operation.error is None
    assert operation.state is OperationState.DONE
    return operation


def items(operation_id: UUID, action: ItemAction) -> list[OperationItem]:
    wanted = select(OperationItem).where(OperationItem.operation_id == operation_id, OperationItem.action == action)
    return list(db.session.scalars(wanted.order_by(OperationItem.position)))


def make_everything(client: Client, numbers: dict[str, int] | None = None) -> None:
    """A row of every table that belongs to a client, or so many; what is frozen is frozen."""
    for table in BELONGINGS:
        wanted = (numbers or {}).get(table, 1)
        for number in range(min(wanted, 1) if table == "default_means" else wanted):  # one for each company
            make_row(table_named(table), client_id=client.id, **_special(table, number))
    db.session.commit()


def _special(table: str, number: int) -> dict[str, Any]:
    """What a row must say so that there can be several, and that none is under way."""
    unique = new_id().int % 1_000_000
    values: dict[str, dict[str, Any]] = {
        "invoices": {
            "number": unique,
            "reference": str(unique),
            "status": "issued",
            "issued_on": NOW.date(),
            "finalised_at": NOW,
        },
        "fulfilment_batch_lines": {
            "status": "to_prepare",
            "snapshot_at": NOW,
            "consignment_no": number + 1,
            "address_snapshot": {},
            "preference_snapshot": {},
        },
        "woocommerce_mappings": {"woo_id": unique},
        "woocommerce_resources": {"woo_id": unique},
        "timeline_events": {"kind": EventKind.CALL, "at": NOW - timedelta(hours=number)},
        "consents": {"at": NOW - timedelta(hours=number), "state": list(ConsentState)[number % 3]},
        "shipments": {"consignment_no": unique},
        "dunning_cases": {"status": "paid", "closed_at": NOW},
        "means_requests": {"status": "canceled", "ended_at": NOW},
        "charges": {"status": ChargeStatus.SUCCEEDED},
    }
    return values.get(table, {})


def test_the_last_contact_goes_along_and_comes_back(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    for client, hours in ((kept, 5), (other, 2), (other, 9)):
        told = TimelineEvent(client_id=client.id, kind=EventKind.CALL, at=NOW - timedelta(hours=hours))
        db.session.add(told)
    db.session.commit()

    def hours_since() -> dict[UUID, float]:
        contacts = db.session.execute(select(LastContact.client_id, LastContact.at))
        return {client_id: (NOW - at) / timedelta(hours=1) for client_id, at in contacts}

    operation = merged(kept, other, by=cast.admin)
    assert hours_since() == {kept.id: 2}
    unmerge(operation.id, cast.admin)
    assert hours_since() == {kept.id: 5, other.id: 2}


@pytest.fixture
def pair(cast: Cast) -> tuple[Client, Client]:
    """Two clients who are one person, with everything that a client may have."""
    kept = factories.ClientFactory(last_name="Dupont", first_name="Marie", phone=None)
    other = factories.ClientFactory(last_name="DUPONT", first_name="Marie", phone="+33612345678", postcode=None)
    for client in (kept, other):
        make_everything(client)
    return kept, other


def all_defaults(*clients: Client) -> dict[UUID, UUID]:
    """The first client's default means stays, wherever several have one."""
    return {choice.company_id: clients[0].id for choice in list_default_choices([client.id for client in clients])}


# ---- Everything goes along


def test_every_table_that_names_a_client_says_what_becomes_of_its_rows() -> None:
    naming = {table.name for table in Base.metadata.sorted_tables if "client_id" in table.columns}
    referring = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_key_constraints
        if key.referred_table.name == "clients"
    }
    assert naming == BELONGINGS.keys() | STAY.keys()
    assert referring - naming == {"clients", "duplicate_pairs"}


def test_everything_goes_along(cast: Cast, pair: tuple[Client, Client]) -> None:
    kept, other = pair
    merged(kept, other, by=cast.admin, defaults=all_defaults(kept, other))
    left = {table for table in BELONGINGS if other.id in owners(table)}
    assert left == set()
    assert other.merged_into_id == kept.id
    assert other.archived_at is not None
    assert kept.contracts_count == 2


def test_merged_and_taken_back_is_as_before(cast: Cast) -> None:
    @settings(
        max_examples=some(30),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        clients = [
            factories.ClientFactory(
                phone=data.draw(st.sampled_from([None, "+33612345678"])),
                birth_date=data.draw(st.sampled_from([None, date(1970, 5, 12)])),
                commercial_id=data.draw(st.sampled_from([None, cast.sales_rep.id])),
                status=data.draw(st.sampled_from(list(ClientStatus))),
            )
            for _ in range(data.draw(st.integers(2, 3)))
        ]
        for client in clients:
            make_everything(client, {table: data.draw(st.integers(0, 2)) for table in BELONGINGS})
            if data.draw(st.booleans()):
                archived_at = data.draw(st.sampled_from([None, NOW]))
                account = factories.make_bank_account(client, OTHER_IBAN, archived_at=archived_at)
                make_row(table_named("mandates"), client_id=client.id, bank_account_id=account.id)
            if data.draw(st.booleans()):
                client.identity_card = crypto.seal("{}", place=client.place("identity_card"))
        db.session.commit()
        ids = [client.id for client in clients]
        before = picture(ids)
        chosen = {
            choice.company_id: [each for each in ids if each in choice.means][
                data.draw(st.integers(0, len(choice.means) - 1))
            ]
            for choice in list_default_choices(ids)
        }
        operation = merged(*clients, by=cast.admin, defaults=chosen)
        assert picture(ids) != before
        undo = unmerge(operation.id, cast.admin)
        assert (undo.error, undo.state) == (None, OperationState.DONE)
        assert picture(ids) == before

    check()


# ---- Values


def test_what_is_filled_beats_what_is_empty_and_the_rest_stays(cast: Cast) -> None:
    kept = factories.ClientFactory(first_name="Marie", phone=None, email="a@exemple.test", created_at=NOW)
    other = factories.ClientFactory(first_name="Maria", phone="+33612345678", email="b@exemple.test", created_at=LATER)
    shown = preview([other.id, kept.id], by=cast.admin)
    assert shown.kept is kept
    assert {each.key: each.chosen for each in shown.fields if each.chosen != kept.id} == {"phone": other.id}
    assert {each.key for each in shown.fields if each.differs} == {"last_name", "first_name", "email"}
    merged(kept, other, by=cast.admin, values={"first_name": other.id})
    assert (kept.first_name, kept.phone, kept.email) == ("Maria", "+33612345678", "a@exemple.test")


def test_the_one_with_subscriptions_is_kept_and_the_newer_word_of_winleadplus_stands(cast: Cast) -> None:
    older = factories.ClientFactory(email="a@exemple.test", created_at=NOW, changed_at=NOW)
    payer = factories.ClientFactory(email="b@exemple.test", created_at=LATER, changed_at=NOW)
    factories.SubscriptionFactory(client_id=payer.id)
    db.session.add(SyncMapping(external_id="12", client_id=older.id, synced_at=LATER))
    db.session.flush()
    shown = preview([older.id, payer.id], by=cast.admin)
    assert shown.kept is payer
    assert next(each.chosen for each in shown.fields if each.key == "email") == older.id


def test_an_identity_card_comes_along_and_is_readable(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    other.identity_card = crypto.seal('{"numero": "12"}', place=other.place("identity_card"))
    db.session.commit()
    merged(kept, other, by=cast.admin)
    assert kept.identity_card is not None
    assert crypto.unseal(kept.identity_card, place=kept.place("identity_card")) == '{"numero": "12"}'


def test_the_latest_word_on_a_consent_holds(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    for client, state, at in ((kept, ConsentState.GIVEN, NOW), (other, ConsentState.WITHDRAWN, LATER)):
        make_row(
            table_named("consents"),
            client_id=client.id,
            purpose=ConsentPurpose.SATISFACTION,
            state=state,
            at=at,
            channel=ConsentChannel.SHOP,
        )
    db.session.commit()
    merged(kept, other, by=cast.admin)
    present = db.session.execute(text("SELECT client_id, state FROM present_consents")).all()
    assert [tuple(row) for row in present] == [(kept.id, "withdrawn")]


# ---- Money is not guessed


def test_a_shared_account_is_kept_once_and_its_mandates_come_to_it(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    account = factories.make_bank_account(kept, archived_at=NOW)
    twin = factories.make_bank_account(other)
    mandate = make_row(table_named("mandates"), client_id=other.id, bank_account_id=twin.id)
    db.session.commit()
    merged(kept, other, by=cast.admin)
    stands = db.session.execute(text("SELECT client_id, bank_account_id FROM mandates")).one()
    assert tuple(stands) == (kept.id, account.id)
    assert mandate["bank_account_id"] == twin.id
    assert twin.client_id == other.id
    assert account.archived_at is None  # the other's was in use


def _default(client: Client) -> DefaultMeans:
    return db.session.query(DefaultMeans).filter_by(client_id=client.id).one()


def test_of_two_defaults_a_person_chooses_and_nobody_pays_otherwise(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    for client in (kept, other):
        make_row(table_named("default_means"), client_id=client.id, payment_method=PaymentMethod.SEPA)
        mandate_id = _default(client).mandate_id
        method = {"payment_method": PaymentMethod.SEPA, "mandate_id": mandate_id, "means_inherited": True}
        factories.SubscriptionFactory(client_id=client.id, **method)
    db.session.commit()
    before = {each.id: each.mandate_id for each in db.session.query(Subscription)}
    with pytest.raises(InvalidInputError) as refusal:
        merge([kept.id, other.id], Choices(kept_id=kept.id, is_understood=True), by=cast.admin, at=NOW)
    company = factories.default_company()
    assert refusal.value.field == f"moyen-{company.id}"
    lost = _default(kept).mandate_id
    merged(kept, other, by=cast.admin, defaults={company.id: other.id})
    assert _default(kept).mandate_id != lost
    after = {each.id: each for each in db.session.query(Subscription)}
    assert {each_id: each.mandate_id for each_id, each in after.items()} == before
    assert {each.mandate_id: each.means_inherited for each in after.values()} == {
        lost: False,
        _default(kept).mandate_id: True,
    }


def test_two_living_subscriptions_ask_for_a_yes(cast: Cast) -> None:
    clients = [factories.ClientFactory() for _ in range(2)]
    for client in clients:
        factories.SubscriptionFactory(client_id=client.id)
    db.session.commit()
    ids = [client.id for client in clients]
    assert len(preview(ids, by=cast.admin).warnings) == 1
    with pytest.raises(InvalidInputError) as refusal:
        merge(ids, Choices(kept_id=ids[0]), by=cast.admin, at=NOW)
    assert refusal.value.field == "compris"


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("dunning_cases", {"status": "open"}),
        ("means_requests", {"status": "sent"}),
    ],
)
def test_what_would_stand_twice_is_explained_and_refused(cast: Cast, table: str, values: dict[str, Any]) -> None:
    clients = [factories.ClientFactory() for _ in range(2)]
    account = make_row(table_named("provider_accounts"), company_id=factories.default_company().id)
    more = {"provider_account_id": account["id"]} if table == "means_requests" else {}
    for client in clients:
        make_row(table_named(table), client_id=client.id, **values, **more)
    db.session.commit()
    with pytest.raises(DomainError, match="Société de test"):
        merge([client.id for client in clients], Choices(kept_id=clients[0].id), by=cast.admin, at=NOW)
    assert db.session.query(Operation).count() == 0


def test_nothing_is_merged_while_a_charge_is_being_sent(cast: Cast) -> None:
    clients = [factories.ClientFactory() for _ in range(2)]
    make_row(table_named("charges"), client_id=clients[1].id, status=ChargeStatus.SENDING)
    db.session.commit()
    with pytest.raises(DomainError, match="en cours d’envoi"):
        merge([client.id for client in clients], Choices(kept_id=clients[0].id), by=cast.admin, at=NOW)


# ---- Taking it back


def test_many_rows_are_told_in_groups_of_three(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    task = make_row(table_named("tasks"), client_id=other.id, title="Rappeler")
    db.session.execute(
        text(
            """INSERT INTO tasks SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).*
            FROM tasks t, generate_series(2, 1200) WHERE t.id = :id"""
        ),
        {"id": task["id"]},
    )
    db.session.commit()
    operation = merged(kept, other, by=cast.admin)
    undo_id = undoing.plan_undo(operation.id, by=cast.admin, at=LATER)
    carry_out(tenancy.current_organisation_id(), undo_id)
    for each in (operation.id, undo_id):
        assert "1\u202f200 tâches" in {item.label for item in items(each, ItemAction.LINK)}


def test_what_happened_since_stays_and_is_listed(cast: Cast) -> None:
    kept = factories.ClientFactory(phone=None, birth_date=None)
    other = factories.ClientFactory(phone="+33612345678", birth_date=date(1970, 5, 12))
    factories.ContractFactory(client_id=other.id)
    db.session.commit()
    operation = merged(kept, other, by=cast.admin)
    fields = ClientFields.of(kept).__dict__ | {"phone": "+33699999999"}
    editing.edit_client(
        kept.id, ClientFields(**fields), version=kept.version, bank=None, confirmed=True, by=cast.admin, at=LATER
    )
    make_row(table_named("tasks"), client_id=kept.id, created_at=LATER, title="Rappeler")
    db.session.commit()
    undo = unmerge(operation.id, cast.admin)
    assert undo.state is OperationState.DONE
    db.session.expire_all()
    assert (kept.phone, kept.birth_date) == ("+33699999999", None)
    assert owners("contracts") == {other.id}
    assert owners("tasks") == {kept.id}
    listed = items(undo.id, ItemAction.NOTHING)
    assert [(item.label, item.before, item.after) for item in listed if item.before] == [
        (kept.full_name, {"phone": None}, {"phone": "+33699999999"})
    ]
    assert "1 tâche" in {item.label for item in listed}
    told = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == kept.id)).all()
    assert [kind for kind in told if "merged" in kind] == [EventKind.CLIENT_MERGED, EventKind.CLIENT_UNMERGED]


def test_merges_are_taken_back_in_turn_and_for_thirty_days(cast: Cast) -> None:
    first, second, third = (factories.ClientFactory() for _ in range(3))
    db.session.commit()
    inner = merged(second, third, by=cast.admin)
    merged(first, second, by=cast.admin)
    undo_id = undoing.plan_undo(inner.id, by=cast.admin, at=LATER)
    carry_out(cast.organisation.id, undo_id)
    assert "fusionné à son tour" in (runs.find(undo_id).error or "")
    with pytest.raises(DomainError):
        undoing.plan_undo(inner.id, by=cast.admin, at=NOW + timedelta(days=31))


# ---- Bad input


def test_bad_choices_are_refused(cast: Cast) -> None:
    one, two = factories.ClientFactory(), factories.ClientFactory()
    with tenancy.organisation(cast.other_organisation.id):
        elsewhere = factories.ClientFactory().id
    db.session.commit()
    for ids, refusal in (
        ([one.id, one.id], InvalidInputError),
        ([one.id], InvalidInputError),
        ([one.id, elsewhere], NotFoundError),
        ([one.id, new_id()], NotFoundError),
    ):
        with pytest.raises(refusal):
            merge(ids, Choices(kept_id=ids[0]), by=cast.admin, at=NOW)
    with pytest.raises(StaleError):
        merge([one.id, two.id], Choices(kept_id=one.id, versions={two.id: 7}), by=cast.admin, at=NOW)
    with pytest.raises(InvalidInputError):
        merge([one.id, two.id], Choices(kept_id=new_id()), by=cast.admin, at=NOW)
    merged(one, two, by=cast.admin)
    with pytest.raises(AlreadyMergedError):
        merge([one.id, two.id], Choices(kept_id=one.id), by=cast.admin, at=NOW)


def test_who_may_merge_has_a_say_over_each(cast: Cast) -> None:
    mine = factories.ClientFactory(commercial_id=cast.sales_rep.id)
    nobodys, others = factories.ClientFactory(), factories.ClientFactory(commercial_id=factories.CommercialFactory().id)
    led_by_others = factories.ClientFactory(
        commercial_id=factories.CommercialFactory(team_id=factories.TeamFactory().id).id
    )
    db.session.commit()
    for client, user in ((others, cast.commercial), (led_by_others, cast.manager)):
        with pytest.raises(ForbiddenError):
            preview([mine.id, client.id], by=user)
    preview([mine.id, nobodys.id], by=cast.commercial)
    preview([mine.id, others.id], by=cast.manager)
    preview([mine.id, led_by_others.id], by=cast.admin)


def test_what_changed_between_the_plan_and_its_application_is_not_merged(cast: Cast) -> None:
    kept, other = factories.ClientFactory(), factories.ClientFactory()
    db.session.commit()
    operation_id = commands._plan([kept.id, other.id], Choices(kept_id=kept.id), by=cast.admin, at=NOW)
    other.version += 1
    db.session.commit()
    deciding.apply(operation_id, by=cast.admin, at=NOW)
    carry_out(cast.organisation.id, operation_id)
    operation = runs.find(operation_id)
    assert operation.state is OperationState.FAILED
    assert "modifié depuis" in (operation.error or "")
    db.session.expire_all()
    assert other.archived_at is None


def test_statements_do_not_grow_with_rows(cast: Cast) -> None:
    numbers = []
    for size in (1, 4):
        clients = [factories.ClientFactory() for _ in range(2)]
        for client in clients:
            make_everything(client, dict.fromkeys(BELONGINGS, size))
        defaults = all_defaults(*clients)
        with recorded_statements() as statements:
            merged(*clients, by=cast.admin, defaults=defaults)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def test_of_an_erased_client_nothing_is_said_about_archives(cast: Cast) -> None:
    kept, erased = factories.ClientFactory(), factories.ClientFactory(archived_at=NOW, erased_at=NOW)
    with pytest.raises(DomainError, match="a été effacé"):
        preview([kept.id, erased.id], by=cast.admin)
