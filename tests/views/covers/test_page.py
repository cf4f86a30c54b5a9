"""Covers: added to a subscription, shown, asked, changed; the page of one, and the list of all."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests import factories
from tests.conftest import HTMX
from tests.queries import recorded_queries
from tests.rows import make_row, table_named
from webapp import clock
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.covers import Cover, CoverCause, CoverPlanVersion
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.covers import listing, loading
from webapp.services.covers.listing import CoversView

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
HOME = {
    "type": "flat",
    "occupation": "tenant",
    "adresse": "3 rue du Port",
    "code_postal": "59000",
    "ville": "Lille",
}
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture(autouse=True)
def _at_noon(app_context: object) -> None:
    clock.start_at(NOON)


def on_sale(**values: Any) -> CoverPlanVersion:
    """A plan on sale with the option « Serrurerie »."""
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(published_at=None, **values)
    factories.CoverPlanOptionFactory(version_id=version.id)
    version.published_at = datetime(2025, 1, 1, tzinfo=UTC)
    db.session.commit()
    return version


def sold(**values: Any) -> Subscription:
    """A client's subscription, without a cover."""
    client: Client = factories.ClientFactory(last_name="Lefèvre", first_name="Anne")
    subscription: Subscription = factories.SubscriptionFactory(client_id=client.id, **values)
    db.session.commit()
    return subscription


def cover_form(version: CoverPlanVersion, **values: Any) -> dict[str, Any]:
    """What a colleague sends."""
    return HOME | {"formule": str(version.id), "conclu": "2026-01-10", "effet": "2026-01-10"} | values


def add_cover(client: FlaskClient, **values: Any) -> Cover:
    """A cover since 10 January, by the form."""
    version, subscription = on_sale(), sold()
    answer = client.post(f"/abonnements/{subscription.id}/couverture", data=cover_form(version, **values))
    assert answer.status_code == 303, answer.text
    return db.session.scalars(select(Cover)).one()


def test_a_colleague_adds_a_cover_and_sees_what_it_promises(client: FlaskClient) -> None:
    cover = add_cover(client, option=["SERRURERIE"])
    page = client.get(f"/couvertures/{cover.id}").text
    assert 'data-state="active"' in page
    assert "0 sur 3 interventions, 0\u00a0€ sur 1\u202f200\u00a0€, renouvelé le 10/01/2027" in page
    assert "3 rue du Port, 59000 Lille" in page
    assert "carence jusqu’au 08/02/2026 inclus" in page
    assert "Plomberie, Électricité, Serrurerie" in page
    assert "Serrurerie · carence 15" in page
    tab = client.get(f"/clients/{cover.client_id}?onglet=couverture").text
    assert f"Couverture {cover.code}" in tab
    assert "depuis le 10/01/2026" in tab  # the option
    assert 'data-testid="subscription-cover"' in client.get(f"/abonnements/{cover.subscription_id}").text
    kinds = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == cover.client_id))
    assert EventKind.COVER_ADDED in set(kinds)


