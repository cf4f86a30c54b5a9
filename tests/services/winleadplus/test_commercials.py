"""Whose client a prospect is: known by Keycloak id, else by e-mail, else made; else awaited."""

from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import client_of, contract, events, items
from tests.services.winleadplus.raw import OTHER_REP, REP, first, second
from tests.upstream import Upstream
from webapp import clock
from webapp.extensions import db
from webapp.gateways.identity import Identity
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.winleadplus import ItemKind
from webapp.services import identity
from webapp.services.commercials import link_awaiting
from webapp.services.winleadplus import field_changes


def _commercial(external_id: str) -> Commercial:
    return db.session.scalars(select(Commercial).where(Commercial.external_id == external_id)).one()


def test_an_unknown_commercial_is_made_with_an_account_announced(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([second(1), second(2)])
    sync()
    made = _commercial(REP)
    assert (made.full_name, made.email) == ("John Doe", "john.doe@example.org")
    account = db.session.scalars(select(User).where(User.id == made.user_id)).one()
    assert (account.issuer, account.subject, account.roles) == (None, REP, [])
    assert client_of(1).commercial_id == client_of(2).commercial_id == made.id
    assert contract("1TEL").commercial_id == made.id


def test_a_commercial_is_known_by_keycloak_id_whatever_the_email(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    number = db.session.scalar(select(func.count()).select_from(Commercial))
    someone = {"id": cast.sales_rep.external_id, "nom": "X", "prenom": "Y", "email": "else@example.org"}
    winleadplus.serve([second(1, commercialId=cast.sales_rep.external_id, commercial=someone)])
    sync()
    assert client_of(1).commercial_id == cast.sales_rep.id
    assert db.session.scalar(select(func.count()).select_from(Commercial)) == number


def test_a_commercial_without_keycloak_id_is_known_by_email_and_gets_it(winleadplus: Upstream, sync: Sync) -> None:
    mine = factories.CommercialFactory(email="john.doe@example.org", external_id=None)
    db.session.commit()
    winleadplus.serve([second(1)])
    sync()
    assert client_of(1).commercial_id == mine.id
    assert _commercial(REP).id == mine.id


def test_a_commercial_named_by_email_alone_is_found_or_made(winleadplus: Upstream, sync: Sync) -> None:
    someone = {"nom": "Sans", "prenom": "Numéro", "email": "sans.numero@example.org"}
    winleadplus.serve([second(1, commercialId=None, commercial=someone)])
    sync()
    made = db.session.scalars(select(Commercial).where(Commercial.email == "sans.numero@example.org")).one()
    assert (client_of(1).commercial_id, made.external_id) == (made.id, None)
    winleadplus.serve(
        [second(1, commercialId=None, commercial=someone), second(2, commercialId=None, commercial=someone)]
    )
    sync()
    assert client_of(2).commercial_id == made.id


def test_an_account_that_signed_in_before_becomes_the_commercials(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    account = factories.UserFactory(subject=REP, roles=["manager"])
    db.session.commit()
    winleadplus.serve([second(1)])
    sync()
    assert _commercial(REP).user_id == account.id


def test_an_unknown_id_alone_is_kept_and_linked_once_a_payload_names_it(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, commercialId=REP), first(2, commercialId=OTHER_REP)])
    assert counts(sync()) == (2, 0, 0)
    client = client_of(1)
    assert (client.commercial_id, client.commercial_external_id) == (None, REP)
    assert contract("1WNC").commercial_external_id == REP
    winleadplus.serve([first(1, commercialId=REP), first(2, commercialId=OTHER_REP), second(3)])
    assert counts(sync()) == (1, 0, 2)
    client = client_of(1)
    assert (client.commercial_id, client.commercial_external_id) == (_commercial(REP).id, None)
    assert (contract("1WNC").commercial_id, contract("1WNC").commercial_external_id) == (client.commercial_id, None)
    assert events(client.id)[-1] == ("client_synced", {"commercial": [None, "John Doe"]})
    assert client_of(2).commercial_external_id == OTHER_REP


def test_an_awaited_commercial_who_signs_in_is_linked(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, commercialId=REP)])
    sync()
    signed_in = factories.CommercialFactory(external_id=REP)
    db.session.commit()
    assert link_awaiting(at=clock.now()) == 1
    db.session.expire_all()
    assert client_of(1).commercial_id == signed_in.id
    assert link_awaiting(at=clock.now()) == 0


def test_an_awaited_commercials_first_sign_in_makes_the_clients_theirs(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([first(1, commercialId=REP)])
    sync()
    ours, roles = cast.organisation.slug, frozenset(["commercial"])
    person = Identity("https://idp.example", REP, "rep@example.org", True, "Rep", "Résentant", roles, ours)
    identity.sign_in(person, default_organisation="", at=clock.now())
    db.session.expire_all()
    assert client_of(1).commercial_id == contract("1WNC").commercial_id == _commercial(REP).id
    assert events(client_of(1).id)[-1] == ("client_synced", {"commercial": [None, "Rep Résentant"]})


def test_a_later_payload_that_names_them_in_the_same_answer_links_at_once(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, commercialId=REP), second(2)])
    sync()
    assert client_of(1).commercial_id == _commercial(REP).id


def test_a_change_of_commercial_moves_the_client_and_not_the_contract(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([second(1)])
    sync()
    successor = {"id": OTHER_REP, "nom": "Suivante", "prenom": "Ève", "email": "eve@example.org"}
    winleadplus.serve([second(1, commercialId=OTHER_REP, commercial=successor)])
    run = sync()
    assert counts(run) == (0, 1, 0)
    assert client_of(1).commercial_id == _commercial(OTHER_REP).id
    assert contract("1TEL").commercial_id == _commercial(REP).id
    (item,) = items(run, ItemKind.UPDATED)
    assert field_changes.changes_of(item) == [field_changes.Change("Commercial", "John Doe", "Ève Suivante")]


def test_a_commercial_chosen_here_stays_until_upstream_names_another(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    winleadplus.serve([second(1)])
    sync()
    client_of(1).commercial_id = cast.sales_rep.id
    db.session.commit()
    winleadplus.serve([second(1, nom="AUTRE")])
    sync()
    assert client_of(1).commercial_id == cast.sales_rep.id


def test_a_first_link_leaves_the_clients_commercial(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    factories.ClientFactory(email="anais.1@example.org", commercial_id=cast.sales_rep.id)
    factories.ClientFactory(email="anais.2@example.org")
    db.session.commit()
    winleadplus.serve([second(1), second(2)])
    sync()
    assert client_of(1).commercial_id == cast.sales_rep.id
    assert client_of(2).commercial_id == _commercial(REP).id
    assert contract("1TEL").commercial_id == _commercial(REP).id
