"""The steps of a sale: each is saved, can be gone back to, and is taken up by any colleague."""

import re
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries
from tests.views.sales.journey import HOME, PDF, begin, download, find, make_client, on_sale, ready, scan, send, walk
from webapp import clock
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.consents import Consent
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.covers import Cover, CoverPlanVersion
from webapp.models.documents import Document
from webapp.models.messages import Message, MessageKind
from webapp.models.sales import CoverSale, DocumentsWay, SaleStep, SignatureWay
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.covers import plans

pytestmark = pytest.mark.usefixtures("cast")
STEPS = ("client", "logement", "formule", "documents", "paiement", "recapitulatif", "signature")


def test_the_offer_follows_what_is_written_of_its_start(client: FlaskClient, outsider_client: FlaskClient) -> None:
    sale_id = begin(client, make_client())
    walk(client, sale_id, on_sale())
    address = f"/souscriptions/{sale_id}/recapitulatif/offre"

    def begins(query: str) -> str:
        shown = re.search(r"effet</dt>\s*<dd>\s*(\S+)", client.get(f"{address}?{query}", headers=HTMX).text)
        assert shown is not None
        return shown[1]

    assert [begins(query) for query in ("immediate=1", "", "effet=2026-12-24", "immediate=1&effet=hier")] == [
        "20/11/2026", "05/12/2026", "24/12/2026", "20/11/2026"
    ]  # fmt: skip
    assert find(sale_id).starts_at_once, "nothing is saved"
    assert outsider_client.get(address).status_code == 404
    assert client.get(f"/souscriptions/{begin(client, make_client())}/recapitulatif/offre").status_code == 303


def test_from_the_clients_page_to_a_contract_a_pending_subscription_and_a_cover(client: FlaskClient) -> None:
    version, buyer = on_sale(), make_client(address_line1="1 rue Haute", postcode="59000", city="Lille")
    assert "Nouvelle souscription" in client.get(f"/clients/{buyer.id}?onglet=couverture").text
    sale_id = begin(client, buyer)
    assert 'value="1 rue Haute"' in client.get(f"/souscriptions/{sale_id}/logement").text
    walk(client, sale_id, version)
    assert "Serrurerie · carence 15 jours" in client.get(f"/souscriptions/{sale_id}/formule").text
    summary = client.get(f"/souscriptions/{sale_id}/recapitulatif").text
    assert "14,06\u00a0€ TTC par mois" in summary
    assert "jusqu’au 19/12/2026 inclus" in summary  # thirty days from 20 November
    assert "jusqu’au 04/12/2026" in summary  # fourteen days to renounce
    page = client.get(f"/souscriptions/{sale_id}/signature").text
    assert "Par le lien\u202f: En cliquant sur" in page
    assert "Sur papier\u202f: En signant le bulletin, je souscris" in page, "one signs what one reads there"
    answer = send(client, sale_id, "signature/papier", fichier=scan())
    sale, cover = find(sale_id), db.session.scalars(select(Cover)).one()
    assert (answer.status_code, answer.location) == (303, f"/couvertures/{cover.id}")
    assert (sale.signed_by, sale.cover_id, sale.wording_version) == (SignatureWay.PAPER, cover.id, 1)
    assert cover.subscription.status is SubscriptionStatus.PENDING
    assert cover.subscription.per_cycle.with_tax == Decimal("14.06")
    contract = db.session.scalars(select(Contract)).one()
    assert (contract.id, contract.status) == (cover.subscription.contract_id, ContractStatus.ACTIVE)
    assert [(line.label, line.unit_price) for line in contract.lines] == [
        ("Confort", Decimal("9.9000")),
        ("Serrurerie", Decimal("3.0000")),
    ]
    assert db.session.scalars(select(Document.id)).one() == sale.signed_document_id
    told = select(TimelineEvent.kind).where(TimelineEvent.client_id == buyer.id)
    assert {EventKind.CONTRACT_CREATED, EventKind.COVER_ADDED, EventKind.SALE_SIGNED} <= set(db.session.scalars(told))

    twice = client.post(f"/souscriptions/{sale_id}/signature/papier", data={"version": sale.version, "fichier": scan()})
    assert (twice.status_code, twice.location) == (303, f"/couvertures/{cover.id}")
    assert client.get(f"/souscriptions/{sale_id}/signature").location == f"/couvertures/{cover.id}"
    proof = client.get(f"/souscriptions/{sale_id}/signature/preuve").text
    assert "En signant le bulletin, je souscris" in proof
    assert "En cliquant sur" not in proof
    assert db.session.scalar(select(func.count()).select_from(Subscription)) == 1
    proof = client.post(f"/clients/{buyer.id}/documents/{sale.signed_document_id}/retirer")
    assert (proof.status_code, "il est gardé" in proof.text) == (409, True)


