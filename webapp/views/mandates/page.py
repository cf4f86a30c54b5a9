"""A client's mandates: given, completed, printed and revoked; and its accounts put away."""

from typing import Any
from uuid import UUID

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import DomainError, ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.french import file_size
from webapp.models.banking import Mandate
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.security import current_user
from webapp.services import amendments
from webapp.services.clients import banking, documents, payments
from webapp.services.clients.editing import find_client
from webapp.services.clients.profile import find_header
from webapp.services.mandates import commands, printing
from webapp.services.mandates.commands import MandateFields, MandateStateError
from webapp.services.mandates.printing import NotPrintableError
from webapp.services.organisations import list_companies
from webapp.views.clients.documents import FORM_AROUND, PACE
from webapp.views.clients.page import REVEALS
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import toast
from webapp.views.lists import IMPOSSIBLE_DAY, read, read_day

bp = Blueprint("mandates", __name__, url_prefix="/clients/<uuid:client_id>")


@bp.get("/mandats/nouveau")
def new(client_id: UUID) -> ResponseReturnValue:
    """The form of a new mandate; ``?compte=`` is the account that it is given on."""
    return _form_page(find_client(client_id), None, {"compte": request.args.get("compte", "")})


@bp.post("/mandats/nouveau")
def create(client_id: UUID) -> ResponseReturnValue:
    """Note a new mandate."""
    client = find_client(client_id)
    try:
        mandate = commands.create_mandate(
            client_id,
            _written(),
            mandate_id=read(UUID, request.form.get("demande")),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return _form_page(client, None, request.form, error), error.status
    toast("success", _noted(mandate))
    return _to_payments(client_id)


@bp.get("/mandats/<uuid:mandate_id>")
def edit(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """The form of a mandate that is there: to be completed, signed, corrected or revoked."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    return _form_page(client, mandate, _values(mandate))


@bp.post("/mandats/<uuid:mandate_id>")
def change(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """Complete or correct a mandate."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    try:
        mandate = commands.change_mandate(client_id, mandate_id, _written(), by=current_user(), at=clock.now())
    except (InvalidInputError, MandateStateError) as error:
        return _form_page(client, mandate, request.form, error), error.status
    toast("success", _noted(mandate))
    return _to_payments(client_id)


@bp.get("/mandats/<uuid:mandate_id>/avenant")
def new_amendment(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """The form that puts a mandate on another account, or under another reference."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    return _amendment_page(client, mandate, {"compte": str(mandate.bank_account_id)})


@bp.post("/mandats/<uuid:mandate_id>/avenant")
def amend(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """Change a mandate that is signed, as the client confirmed it in writing."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    try:
        commands.amend_mandate(
            client_id,
            mandate_id,
            bank_account_id=read(UUID, request.form.get("compte")),
            umr=request.form.get("rum", ""),
            is_confirmed="confirme" in request.form,
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, MandateStateError) as error:
        return _amendment_page(client, mandate, request.form, error), error.status
    toast("success", "Avenant enregistré.")
    return redirect(url_for("mandates.edit", client_id=client_id, mandate_id=mandate_id), 303)


def _amendment_page(client: Client, mandate: Mandate, written: Any, problem: DomainError | None = None) -> str:
    return render_template(
        "mandates/amendment.html",
        client=client,
        mandate=mandate,
        written=written,
        problem=problem,
        accounts=_account_choices(client.id),
    )


@bp.post("/mandats/<uuid:mandate_id>/mandat-signe")
@limiter.limit(PACE, key_func=lambda: str(session.get("user_id")))
def add_signed_copy(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """Keep the file ``fichier`` as the signed copy of the mandate; the newest is the one that counts."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    file = request.files.get("fichier")
    given_name, content = (file.filename or "", file.read()) if file else ("", b"")
    try:
        document = documents.add_document(
            client_id, given_name, content, mandate=mandate, by=current_user(), at=clock.now()
        )
    except InvalidInputError as error:
        return _form_page(client, mandate, _values(mandate), copy_problem=error), error.status
    toast("success", f"{document.name} est gardé comme mandat signé.")
    return redirect(url_for("mandates.edit", client_id=client_id, mandate_id=mandate_id), 303)


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "mandates.add_signed_copy":
        request.max_content_length = documents.SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """What is so large that nobody reads it is refused where any other file is: beside the field."""
    client_id, mandate_id = ((request.view_args or {})[name] for name in ("client_id", "mandate_id"))
    try:
        client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    except NotFoundError:
        return _to_payments(client_id)  # no handler answers for this one: the page itself says that there is none
    problem = InvalidInputError(documents.TOO_LARGE, field="file")
    return _form_page(client, mandate, _values(mandate), copy_problem=problem), 413


@bp.post("/mandats/<uuid:mandate_id>/revocation")
def revoke(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """Revoke a mandate."""
    mandate = commands.revoke_mandate(client_id, mandate_id, by=current_user(), at=clock.now())
    toast("success", f"Mandat {mandate.umr or 'déclaré'} révoqué\u202f: plus rien n’est prélevé sous lui.")
    return _to_payments(client_id)


@bp.post("/mandats/<uuid:mandate_id>/pdf")
@limiter.limit(REVEALS, key_func=lambda: str(session.get("user_id")))
def download(client_id: UUID, mandate_id: UUID) -> ResponseReturnValue:
    """The form to sign, as a PDF. Its IBAN is written in where the user may see it, and the timeline tells so."""
    client, mandate = find_client(client_id), commands.find_mandate(client_id, mandate_id)
    try:
        printing.render(mandate, None)  # refused before anything is revealed
    except NotPrintableError as error:
        return _form_page(client, mandate, _values(mandate), print_problem=error), error.status
    try:
        details = banking.reveal(client_id, mandate.bank_account_id, by=current_user(), at=clock.now())
    except ForbiddenError:
        details = None
    response = make_response(printing.print_mandate(mandate, details))
    response.mimetype = "application/pdf"
    response.headers.set("Content-Disposition", "attachment", filename=printing.file_name(mandate))
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/comptes/<uuid:account_id>/archivage")
def confirm_archiving(client_id: UUID, account_id: UUID) -> ResponseReturnValue:
    """What stops with an account on which mandates stand, to be confirmed."""
    return _archiving_page(find_client(client_id), account_id)


@bp.post("/comptes/<uuid:account_id>/archivage")
def archive(client_id: UUID, account_id: UUID) -> ResponseReturnValue:
    """Put an account away; where mandates stand on it, once that is confirmed."""
    is_confirmed, by = "confirme" in request.form, current_user()
    try:
        account = commands.archive_account(client_id, account_id, is_confirmed=is_confirmed, by=by, at=clock.now())
    except MandateStateError as error:
        return _archiving_page(find_client(client_id), account_id), error.status
    toast("success", f"Compte {account.iban_masked} archivé.")
    return _to_payments(client_id)


def _archiving_page(client: Client, account_id: UUID) -> str:
    standing = commands.list_standing(account_id)
    return render_template(
        "mandates/archiving.html",
        client=client,
        account=banking.find_account(client.id, account_id),
        mandates=standing,
        stops=commands.find_stops(*standing),
        back=url_for("client.show", client_id=client.id, onglet=ClientTab.PAYMENTS),
    )


def _written() -> MandateFields:
    """What stands in the form. Raises InvalidInputError for a day that there is not."""
    typed = request.form.get("signature", "").strip()
    signed_on = read_day(typed)
    if typed and signed_on is None:
        raise InvalidInputError(IMPOSSIBLE_DAY, field="signed_on")
    return MandateFields(
        bank_account_id=read(UUID, request.form.get("compte")),
        company_id=read(UUID, request.form.get("societe")),
        umr=request.form.get("rum", ""),
        signed_on=signed_on,
        signed_in=request.form.get("lieu", ""),
    )


def _values(mandate: Mandate) -> dict[str, Any]:
    return {
        "compte": str(mandate.bank_account_id),
        "societe": str(mandate.company_id or ""),
        "rum": mandate.umr or "",
        "signature": mandate.signed_on.isoformat() if mandate.signed_on else "",
        "lieu": mandate.signed_in or "",
    }


def _form_page(
    client: Client,
    mandate: Mandate | None,
    written: Any,
    problem: InvalidInputError | MandateStateError | None = None,
    *,
    copy_problem: InvalidInputError | None = None,
    print_problem: DomainError | None = None,
) -> str:
    companies = list_companies()
    return render_template(
        "mandates/form.html",
        client=client,
        mandate=mandate,
        fault=mandate.fault(clock.today()) if mandate else None,
        stops=commands.find_stops(mandate) if mandate else None,
        written=written,
        demand=written.get("demande") or new_id(),
        problem=problem,
        copy_problem=copy_problem,
        print_problem=print_problem,
        copies=documents.list_signed_copies(mandate.id) if mandate else [],
        may_reveal=find_header(client.id, viewer=current_user()).may_reveal,
        accepted=",".join(documents.KINDS),
        taken=documents.TAKEN,
        limit=file_size(documents.SIZE_LIMIT),
        amendments=amendments.list_of_mandate(mandate.id) if mandate else [],
        accounts=_account_choices(client.id),
        companies=[(str(company.id), company.name) for company in companies],
        today=clock.today().isoformat(),
        back=url_for("client.show", client_id=client.id, onglet=ClientTab.PAYMENTS),
    )


def _account_choices(client_id: UUID) -> list[tuple[str, str]]:
    accounts = (entry.account for entry in payments.list_accounts(client_id))
    return [(str(account.id), account.iban_masked) for account in accounts if account.archived_at is None]


def _noted(mandate: Mandate) -> str:
    if mandate.signed_on is None:
        return f"Mandat {mandate.umr} enregistré\u202f: imprimez-le et faites-le signer."
    return f"Mandat {mandate.umr} enregistré\u202f: il peut servir."


def _to_payments(client_id: UUID) -> ResponseReturnValue:
    return redirect(url_for("client.show", client_id=client_id, onglet=ClientTab.PAYMENTS), 303)
