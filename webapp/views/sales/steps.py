"""The steps of a sale between client and signature: each has its address, and saves what it asks."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.models.covers import CoveredHome, CoverPlanVersion, HomeKind
from webapp.models.sales import CoverSale, DocumentsWay, SaleStep
from webapp.security import current_user
from webapp.services import plan_documents
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.consents.listing import find_present
from webapp.services.consents.wordings import list_wordings
from webapp.services.covers import homes, plans, pricing, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.sales import choosing, drafting, offers
from webapp.services.sales.choosing import NewMandate
from webapp.services.sales.drafting import SaleStateError
from webapp.services.sales.offers import StepMissingError
from webapp.services.subscriptions import offering
from webapp.services.subscriptions.means import find_default
from webapp.views.covers import wording
from webapp.views.covers.home_form import HOME_KINDS, OCCUPANCIES, read_home
from webapp.views.covers.plans import send_document
from webapp.views.layout import toast
from webapp.views.lists import read, read_day
from webapp.views.sales.framing import frame, seen_version, to_step
from webapp.views.subscriptions.changes import as_payment_problem
from webapp.views.subscriptions.form import DEFAULT, asked_day, payment_choices, payment_word_of, read_payment

bp = Blueprint("sale_steps", __name__, url_prefix="/souscriptions/<uuid:sale_id>")

ASKED, MANDATE = "lien", "mandat"
CHANNELS = [(each.value, each.label) for each in ConsentChannel if each is not ConsentChannel.IMPORT]
FREQUENCIES = [(each.value, each.label) for each in pricing.MONTHS]
ANSWERS = {"oui": True, "non": False}

Refusals = (InvalidInputError, EditConflictError, SaleStateError)


def _take_step(
    step: SaleStep,
    sale_id: UUID,
    page: Callable[[CoverSale, DomainError | None], str],
    save: Callable[[], CoverSale],
) -> ResponseReturnValue:
    """A step: its page, and, where it was sent, on to the next one.

    Refused, it is the same page with the reason; where a step before is missing, that one.
    """
    sale = drafting.find_sale(sale_id)
    if elsewhere := _elsewhere(sale, step):
        return elsewhere
    if request.method == "GET":
        return page(sale, None)
    try:
        sale = save()
    except StepMissingError as error:
        toast("warning", error.message)
        return to_step(drafting.find_sale(sale_id), error.step)
    except Refusals as error:
        return page(drafting.find_sale(sale_id), error), error.status
    return to_step(sale, step.following)


def _elsewhere(sale: CoverSale, step: SaleStep) -> ResponseReturnValue | None:
    """Where to go instead: a sale that is over has no steps, and a step needs those before it."""
    if not sale.is_open:
        return to_step(sale)
    if step.number > SaleStep.HOME.number and not sale.has_home:
        return to_step(sale, SaleStep.HOME)
    if step.number > SaleStep.PLAN.number and sale.plan_version is None:
        return to_step(sale, SaleStep.PLAN)
    return None


@bp.get("")
def show(sale_id: UUID) -> ResponseReturnValue:
    """On with a sale, where it was left; of one that is over, what was signed."""
    sale = drafting.find_sale(sale_id)
    if not sale.is_open:
        return redirect(url_for("sale_signing.prove", sale_id=sale_id), 303)
    return to_step(sale)


@bp.post("/abandon")
def abandon(sale_id: UUID) -> ResponseReturnValue:
    """Give the sale up."""
    try:
        drafting.abandon(sale_id, version=seen_version(), at=clock.now())
    except (EditConflictError, SaleStateError) as error:
        toast("error", error.message)
        return to_step(drafting.find_sale(sale_id))
    toast("success", "Souscription abandonnée.")
    return to_list()


@bp.route("/logement", methods=["GET", "POST"])
def home(sale_id: UUID) -> ResponseReturnValue:
    """The home that is covered."""
    return _take_step(
        SaleStep.HOME,
        sale_id,
        _home_page,
        lambda: drafting.write_home(
            sale_id,
            read(UUID, request.form.get("logement")),
            read_home(),
            version=seen_version(),
            at=clock.now(),
        ),
    )


@bp.get("/logement/prix")
def home_prices(sale_id: UUID) -> ResponseReturnValue:
    """What the plans cost at the home that is being written: while the form changes."""
    sale, asked = drafting.find_sale(sale_id), request.args
    return render_template("sales/_home_prices.html", prices=_prices_at(sale, asked))


def _prices_at(sale: CoverSale, written: Mapping[str, str]) -> list[tuple[CoverPlanVersion, Decimal | None]]:
    return offers.list_prices(
        sale,
        read(UUID, written.get("logement")),
        written.get("code_postal", ""),
        read(HomeKind, written.get("type")),
    )


def _home_page(sale: CoverSale, problem: DomainError | None = None) -> str:
    known = homes.list_homes(sale.client_id)
    written = request.form if request.method == "POST" else _home_as_written(sale)
    chosen = {"logement": str(known[0].id)} if known else {}  # what the form shows until something is said
    return render_template(
        "sales/home.html",
        **frame(sale, SaleStep.HOME, problem),
        homes=known,
        written=written,
        prices=_prices_at(sale, {**chosen, **written}),
        home_kinds=HOME_KINDS,
        occupancies=OCCUPANCIES,
    )


def _home_as_written(sale: CoverSale) -> dict[str, str]:
    """What the form starts from: the home of the draft, else the client's address."""
    standing: CoveredHome | HomeFields = drafting.home_of(sale)
    if sale.home_id:
        return {"logement": str(sale.home_id)}
    fields = standing if sale.home_kind else HomeFields.of_client(sale.client)
    return {
        **({"logement": ""} if sale.home_kind else {}),
        "type": fields.kind or "",
        "occupation": fields.occupancy or "",
        "occupe_depuis": fields.occupied_since.isoformat() if fields.occupied_since else "",
        "adresse": fields.address_line1,
        "complement": fields.address_line2 or "",
        "code_postal": fields.postcode,
        "ville": fields.city,
        "acces": fields.access_notes or "",
    }


