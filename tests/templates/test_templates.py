"""Every template renders, with every name that it uses defined, and none carries script or style of its own."""

import html
import io
import re
from collections.abc import Mapping, Set
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import StrictUndefined
from sqlalchemy import select, update
from werkzeug.datastructures import FileStorage

from tests.conftest import HTMX, Cast, SignIn
from tests.factories import (
    ChargeFactory,
    ClientFactory,
    CompanyFactory,
    ContractFactory,
    CoverPlanOptionFactory,
    CoverPlanVersionFactory,
    PreferenceSchemaFactory,
    ProviderAccountFactory,
    SavedPaymentMethodFactory,
    ShopChargeFactory,
    ShopSubscriptionFactory,
    SubscriptionFactory,
    SubscriptionLineFactory,
    default_company,
    make_bank_account,
)
from tests.services.claims.files import declare, make_cover
from tests.services.fulfilment import packing
from tests.services.operators.events import claim_of, file_of, hear, make_operator
from tests.views.sales import journey as sale_journey
from tests.woocommerce_rows import make_event, make_order, make_shop
from webapp import clock, crypto, tenancy
from webapp.extensions import db
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.banking import AmendmentKind, BankAccount, Mandate, MandateAmendment, MandateStatus
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeRun, ChargeStatus, Refund
from webapp.models.clients import Client
from webapp.models.commercials import Team
from webapp.models.contracts import Contract, PaymentMethod
from webapp.models.covers import Cover, HomeKind, Occupancy
from webapp.models.documents import Document
from webapp.models.events import EventState
from webapp.models.figures import FigureClosing
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.invoices import Invoice
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.messages import MessageKind
from webapp.models.operations import Operation, OperationKind
from webapp.models.provider_events import WebhookEvent
from webapp.models.providers import DefaultMeans, Provider, ProviderAccount
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.models.woocommerce import PullScope, WooCommercePull
from webapp.services.claims import deciding
from webapp.services.covers import plans, selling, zones
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.covers.zones import ZoneFields
from webapp.services.dunning import cases
from webapp.services.dunning import steps as dunning_steps
from webapp.services.figures.closings import TOLD
from webapp.services.fulfilment import locking
from webapp.services.imports import commands as imports
from webapp.services.invoices import drafting, finalising
from webapp.services.messages import writing
from webapp.services.messages.drafts import Draft
from webapp.services.messages.rendering import Text
from webapp.services.operations.carry_out import carry_out
from webapp.services.providers.accounts import save_account
from webapp.services.subscriptions import scheduling

FOLDER = Path(__file__).parents[2] / "webapp" / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))
# Inline handlers, scripts and styles are blocked by our policy; the last two of htmx's would need eval.
FORBIDDEN = re.compile(
    r"""\son(?:click|change|submit|load|input|key|focus|blur|mouse|pointer)[a-z]*=|\sstyle=|<style|<script(?![^>]*\ssrc=)|hx-on|=["']js:|hx-trigger="[^"]*\["""
)

# French puts a narrow no-break space before these; an ordinary one lets them fall onto the next line.
JINJA = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
LOOSE = re.compile(r"""[\wéè’»”] [:;?!](?=[\s<"']|$)|« |[^\s>] »""", re.MULTILINE)


@pytest.fixture
def subject(cast: Cast) -> Client:
    """A client with something in each part of its page."""
    client: Client = ClientFactory(commercial_id=cast.sales_rep.id, email="meme@example.org")
    ContractFactory(client_id=client.id)
    make_bank_account(client)
    client.identity_card = crypto.seal("{}", place=client.place("identity_card"))
    db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_UPDATED, changes={"city": [None, "Lille"]}))
    db.session.commit()
    return client


