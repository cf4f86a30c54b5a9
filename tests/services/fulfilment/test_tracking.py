"""Where parcels are: told by carriers every two hours, by people, and by lists."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from demo.carrier import Carrier as Pretend
from tests import factories
from tests.conftest import Cast
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import add_line, dispatch, make_batch, open_account, pack, parcels, shipments
from webapp import clock, queue
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.carriers import CarrierAccount
from webapp.models.fulfilment import FulfilmentBatch, ParcelStatus, TrackingEvent
from webapp.services.fulfilment import handing_over, labelling, tracking_lists, tracking_rounds
from webapp.services.fulfilment import shipments as deciding


@pytest.fixture
def account(cast: Cast, pretend: Pretend) -> CarrierAccount:
    """The company's account with the pretend carrier."""
    return open_account()


def on_the_way(cast: Cast, account: CarrierAccount, boxes: int = 1) -> FulfilmentBatch:
    batch = pack(boxes)
    dispatch(batch, cast.manager)
    labelling.carry_out(batch.organisation_id, account.id)
    handing_over.hand_over(batch.id, by=cast.manager, at=clock.now())
    return batch


def look(account: CarrierAccount) -> int:
    return tracking_rounds.carry_out(account.organisation_id, account.id)


def events() -> list[str]:
    return list(db.session.scalars(select(TrackingEvent.code).order_by(TrackingEvent.at, TrackingEvent.code)))


def states() -> list[ParcelStatus]:
    return [each.status for each in (*shipments(), *parcels())]