@bp.route("/formule", methods=["GET", "POST"])
def plan(sale_id: UUID) -> ResponseReturnValue:
    """The plans that are sold for the home, side by side."""
    return _take_step(
        SaleStep.PLAN,
        sale_id,
        _plan_page,
        lambda: choosing.choose_plan(
            sale_id, *_chosen(), request.form.get("frequence", ""), version=seen_version(), at=clock.now()
        ),
    )


def _chosen() -> tuple[UUID | None, frozenset[str]]:
    """The version that is chosen, and its options: boxes name version and option, so that others' do not count."""
    version_id = read(UUID, request.values.get("formule"))
    named = [text.partition(":") for text in request.values.getlist("option")]
    return version_id, frozenset(code for of, _, code in named if read(UUID, of) == version_id)


@bp.get("/formule/prix")
def price(sale_id: UUID) -> ResponseReturnValue:
    """What is chosen costs so much: while the form changes."""
    sale = drafting.find_sale(sale_id)
    return render_template("sales/_price.html", price=_asked_price(sale))


def _asked_price(sale: CoverSale) -> offers.Price | None:
    version_id, codes = _chosen()
    version = next((each for each in plans.list_sold() if each.id == version_id), None)
    try:
        options = selling.find_options(version, codes) if version else []
        if version is None:
            return None
        plan_price = homes.price_at(version, drafting.home_of(sale))
        return offers.price_of(version, plan_price, options, request.values.get("frequence", ""))
    except InvalidInputError:
        return None


def _plan_page(sale: CoverSale, problem: DomainError | None = None) -> str:
    home = drafting.home_of(sale)
    sold = drafting.list_sold_at(home)
    is_sent = request.method == "POST"
    if is_sent:
        chosen, ticked, frequency = request.form.get("formule"), request.form.getlist("option"), _frequency()
    else:
        only = sold[0].id if len(sold) == 1 else None
        chosen = str(sale.plan_version_id or only or "")
        ticked, frequency = [f"{sale.plan_version_id}:{code}" for code in sale.option_codes], sale.frequency
    return render_template(
        "sales/plan.html",
        **frame(sale, SaleStep.PLAN, problem),
        sold=sold,
        rows=wording.compare_promises(sold),
        prices={version.id: version.price_at(home.postcode) for version in sold},
        chosen=chosen,
        ticked=ticked,
        frequencies=FREQUENCIES,
        frequency=frequency,
        price=_asked_price(sale) if is_sent else _price_of(sale, sold),
        others=[each for each in plans.list_sold() if each.id not in {version.id for version in sold}],
        home_line=drafting.home_line(sale),
    )


def _frequency() -> str:
    return request.form.get("frequence", "")


def _price_of(sale: CoverSale, sold: list[CoverPlanVersion]) -> offers.Price | None:
    version = next((each for each in sold if each.id == sale.plan_version_id), sold[0] if len(sold) == 1 else None)
    if version is None:
        return None
    options = [each for each in version.options if each.code in sale.option_codes]
    return offers.price_of(version, homes.price_at(version, drafting.home_of(sale)), options, sale.frequency)


@bp.route("/documents", methods=["GET", "POST"])
def documents(sale_id: UUID) -> ResponseReturnValue:
    """The documents of the plan, how the client is given them, and what the client consents to."""
    form = request.form
    consents = {each: ANSWERS[word] for each in ConsentPurpose if (word := form.get(each.value, "")) in ANSWERS}
    return _take_step(
        SaleStep.DOCUMENTS,
        sale_id,
        _documents_page,
        lambda: choosing.give_documents(
            sale_id,
            read(DocumentsWay, form.get("remise")),
            consents,
            read(ConsentChannel, form.get("canal")) or ConsentChannel.PHONE,
            version=seen_version(),
            by=current_user(),
            at=clock.now(),
        ),
    )


@bp.get("/documents/<uuid:document_id>")
def document(sale_id: UUID, document_id: UUID) -> Response:
    """A document of the plan that is chosen, to be printed."""
    sale = drafting.find_sale(sale_id)
    return send_document(*plan_documents.find_file(document_id, version_id=offers.sold_of(sale).id))