def _visit_everything(
    app: Flask, browser: FlaskClient, ids: Mapping[str, UUID | str], *, only: Set[str] = frozenset()
) -> None:
    """Every page that can be got with these ids, with its tabs and its actions' forms, whole and as a fragment.

    Or those pages alone whose address holds ``only``.
    """
    with app.test_request_context():
        addresses = [
            rule.build(ids, append_unknown=False)
            for rule in app.url_map.iter_rules()
            if "GET" in (rule.methods or ())
            and only <= rule.arguments <= ids.keys()
            and not rule.endpoint.startswith("probe.")
        ]
    for _domain, address in filter(None, addresses):
        page = browser.get(address)
        assert page.status_code < 500, address
        assert browser.get(address, headers=HTMX).status_code < 500, address
        found = (
            re.findall(r'href="([^"#]*[?](?:onglet|action)=[^"#]*)"', page.text) if page.mimetype == "text/html" else ()
        )
        for part in sorted({html.unescape(each) for each in found} - {address}):
            for headers in ({}, HTMX):
                assert browser.get(part, headers=headers).status_code < 500, part


def _visit_runs(app: Flask, browser: FlaskClient, ids: dict[str, UUID | str]) -> None:
    """Everything, of a run that ended; of one under way, the pages of runs."""
    ended, running = _make_runs()
    _visit_everything(app, browser, ids | {"run_id": ended})
    _visit_everything(app, browser, {"run_id": running}, only={"run_id"})
    for run_id in (ended, running):
        browser.get(f"/synchronisations/{run_id}/elements?apres=", headers=HTMX)
        browser.get(f"/synchronisations?avant={run_id}", headers=HTMX)


def _visit_forms(browser: FlaskClient, client: Client, account_id: UUID) -> None:
    page = f"/clients/{client.id}"
    browser.post(f"{page}/comptes/{account_id}/iban", headers=HTMX)
    browser.post(f"{page}/piece-identite", headers=HTMX)
    browser.post("/clients/controle/email", data={"email": "meme@example.org"}, headers=HTMX)
    client.version = 2
    db.session.commit()
    changed = {"last_name": "AUTRE", "country": "FR", "status": "active", "version": "1"}
    assert browser.post(f"{page}/modifier", data=changed).status_code == 409


def _make_runs() -> tuple[UUID, UUID]:
    """A run that ended with an error, and one under way."""
    ended = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.PARTIAL, errors=1, finished_at=clock.now())
    running = SyncRun(trigger=RunTrigger.SCHEDULED)
    db.session.add_all([ended, running])
    db.session.flush()
    db.session.add(SyncItem(run_id=ended.id, external_id="1", kind=ItemKind.ERROR, reason="Sans nom"))
    db.session.commit()
    return ended.id, running.id


def _make_money(client: Client) -> dict[str, UUID]:
    """A subscription with all that can hang on it, a refused charge of it with its attempt and its invoice."""
    subscription = SubscriptionFactory(client_id=client.id)
    SubscriptionLineFactory(subscription_id=subscription.id)
    PreferenceSchemaFactory()
    scheduling.schedule(subscription, 0)
    charge = ChargeFactory(
        subscription_id=subscription.id,
        client_id=client.id,
        status=ChargeStatus.FAILED,
        attention=Attention.REFUSED,
        attention_at=clock.now(),
    )
    attempt = ChargeAttempt(
        charge_id=charge.id,
        number=1,
        provider_account_id=ProviderAccountFactory().id,
        provider=Provider.SANDBOX,
        amount=charge.amount,
        status=AttemptStatus.REFUSED,
        provider_message="stolen_card",
    )
    db.session.add(attempt)
    drafting.draft_for_charge(charge, at=clock.now())
    db.session.add(
        Refund(charge_id=charge.id, attempt_id=attempt.id, amount=1, reason="x", next_attempt_at=clock.now())
    )
    finalising.finalise(_id(Invoice), at=clock.now())
    db.session.commit()
    return {"subscription_id": subscription.id, "charge_id": charge.id, "invoice_id": _id(Invoice)}


def _make_charge_runs() -> tuple[UUID, UUID]:
    """A run of the charge engine that ended, and one under way."""
    moment = clock.now()
    ended = ChargeRun(trigger=RunTrigger.MANUAL, status=RunStatus.PARTIAL, due_before=moment, finished_at=moment)
    running = ChargeRun(trigger=RunTrigger.MANUAL, due_before=moment)
    db.session.add_all([ended, running])
    db.session.commit()
    return ended.id, running.id


