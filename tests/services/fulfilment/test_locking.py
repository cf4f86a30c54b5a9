"""A lock freezes what was charged before the cut-off, with its address and preferences; the rest waits."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from tests import factories
from tests.conftest import Cast
from tests.services.fulfilment.world import CUT_OFF, FulfilmentWorld
from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus, LineStatus, TotalKind
from webapp.models.preferences import CutOff, PreferenceSchema, ValueType
from webapp.models.subscriptions import Subscription
from webapp.services.fulfilment import batches, locking, totals
from webapp.services.fulfilment.locking import AlreadyLockedError, EmptyBatchError
from webapp.services.preferences import values

ADDRESS = {
    "recipient": "Élodie DUPONT",
    "line1": "12 bis rue des Lilas",
    "postcode": "59000",
    "city": "Lille",
    "country": "FR",
}


def origin(default: str | None = None) -> PreferenceSchema:
    schema: PreferenceSchema = factories.PreferenceSchemaFactory(
        code="origine",
        label="Origine",
        value_type=ValueType.ENUM,
        allowed_values=["Brésil", "Éthiopie"],
        default=default,
    )
    return schema


def prefer(subscription: Subscription, cycle: int, value: str) -> None:
    """A value that holds from a cycle on."""
    values._write(subscription, db.session.query(PreferenceSchema).one(), None, value, cycle, by=None, at=clock.now())
    db.session.commit()


def test_a_lock_freezes_what_was_charged(world: FulfilmentWorld) -> None:
    origin()
    subscription = world.subscribe()
    world.client_of(subscription).last_name = "DUPONT"
    prefer(subscription, 0, "Brésil")
    world.charge_all()
    world.to_cut_off()
    assert world.lock() == (1, 0, 0)
    line, (batch,) = world.line(), world.batches()
    assert (batch.status, batch.locked_at, batch.locked_by_id) == (BatchStatus.LOCKED, line.snapshot_at, None)
    assert (line.status, line.consignment_no) == (LineStatus.TO_PREPARE, 1)
    assert line.address_snapshot == ADDRESS
    assert line.preference_snapshot == {"origine": {"label": "Origine", "value": "Brésil"}}


def test_a_snapshot_is_that_of_the_lines_cycle_as_everything_else_reads_it(world: FulfilmentWorld) -> None:
    origin(default="Éthiopie")
    factories.PreferenceSchemaFactory(code="ancien", label="Ancien", is_active=False)
    factories.PreferenceSchemaFactory(code="taille", label="Taille", value_type=ValueType.NUMBER)
    first, second = world.subscribe(), world.subscribe()
    prefer_all = [(first, 0, "Brésil"), (first, 1, "Éthiopie")]
    schema = db.session.query(PreferenceSchema).filter_by(code="origine").one()
    for subscription, cycle, value in prefer_all:
        values._write(subscription, schema, None, value, cycle, by=None, at=clock.now())
    world.charge_all()
    world.to_cut_off()
    world.lock()
    frozen = {line.subscription_id: line.preference_snapshot for line in world.lines()}
    assert frozen == {
        first.id: {"origine": {"label": "Origine", "value": "Brésil"}, "taille": {"label": "Taille", "value": None}},
        second.id: {"origine": {"label": "Origine", "value": "Éthiopie"}, "taille": {"label": "Taille", "value": None}},
    }
    assert frozen == values.take_snapshots({first.id: 0, second.id: 0})


def test_what_changes_afterwards_changes_nothing(world: FulfilmentWorld) -> None:
    origin()
    subscription = world.subscribe()
    prefer(subscription, 0, "Brésil")
    world.charge_all()
    world.to_cut_off()
    world.lock()
    before = (world.line().address_snapshot, world.line().preference_snapshot)
    world.client_of(subscription).address_line1 = "1 place du Marché"
    prefer(subscription, 0, "Éthiopie")
    assert (world.line().address_snapshot, world.line().preference_snapshot) == before


def test_what_was_charged_after_the_cut_off_waits_for_the_next(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.to_cut_off()
    late = world.subscribe()
    world.charge_all()  # the timetable was down for a minute
    assert world.lock() == (1, 0, 1)
    _first, second = world.batches()
    assert [line.subscription_id for line in world.lines(second)] == [late.id]
    assert (second.number, second.cutoff_at) == (2, CUT_OFF + timedelta(days=7))
    assert not world.lines(second)[0].is_late


def test_what_is_held_waits_for_the_next(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.subscribe()
    world.charge_all()
    held = world.lines()[0]
    held.held_reason = "Adresse à confirmer"
    world.to_cut_off()
    assert world.lock() == (1, 0, 1)
    _first, second = world.batches()
    assert [line.id for line in world.lines(second)] == [held.id]
    assert world.lines(second)[0].held_reason == "Adresse à confirmer"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address_line1": None}, "Adresse incomplète\u202f: la voie manque."),
        ({"address_line1": "  "}, "Adresse incomplète\u202f: la voie manque."),
        (
            {"postcode": None, "city": None},
            "Adresse incomplète\u202f: le code postal manque, la ville manque.",
        ),
        ({"postcode": "99123"}, "Adresse incomplète\u202f: le code postal 99123 n’existe pas."),
        ({"postcode": "00100"}, "Adresse incomplète\u202f: le code postal 00100 n’existe pas."),
        ({"last_name": "", "first_name": ""}, "Adresse incomplète\u202f: le destinataire manque."),
    ],
)
def test_an_incomplete_address_is_set_aside_and_holds_up_nobody(
    world: FulfilmentWorld, fields: dict[str, Any], sentence: str
) -> None:
    faulty, _ = world.subscribe(), world.subscribe()
    for name, value in fields.items():
        setattr(world.client_of(faulty), name, value)
    world.charge_all()
    world.to_cut_off()
    assert world.lock() == (1, 1, 0)
    (aside,) = (line for line in world.lines() if line.subscription_id == faulty.id)
    assert (aside.status, aside.reason, aside.snapshot_at) == (LineStatus.SET_ASIDE, sentence, None)


@pytest.mark.parametrize(
    ("postcode", "country"),
    [("01000", "FR"), ("20090", "FR"), ("95800", "FR"), ("97110", "FR"), ("98800", "FR"), ("SW1A 1AA", "GB")],
)
def test_postcodes_that_exist(world: FulfilmentWorld, postcode: str, country: str) -> None:
    client = world.client_of(world.subscribe())
    client.postcode, client.country = postcode, country
    world.charge_all()
    world.to_cut_off()
    assert world.lock().to_prepare == 1


def test_a_present_goes_to_its_own_address_before_the_clients_delivery_address(world: FulfilmentWorld) -> None:
    main, delivered, gift = world.subscribe(), world.subscribe(), world.subscribe()
    for subscription in (delivered, gift):
        client = world.client_of(subscription)
        client.delivery_line1, client.delivery_postcode, client.delivery_city = "2 quai Sud", "13002", "Marseille"
        client.delivery_name, client.delivery_instructions, client.phone = "Accueil", "Code 12A", "+33612345678"
    gift.delivery_line1, gift.delivery_postcode, gift.delivery_city = "9 Hauptstraße", "10115", "Berlin"
    gift.delivery_name, gift.delivery_country, gift.delivery_company = "Greta Müller", "DE", "Müller GmbH"
    gift.gift_message = "Bon anniversaire"
    db.session.commit()
    world.charge_all()
    world.to_cut_off()
    world.lock()
    found = {line.subscription_id: line for line in world.lines()}
    assert (found[main.id].address_snapshot or {})["line1"] == "12 bis rue des Lilas"
    assert found[delivered.id].address_snapshot == {
        "recipient": "Accueil",
        "line1": "2 quai Sud",
        "postcode": "13002",
        "city": "Marseille",
        "country": "FR",
        "phone": "+33612345678",
        "instructions": "Code 12A",
    }
    assert found[gift.id].address_snapshot == {
        "recipient": "Greta Müller",
        "company": "Müller GmbH",
        "line1": "9 Hauptstraße",
        "postcode": "10115",
        "city": "Berlin",
        "country": "DE",
        "phone": "+33612345678",
    }
    assert found[gift.id].gift_message == "Bon anniversaire"


def test_one_client_at_one_address_is_one_consignment(world: FulfilmentWorld) -> None:
    first, second, other = world.subscribe(), world.subscribe(), world.subscribe()
    db.session.execute(update(Subscription).where(Subscription.id == second.id).values(client_id=first.client_id))
    db.session.commit()
    world.charge_all()
    world.to_cut_off()
    world.lock()
    numbers = {line.subscription_id: line.consignment_no for line in world.lines()}
    assert numbers[first.id] == numbers[second.id] != numbers[other.id]
    assert set(numbers.values()) == {1, 2}


# ---------------------------------------------------------------------------------------- totals


def sums(batch: Any, kind: TotalKind) -> list[tuple[list[str], Decimal, int]]:
    """What the page shows of a batch's totals: labels with their preference, quantity, count."""
    return [
        (
            [
                f"{each['label']} × {Decimal(str(each['quantity'])).normalize()} "
                + " ".join(str(preference["value"]) for preference in each["preferences"].values())
                for each in total.content
            ],
            total.quantity,
            total.count,
        )
        for total in totals.list_totals(batch.id, kind, limit=100)
    ]


