"""What the timetable does from one organisation to the next."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.models.clients import Client
from webapp.services import each_organisation
from webapp.tenancy import current_organisation_id

WITH_CLIENTS = select(Client.organisation_id)


@pytest.fixture
def crowd(cast: Cast) -> Cast:
    """Two clients here, one elsewhere."""
    factories.ClientFactory.create_batch(2)
    with tenancy.organisation(cast.other_organisation.id):
        factories.ClientFactory()
    return cast


def test_each_that_is_found_is_worked_in_once_and_alone(crowd: Cast) -> None:
    seen = []

    def work() -> int:
        seen.append(current_organisation_id())
        return 3

    assert each_organisation.work(work, WITH_CLIENTS, WITH_CLIENTS) == 6
    assert sorted(seen) == sorted([crowd.organisation.id, crowd.other_organisation.id])
    assert current_organisation_id() == crowd.organisation.id


def test_none_is_worked_in_where_nothing_is_found(cast: Cast) -> None:
    assert each_organisation.work(lambda: 1, WITH_CLIENTS) == 0


def test_batches_go_on_until_nothing_is_left(crowd: Cast) -> None:
    left: dict[object, Iterator[int]] = {}

    def work() -> int:
        return next(left.setdefault(current_organisation_id(), iter([500, 20, 0])))

    assert each_organisation.work_in_batches(work, WITH_CLIENTS) == 1040
