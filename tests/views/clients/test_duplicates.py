"""Duplicates in the browser: the list, « Ce ne sont pas les mêmes », the merge, and who may do what."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import HTMX, NOW, Cast, SignIn
from tests.queries import recorded_queries
from tests.rows import make_row, table_named
from tests.services.duplicates.test_pairs import pair_of
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.duplicates import DuplicatePair, PairScore
from webapp.models.operations import Operation, OperationState
from webapp.services.merging import commands
from webapp.services.merging.commands import Choices
from webapp.services.operations import deciding, undoing
from webapp.services.operations.carry_out import carry_out

LIST = "/clients/doublons"


@pytest.fixture
def two(cast: Cast) -> tuple[Client, Client]:
    """Two clients who look alike."""
    first = factories.ClientFactory(last_name="DUPONT", phone=None)
    second = factories.ClientFactory(last_name="Dupond", phone="+33612345678", email=first.email)
    pair_of(first, second)
    db.session.commit()
    return first, second


def fusion(*clients: Client) -> str:
    return "/clients/fusion?" + "&".join(f"fiche={client.id}" for client in clients)


def test_pairs_are_listed_with_why_and_filtered(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient
) -> None:
    page = admin_client.get(LIST).text
    assert page.count('data-testid="duplicate-pair"') == 1
    assert "Probable" in page
    assert "Même e-mail" in page
    assert fusion(*sorted(two, key=lambda client: client.id)).replace("&", "&amp;") in page
    nothing = admin_client.get(LIST, query_string={"certitude": "1"}, headers=HTMX).text
    assert "Aucun doublon ne correspond" in nothing
    assert "<html" not in nothing
    for strange in ("certitude=x", "commercial=x", "apres=x", "etat=x"):
        assert admin_client.get(f"{LIST}?{strange}").status_code == 200


def test_the_list_takes_as_many_queries_however_long(cast: Cast, admin_client: FlaskClient) -> None:
    numbers = []
    for _ in range(2):
        for _ in range(3):
            pair_of(factories.ClientFactory(commercial_id=cast.sales_rep.id), factories.ClientFactory())
        db.session.commit()
        with recorded_queries() as queries:
            admin_client.get(LIST)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_these_are_not_the_same(cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient) -> None:
    pair = db.session.query(DuplicatePair).one()
    answer = admin_client.post(f"{LIST}/{pair.id}/ecarter")
    assert answer.status_code == 303
    assert "Aucun doublon à décider" in admin_client.get(LIST).text
    dismissed = admin_client.get(LIST, query_string={"etat": "ecartes"}).text
    assert f"par {cast.admin.full_name}" in dismissed
    admin_client.post(f"{LIST}/{pair.id}/remettre")
    assert "Comparer et fusionner" in admin_client.get(LIST).text


def test_the_clients_page_says_that_it_has_a_double(
    cast: Cast, two: tuple[Client, Client], client: FlaskClient
) -> None:
    page = client.get(f"/clients/{two[0].id}").text
    assert "duplicates-banner" in page
    assert "Doublon probable de" in page


def test_an_outsider_and_a_colleague_without_right_find_nothing(
    cast: Cast, two: tuple[Client, Client], outsider_client: FlaskClient, sign_in: SignIn
) -> None:
    pair = db.session.query(DuplicatePair).one()
    assert 'data-testid="duplicate-pair"' not in outsider_client.get(LIST).text
    for address in (f"{LIST}/{pair.id}/ecarter", f"{LIST}/{pair.id}/remettre", fusion(*two)):
        assert outsider_client.post(address).status_code == 404
    assert outsider_client.get(fusion(*two)).status_code == 404
    two[0].commercial_id = cast.sales_rep.id
    db.session.commit()
    colleague = sign_in(cast.colleague)
    assert 'data-testid="duplicate-pair"' not in colleague.get(LIST).text
    assert colleague.post(f"{LIST}/{pair.id}/ecarter").status_code == 404
    assert colleague.get(fusion(*two)).status_code == 403
    assert colleague.post(fusion(*two), data={"gardee": str(two[0].id)}).status_code == 403
    assert db.session.query(Operation).count() == 0


def test_merged_by_the_form_and_old_addresses_lead_on(
    cast: Cast, two: tuple[Client, Client], client: FlaskClient
) -> None:
    first, second = two
    form = client.get(fusion(*two)).text
    assert form.count('name="gardee"') == 2
    assert "06 12 34 56 78" in form
    data = {"gardee": str(first.id), "valeur-last_name": str(second.id), "valeur-phone": str(second.id)}
    answer = client.post(fusion(*two), data=data)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/clients/{first.id}")
    page = client.get(f"/clients/{first.id}").text
    assert "Dupond" in page
    assert "merges-banner" in page
    old = client.get(f"/clients/{second.id}?onglet=activites")
    assert (old.status_code, old.headers["Location"]) == (302, f"/clients/{first.id}?onglet=activites")
    words = "endpoint=x&client_id=y&_scheme=z"  # words that the router would take for its own
    assert client.get(f"/clients/{second.id}?{words}").headers["Location"] == f"/clients/{first.id}?{words}"
    assert client.get(f"/clients/{second.id}/modifier").headers["Location"] == f"/clients/{first.id}/modifier"
    refused = client.post(f"/clients/{second.id}/modifier", data={"last_name": "X", "version": "1"})
    assert refused.status_code == 409
    assert 'data-testid="duplicate-pair"' not in client.get(LIST).text
    operation = db.session.scalars(select(Operation)).one()
    assert client.get(f"/operations/{operation.id}").status_code == 200


@pytest.mark.parametrize("path", ["abonnements", "prelevements", "factures", "relances", "messages", "expeditions"])
def test_lists_narrowed_to_a_merged_client_lead_on(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient, path: str
) -> None:
    kept, merged = two
    admin_client.post(fusion(*two), data={"gardee": str(kept.id)})
    page = admin_client.get(f"/{path}?client={merged.id}").text
    assert str(kept.id) in page
    assert str(merged.id) not in page


def test_taken_back_by_the_page_of_the_operation(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient
) -> None:
    first, second = two
    admin_client.post(fusion(*two), data={"gardee": str(first.id)})
    operation = db.session.scalars(select(Operation)).one()
    undo_id = undoing.plan_undo(operation.id, by=cast.admin, at=NOW)
    carry_out(cast.organisation.id, undo_id)
    plan = admin_client.get(f"/operations/{undo_id}").text
    assert "Redevient une fiche" in plan
    assert "Fiche qui reste" in plan
    assert "2 à détacher" in plan
    assert "À détacher<" in plan
    assert "rattacher<" not in plan
    deciding.apply(undo_id, by=cast.admin, at=NOW)
    carry_out(cast.organisation.id, undo_id)
    assert "Détaché<" in admin_client.get(f"/operations/{undo_id}").text
    assert admin_client.get(f"/clients/{second.id}").status_code == 200
    assert "merges-banner" not in admin_client.get(f"/clients/{first.id}").text


def test_a_merge_that_fails_as_a_whole_claims_to_have_linked_nothing(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient
) -> None:
    kept, other = two
    choices = Choices(kept_id=kept.id, versions={kept.id: kept.version})
    operation_id = commands._plan([kept.id, other.id], choices, by=cast.admin, at=NOW)
    deciding.apply(operation_id, by=cast.admin, at=NOW)
    kept.version += 1  # somebody else's window was quicker
    db.session.commit()
    carry_out(cast.organisation.id, operation_id)
    page = admin_client.get(f"/operations/{operation_id}").text
    assert "a été modifié depuis l’aperçu" in page
    assert page.count("Non appliqué<") == 2
    assert "Rattaché<" not in page


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("fiche=x&fiche=y", 422),
        ("fiche={first}&fiche={first}", 422),
        ("fiche={first}", 422),
        ("fiche={first}&fiche=00000000-0000-0000-0000-000000000000", 404),
    ],
)
def test_bad_addresses_are_refused_in_a_sentence(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient, query: str, status: int
) -> None:
    address = f"/clients/fusion?{query.format(first=two[0].id)}"
    assert admin_client.get(address).status_code == status
    assert admin_client.post(address, data={"gardee": str(two[0].id)}).status_code == status


def test_the_second_of_two_windows_is_told(cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient) -> None:
    first, _ = two
    data = {"gardee": str(first.id), **{f"version-{each.id}": str(each.version) for each in two}}
    assert admin_client.post(fusion(*two), data=data).status_code == 303
    again = admin_client.post(fusion(*two), data=data)
    assert again.status_code == 409
    assert "a déjà été fusionné" in again.text
    third = factories.ClientFactory()
    db.session.commit()
    stale = admin_client.post(
        fusion(first, third), data={"gardee": str(third.id), f"version-{first.id}": "1", f"version-{third.id}": "1"}
    )
    assert stale.status_code == 409
    assert "a été modifié depuis l’aperçu" in stale.text
    assert third.archived_at is None


def test_what_must_be_decided_is_asked_for_and_nothing_chosen_is_lost(
    cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient
) -> None:
    first, second = two
    for each in two:
        make_row(table_named("default_means"), client_id=each.id, payment_method=PaymentMethod.SEPA)
        factories.SubscriptionFactory(client_id=each.id)
    db.session.commit()
    company = factories.default_company()
    data = {"gardee": str(second.id), "valeur-last_name": str(first.id)}
    refused = admin_client.post(fusion(*two), data=data)
    assert refused.status_code == 422
    assert "Choisissez le moyen de paiement par défaut" in refused.text
    assert _checked(refused.text, "gardee") == second.id
    assert _checked(refused.text, "valeur-last_name") == first.id
    data |= {f"moyen-{company.id}": str(second.id)}
    assert "Confirmez" in admin_client.post(fusion(*two), data=data).text
    assert admin_client.post(fusion(*two), data={**data, "compris": "1"}).status_code == 303
    assert db.session.scalars(select(Operation.state)).one() is OperationState.DONE


def test_what_stands_against_it_is_explained(cast: Cast, two: tuple[Client, Client], admin_client: FlaskClient) -> None:
    for each in two:
        make_row(table_named("dunning_cases"), client_id=each.id, status="open")
    db.session.commit()
    page = admin_client.get(fusion(*two)).text
    assert "Deux dossiers de relance sont en cours" in page
    assert 'data-testid="merge"' not in page
    late = admin_client.post(fusion(*two), data={"gardee": str(two[0].id), "valeur-phone": str(two[0].id)})
    assert late.status_code == 409
    assert 'data-testid="merge-obstacles"' in late.text  # where the person looks, with what was chosen
    assert _checked(late.text, "valeur-phone") == two[0].id


def _checked(page: str, name: str) -> UUID:
    [chosen] = [part for part in page.split("<input")[1:] if f'name="{name}"' in part and "checked" in part]
    return UUID(chosen.split('value="')[1].split('"')[0])


def test_scores_stand_in_words() -> None:
    assert [each.label for each in PairScore] == ["Certain", "Probable", "Possible"]