@pytest.fixture
def mixed(world: FulfilmentWorld) -> FulfilmentWorld:
    """Three boxes of Brazilian, one of Ethiopian, one with a mill in it."""
    origin(default="Brésil")
    subscriptions = [world.subscribe() for _ in range(5)]
    prefer(subscriptions[3], 0, "Éthiopie")
    factories.SubscriptionLineFactory(subscription_id=subscriptions[4].id, label="Moulin", quantity=Decimal(2))
    world.charge_all()
    world.to_cut_off()
    world.lock()
    return world


def test_totals_say_what_is_to_be_picked_and_which_boxes_are_the_same(mixed: FulfilmentWorld) -> None:
    (batch,) = mixed.batches()
    assert sorted(sums(batch, TotalKind.PICKING)) == [
        (["Coffret découverte × 1 Brésil"], 4, 4),
        (["Coffret découverte × 1 Éthiopie"], 1, 1),
        (["Moulin × 1 Brésil"], 2, 1),
    ]
    assert sorted(sums(batch, TotalKind.BOX)) == [
        (["Coffret découverte × 1 Brésil"], 3, 3),
        (["Coffret découverte × 1 Brésil", "Moulin × 2 Brésil"], 3, 1),
        (["Coffret découverte × 1 Éthiopie"], 1, 1),
    ]


