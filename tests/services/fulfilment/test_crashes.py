"""kill -9 of real workers at every commit and call: the pretend carrier's ledger shows each parcel once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from demo.carrier import Carrier as Pretend
from demo.carrier import Label
from tests import factories
from tests.forking import fork, was_killed
from tests.services.charges.crashing import CrashPoints, fork_dying
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import open_account, pack, parcels, shipments
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways.carriers import registry, sandbox
from webapp.gateways.carriers.protocol import LabelOutcome, LabelRequest
from webapp.models.fulfilment import ParcelStatus
from webapp.services.fulfilment import dispatching, labelling

POINTS = 20
"""Dispatching, claiming, three calls, recording and the end: commits and calls, a point before and after each."""
BOXES = 3


class _Mortal(sandbox.Sandbox):
    """A carrier whose caller may die on the way there, or on the way back."""

    points: CrashPoints | None = None

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        self._pass_one()
        outcome = super().create_label(request, key)
        self._pass_one()
        return outcome

    def find_label(self, key: str) -> LabelOutcome | None:
        self._pass_one()
        outcome = super().find_label(key)
        self._pass_one()
        return outcome

    @staticmethod
    def _pass_one() -> None:
        if _Mortal.points:
            _Mortal.points.pass_one()


@pytest.fixture
def ours(committed: None, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[UUID, UUID, UUID]]:
    """An organisation whose rows are really committed: its id, that of its account, and that of its manager."""
    monkeypatch.setattr(sandbox, "Sandbox", _Mortal)
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    manager = factories.UserFactory(roles=["manager"])
    account = open_account()
    ids = organisation.id, account.id, manager.id
    db.session.commit()
    yield ids
    clock.start_at(None)


def ask_for_dispatch(number: int, manager_id: UUID, *, boxes: int = BOXES) -> UUID:
    batch = pack(boxes, number=number)
    manager = db.session.query(factories.UserFactory._meta.model).filter_by(id=manager_id).one()
    dispatching.ask(batch.id, by=manager, at=clock.now())
    return batch.id


def work(organisation_id: UUID, account_id: UUID, batch_id: UUID) -> None:
    """What a worker of the queue does."""
    dispatching.carry_out(organisation_id, batch_id, at=clock.now())
    labelling.carry_out(organisation_id, account_id)


def kill_at(fatal: int, *ids: UUID) -> bool:
    """Work in a process of its own that dies at the point; whether it came to it."""

    def begin(points: CrashPoints) -> None:
        registry.close()
        _Mortal.points = points
        work(*ids)

    return was_killed(fork_dying(begin, fatal=fatal))


def recover(*ids: UUID) -> None:
    """Time passes, and everybody is well again."""
    for _ in range(2):
        clock.start_at(clock.now() + labelling.LEASE + timedelta(minutes=1))
        tenancy.enter_organisation(ids[0])
        dispatching.sweep(at=clock.now())
        labelling.sweep(at=clock.now())
        work(*ids)


def references(pretend: Pretend) -> Counter[str]:
    return Counter(label["asked"]["reference"] for label in pretend.labels.values())


def test_killed_workers_make_no_shipment_and_no_label_twice(ours: tuple[UUID, UUID, UUID], pretend: Pretend) -> None:
    organisation_id, account_id, manager_id = ours
    killed = 0
    for fatal in range(POINTS):
        batch_id = ask_for_dispatch(fatal + 1, manager_id)
        killed += kill_at(fatal, organisation_id, account_id, batch_id)
        recover(organisation_id, account_id, batch_id)
        made = [each.consignment_no for each in shipments() if each.batch_id == batch_id]
        assert made == [1, 2, 3], fatal
    assert killed >= POINTS - 4, "nearly every point is reached"
    assert {each.status for each in parcels()} == {ParcelStatus.LABELLED}
    assert set(references(pretend).values()) == {1}
    assert len(references(pretend)) == len(parcels()) == POINTS * BOXES
    assert {each.tracking_number for each in parcels()} == set(pretend.labels)


def test_where_keys_are_not_honoured_a_killed_worker_leaves_it_to_a_person(
    ours: tuple[UUID, UUID, UUID], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = pretend.make

    def make_again(key: str, asked: Mapping[str, Any]) -> Label:
        pretend.by_key.pop(key, None)
        return make(key, asked)

    monkeypatch.setattr(pretend, "make", make_again)
    monkeypatch.setattr(sandbox, "CAPABILITIES", replace(sandbox.CAPABILITIES, honoured_key_age=None))
    organisation_id, account_id, manager_id = ours
    for fatal in range(POINTS):
        batch_id = ask_for_dispatch(fatal + 1, manager_id)
        kill_at(fatal, organisation_id, account_id, batch_id)
        recover(organisation_id, account_id, batch_id)
    assert set(references(pretend).values()) == {1}
    left = [each for each in parcels() if each.status is not ParcelStatus.LABELLED]
    assert {(each.status, each.error) for each in left} <= {(ParcelStatus.UNKNOWN, labelling.FOR_A_PERSON)}
    assert len(pretend.labels) + len(left) == POINTS * BOXES, "none is forgotten"
    assert 0 < len(left) < POINTS * BOXES / 2


def test_two_workers_at_once_make_no_label_twice(ours: tuple[UUID, UUID, UUID], pretend: Pretend) -> None:
    organisation_id, account_id, manager_id = ours
    batch_id = ask_for_dispatch(1, manager_id, boxes=60)

    def begin() -> None:
        registry.close()
        work(organisation_id, account_id, batch_id)

    workers = [fork(begin) for _ in range(2)]
    assert [was_killed(worker) for worker in workers] == [False, False]
    tenancy.enter_organisation(organisation_id)
    recover(organisation_id, account_id, batch_id)
    assert {each.status for each in parcels()} == {ParcelStatus.LABELLED}
    assert set(references(pretend).values()) == {1}
    assert len(references(pretend)) == len(shipments()) == 60