def _documents_page(sale: CoverSale, problem: DomainError | None = None) -> str:
    return render_template(
        "sales/documents.html",
        **frame(sale, SaleStep.DOCUMENTS, problem),
        present=find_present(sale.client_id),
        texts=[(each.purpose.label, each.present.text) for each in list_wordings(at=clock.now()) if each.present],
        channels=CHANNELS,
        written=request.form,
    )


@bp.route("/paiement", methods=["GET", "POST"])
def payment(sale_id: UUID) -> ResponseReturnValue:
    """How the client pays."""
    word = request.form.get("paiement", "")
    return _take_step(
        SaleStep.PAYMENT,
        sale_id,
        lambda sale, problem: _payment_page(sale, as_payment_problem(problem) if problem else None),
        lambda: choosing.choose_payment(
            sale_id,
            read_payment("" if word in (ASKED, MANDATE) else word),
            asks_client=word == ASKED,
            mandate=_new_mandate() if word == MANDATE else None,
            version=seen_version(),
            by=current_user(),
            at=clock.now(),
        ),
    )


def _new_mandate() -> NewMandate:
    form = request.form
    return NewMandate(
        iban=form.get("iban", ""),
        holder=form.get("titulaire", ""),
        signed_on=asked_day("signe_le", field="signed_on"),
        signed_in=form.get("signe_a", ""),
    )


def _payment_page(sale: CoverSale, problem: DomainError | None = None) -> str:
    company_id = offers.sold_of(sale).plan.company_id
    can_ask = choosing.find_account(company_id) is not None
    has_default = find_default(sale.client_id, company_id).method is not None
    return render_template(
        "sales/payment.html",
        **frame(sale, SaleStep.PAYMENT, problem),
        offered=_offered(sale, can_ask=can_ask, has_default=has_default),
        chosen=request.form["paiement"]
        if "paiement" in request.form
        else _payment_word(sale, can_ask=can_ask, has_default=has_default),
        written=request.form,
        today=clock.today(),
    )


def _offered(sale: CoverSale, *, can_ask: bool, has_default: bool) -> list[tuple[str, str]]:
    """The choices, what needs least of the client first; the fields of a new mandate stand below the last one."""
    choices = payment_choices(offering.list_means(sale.client_id, on=clock.today()))
    kept = [choice for choice in choices if choice[0] and (choice[0] != DEFAULT or has_default)]
    asked = [(ASKED, "Le client le donne par un lien, dès la signature\u202f: carte ou mandat")] if can_ask else []
    return [*asked, *kept, ("", "À choisir plus tard"), (MANDATE, "Un mandat SEPA donné maintenant")]


def _payment_word(sale: CoverSale, *, can_ask: bool, has_default: bool) -> str:
    """What is chosen; at first what needs least of the client."""
    if sale.step.number > SaleStep.PAYMENT.number:
        return _chosen_word(sale)
    return DEFAULT if has_default else ASKED if can_ask else MANDATE


def _chosen_word(sale: CoverSale) -> str:
    if sale.asks_client:
        return ASKED
    return DEFAULT if sale.follows_default else payment_word_of(choosing.payment_of(sale))


@bp.route("/recapitulatif", methods=["GET", "POST"])
def summary(sale_id: UUID) -> ResponseReturnValue:
    """All of it once more, and from when it holds."""
    return _take_step(
        SaleStep.SUMMARY,
        sale_id,
        _summary_page,
        lambda: choosing.write_start(
            sale_id,
            asked_day("effet", field="effective_on"),
            starts_at_once="immediate" in request.form,
            version=seen_version(),
            at=clock.now(),
        ),
    )


@bp.get("/recapitulatif/offre")
def offer_as_written(sale_id: UUID) -> ResponseReturnValue:
    """What would be signed by what stands in the form: while it changes."""
    sale, asked = drafting.find_sale(sale_id), request.args
    if elsewhere := _elsewhere(sale, SaleStep.SUMMARY):
        return elsewhere
    wished_on = read_day(asked.get("effet"))
    offer = offers.offer_from(sale, wished_on, starts_at_once="immediate" in asked, at=clock.now())
    return render_template("sales/_offer.html", sale=sale, offer=offer, home_line=drafting.home_line(sale))


def _summary_page(sale: CoverSale, problem: DomainError | None = None) -> str:
    return render_template(
        "sales/summary.html",
        **frame(sale, SaleStep.SUMMARY, problem),
        **summary_values(sale),
        later=offers.earliest(clock.today(), starts_at_once=False),
        written=request.form,
        is_sent=request.method == "POST",
    )


def summary_values(sale: CoverSale) -> dict[str, Any]:
    """What the summary shows beside the offer."""
    return {"home_line": drafting.home_line(sale), "payment": _payment_told(sale)}


def _payment_told(sale: CoverSale) -> str:
    if sale.asks_client:
        return "Demandé au client par un lien, après la signature"
    choices = dict(payment_choices(offering.list_means(sale.client_id, on=clock.today())))
    return choices.get(_chosen_word(sale), choices[""])


def to_list() -> ResponseReturnValue:
    """Back to the open sales."""
    return redirect(url_for("sales.index"), 303)
