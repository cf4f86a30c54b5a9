"""How an organisation takes part: its address, whether, how often, and whom it imports."""

import pytest

from tests.conftest import Cast
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.errors import InvalidInputError
from webapp.gateways import winleadplus as gateway
from webapp.gateways.winleadplus import AccessRefusedError
from webapp.services.winleadplus import config, connection


def test_an_organisation_without_configuration_has_the_defaults(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        found = config.find()
        assert (found.enabled, found.interval_minutes, found.import_without_contracts) == (True, 60, False)
        assert config.endpoint_of(found) == gateway.default_endpoint()
        assert config.change(interval_minutes=15).interval_minutes == 15
    assert config.find().interval_minutes == 60


def test_what_is_not_given_stays(cast: Cast) -> None:
    config.change(endpoint="http://127.0.0.1:9/api", enabled=False)
    found = config.change(import_without_contracts=True)
    assert (found.enabled, found.endpoint, found.import_without_contracts) == (False, "http://127.0.0.1:9/api", True)
    assert config.endpoint_of(found) == "http://127.0.0.1:9/api"


def test_an_empty_address_goes_back_to_the_environments(cast: Cast) -> None:
    config.change(endpoint="http://127.0.0.1:9/api")
    assert config.change(endpoint="").endpoint is None


@pytest.mark.parametrize("endpoint", ["ftp://x/", "http://169.254.169.254/", "n’importe quoi"])
def test_a_forbidden_address_is_refused_and_not_kept(cast: Cast, endpoint: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        config.change(endpoint=endpoint)
    assert refusal.value.field == "endpoint"
    assert config.find().endpoint is None


@pytest.mark.parametrize("minutes", [0, 4, -60, 10_081])
def test_an_interval_beyond_reason_is_refused(cast: Cast, minutes: int) -> None:
    with pytest.raises(InvalidInputError, match="entre 5 minutes et une semaine"):
        config.change(interval_minutes=minutes)


def test_a_success_is_noted_for_an_organisation_without_configuration(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        at = clock.now()
        config.note_success(at=at)
        assert config.find().last_synced_at == at


def test_organisations_are_found_by_their_short_name(cast: Cast) -> None:
    assert config.organisation_named(cast.organisation.slug) == cast.organisation.id
    assert config.organisation_named("personne") is None


@pytest.mark.usefixtures("provider")
def test_a_connection_test_reads_the_first_prospect_and_writes_nothing(winleadplus: Upstream) -> None:
    winleadplus.serve([{"idProspect": 41}, {"idProspect": 42}])
    found = connection.try_connection()
    assert (found.endpoint, found.first_id) == (winleadplus.url, "41")
    assert 0 < found.seconds < 10
    winleadplus.serve([])
    assert connection.try_connection().first_id is None
    winleadplus.serve(["?"])
    assert connection.try_connection().first_id is None


@pytest.mark.usefixtures("provider")
def test_a_connection_test_says_what_is_wrong(winleadplus: Upstream) -> None:
    winleadplus.status = 403
    with pytest.raises(AccessRefusedError):
        connection.try_connection()
