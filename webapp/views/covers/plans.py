"""« Formules »: what is sold as a cover. Managers read it, admins write drafts and publish them."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.french import field_amount, read_number
from webapp.models.covers import (
    CoverNature,
    CoverPlan,
    CoverPlanDocument,
    CoverPlanVersion,
    HomeKind,
    PlanDocumentKind,
    Trade,
    YearKind,
)
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services import plan_documents
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers import documents, plans, zones
from webapp.services.covers.plans import OptionFields, PlanStateError, VersionFields
from webapp.services.organisations import list_companies
from webapp.views.clients.documents import FORM_AROUND
from webapp.views.covers import wording
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.coupons import read_count
from webapp.views.subscriptions.form import TAX_CHOICES

bp = Blueprint("cover_plans", __name__, url_prefix="/couvertures/formules")

for_managers = requires(Role.MANAGER, Role.ADMIN)
for_admins = requires(Role.ADMIN)

NATURES = [(each.value, each.label) for each in CoverNature]
YEARS = [(each.value, each.label) for each in YearKind]
OPTION_NAMES = (
    "nom",
    "code",
    "option_prix",
    "option_metier",
    "option_carence",
    "option_franchise",
    "option_plafond_intervention",
    "option_plafond_annuel",
)


bp.add_app_template_filter(wording.option_in_a_line, "option_terms")


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """All plans, and the form of a new one."""
    return _list_page()


@bp.post("")
@for_admins
def create() -> ResponseReturnValue:
    """Begin a plan."""
    form = request.form
    company_id = read(UUID, form.get("societe"))
    try:
        plan = plans.create_plan(
            form.get("code", ""), form.get("nom", ""), company_id, by=current_user(), at=clock.now()
        )
    except InvalidInputError as error:
        return _list_page(error), error.status
    toast("success", f"Formule {plan.label} créée\u202f: complétez son brouillon, puis publiez-le.")
    return redirect(url_for("cover_plans.show", plan_id=plan.id), 303)


@bp.get("/<uuid:plan_id>")
@for_managers
def show(plan_id: UUID) -> ResponseReturnValue:
    """A plan: its draft, and its versions side by side."""
    return _page(plans.find_plan(plan_id))


@bp.post("/<uuid:plan_id>")
@for_admins
def edit(plan_id: UUID) -> ResponseReturnValue:
    """Write down what the draft promises."""
    try:
        plans.edit_draft(plan_id, _written_version(), edits=_seen_edits())
    except (InvalidInputError, EditConflictError) as error:
        return _page(plans.find_plan(plan_id), error, of="version"), error.status
    return _done(plan_id, "Brouillon enregistré.")


@bp.post("/<uuid:plan_id>/options")
@for_admins
def add_option(plan_id: UUID) -> ResponseReturnValue:
    """Add an option to the draft, or replace the one of that code."""
    try:
        option = plans.add_option(plan_id, _written_option())
    except InvalidInputError as error:
        return _page(plans.find_plan(plan_id), error, of="option"), error.status
    return _done(plan_id, f"Option {option.label} enregistrée.")


@bp.post("/<uuid:plan_id>/options/retirer")
@for_admins
def remove_option(plan_id: UUID) -> ResponseReturnValue:
    """Take an option out of the draft."""
    plans.remove_option(plan_id, request.form.get("code", ""))
    return _done(plan_id, "Option retirée.")


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "cover_plans.add_document":
        request.max_content_length = documents.SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """What is so large that nobody reads it: the plan's page says so, to those who may see it."""
    toast("error", documents.TOO_LARGE)
    return redirect(url_for("cover_plans.show", plan_id=(request.view_args or {})["plan_id"]), 303)


@bp.post("/<uuid:plan_id>/documents")
@for_admins
def add_document(plan_id: UUID) -> ResponseReturnValue:
    """Give the draft a document, or replace the one of that kind."""
    file, kind = request.files.get("fichier"), read(PlanDocumentKind, request.form.get("type"))
    try:
        added = documents.add_document(
            plan_id, kind, request.form.get("edition", ""), file.read() if file else b"", at=clock.now()
        )
    except InvalidInputError as error:
        return _page(plans.find_plan(plan_id), error, of="document"), error.status
    return _done(plan_id, f"Document enregistré\u202f: {added.name}.")