def _make_means_request(client: Client) -> dict[str, UUID]:
    """A request for a means of payment that the client may still answer."""
    account_id = db.session.scalars(
        select(ProviderAccount.id).where(ProviderAccount.provider == Provider.SANDBOX)
    ).one()
    request = MeansRequest(
        id=new_id(),
        organisation_id=client.organisation_id,
        client_id=client.id,
        provider_account_id=account_id,
        status=MeansRequestStatus.SENT,
        expires_at=clock.now(),
    )
    request.keep_token("the-token")
    db.session.add(request)
    db.session.commit()
    return {"request_id": request.id}


def _make_files(client: Client) -> dict[str, UUID]:
    """An account for bank files, one debit that waits for a file and one in a file that is being settled; a webhook."""
    company = default_company()
    keys = {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPXXX"}
    account = save_account(company.id, Provider.SEPA_FILE, credentials=keys, ics="FR72ZZZ123456")
    sent = {"message_id": "M1", "status": BankFileStatus.CONFIRMED, "exported_at": clock.now()}
    file = BankFile(id=new_id(), provider_account_id=account.id, collected_on=clock.today(), **sent)
    event = WebhookEvent(provider_account_id=account.id, event_id="evt_1", body=b"", error="Inconnu")
    db.session.add_all([file, event])
    db.session.flush()
    mandate_id = _make_mandate(client, company.id)
    for cycle_no, file_id in enumerate((None, file.id)):
        subscription = SubscriptionFactory(client_id=client.id)
        charge = ChargeFactory(
            subscription_id=subscription.id,
            client_id=client.id,
            cycle_no=cycle_no,
            status=ChargeStatus.PROCESSING,
        )
        attempt = ChargeAttempt(
            charge_id=charge.id,
            number=1,
            provider_account_id=account.id,
            provider=Provider.SEPA_FILE,
            bank_file_id=file_id,
            mandate_id=None if file_id else mandate_id,
            amount=charge.amount,
            status=AttemptStatus.PROCESSING,
        )
        db.session.add(attempt)
    db.session.commit()
    return {"file_id": file.id, "company_id": company.id, "mandate_id": mandate_id}


def _make_mandate(client: Client, company_id: UUID) -> UUID:
    """One that is signed, with an amendment and a signed copy; the default means; a card that has expired."""
    signed = {"umr": "R-1", "signed_on": clock.today(), "last_used_on": clock.today(), "status": MandateStatus.ACTIVE}
    owned = {"client_id": client.id, "company_id": company_id}
    mandate = Mandate(id=new_id(), bank_account_id=_id(BankAccount), **owned, **signed)
    db.session.add(mandate)
    db.session.flush()
    kept = {"name": "a.pdf", "content_type": "application/pdf", "size": 1, "stored_as": "x", "client_id": client.id}
    db.session.add_all(
        [
            MandateAmendment(mandate_id=mandate.id, kind=AmendmentKind.REFERENCE, original="R-0"),
            Document(mandate_id=mandate.id, **kept),
            DefaultMeans(mandate_id=mandate.id, payment_method=PaymentMethod.SEPA, **owned),
        ]
    )
    account_id = db.session.scalars(select(ProviderAccount.id)).first()
    SubscriptionFactory(client_id=client.id, mandate_id=mandate.id)
    SavedPaymentMethodFactory(client_id=client.id, provider_account_id=account_id, expires_on=clock.today())
    db.session.commit()
    return mandate.id


def _visit_message_settings(browser: FlaskClient, other_company: UUID) -> None:
    settings = "/reglages/messages"
    for path in (
        "presentation",
        f"presentation/{other_company}",
        "textes/free",
        "textes/free/versions/1",
        "expediteurs",
        f"expediteurs/{other_company}/email",
        "adresses-bloquees",
    ):
        assert browser.get(f"{settings}/{path}").status_code == 200, path
    typed = {"canal": "email", "objet": "Bonjour", "texte": "Bonjour {{ prenom }}"}
    assert browser.post(f"{settings}/textes/free/apercu", data=typed, headers=HTMX).status_code == 200


def _visit_shipping_settings(browser: FlaskClient, company_id: UUID) -> None:
    settings = "/lots/reglages"
    for path in ("", f"/{company_id}/expediteur", f"/{company_id}/comptes/sans-transporteur"):
        assert browser.get(settings + path).status_code == 200, path


def _make_shipment(cast: Cast) -> dict[str, UUID]:
    """A batch that is dispatched without a carrier, one line of it set aside, and its shipment."""
    batch = packing.pack(number=90)
    packing.add_line(batch, 2, status=LineStatus.SET_ASIDE)
    (shipment,) = packing.dispatch(batch, cast.admin)
    return {"batch_id": batch.id, "shipment_id": shipment.id}


def _make_claim(cast: Cast) -> dict[str, UUID]:
    """A plan, a cover of it, and a claim that was refused, contested, and is in doubt."""
    cover = make_cover(cast.commercial)
    claim = declare(cover, cast.commercial, "2026-02-01")
    deciding.contest(claim.id, reason="Il conteste", version=None, by=cast.manager, at=clock.now())
    deciding.accept(claim.id, covered=Decimal(9), reason="Geste", version=None, by=cast.manager, at=clock.now())
    claim.doubt = "Décidé\u202f: refusé."
    db.session.commit()
    plan_id = cover.periods[0].version.plan_id
    zone = zones.create_zone("PARIS", ZoneFields(label="Paris", prefixes="75"), at=clock.now())
    plans.draft_next(plan_id, by=cast.admin, at=clock.now())
    return {"cover_id": cover.id, "claim_id": claim.id, "plan_id": plan_id, "zone_id": zone.id}


def _make_case() -> dict[str, UUID]:
    """A case of dunning with a letter that waits, for the charge that was refused."""
    charge = db.session.scalars(select(Charge).where(Charge.status == ChargeStatus.FAILED)).one()
    charge.first_refused_at = clock.now() - timedelta(days=10)
    db.session.commit()
    case = cases.review_charge(charge.id, at=clock.now())
    assert case is not None
    dunning_steps.carry_out_steps(at=clock.now())
    return {"case_id": case.id, "sequence_id": case.sequence_id}


def _visit_imports(browser: FlaskClient) -> None:
    rows = FileStorage(io.BytesIO(b"Client;RUM;Date\nx@example.org;R-9;2026-01-01"), "mandats.csv")
    address = "/prelevements/mandats/listes"
    assert browser.post(address, data={"liste": rows}, follow_redirects=True).status_code == 200


def _visit_client_imports(organisation_id: UUID, browser: FlaskClient) -> None:
    """« Importer », step by step, with a line that is a question, a company that nobody knows, and a reject."""
    browser.get("/imports/nouveau")
    for _ in range(2):
        ClientFactory(email="deux@example.org")
    db.session.commit()
    rows = b"Nom;E-mail;Contrat;Societe\nA;deux@example.org;;\nB;b@@;;\nC;c@example.org;C-1;Ailleurs\n"
    given = browser.post("/imports", data={"fichier": FileStorage(io.BytesIO(rows), "clients.csv")})
    address = given.headers["Location"]
    for headers in ({}, HTMX):
        assert "import-progress" in browser.get(f"{address}?suivi=1", headers=headers).text
    imports.read(organisation_id, UUID(address.rsplit("/", 1)[1]))
    browser.get(address)
    keys = ["client.last_name", "client.email", "contract.reference", "contract.company"]
    assert "contract.company" in browser.get(f"{address}/colonnes").text
    planned = browser.post(f"{address}/colonnes", data={"colonne": keys, "policy": "remplir", "creates_clients": "1"})
    assert planned.status_code == 303
    assert "import-progress" in browser.get(f"{address}/plan?suivi=1", headers=HTMX).text
    operation_id = db.session.scalars(select(Operation.id).where(Operation.kind == OperationKind.IMPORT)).one()
    carry_out(organisation_id, operation_id)
    decide = browser.get(f"{address}/plan").text
    assert "Même personne" in decide
    assert "Ailleurs" in decide


def _visit_bank_files(browser: FlaskClient, file_id: UUID) -> None:
    address = f"/prelevements/fichiers/{file_id}"
    assert "every 1s" in browser.get(address, headers=HTMX).text
    with tenancy.across_organisations():
        db.session.execute(update(ChargeAttempt).values(status=AttemptStatus.SUCCEEDED))
        db.session.commit()
    assert "every 1s" not in browser.get(address, headers=HTMX).text
    rows = FileStorage(io.BytesIO(b"EndToEndId;Code;Date\nX;AC04;2026-01-01"), "rejets.csv")
    assert browser.post("/prelevements/fichiers/retours/liste", data={"liste": rows}).status_code == 200


def _make_message(client: Client) -> dict[str, UUID]:
    """A message that is held, since nobody sends anything here; and what a preview says of one."""
    draft = Draft(
        kind=MessageKind.FREE,
        company_id=default_company().id,
        client_id=client.id,
        subject_id=client.id,
        occasion="1",
        variables={},
        text=Text("Bonjour", "Bonjour {{ prenom }}"),
    )
    message_id = writing.write(draft, at=clock.now())
    assert message_id is not None
    return {"message_id": message_id}


def _make_shop(client: Client) -> dict[str, UUID]:
    """A shop with an order that a person should look at, an event that failed, and a pull that has ended."""
    shop = make_shop()
    review = [{"code": "UNKNOWN_STATUS", "sentence": "La boutique dit un état que nous ne connaissons pas."}]
    order = make_order(shop, 1, client, status="torrefaction", review=review)
    event = make_event(shop, 1, EventState.FAILED)
    pull = WooCommercePull(
        id=new_id(),
        shop_id=shop.id,
        scope=PullScope.RECENT,
        trigger=RunTrigger.MANUAL,
        status=RunStatus.SUCCESS,
        finished_at=clock.now(),
    )
    db.session.add(pull)
    db.session.commit()
    return {"shop_id": shop.id, "event_id": event.id, "pull_id": pull.id, "resource_id": order.id}


def _visit_covers(cast: Cast, browser: FlaskClient, client: Client) -> None:
    """A client's cover that has an option, and whether something is covered."""
    version = CoverPlanVersionFactory(published_at=None)
    CoverPlanOptionFactory(version_id=version.id)
    version.published_at = clock.now()
    subscription = SubscriptionFactory(client_id=client.id)
    db.session.commit()
    home = HomeFields(
        kind=HomeKind.FLAT,
        occupancy=Occupancy.TENANT,
        address_line1="3 rue du Port",
        postcode="59000",
        city="Lille",
    )
    asked = CoverRequest(version_id=version.id, option_codes=frozenset({"SERRURERIE"}), home=home)
    cover = selling.add_cover(subscription.id, asked, by=cast.admin, at=clock.now())
    assert browser.get(f"/couvertures/{cover.id}").status_code == 200
    assert browser.get(f"/clients/{client.id}?onglet=couverture").status_code == 200
    today = clock.today().isoformat()
    end = {"moyen": "letter", "motif": "agreed", "recue": today, "evenement": today, "fin": today, "note": "Geste"}
    assert 'data-ends="' in browser.get(f"/couvertures/{cover.id}/resiliation", query_string=end, headers=HTMX).text
    assert "decision" in browser.get(f"/couvertures/{cover.id}/verifier?metier=plumbing", headers=HTMX).text
    assert browser.get(f"/couvertures/{cover.id}/options/{cover.options[0].id}/fin").status_code == 200
    assert browser.post(f"/couvertures/{cover.id}/resiliation", data=end).status_code == 303
    assert "Geste" in browser.get(f"/couvertures/{cover.id}/resiliation").text
    _visit_operator(cast, browser, cover)
    _visit_cover_figures(browser)
    _visit_sale(browser, client)


def _visit_sale(browser: FlaskClient, client: Client) -> None:
    """A sale from its first step to the link that the client follows, and a client who is found meanwhile."""
    version = sale_journey.on_sale()
    client.email = client.email or "anne@example.com"
    db.session.commit()
    browser.get("/souscriptions/nouvelle?q=x", headers=HTMX)
    sale_id = sale_journey.begin(browser, client)
    browser.get(f"/souscriptions/{sale_id}/logement")
    sale_journey.walk(browser, sale_id, version)
    for step in ("client", "logement", "formule", "documents", "paiement", "recapitulatif", "signature"):
        assert browser.get(f"/souscriptions/{sale_id}/{step}").status_code == 200
    browser.get(f"/souscriptions/{sale_id}/formule/prix?formule={version.id}", headers=HTMX)
    sale_journey.send(browser, sale_id, "signature/lien")
    browser.get("/souscriptions")
    link = sale_journey.sent_link(sale_id)
    assert "J’accepte" in browser.get(link).text
    browser.post(link)
    assert browser.get(f"/souscriptions/{sale_id}/signature/preuve").status_code == 200


def _visit_operator(cast: Cast, browser: FlaskClient, cover: Cover) -> None:
    """An operator that has told of two claims, one of a cover that nobody knows."""
    operator = make_operator(cast.admin)
    hear(operator, claim_of(cover))
    waiting = hear(operator, claim_of("V-999999999"))
    for path in ("", f"/{operator.id}", "/evenements", f"/evenements/{waiting.id}", "/evenements/envois"):
        assert browser.get(f"/couvertures/operateurs{path}").status_code == 200
    assert browser.get(f"/dossiers/{file_of().id}").status_code == 200


def _visit_cover_figures(browser: FlaskClient) -> None:
    """The rows behind a figure, and a month that is closed."""
    db.session.add(FigureClosing(month=date(2020, 1, 1), entries=0, fingerprint="", figures=dict.fromkeys(TOLD, "0")))
    db.session.commit()
    for page in ("mois", "mois/2020-01-01", "couvertures/en-vigueur"):
        assert browser.get(f"/statistiques/depanssur/{page}").status_code == 200


def _visit_charge_of_shop(browser: FlaskClient, client: Client) -> None:
    subscription = ShopSubscriptionFactory(client_id=client.id)
    charge = ShopChargeFactory(subscription_id=subscription.id, client_id=client.id)
    db.session.commit()
    assert browser.get(f"/prelevements/{charge.id}").status_code == 200


def _visit_operations(browser: FlaskClient, client: Client) -> None:
    """Where a value came from, two clients side by side, and a bulk action that is planned and applied."""
    other = ClientFactory()
    db.session.commit()
    origin = f"/clients/{client.id}/origine/city"
    assert browser.get(origin).status_code == 200
    assert browser.get(origin, headers=HTMX).status_code == 200
    contract = ContractFactory(client_id=client.id)
    db.session.commit()
    assert browser.get(f"/contrats/{contract.id}/origine/amount").status_code == 200
    assert browser.get("/clients/fusion", query_string={"fiche": [client.id, other.id]}).status_code == 200
    chosen = {"client": client.id, "portee": "choix", "action": "statut", "statut": "inactive"}
    planned = browser.post("/clients/actions", data=chosen).location
    assert browser.get(planned).status_code == 200
    assert browser.post(f"{planned}/appliquer", headers=HTMX).status_code == 202


def _visit_batches(browser: FlaskClient) -> None:
    """A locked batch with a line that is to be prepared and one that is set aside, and an open one that is locked."""
    charges = db.session.scalars(select(Charge).limit(2)).all()
    common = {"company_id": default_company().id, "created_at": clock.now()}
    locked = FulfilmentBatch(number=1, status=BatchStatus.OPEN, **common)
    db.session.add(locked)
    db.session.flush()
    for number, charge in enumerate(charges):
        db.session.add(
            FulfilmentBatchLine(
                batch_id=locked.id,
                charge_id=charge.id,
                position=number,
                subscription_id=charge.subscription_id,
                cycle_no=0,
                client_id=charge.client_id,
                label="Coffret",
                charged_at=clock.now() - timedelta(hours=1),
            )
        )
    db.session.commit()
    address = f"/lots/{locked.id}"
    assert browser.post(f"{address}/verrouiller", headers=HTMX).status_code == 202
    locking.lock(locked.id, by=None, at=clock.now())
    for path in ("", "?onglet=preparation", "?onglet=de-cote"):
        assert browser.get(f"{address}{path}").status_code == 200
    assert browser.get(address, headers=HTMX).status_code == 200
    browser.post(f"{address}/scan", data={"reference": "L000001-0001"}, headers=HTMX)
    assert browser.get("/lots").status_code == 200


def test_every_template_is_rendered_by_a_visit(
    app: Flask, cast: Cast, sign_in: SignIn, stranger: FlaskClient, subject: Client
) -> None:
    admin_client = sign_in(cast.admin)
    assert app.jinja_env.undefined is StrictUndefined
    assert app.jinja_env.cache is not None
    app.jinja_env.cache.clear()
    ids = {"client_id": subject.id, "commercial_id": cast.sales_rep.id, "account_id": _id(BankAccount)}
    ids |= {"contract_id": _id(Contract), "team_id": _id(Team)} | _make_money(subject) | _make_files(subject)
    ids |= (
        _make_shipment(cast)
        | _make_means_request(subject)
        | _make_message(subject)
        | _make_case()
        | _make_claim(cast)
        | _make_shop(subject)
    )
    words = {"word": "fichier-sepa", "mois": f"{clock.today():%Y-%m}", "what": "ventes"}
    other_company = CompanyFactory().id
    preview = {"societe": default_company().id, "subject": "Bonjour", "body": "Bonjour {{ prenom }}"}
    steps = {"client": subject.id, "frequence": "weekly", "debut": clock.today().isoformat(), "paiement": "transfer"}
    steps |= {"libelle": "Coffret", "quantite": 1, "prix": "12,50", "tva": 20, "remise": "", "produit": "", "fin": ""}
    for step in (1, 2, 3, 4):
        admin_client.get("/abonnements/nouveau", query_string=steps | {"etape": step})
    for run_id in _make_charge_runs():
        admin_client.get(f"/prelevements/lancements/{run_id}")
        admin_client.get(f"/prelevements/lancements/{run_id}", headers=HTMX)
    admin_client.post("/prelevements/lancements", headers=HTMX)
    _visit_runs(app, admin_client, ids | words)
    _visit_forms(admin_client, subject, ids["account_id"])
    lines = {name: steps[name] for name in ("libelle", "quantite", "prix", "tva", "remise", "produit")}
    answer = admin_client.post(f"/abonnements/{ids['subscription_id']}/lignes", data=lines | {"version": "1"})
    assert answer.status_code == 200
    _visit_bank_files(admin_client, ids["file_id"])
    _visit_imports(admin_client)
    with tenancy.organisation(cast.organisation.id):
        _visit_client_imports(cast.organisation.id, admin_client)
    with tenancy.organisation(cast.organisation.id):
        _visit_batches(admin_client)
        _visit_charge_of_shop(admin_client, subject)
        _visit_operations(admin_client, subject)
        _visit_covers(cast, admin_client, subject)
    assert admin_client.get("/clients/exporter").status_code == 200
    assert admin_client.get("/vues/clients").status_code == 200
    assert admin_client.post("/vues/clients", data={"nom": ""}).status_code == 422
    _visit_message_settings(admin_client, other_company)
    _visit_shipping_settings(admin_client, other_company)
    assert "Bonjour" in admin_client.post(f"/clients/{subject.id}/messages/apercu", data=preview).text
    admin_client.get("/nulle-part")
    admin_client.get("/nulle-part", headers=HTMX)
    assert stranger.get("/moyen-de-paiement/inconnu").status_code == 404
    assert stranger.get("/desabonnement/inconnu").status_code == 404
    assert stranger.get("/connexion").status_code == 503  # nobody answers for the identity provider here
    admin_client.post("/deconnexion", follow_redirects=True)
    cast.colleague.roles = []
    db.session.commit()
    assert sign_in(cast.colleague).get("/").status_code == 403
    rendered = {name for _loader, name in app.jinja_env.cache}
    unseen = sorted(set(TEMPLATES) - rendered)
    assert not unseen, f"never rendered here: {', '.join(unseen)}"


def _id(model: type[BankAccount] | type[Contract] | type[Invoice] | type[Team]) -> UUID:
    """The id of the only row there is."""
    return db.session.scalars(select(model.id)).one()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_carries_no_script_or_style(name: str) -> None:
    assert FORBIDDEN.findall((FOLDER / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_keeps_punctuation_with_its_word(name: str) -> None:
    source = (FOLDER / name).read_text(encoding="utf-8")
    assert LOOSE.findall(JINJA.sub("X", source)) == []


def test_templates_lead_to_pages_that_exist(app: Flask) -> None:
    """In each of their branches: those that no visit above takes, too."""
    named = re.compile(r"""url_for\(\s*["']([\w.]+)["']\s*[,)]""")
    astray = {
        name: set(named.findall((FOLDER / name).read_text(encoding="utf-8"))) - {*app.view_functions}
        for name in TEMPLATES
    }
    assert {name: pages for name, pages in astray.items() if pages} == {}