def test_a_draft_is_taken_up_by_a_colleague_where_it_was_left(client: FlaskClient, manager_client: FlaskClient) -> None:
    version, buyer = on_sale(), make_client()
    sale_id = begin(client, buyer)
    send(client, sale_id, "logement", **HOME)
    assert f"/souscriptions/{sale_id}" in manager_client.get("/souscriptions").text
    assert f"/souscriptions/{sale_id}" not in manager_client.get("/souscriptions?de=moi").text
    assert f"/souscriptions/{sale_id}" in manager_client.get(f"/clients/{buyer.id}?onglet=couverture").text
    assert manager_client.get(f"/souscriptions/{sale_id}").location == f"/souscriptions/{sale_id}/formule"
    assert "3 rue du Port" in manager_client.get(f"/souscriptions/{sale_id}/logement").text
    stale = find(sale_id).version
    assert send(manager_client, sale_id, "formule", formule=version.id, frequence="annual").status_code == 303
    late = client.post(f"/souscriptions/{sale_id}/logement", data=HOME | {"version": stale, "ville": "Paris"})
    assert (late.status_code, "Un collègue a modifié" in late.text) == (409, True)
    assert find(sale_id).home_city == "Lille"


def test_a_form_that_is_sent_twice_begins_one_sale(client: FlaskClient) -> None:
    buyer, form = make_client(), {"souscription": uuid4()}
    for _ in range(2):
        assert client.post("/souscriptions/nouvelle", data=form | {"client": buyer.id}).status_code == 303
    assert db.session.scalar(select(func.count()).select_from(CoverSale)) == 1


def test_a_client_is_found_or_created_with_those_who_look_alike_shown(client: FlaskClient) -> None:
    known = make_client()
    found = client.get("/souscriptions/nouvelle?q=lefev", headers=HTMX).text
    assert f'value="{known.id}"' in found
    assert "<html" not in found
    form = {"nom": "Lefebvre", "prenom": "Anne", "email": "anne@example.com", "souscription": uuid4()}
    similar = client.post("/souscriptions/nouvelle/client", data=form)
    assert similar.status_code == 409
    assert f'value="{known.id}"' in similar.text
    assert 'value="Lefebvre"' in similar.text
    assert (
        "au moins un nom" in client.post("/souscriptions/nouvelle/client", data=form | {"nom": "", "prenom": ""}).text
    )
    for _ in range(2):
        assert client.post("/souscriptions/nouvelle/client", data=form | {"confirme": "1"}).status_code == 303
    assert db.session.scalars(select(Client.last_name).order_by(Client.last_name)).all().count("Lefebvre") == 1


@pytest.mark.parametrize(
    ("step", "form", "sentence"),
    [
        ("logement", HOME | {"occupation": ""}, "Choisissez propriétaire ou locataire"),
        ("logement", HOME | {"code_postal": "75001"}, "Aucune formule n’est vendue au code postal 75001"),
        ("logement", {"logement": uuid4()}, "Choisissez un logement du client"),
        ("formule", {"formule": "x", "frequence": "monthly"}, "Choisissez une formule en vente"),
        ("formule", {"frequence": "weekly"}, "par mois, trimestre ou année"),
        ("documents", {}, "Dites comment le client reçoit les documents"),
        ("paiement", {"paiement": "or"}, "Ce mode de paiement n’existe pas"),
        ("paiement", {"paiement": f"sepa:mandat:{uuid4()}"}, "n’est pas donné à cette société"),
        ("paiement", {"paiement": "lien"}, "n’a pas de prestataire"),
        ("paiement", {"paiement": "mandat", "iban": "FR00"}, "IBAN"),
        ("recapitulatif", {"effet": "2026-11-25"}, "après le délai de renonciation\u202f: le 05/12/2026 au plus tôt"),
        ("recapitulatif", {"effet": "2026-11-19", "immediate": "1"}, "aujourd’hui au plus tôt"),
        ("recapitulatif", {"effet": "2028-01-01"}, "dans un an au plus tard"),
        ("recapitulatif", {"effet": "hier"}, "Indiquez une date valable"),
        ("signature/papier", {}, "Choisissez un fichier"),
    ],
)
def test_what_is_refused_is_said_and_nothing_is_lost(
    client: FlaskClient, step: str, form: dict[str, Any], sentence: str
) -> None:
    version, buyer = on_sale(price=None, zones={"59": "9.90"}), make_client()
    sale_id = begin(client, buyer)
    walk(client, sale_id, version)
    if step == "documents":  # another plan has other documents
        version = on_sale()
        send(client, sale_id, "formule", formule=version.id, frequence="monthly")
    before = find(sale_id).version
    answer = send(client, sale_id, step, **({"formule": version.id} | form if step == "formule" else form))
    assert answer.status_code == 422, answer.text
    assert sentence in answer.text
    assert find(sale_id).version == before
    assert db.session.scalar(select(func.count()).select_from(Cover)) == 0