def test_what_the_carrier_tells_is_kept_once_and_moves_the_parcel(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    on_the_way(cast, account)
    assert look(account) == 1
    assert (events(), states()) == (["ANNONCE"], [ParcelStatus.HANDED_OVER] * 2)
    assert look(account) == 0, "two hours have not passed"
    pretend.order({"advance": 1})
    clock.start_at(clock.now() + timedelta(hours=3))
    pretend.step = 86_400
    look(account)
    assert states() == [ParcelStatus.IN_TRANSIT] * 2
    seen = events()
    clock.start_at(clock.now() + timedelta(hours=3))
    look(account)
    assert events() == seen
    pretend.order({"advance": 4})
    clock.start_at(clock.now() + timedelta(hours=3))
    look(account)
    assert states() == [ParcelStatus.DELIVERED] * 2
    clock.start_at(clock.now() + timedelta(hours=3))
    assert look(account) == 0, "it has arrived"


@pytest.mark.parametrize(("fate", "status"), [("returned", ParcelStatus.RETURNED), ("lost", ParcelStatus.LOST)])
def test_not_every_parcel_arrives(
    cast: Cast, pretend: Pretend, account: CarrierAccount, fate: str, status: ParcelStatus
) -> None:
    pretend.order({"fate": fate})
    on_the_way(cast, account)
    pretend.order({"advance": 9})
    look(account)
    assert states() == [status] * 2


def test_ten_numbers_are_asked_for_in_a_call(
    cast: Cast, pretend: Pretend, account: CarrierAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_way(cast, account, 25)
    asked: list[int] = []
    ask = labelling.accounts.carrier_of

    def counting(account: CarrierAccount) -> object:
        carrier = ask(account)
        track = carrier.track
        carrier.track = lambda numbers: (asked.append(len(numbers)), track(numbers))[1]  # type: ignore[method-assign]
        return carrier

    monkeypatch.setattr(labelling.accounts, "carrier_of", counting)
    assert look(account) == 25
    assert sorted(asked) == [5, 10, 10]


def test_a_carrier_that_does_not_answer_is_asked_at_the_next_round(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    on_the_way(cast, account)
    pretend.order({"mode": "down"})
    assert look(account) == 0
    pretend.order({"mode": "ok"})
    assert look(account) == 1


def test_only_those_with_something_to_ask_are_rung_for(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    assert tracking_rounds.ring(at=clock.now()) == 0
    on_the_way(cast, account)
    queue.queue("fulfilment").empty()
    assert tracking_rounds.ring(at=clock.now()) == 1
    assert [job.func_name for job in queue.queue("fulfilment").jobs] == [tracking_rounds.JOB]
    look(account)
    assert tracking_rounds.ring(at=clock.now()) == 0
    assert tracking_rounds.ring(at=clock.now() + timedelta(days=61)) == 0, "nobody waits for it any more"


# --- lists ---


def test_a_list_is_looked_at_line_by_line_and_then_written(cast: Cast) -> None:
    batch = make_batch(12)
    for number in range(1, 7):
        add_line(batch, number)
    made = dispatch(batch, cast.manager)
    deciding.write_number(made[5].id, "TAKEN12345", by=cast.manager, at=clock.now())
    text = (
        "référence;transporteur;numéro\r\n"
        "L000012-0001;Mondial Relay;ab 123 456\r\n"
        "l12-2;;CD123456\r\n"
        "L000012-0003;;DOUBLE123\r\n"
        "L000012-0004;;DOUBLE123\r\n"
        "L000012-0005;;=1+1\r\n"
        "L000012-0005;;TAKEN12345\r\n"
        "L000012-0005;;12\r\n"
        "L000012-0001-2;;EF123456\r\n"
        "L000099-0001;;GH123456\r\n"
        "\r\n"
        "rien;;IJ123456\r\n"
    )
    entries = tracking_lists.preview(text)
    assert [(entry.line, entry.fault) for entry in entries] == [
        (2, None),
        (3, None),
        (4, "Ce numéro est plusieurs fois dans la liste."),
        (5, "Ce numéro est plusieurs fois dans la liste."),
        (6, "Une formule n’est pas un numéro."),
        (7, "Un autre colis porte déjà ce numéro."),
        (8, "Ce n’est pas un numéro de suivi."),
        (9, "Cette expédition n’a pas ce colis."),
        (10, "Aucune expédition n’a cette référence."),
        (12, "Aucune expédition n’a cette référence."),
    ]
    assert tracking_lists.write(text, by=cast.manager, at=clock.now()) == 2
    assert [each.tracking_number for each in parcels()] == ["AB123456", "CD123456", None, None, None, "TAKEN12345"]
    (event,) = deciding.list_events(made[0].id)
    assert event.changes["carrier"] == [None, "Mondial Relay"]


def test_a_carriers_own_numbers_are_not_written_over(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    on_the_way(cast, account)
    (entry,) = tracking_lists.preview("L000001-0001;Colissimo;AB123456")
    assert entry.fault == "Le transporteur donne lui-même le numéro de suivi de cette expédition."


def test_a_reference_that_two_companies_have_is_nobodys(cast: Cast) -> None:
    dispatch(pack(1), cast.manager)
    batch = pack(1, number=2)
    dispatch(batch, cast.manager)
    db.session.execute(
        db.text("UPDATE fulfilment_batches SET number = 1, company_id = :company WHERE number = 2"),
        {"company": factories.CompanyFactory(name="Autre").id},
    )
    db.session.commit()
    db.session.expire_all()
    (entry,) = tracking_lists.preview("L000001-0001;;AB123456")
    assert entry.fault == "Cette référence existe dans deux sociétés."


@pytest.mark.parametrize(
    "content", ["référence;x;numéro\nL1-1;é;AB12345".encode("cp1252"), "\ufeffL1-1;é;AB12345".encode()]
)
def test_files_of_spreadsheets_are_read(content: bytes) -> None:
    assert tracking_lists.decode(content).endswith("L1-1;é;AB12345")


@pytest.mark.parametrize("content", [b"a\0b", b"\x81\x8d\x8f", b"x" * 500_001])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        tracking_lists.decode(content)
    assert refusal.value.field == "file"


@pytest.mark.parametrize("text", ["", "\n", "référence;transporteur;numéro", "L1-1", '"', "L1-1;;AB12345\n" * 1_001])
def test_what_is_no_list_is_refused(cast: Cast, text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        tracking_lists.preview(text)
    assert refusal.value.field == "file"
