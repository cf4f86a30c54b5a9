"""Labels: asked for once, looked up when nobody knows, and of a carrier that is not there, later."""

from datetime import timedelta

import pytest

from demo.carrier import Carrier as Pretend
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import dispatch, open_account, pack, parcels, shipments
from webapp import clock, queue
from webapp.extensions import db
from webapp.gateways.carriers import sandbox
from webapp.gateways.carriers.none import NoCarrier
from webapp.gateways.carriers.protocol import Capabilities, CarrierRejectedError, LabelOutcome
from webapp.models.carriers import CarrierAccount
from webapp.models.fulfilment import Parcel, ParcelStatus
from webapp.services.fulfilment import labelling

MINUTE = timedelta(minutes=1)


@pytest.fixture
def account(cast: Cast, pretend: Pretend) -> CarrierAccount:
    """The company's account with the pretend carrier."""
    return open_account()


def ready(cast: Cast, boxes: int = 1, *, number: int = 1) -> list[Parcel]:
    """So many parcels that wait for their labels."""
    dispatch(pack(boxes, number=number), cast.manager)
    return parcels()


def work(account: CarrierAccount) -> int:
    """What a worker does."""
    return labelling.carry_out(account.organisation_id, account.id)


def later(minutes: float) -> None:
    clock.start_at(clock.now() + minutes * MINUTE)


def states() -> list[ParcelStatus]:
    return [parcel.status for parcel in parcels()]


def paused(account: CarrierAccount) -> CarrierAccount:
    db.session.refresh(account)
    return account