def test_boxes_that_are_the_same_are_numbered_one_after_the_other(mixed: FulfilmentWorld) -> None:
    same: dict[str | None, set[int]] = {}
    for line in mixed.lines():
        same.setdefault(line.box_key, set()).add(line.consignment_no or 0)
    assert sorted(map(sorted, same.values())) == [[1, 2, 3], [4], [5]]


def test_totals_follow_a_line_that_leaves_and_comes_back(mixed: FulfilmentWorld) -> None:
    (batch,) = mixed.batches()
    before = sums(batch, TotalKind.PICKING), sums(batch, TotalKind.BOX)
    mill = next(line for line in mixed.lines() if line.label == "Moulin")
    mill.status = LineStatus.SET_ASIDE
    totals.restate(batch.id, [mill.consignment_no or 0])
    assert ([["Moulin × 1 Brésil"], 2, 1]) not in [list(each) for each in sums(batch, TotalKind.PICKING)]
    assert (["Coffret découverte × 1 Brésil"], 4, 4) in sums(batch, TotalKind.BOX)
    mill.status = LineStatus.TO_PREPARE
    totals.restate(batch.id, [mill.consignment_no or 0])
    assert (sums(batch, TotalKind.PICKING), sums(batch, TotalKind.BOX)) == before


def test_sums_written_anew_are_those_of_the_lock(mixed: FulfilmentWorld) -> None:
    (batch,) = mixed.batches()
    before = sums(batch, TotalKind.PICKING), sums(batch, TotalKind.BOX)
    totals.restate(batch.id, [line.consignment_no or 0 for line in mixed.lines()])
    assert (sums(batch, TotalKind.PICKING), sums(batch, TotalKind.BOX)) == before


# ---------------------------------------------------------------------------------------- refusals


def test_an_empty_batch_is_not_locked(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.line().held_reason = "À confirmer"
    with pytest.raises(EmptyBatchError, match="Ce lot est vide"):
        world.lock()
    assert world.open_batch().number == 1


def test_a_second_lock_says_who_was_first(world: FulfilmentWorld, cast: Cast) -> None:
    world.subscribe()
    world.charge_all()
    world.move_to(CUT_OFF)
    batch = world.open_batch()
    locking.lock(batch.id, by=cast.manager, at=clock.now())
    with pytest.raises(AlreadyLockedError) as refusal:
        world.lock(batch.id)
    assert refusal.value.status == 409
    assert refusal.value.message == f"Déjà verrouillé par {cast.manager.full_name} le 02/02/2026 à 12:00."


def test_a_batch_may_be_locked_by_hand_before_its_cut_off(world: FulfilmentWorld, cast: Cast) -> None:
    world.subscribe()
    world.charge_all()
    world.wait(hours=1)
    locking.lock(world.open_batch().id, by=cast.manager, at=clock.now())
    world.subscribe()
    world.charge_all()
    first, second = world.batches()
    assert (first.locked_by_id, second.cutoff_at) == (cast.manager.id, CUT_OFF)
    assert [line.is_late for line in world.lines(second)] == [False]


def test_several_missed_cut_offs_lock_once(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.move_to(CUT_OFF + timedelta(days=20))
    world.lock()
    world.subscribe()
    world.charge_all()
    _first, second = world.batches()
    assert second.cutoff_at == datetime.fromisoformat("2026-02-23T12:00+01:00")


def test_a_changed_cut_off_moves_that_of_the_open_batch(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    company_id = factories.default_company().id
    cut_off = CutOff(company_id=company_id, weekday=2)
    db.session.add(cut_off)
    batches.restate_cut_off(company_id, at=clock.now())
    assert world.open_batch().cutoff_at == datetime.fromisoformat("2026-02-04T12:00+01:00")
    cut_off.locks_itself = False
    batches.restate_cut_off(company_id, at=clock.now())
    assert world.open_batch().cutoff_at is None