def test_what_was_paid_late_and_waits_for_noon_says_the_hour(client: FlaskClient) -> None:
    cover = add_cover(client)
    unpaid = {"cover_id": cover.id, "cause": CoverCause.UNPAID, "since": NOON, "at": NOON}
    make_row(table_named("cover_facts"), **unpaid, kind=None, until=None)
    pages = (f"/couvertures/{cover.id}", f"/clients/{cover.client_id}?onglet=couverture")
    for page in pages:
        assert "Suspendue" in client.get(page).text
        assert "payée, reprend le" not in client.get(page).text
    paid = {"subscription_id": cover.subscription_id, "suspended_at": NOON, "ended_at": None}
    make_row(table_named("dunning_suspensions"), **paid, resume_at=datetime(2026, 11, 21, 11, tzinfo=UTC))
    for page in pages:
        said = client.get(page).text
        assert said.count("payée, reprend le 21/11/2026 à 12:00") == 2
        assert "Impayé · payée, reprend" in said


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"formule": ""}, "Choisissez une formule en vente"),
        ({"formule": str(uuid4())}, "Choisissez une formule en vente"),
        ({"option": ["INCONNUE"]}, "Choisissez des options de cette formule"),
        ({"type": ""}, "Choisissez maison ou appartement"),
        ({"occupation": ""}, "Choisissez propriétaire ou locataire"),
        ({"adresse": ""}, "Indiquez l’adresse du logement"),
        ({"code_postal": "ABC"}, "code postal"),
        ({"ville": "x" * 101}, "C’est trop long"),
        ({"occupe_depuis": "2027-01-01"}, "Cette date n’est pas possible"),
        ({"conclu": "2026-11-21"}, "aujourd’hui au plus tard"),
        ({"effet": "2026-01-09"}, "le jour de sa conclusion au plus tôt"),
        ({"effet": "2026-02-30"}, "Indiquez une date valable"),
        ({"logement": str(uuid4())}, "Choisissez un logement du client"),
    ],
)
def test_a_cover_that_cannot_be_is_refused_and_nothing_is_written(
    client: FlaskClient, written: dict[str, Any], sentence: str
) -> None:
    version, subscription = on_sale(), sold()
    answer = client.post(f"/abonnements/{subscription.id}/couverture", data=cover_form(version, **written))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert db.session.query(Cover).count() == 0


def test_a_plan_is_sold_only_where_and_for_what_it_says(client: FlaskClient) -> None:
    version, subscription = on_sale(price=None, zones={"62 80": "9.90"}, home_kinds=("house",)), sold()
    address = f"/abonnements/{subscription.id}/couverture"
    assert "ne couvre pas un logement" in client.post(address, data=cover_form(version)).text
    assert "au code postal 59000" in client.post(address, data=cover_form(version, type="house")).text
    assert client.post(address, data=cover_form(version, type="house", code_postal="62100")).status_code == 303


def test_a_subscription_gives_one_cover(client: FlaskClient) -> None:
    cover = add_cover(client)
    again = client.get(f"/abonnements/{cover.subscription_id}/couverture")
    assert again.status_code == 303
    assert again.location.endswith(f"/couvertures/{cover.id}")


def test_an_ended_subscription_gives_none(client: FlaskClient) -> None:
    version, subscription = on_sale(), sold(status=SubscriptionStatus.CANCELED)
    answer = client.post(f"/abonnements/{subscription.id}/couverture", data=cover_form(version))
    assert answer.status_code == 409
    assert "ne peut plus donner de couverture" in answer.text


@pytest.mark.parametrize(
    ("asked", "outcome", "words"),
    [
        ("metier=plumbing&jour=2026-02-08&montant=180", "refused", "08/02/2026 inclus"),
        ("metier=plumbing&jour=2026-11-19&montant=420", "accepted", "370\u00a0€ pris en charge sur 420\u00a0€"),
        ("metier=glazing&jour=2026-11-19", "refused", "n’est couvert ni par la formule"),
        ("metier=electricity&jour=2026-11-19", "accepted", "500\u00a0€ au plus, une fois le montant connu"),
        ("metier=plumbing&jour=2025-11-19", "refused", "ne prend effet que le 10/01/2026"),
    ],
)
def test_whoever_asks_whether_something_is_covered_reads_why(
    client: FlaskClient, asked: str, outcome: str, words: str
) -> None:
    cover = add_cover(client)
    page = client.get(f"/couvertures/{cover.id}/verifier?{asked}")
    assert page.status_code == 200
    assert f'data-outcome="{outcome}"' in page.text
    assert words in page.text
    part = client.get(f"/couvertures/{cover.id}/verifier?{asked}", headers=HTMX).text
    assert part.lstrip().startswith("<section")
    assert f'data-outcome="{outcome}"' in part


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("metier=", "Choisissez un métier"),
        ("metier=toiture", "Choisissez un métier"),
        ("metier=plumbing&jour=2026-02-30", "Indiquez une date valable"),
        ("metier=plumbing&montant=-1", "ne peut pas être négatif"),
        ("metier=plumbing&montant=1000001", "au plus"),
        ("metier=plumbing&montant=1,005", "deux décimales"),
        ("metier=plumbing&montant=beaucoup", "Ce n’est pas un montant"),
    ],
)
def test_a_question_without_sense_is_answered_where_it_is_asked(client: FlaskClient, asked: str, sentence: str) -> None:
    cover = add_cover(client)
    for headers in ({}, HTMX):
        answer = client.get(f"/couvertures/{cover.id}/verifier?{asked}", headers=headers)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert 'aria-invalid="true"' in answer.text