def with_capabilities(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    usual = sandbox.CAPABILITIES
    changed = {name: values.get(name, getattr(usual, name)) for name in Capabilities.__dataclass_fields__}
    monkeypatch.setattr(sandbox, "CAPABILITIES", Capabilities(**changed))


def test_each_parcel_gets_its_label(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast, 3)
    assert work(account) == 3
    assert states() == [ParcelStatus.LABELLED] * 3
    assert {shipment.status for shipment in shipments()} == {ParcelStatus.LABELLED}
    asked = {label["key"]: label for label in pretend.labels.values()}
    for parcel, shipment in zip(parcels(), shipments(), strict=True):
        label = asked[str(parcel.id)]
        assert parcel.tracking_number == label["tracking_number"]
        assert parcel.label_file is not None
        assert parcel.label_file.startswith(b"%PDF-")
        assert label["asked"]["reference"] == shipment.consignment
        assert label["asked"]["weight_g"] == 600
        assert label["asked"]["recipient"]["lines"] == ["12 bis rue des Lilas"]
        assert (parcel.next_attempt_at, parcel.lease_until, parcel.error, parcel.sends) == (None, None, None, 1)


def test_once_labelled_it_is_not_asked_for_again(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast)
    work(account)
    later(60)
    assert work(account) == 0
    assert len(pretend.labels) == 1


def test_a_refusal_is_kept_in_the_carriers_words(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast, 2)
    pretend.order({"mode": "refuse", "times": 1})
    work(account)
    assert sorted(states()) == [ParcelStatus.LABELLED, ParcelStatus.REFUSED]
    (refused,) = [each for each in parcels() if each.status is ParcelStatus.REFUSED]
    assert (refused.error, refused.next_attempt_at) == ("Adresse inconnue de nos services.", None)
    assert paused(account).pauses == 0


@pytest.mark.parametrize("mode", ["no_pdf", "heavy"])
def test_a_label_that_cannot_be_printed_is_not_kept(
    cast: Cast, pretend: Pretend, account: CarrierAccount, mode: str
) -> None:
    ready(cast)
    pretend.order({"mode": mode})
    work(account)
    (parcel,) = parcels()
    assert (parcel.status, parcel.label_file) == (ParcelStatus.REFUSED, None)
    assert parcel.tracking_number == next(iter(pretend.labels))


def test_a_result_that_nobody_knows_is_looked_up(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast)
    pretend.order({"mode": "error", "times": 1})
    work(account)
    (parcel,) = parcels()
    assert parcel.status is ParcelStatus.UNKNOWN
    assert work(account) == 0, "it is looked up later"
    later(2)
    work(account)
    (parcel,) = parcels()
    assert (parcel.status, parcel.sends, len(pretend.labels)) == (ParcelStatus.LABELLED, 2, 1)


def test_a_label_that_was_made_unheard_is_found(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast)
    pretend.order({"mode": "drop", "times": 1})
    work(account)
    (parcel,) = parcels()
    pretend.make(parcel.key, {"reference": "x", "recipient": {"name": "x", "postcode": "1", "town": "x"}})
    later(2)
    work(account)
    (parcel,) = parcels()
    assert (parcel.status, parcel.sends, len(pretend.labels)) == (ParcelStatus.LABELLED, 1, 1)


def test_a_carrier_that_may_yet_make_it_is_waited_for(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    account.longest_delay_seconds = 600
    ready(cast)
    pretend.order({"mode": "error", "times": 1})
    work(account)
    later(2)
    work(account)
    (parcel,) = parcels()
    assert (parcel.status, parcel.sends) == (ParcelStatus.UNKNOWN, 1)
    later(9)
    work(account)
    assert [(each.status, each.sends) for each in parcels()] == [(ParcelStatus.LABELLED, 2)]


def test_where_keys_are_not_honoured_a_person_decides(
    cast: Cast, pretend: Pretend, account: CarrierAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_capabilities(monkeypatch, honoured_key_age=None, finds=False)
    ready(cast)
    pretend.order({"mode": "error", "times": 1})
    work(account)
    later(2)
    work(account)
    (parcel,) = parcels()
    assert (parcel.status, parcel.next_attempt_at, parcel.sends) == (ParcelStatus.UNKNOWN, None, 1)
    assert parcel.error == "Un numéro existe peut-être chez le transporteur\u202f: refaire l’étiquette\u202f?"
    later(600)
    assert work(account) == 0
    assert pretend.labels == {}


def test_where_keys_are_not_honoured_nothing_is_claimed_that_is_not_called_at_once(
    cast: Cast, pretend: Pretend, account: CarrierAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_capabilities(monkeypatch, honoured_key_age=None)
    ready(cast, 40)
    most = 0
    claim = labelling.claim

    def watching(*args: object, **values: object) -> object:
        nonlocal most
        claims = claim(*args, **values)  # type: ignore[arg-type]
        most = max(most, states().count(ParcelStatus.SENDING))
        return claims

    monkeypatch.setattr(labelling, "claim", watching)
    assert work(account) == 40
    assert most <= labelling.AT_ONCE
    assert states() == [ParcelStatus.LABELLED] * 40


def test_a_key_that_is_too_old_is_not_sent_again(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast)
    pretend.order({"mode": "error", "times": 1})
    work(account)
    later(31 * 24 * 60)
    work(account)
    assert [(each.status, each.sends, each.error) for each in parcels()] == [
        (ParcelStatus.UNKNOWN, 1, labelling.FOR_A_PERSON)
    ]


def test_a_carrier_that_is_down_is_left_alone_longer_each_time(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    ready(cast, 40)
    pretend.order({"mode": "down"})
    assert work(account) <= 2 * labelling.AT_ONCE
    waits = []
    for _ in range(7):
        assert work(account) == 0
        until = paused(account).paused_until
        assert until is not None
        waits.append(round((until - clock.now()) / MINUTE))
        clock.start_at(until)
        assert work(account) == 1, "one parcel tries whether it answers again"
    assert waits == [1, 2, 5, 15, 30, 60, 60]
    pretend.order({"mode": "ok"})
    until = paused(account).paused_until
    assert until is not None
    for _ in range(4):
        clock.start_at(until)
        work(account)
        until += timedelta(hours=1)
    assert states() == [ParcelStatus.LABELLED] * 40
    assert len(pretend.labels) == 40
    assert (paused(account).pauses, account.paused_until, account.pause_reason) == (0, None, None)


def test_parcels_of_another_carrier_do_not_wait_for_one_that_is_down(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    ready(cast)
    express = CarrierAccount(
        company_id=account.company_id, carrier=account.carrier, service="express", calls_per_second=1000
    )
    db.session.add(express)
    db.session.commit()
    dispatch(pack(number=2), cast.manager, account_id=express.id)
    account.paused_until, account.pauses = clock.now() + MINUTE, 1
    db.session.commit()
    queue.heard(labelling.JOB, account.organisation_id, express.id)
    queue.queue("fulfilment").empty()
    assert labelling.sweep(at=clock.now()) == 1
    assert [job.args[1] for job in queue.queue("fulfilment").jobs] == [str(express.id)]
    assert work(express) == 1


class _Closed(NoCarrier):
    """A carrier that knows our keys no more."""

    def find_label(self, key: str) -> LabelOutcome | None:
        raise CarrierRejectedError("unknown keys")

    def cancel(self, tracking_number: str) -> None:
        raise CarrierRejectedError("too late")


def test_a_look_up_that_is_rejected_says_nothing_of_the_label(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    ready(cast)
    labelling.claim(account.id, 1, is_first=True, at=clock.now())
    later(5)
    (looked_up,) = labelling.claim(account.id, 1, is_first=True, at=clock.now())
    result = labelling.ask(_Closed(), looked_up)
    assert (result.outcome, result.fault, result.is_general) == (None, "unknown keys", True)
    labelling.record(account.id, [result], _Closed.capabilities, down=result, at=clock.now())
    assert states() == [ParcelStatus.UNKNOWN]
    assert paused(account).pause_reason == "unknown keys"


def test_a_turn_has_an_end_and_rings_for_the_rest(
    cast: Cast, pretend: Pretend, account: CarrierAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "TURN", 20)
    ready(cast, 30)
    queue.queue("fulfilment").empty()
    assert work(account) == 20
    assert [job.func_name for job in queue.queue("fulfilment").jobs] == [labelling.JOB]
    assert work(account) == 10


def test_an_account_that_is_switched_off_asks_for_nothing(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    ready(cast)
    account.is_active = False
    db.session.commit()
    assert work(account) == 0
    assert labelling.sweep(at=clock.now()) == 0


def test_whoever_was_given_up_for_dead_records_nothing(cast: Cast, pretend: Pretend, account: CarrierAccount) -> None:
    ready(cast)
    (stale,) = labelling.claim(account.id, 1, is_first=True, at=clock.now())
    clock.start_at(clock.now() + labelling.LEASE + MINUTE)
    (taken_over,) = labelling.claim(account.id, 1, is_first=True, at=clock.now())
    assert taken_over.task is labelling.Task.LOOK_UP
    carrier = labelling.accounts.carrier_of(labelling.accounts.find_account(account.id))
    result = labelling.ask(carrier, stale)
    labelling.record(account.id, [result], carrier.capabilities, down=None, at=clock.now())
    assert states() == [ParcelStatus.UNKNOWN]
    found = labelling.ask(carrier, taken_over)
    labelling.record(account.id, [found], carrier.capabilities, down=None, at=clock.now())
    assert states() == [ParcelStatus.LABELLED]


def test_claiming_and_recording_take_as_many_statements_for_many_as_for_few(
    cast: Cast, pretend: Pretend, account: CarrierAccount
) -> None:
    ready(cast, 30)
    account_id = account.id
    carrier = labelling.accounts.carrier_of(labelling.accounts.find_account(account_id))
    counts = []
    for limit in (2, 2, 16):  # the first one is for what is loaded once
        with recorded_statements() as statements:
            claims = labelling.claim(account_id, limit, is_first=True, at=clock.now())
        results = [labelling.ask(carrier, each) for each in claims]
        with recorded_statements() as more:
            labelling.record(account_id, results, carrier.capabilities, down=None, at=clock.now())
        counts.append((len(statements), len(more)))
    assert counts[1] == counts[2]
