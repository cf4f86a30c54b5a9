"""An identity card in clear: for whom, and with a trace."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory
from webapp import crypto
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.timeline import EventKind
from webapp.services.clients import identity_card
from webapp.services.clients.timeline import list_events

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def client(cast: Cast) -> Client:
    """A client of the sales rep's, with a card."""
    made: Client = ClientFactory(commercial_id=cast.sales_rep.id)
    card = json.dumps({"numero": "X4RTBPFW4", "vide": None, "recto": {"url": "/x"}})
    made.identity_card = crypto.seal(card, place=made.place("identity_card"))
    db.session.commit()
    return made


@pytest.mark.parametrize("who", ["commercial", "manager", "admin"])
def test_a_card_is_shown_to_those_who_may_see_the_iban(cast: Cast, client: Client, who: str) -> None:
    shown = identity_card.reveal(client.id, by=getattr(cast, who), at=AT)
    assert shown == {"numero": "X4RTBPFW4", "recto › url": "/x"}


@pytest.mark.parametrize(
    ("card", "shown"),
    [
        ("CNI 12345", {"Contenu": "CNI 12345"}),
        (["recto.jpg", {"numero": 7, "valide": True}], {"1": "recto.jpg", "2 › numero": "7", "2 › valide": "oui"}),
        ({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, {"a › b › c › d › e › f": "1"}),
        ({"a": None, "b": "", "c": [], "d": {}}, {}),
        (False, {"Contenu": "non"}),
    ],
)
def test_a_card_of_any_shape_is_shown(cast: Cast, client: Client, card: object, shown: dict[str, str]) -> None:
    client.identity_card = crypto.seal(json.dumps(card), place=client.place("identity_card"))
    db.session.commit()
    assert identity_card.reveal(client.id, by=cast.manager, at=AT) == shown


def test_what_is_shown_of_a_card_is_bounded(cast: Cast, client: Client) -> None:
    card = {str(number): "x" * 5000 for number in range(1000)}
    client.identity_card = crypto.seal(json.dumps(card), place=client.place("identity_card"))
    db.session.commit()
    shown = identity_card.reveal(client.id, by=cast.manager, at=AT)
    assert (len(shown), {len(text) for text in shown.values()}) == (100, {1000})


def test_each_reveal_is_told_without_the_card(cast: Cast, client: Client) -> None:
    identity_card.reveal(client.id, by=cast.manager, at=AT)
    told = list_events(client.id).events[0]
    assert (told.kind, told.user_id, told.at) == (EventKind.IDENTITY_CARD_REVEALED, cast.manager.id, AT)
    assert not told.changes
    assert not told.body


def test_a_colleague_may_not_see_it_and_nothing_is_told(cast: Cast, client: Client) -> None:
    client_id, before = client.id, len(list_events(client.id).events)
    with pytest.raises(ForbiddenError):
        identity_card.reveal(client_id, by=cast.colleague, at=AT)
    assert len(list_events(client_id).events) == before


def test_where_there_is_none_there_is_none_to_see(cast: Cast) -> None:
    without = ClientFactory(identity_card=None)
    db.session.commit()
    for client_id in (without.id, uuid4()):
        with pytest.raises(NotFoundError):
            identity_card.reveal(client_id, by=cast.admin, at=AT)