@bp.post("/<uuid:plan_id>/documents/retirer")
@for_admins
def remove_document(plan_id: UUID) -> ResponseReturnValue:
    """Take a document out of the draft."""
    documents.remove_document(plan_id, read(PlanDocumentKind, request.form.get("type")))
    return _done(plan_id, "Document retiré.")


@bp.get("/<uuid:plan_id>/documents/<uuid:document_id>")
@for_managers
def document(plan_id: UUID, document_id: UUID) -> ResponseReturnValue:
    """A document of one of the plan's versions."""
    plan = plans.find_plan(plan_id)
    found, path = plan_documents.find_file(document_id)
    if found.version_id not in {version.id for version in plan.versions}:
        raise NotFoundError(plan_documents.GONE)
    return send_document(found, path)


def send_document(found: CoverPlanDocument, path: Path) -> Response:
    """A document of a plan, always as a download: nothing that somebody put here is shown under our name."""
    response = send_file(path, mimetype="application/pdf", as_attachment=True, download_name=found.name)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@bp.post("/<uuid:plan_id>/publier")
@for_admins
def publish(plan_id: UUID) -> ResponseReturnValue:
    """Sell the draft from now on."""
    try:
        version = plans.publish(plan_id, edits=_seen_edits(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _page(plans.find_plan(plan_id), error, of="version"), error.status
    return _done(plan_id, f"La version {version.version} est en vente. Les couvertures déjà vendues gardent la leur.")


@bp.post("/<uuid:plan_id>/nouvelle-version")
@for_admins
def draft_next(plan_id: UUID) -> ResponseReturnValue:
    """Begin the next version."""
    draft = plans.draft_next(plan_id, by=current_user(), at=clock.now())
    return _done(plan_id, f"Version {draft.version} en préparation, copiée de la précédente.")


@bp.post("/<uuid:plan_id>/abandonner")
@for_admins
def drop_draft(plan_id: UUID) -> ResponseReturnValue:
    """Give the draft up."""
    is_left = plans.drop_draft(plan_id)
    toast("success", "Brouillon abandonné.")
    address = url_for("cover_plans.show", plan_id=plan_id) if is_left else url_for("cover_plans.index")
    return redirect(address, 303)


@bp.errorhandler(PlanStateError)
def _state_refused(error: PlanStateError) -> ResponseReturnValue:
    """Somebody published or dropped the draft meanwhile: the page says so, as it stands now."""
    plan_id: UUID = (request.view_args or {})["plan_id"]
    return _page(plans.find_plan(plan_id), error), error.status


def _seen_edits() -> int:
    return read(int, request.form.get("modifications")) or 0


def _amount(name: str) -> Decimal | None:
    """An amount of the form: None where nothing is written, NaN where it is none."""
    return read_number(request.form.get(name, ""))


def _trades(name: str) -> frozenset[Trade]:
    return frozenset(trade for text in request.form.getlist(name) if (trade := read(Trade, text)))


def _written_version() -> VersionFields:
    form = request.form
    return VersionFields(
        nature=read(CoverNature, form.get("nature")) or CoverNature.INSURANCE,
        year=read(YearKind, form.get("annee")) or YearKind.ANNIVERSARY,
        trades=_trades("metier"),
        waiting_days=read_count(form, "carence", "waiting_days") or 0,
        deductible=_amount("franchise") or Decimal(0),
        cap_per_claim=_amount("plafond_intervention"),
        cap_per_year=_amount("plafond_annuel"),
        claims_per_year=read_count(form, "interventions", "claims_per_year"),
        home_kinds=frozenset(kind for text in form.getlist("logement") if (kind := read(HomeKind, text))),
        price=_amount("prix"),
        zone_prices=_zone_prices(),
        vat_rate=_amount("tva") or Decimal(0),
        commitment_months=read_count(form, "engagement", "commitment_months") or 0,
        notice_days=read_count(form, "preavis", "notice_days") or 0,
    )


def _zone_prices() -> dict[str, Decimal]:
    """The prices by zone that are written; those of zones that nobody knows any more do not count."""
    written = ((zone.code, _amount(plans.zone_field(zone.code))) for zone in zones.list_zones())
    return {code: price for code, price in written if price is not None}


def _written_option() -> OptionFields:
    form = request.form
    return OptionFields(
        code=form.get("code", ""),
        label=form.get("nom", ""),
        trades=_trades("option_metier"),
        waiting_days=read_count(form, "option_carence", "waiting_days") or 0,
        deductible=_amount("option_franchise") or Decimal(0),
        cap_per_claim=_amount("option_plafond_intervention"),
        cap_per_year=_amount("option_plafond_annuel"),
        draws_on_main_cap="option_plafond_commun" in form,
        price=_amount("option_prix") or Decimal(0),
    )


def _shown(version: CoverPlanVersion) -> dict[str, Any]:
    """The draft as its form shows it."""
    fields = plans.fields_of(version)
    return {
        "nature": fields.nature.value,
        "annee": fields.year.value,
        "metier": {trade.value for trade in fields.trades},
        "carence": fields.waiting_days,
        "franchise": field_amount(fields.deductible),
        "plafond_intervention": field_amount(fields.cap_per_claim),
        "plafond_annuel": field_amount(fields.cap_per_year),
        "interventions": "" if fields.claims_per_year is None else fields.claims_per_year,
        "logement": {kind.value for kind in fields.home_kinds},
        "prix": field_amount(fields.price),
        **{plans.zone_field(zone.code): "" for zone in zones.list_zones()},
        **{plans.zone_field(code): field_amount(price) for code, price in fields.zone_prices.items()},
        "tva": f"{fields.vat_rate.normalize():f}",
        "engagement": fields.commitment_months,
        "preavis": fields.notice_days,
    }


def _as_sent(names: Iterable[str]) -> dict[str, Any]:
    """The form as it was sent; what it left out is blank."""
    lists = ("metier", "logement", "option_metier")
    sent = {name: set(request.form.getlist(name)) for name in lists}
    return {**dict.fromkeys(names, ""), **request.form.to_dict(), **sent}


def _list_page(problem: DomainError | None = None) -> str:
    companies = list_companies()
    return render_template(
        "covers/plans.html",
        plans=plans.list_plans(),
        prices={version.plan_id: wording.price(version) for version in plans.list_sold()},
        companies=[(str(company.id), company.name) for company in companies],
        may_write=current_user().has_role(Role.ADMIN),
        written=request.form if request.method == "POST" else {},
        problem=problem,
    )


def _page(plan: CoverPlan, problem: DomainError | None = None, *, of: str = "") -> str:
    draft = plan.draft
    shown = _shown(draft) if draft else {}
    if of == "version" and "nature" in request.form:
        shown = _as_sent(shown)
    return render_template(
        "covers/plan.html",
        plan=plan,
        draft=draft,
        written=shown,
        written_option=_as_sent(OPTION_NAMES) if of == "option" else dict.fromkeys(OPTION_NAMES, ""),
        problem=problem if of not in ("option", "document") else None,
        option_problem=problem if of == "option" else None,
        document_problem=problem if of == "document" else None,
        document_kinds=[(each.value, each.label) for each in PlanDocumentKind],
        written_document=request.form if of == "document" else {},
        natures=NATURES,
        years=YEARS,
        trades=list(Trade),
        home_kinds=list(HomeKind),
        zones=[(plans.zone_field(zone.code), zone) for zone in zones.list_zones()],
        zones_changed=plans.ZONES_CHANGED if draft and not zones.is_current(draft) else "",
        vat_choices=TAX_CHOICES,
        comparison=wording.compare(plan.versions),
        may_write=current_user().has_role(Role.ADMIN),
    )


def _done(plan_id: UUID, sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("cover_plans.show", plan_id=plan_id), 303)