def test_a_step_cannot_be_jumped_over(client: FlaskClient) -> None:
    version, buyer = on_sale(), make_client()
    sale_id = begin(client, buyer)
    for step, form in (("documents", {"remise": "by_hand"}), ("paiement", {"paiement": "transfer"})):
        assert send(client, sale_id, step, **form).location.endswith("/logement")
    send(client, sale_id, "logement", **HOME)
    for step in ("documents", "paiement", "recapitulatif", "signature"):
        assert client.get(f"/souscriptions/{sale_id}/{step}").location.endswith("/formule"), step
    send(client, sale_id, "formule", formule=version.id, frequence="monthly")
    assert send(client, sale_id, "signature/papier", fichier=scan()).location.endswith("/documents")
    assert send(client, sale_id, "signature/lien").location.endswith("/documents")
    send(client, sale_id, "documents", remise="by_hand")
    assert send(client, sale_id, "signature/lien").location.endswith("/paiement")
    assert db.session.scalar(select(func.count()).select_from(Contract)) == 0


def test_the_price_follows_what_is_chosen(client: FlaskClient) -> None:
    version, buyer = on_sale(), make_client()
    sale_id = begin(client, buyer)
    send(client, sale_id, "logement", **HOME)
    address = f"/souscriptions/{sale_id}/formule/prix?formule={version.id}"
    assert "10,79\u00a0€ TTC par mois" in client.get(f"{address}&frequence=monthly", headers=HTMX).text
    dearer = client.get(f"{address}&frequence=quarterly&option={version.id}:SERRURERIE", headers=HTMX).text
    assert "14,06\u00a0€ TTC par mois" in dearer
    assert "42,18\u00a0€ TTC par trimestre" in dearer
    assert "Choisissez une formule" in client.get(f"/souscriptions/{sale_id}/formule/prix", headers=HTMX).text
    on_sale(home_kinds=("house",))
    with recorded_queries() as queries:
        page = client.get(f"/souscriptions/{sale_id}/formule").text
    assert "Non vendue pour ce logement" in page
    assert len(queries) <= 24


def test_a_price_that_has_changed_is_said_and_chosen_again(client: FlaskClient, cast: Cast) -> None:
    sale_id = ready(client)
    plan_id = find(sale_id).plan_version.plan_id  # type: ignore[union-attr]
    draft = plans.draft_next(plan_id, by=cast.admin, at=clock.now())
    db.session.execute(update(CoverPlanVersion).where(CoverPlanVersion.id == draft.id).values(price=Decimal("12.90")))
    plans.publish(plan_id, edits=1, at=clock.now())
    db.session.expire_all()
    page = client.get(f"/souscriptions/{sale_id}/signature").text
    assert "12,90\u00a0€ HT par mois au lieu de 9,90\u00a0€" in page
    assert send(client, sale_id, "signature/papier", fichier=scan()).location.endswith("/formule")
    assert db.session.scalar(select(func.count()).select_from(Cover)) == 0
    assert send(client, sale_id, "formule", formule=draft.id, frequence="monthly").status_code == 303
    assert send(client, sale_id, "signature/lien").location.endswith("/documents"), "the new version has its own"


def test_documents_leave_by_email_with_their_versions_and_consents_are_noted(client: FlaskClient) -> None:
    version, buyer = on_sale(), make_client()
    sale_id = begin(client, buyer)
    send(client, sale_id, "logement", **HOME)
    send(client, sale_id, "formule", formule=version.id, frequence="monthly")
    page = client.get(f"/souscriptions/{sale_id}/documents").text
    assert "version 2026-03" in page
    paths = re.findall(rf"/souscriptions/{sale_id}/documents/[\w-]+", page)
    assert len(paths) == 2
    assert download(client, paths[0]) == PDF
    assert (
        send(client, sale_id, "documents", remise="email", prospection_email="oui", satisfaction="non").status_code
        == 303
    )
    sale = find(sale_id)
    assert (sale.documents_version_id, sale.documents_way) == (version.id, DocumentsWay.EMAIL)
    message = db.session.scalars(select(Message).where(Message.kind == MessageKind.SALE_DOCUMENTS)).one()
    assert [source for source, _ in message.attachments["files"]] == ["plan_document"] * 2
    assert db.session.scalar(select(func.count()).select_from(Consent)) == 2
    assert send(client, sale_id, "documents", remise="").status_code == 303, "what was given stands"
    assert db.session.scalar(select(func.count()).select_from(Message)) == 1