def test_the_clients_tab_costs_the_same_however_many_covers_there_are(client: FlaskClient) -> None:
    cover = add_cover(client)
    address = f"/clients/{cover.client_id}?onglet=couverture"
    with recorded_queries() as one:
        client.get(address)
    for _ in range(2):
        subscription = factories.SubscriptionFactory(client_id=cover.client_id)
        db.session.commit()
        form = cover_form(on_sale())
        assert client.post(f"/abonnements/{subscription.id}/couverture", data=form).status_code == 303
    with recorded_queries() as three:
        tab = client.get(address).text
    assert all(f"Couverture {each.code}" in tab for each in db.session.scalars(select(Cover)))
    assert len(three) == len(one)
    ids = re.findall(r'\sid="([^"]+)"', tab)
    assert len(ids) == len(set(ids))


def confirm(client: FlaskClient, address: str, **values: str) -> Any:
    """Send the form that the page of a change shows."""
    page = client.get(address)
    assert page.status_code == 200, page.text
    form = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page.text))
    return client.post(address.partition("?")[0], data=form | values)


def lines_of(cover: Cover) -> list[tuple[str, Decimal]]:
    return [(line.label, line.unit_price) for line in loading.find_cover(cover.id).subscription.lines]


def test_an_option_is_shown_with_its_price_added_with_its_line_waits_and_ends(client: FlaskClient) -> None:
    cover = add_cover(client)
    factories.SubscriptionLineFactory(subscription_id=cover.subscription_id, label="Confort")
    db.session.commit()
    address = f"/couvertures/{cover.id}/options"
    before = lines_of(cover)
    assert "3,00\u00a0€ HT par mois de plus" in client.get(f"{address}?option=SERRURERIE").text
    assert confirm(client, f"{address}?option=SERRURERIE").status_code == 303
    assert lines_of(cover) == [*before, ("Option Serrurerie", Decimal("3.0000"))]
    part = client.get(f"/couvertures/{cover.id}/verifier?metier=locksmith").text
    assert "est en délai de carence jusqu’au 04/12/2026 inclus" in part
    twice = client.get(f"{address}?option=SERRURERIE")
    assert twice.status_code == 422
    assert "a déjà cette option" in twice.text
    end = re.search(rf"{address}/[0-9a-f-]+/fin", client.get(f"/couvertures/{cover.id}").text)
    assert end
    assert confirm(client, end[0]).status_code == 303
    assert lines_of(cover) == before  # nothing was charged yet: the line goes at once
    assert client.post(end[0], data={"changement": str(uuid4())}).status_code == 409
    assert client.get(f"{address}/{uuid4()}/fin").status_code == 404


def test_a_cover_moves_to_another_home_and_remembers_the_former(client: FlaskClient) -> None:
    cover = add_cover(client)
    address = f"/couvertures/{cover.id}/logement"
    assert client.get(address).status_code == 200
    moved = HOME | {"adresse": "8 quai des Brumes", "code_postal": "76600", "ville": "Le Havre", "depuis": "2026-12-01"}
    shown = client.post(address, data=moved)
    assert shown.status_code == 200
    assert 'data-since="2026-12-01"' in shown.text
    assert "est vendue à cette adresse, au même prix" in shown.text
    assert client.post(address, data=moved | {"montre": "2026-11-30"}).status_code == 422
    assert client.post(address, data=moved | {"montre": "2026-12-01"}).status_code == 303
    page = client.get(f"/couvertures/{cover.id}").text
    assert "3 rue du Port" in page
    assert "dès le 01/12/2026\u202f: 8 quai des Brumes" in page
    early = client.post(address, data=moved | {"depuis": "2026-11-30", "montre": "2026-11-30"})
    assert early.status_code == 422
    assert "déjà prévu le 01/12/2026" in early.text


