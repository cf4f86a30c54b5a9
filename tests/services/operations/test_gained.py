"""What a row has gained since it was created, in the words of its users."""

from psycopg import sql

from tests import factories
from tests.conftest import Cast
from tests.rows import make_row, table_named
from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.services.operations import gained


def _gained(client: Client) -> list[str]:
    db.session.flush()
    parameters = {"organisation_id": tenancy.current_organisation_id()}
    return gained.find("clients", [client.id], own=lambda *_: sql.SQL(""), parameters=parameters).get(client.id, [])


def test_each_thing_has_its_name(cast: Cast) -> None:
    client = factories.ClientFactory()
    assert _gained(client) == []
    make_row(table_named("timeline_events"), client_id=client.id, kind="note")
    make_row(table_named("timeline_events"), client_id=client.id, kind="call")
    make_row(table_named("claims"), client_id=client.id)
    assert {"une note", "un appel", "un dossier de sinistre"} <= set(_gained(client))


def test_that_the_timeline_tells_of_a_thing_says_nothing_beside_it(cast: Cast) -> None:
    client = factories.ClientFactory()
    make_row(table_named("timeline_events"), client_id=client.id, kind="contract_created")
    assert _gained(client) == ["un événement de l’historique"]
    factories.ContractFactory(client_id=client.id)
    assert _gained(client) == ["un contrat"]