def test_a_mandate_that_is_given_now_pays_for_the_cover(client: FlaskClient) -> None:
    sale_id = ready(
        client,
        paiement={
            "paiement": "mandat",
            "iban": "FR14 2004 1010 0505 0001 3M02 606",
            "signe_le": "2026-11-20",
            "signe_a": "Lille",
        },
    )
    mandate = db.session.scalars(select(Mandate)).one()
    send(client, sale_id, "signature/papier", fichier=scan())
    cover = db.session.scalars(select(Cover)).one()
    assert (cover.subscription.mandate_id, mandate.client_id) == (mandate.id, cover.client_id)


def test_another_client_or_home_makes_what_hung_on_it_to_be_chosen_anew(client: FlaskClient) -> None:
    sale_id, other = ready(client), make_client(last_name="Moreau", email="m@example.com")
    on_sale(home_kinds=("house",))
    db.session.execute(update(CoverPlanVersion).values(retired_at=None))
    assert send(client, sale_id, "client", client=other.id).location.endswith("/logement")
    sale = find(sale_id)
    assert (sale.client_id, sale.has_home, sale.documents_version_id) == (other.id, False, None)
    assert sale.payment_method is None
    assert send(client, sale_id, "client", client=uuid4()).status_code == 404


def test_a_home_where_the_plan_is_not_sold_has_it_chosen_anew(client: FlaskClient) -> None:
    version, buyer = on_sale(price=None, zones={"59": "9.90"}), make_client()
    on_sale(price=None, zones={"62": "9.90"})
    sale_id = begin(client, buyer)
    walk(client, sale_id, version)
    assert send(client, sale_id, "logement", **(HOME | {"code_postal": "62100"})).location.endswith("/formule")
    assert (find(sale_id).plan_version_id, find(sale_id).step) == (None, SaleStep.PLAN)


def test_a_sale_that_is_given_up_is_over(client: FlaskClient) -> None:
    sale_id = ready(client)
    assert send(client, sale_id, "abandon").location == "/souscriptions"
    assert send(client, sale_id, "signature/papier", fichier=scan()).status_code == 409
    assert f"/souscriptions/{sale_id}" not in client.get("/souscriptions").text
    for step in STEPS:
        assert "Ce qui était proposé" in client.get(f"/souscriptions/{sale_id}/{step}", follow_redirects=True).text, (
            step
        )
    assert send(client, sale_id, "paiement", paiement="").location.endswith("/preuve")


def test_a_home_that_the_plan_covers_already_is_not_sold_twice(client: FlaskClient) -> None:
    sale_id = ready(client)
    sale = find(sale_id)
    second = begin(client, db.session.scalars(select(Client).where(Client.id == sale.client_id)).one())
    version = db.session.scalars(select(CoverPlanVersion)).one()
    walk(client, second, version)
    send(client, sale_id, "signature/papier", fichier=scan())
    answer = send(client, second, "signature/papier", fichier=scan())
    assert (answer.status_code, "déjà couvert par cette formule" in answer.text) == (422, True)
    assert db.session.scalar(select(func.count()).select_from(Contract)) == 1


@pytest.mark.parametrize("who", ["commercial", "manager", "admin"])
def test_every_role_sells(cast: Cast, sign_in: SignIn, who: str) -> None:
    browser = sign_in(getattr(cast, who))
    sale_id = ready(browser)
    for step in STEPS:
        assert browser.get(f"/souscriptions/{sale_id}/{step}").status_code == 200
    assert send(browser, sale_id, "signature/papier", fichier=scan()).status_code == 303


def test_an_outsider_finds_no_sale_of_ours(client: FlaskClient, outsider_client: FlaskClient) -> None:
    sale_id = ready(client)
    sale = find(sale_id)
    for step in (*STEPS, "signature/preuve"):
        assert outsider_client.get(f"/souscriptions/{sale_id}/{step}").status_code == 404, step
    for step in (*STEPS[:-1], "abandon", "signature/papier", "signature/lien"):
        form = {"version": sale.version, "client": sale.client_id, "fichier": scan()}
        assert outsider_client.post(f"/souscriptions/{sale_id}/{step}", data=form).status_code == 404, step
    assert outsider_client.post("/souscriptions/nouvelle", data={"client": sale.client_id}).status_code == 404
    assert "Lefèvre" not in outsider_client.get("/souscriptions").text
    assert "Lefèvre" not in outsider_client.get("/souscriptions/nouvelle?q=lefevre").text


def test_what_is_signed_is_kept_by_the_database(client: FlaskClient) -> None:
    sale_id = ready(client)
    send(client, sale_id, "signature/papier", fichier=scan())
    with pytest.raises(Exception, match="never changes"):
        db.session.execute(update(CoverSale).values(effective_on=date(2026, 1, 1)))