def test_an_erased_client_gets_no_cover_and_theirs_does_not_change(client: FlaskClient) -> None:
    cover, version, other = add_cover(client), on_sale(), sold()
    for client_id in (cover.client_id, other.client_id):
        db.session.execute(update(Client).where(Client.id == client_id).values(erased_at=NOON))
    db.session.commit()
    assert "Changer de logement" not in client.get(f"/couvertures/{cover.id}").text
    sent = {"option": "SERRURERIE", "changement": str(uuid4()), "version": str(cover.subscription.version)}
    assert client.post(f"/couvertures/{cover.id}/options", data=sent).status_code == 409
    moved = client.post(f"/couvertures/{cover.id}/logement", data=HOME | {"depuis": "2026-12-01"})
    assert moved.status_code == 409
    added = client.post(f"/abonnements/{other.id}/couverture", data=cover_form(version))
    assert added.status_code == 409
    assert "sont effacées" in added.text


def test_an_outsider_finds_no_cover_of_ours(client: FlaskClient, outsider_client: FlaskClient) -> None:
    cover = add_cover(client)
    for path in (f"/couvertures/{cover.id}", f"/couvertures/{cover.id}/verifier?metier=plumbing"):
        assert outsider_client.get(path).status_code == 404
    assert outsider_client.get(f"/couvertures/{cover.id}/logement").status_code == 404
    assert outsider_client.get(f"/abonnements/{cover.subscription_id}/couverture").status_code == 404
    assert outsider_client.post(f"/abonnements/{cover.subscription_id}/couverture", data=HOME).status_code == 404
    for action in ("options", f"options/{uuid4()}/fin", "logement"):
        assert outsider_client.post(f"/couvertures/{cover.id}/{action}", data=HOME).status_code == 404
    assert "Lefèvre" not in outsider_client.get("/couvertures").text


def test_the_list_finds_covers_by_client_number_plan_and_state(client: FlaskClient) -> None:
    cover = add_cover(client)
    plan_id = cover.periods[0].version.plan_id
    for query in ("", "?q=lefev", f"?q={cover.code}", f"?formule={plan_id}", "?statut=active"):
        assert f'data-cover-id="{cover.id}"' in client.get(f"/couvertures{query}").text, query
    for query in ("?q=dupont", "?q=V-0", f"?formule={uuid4()}", "?statut=canceled"):
        assert "Aucune couverture ne correspond" in client.get(f"/couvertures{query}").text, query


def test_the_list_is_walked_without_a_repeat(client: FlaskClient) -> None:
    version = on_sale()
    for _ in range(5):
        assert client.post(f"/abonnements/{sold().id}/couverture", data=cover_form(version)).status_code == 303
    seen: list[UUID] = []
    page = listing.list_covers(CoversView(), size=2)
    while page.next_cursor:
        seen += [row.id for row in page.rows]
        page = listing.list_covers(CoversView(cursor=page.next_cursor), size=2)
    seen += [row.id for row in page.rows]
    assert len(seen) == len(set(seen)) == 5


def test_the_list_costs_a_fixed_number_of_queries(client: FlaskClient) -> None:
    add_cover(client)
    client.get("/couvertures")
    with recorded_queries() as queries:
        client.get("/couvertures")
    assert len(queries) <= 5


def test_the_page_of_a_cover_costs_a_fixed_number_of_queries(client: FlaskClient) -> None:
    cover = add_cover(client, option=["SERRURERIE"])
    client.get(f"/couvertures/{cover.id}")
    with recorded_queries() as queries:
        client.get(f"/couvertures/{cover.id}")
    assert len(queries) <= 16
