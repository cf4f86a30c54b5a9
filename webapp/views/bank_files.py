"""Bank files: what waits for one, their way to the bank, and the debits that it sends back. For managers."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.gateways.providers.refusals import SEPA_CODES
from webapp.models.bank_files import BankFileStatus
from webapp.models.identity import Role
from webapp.models.messages import MessageKind
from webapp.security import current_user, requires
from webapp.services.bank_files import files, listing, notices, returns
from webapp.services.bank_files.files import BankFileStateError
from webapp.services.bank_files.listing import PAGE_SIZE
from webapp.services.bank_files.notices import NoticeStateError
from webapp.services.bank_files.returns import ReturnedLine
from webapp.services.charges import decisions
from webapp.services.messages import listing as messages
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read, read_day

bp = Blueprint("bank_files", __name__, url_prefix="/prelevements/fichiers")

CODES = [("", "Choisissez"), *((code, f"{code} – {words}") for code, words in SEPA_CODES.items())]
STEPS: dict[str, Callable[[UUID, datetime], object]] = {
    "generer": lambda file_id, at: files.export_file(file_id, at=at),
    "transmis": lambda file_id, at: files.mark_sent(file_id, at=at),
    "confirme": lambda file_id, at: files.mark_confirmed(file_id, at=at),
    "defaire": lambda file_id, _at: files.take_apart(file_id),
}
"""What may be done with a file, as the addresses say it."""
DONE = {
    "generer": "Fichier {code} généré\u202f: téléchargez-le, puis transmettez-le à votre banque.",
    "transmis": "Fichier {code} noté comme transmis.",
    "confirme": "Fichier {code} confirmé\u202f: ses paiements vont être notés.",
    "defaire": "Fichier {code} défait\u202f: ses prélèvements attendent de nouveau.",
}

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """What waits for a file, account by account, and the files."""
    return _index_page()


def _index_page(refused_account: UUID | None = None, problem: DomainError | None = None) -> str:
    at = clock.now()
    paged = read(UUID, request.args.get("compte"))
    rows = listing.list_files(before=read(UUID, request.args.get("avant")), limit=PAGE_SIZE + 1)
    page_rows = rows[:PAGE_SIZE]
    accounts = []
    for waiting in listing.list_bank_accounts(at=at):
        account_id = waiting.account.id
        cursor = request.args.get("apres") if account_id == paged else None
        page = listing.list_waiting(account_id, cursor=cursor) if waiting.number else None
        following = page and page.next_cursor and url_for("bank_files.index", compte=account_id, apres=page.next_cursor)
        accounts.append((waiting, page.rows if page else [], following))
    return render_template(
        "bank_files/list.html",
        accounts=accounts,
        today=clock.today(),
        letters=messages.count_letters().get(MessageKind.SEPA_NOTICE, 0),
        files=page_rows,
        next_page=url_for("bank_files.index", avant=page_rows[-1].file.id) if len(rows) > PAGE_SIZE else None,
        refused_account=refused_account,
        problem=problem,
        written=request.form,
    )


@bp.post("/comptes/<uuid:account_id>")
@for_managers
def prepare(account_id: UUID) -> ResponseReturnValue:
    """Prepare a file of the account for a day."""
    try:
        file = files.prepare_file(account_id, collected_on=_written_day("collected_on"), at=clock.now())
    except (InvalidInputError, BankFileStateError) as error:
        return _index_page(account_id, error), error.status
    toast(
        "success",
        f"Fichier {file.code} préparé\u202f: {file.number_of_debits} à prélever. Vérifiez-le, puis générez-le.",
    )
    return redirect(url_for("bank_files.show", file_id=file.id), 303)


def _written_day(field: str) -> date:
    day = read_day(request.form.get("date"))
    if day is None:
        raise InvalidInputError("Indiquez une date.", field=field)
    return day


@bp.post("/attente/<uuid:attempt_id>/retirer")
@for_managers
def withdraw(attempt_id: UUID) -> ResponseReturnValue:
    """Take a debit back that waits for a file."""
    charge = decisions.find_charge(files.withdraw(attempt_id, at=clock.now()))
    toast("success", f"Prélèvement {charge.code} retiré\u202f: il est dans la liste de ceux à traiter.")
    return redirect(url_for("bank_files.index"), 303)


@bp.post("/avis/<uuid:charge_id>/lettre")
@for_managers
def print_notice(charge_id: UUID) -> ResponseReturnValue:
    """Write the notice of a waiting debit as a letter, since it did not reach the client otherwise."""
    try:
        notice = notices.print_instead(charge_id, by=current_user(), at=clock.now())
    except NoticeStateError as error:
        toast("error", error.message)
    else:
        toast("success", f"Avis {notice.code} prêt à imprimer\u202f: il est dans les lettres à poster.")
    return redirect(url_for("bank_files.index"), 303)


@bp.get("/<uuid:file_id>")
@for_managers
def show(file_id: UUID) -> ResponseReturnValue:
    """One file: where it stands, what may be done now, its debits. HTMX asks how far its settling is."""
    if is_fragment_request():
        return _follow(file_id)
    return _file_page(file_id)


def _file_page(file_id: UUID, problem: DomainError | None = None) -> str:
    return render_template("bank_files/show.html", problem=problem, **_file_values(file_id))


def _file_values(file_id: UUID) -> dict[str, Any]:
    file, company = listing.find_file(file_id)
    rows = listing.list_debits(file.id, after=read(UUID, request.args.get("apres")), size=PAGE_SIZE + 1)
    page_rows = rows[:PAGE_SIZE]
    following = (
        url_for("bank_files.show", file_id=file.id, apres=page_rows[-1][0].id) if len(rows) > PAGE_SIZE else None
    )
    return {
        "file": file,
        "company": company,
        "fault": None if file.exported_at else files.find_creditor_fault(file.provider_account_id),
        "debits": page_rows,
        "next_page": following,
        "unsettled": listing.count_unsettled(file.id) if file.status is BankFileStatus.CONFIRMED else 0,
        "may_confirm": file.status is BankFileStatus.SENT and file.collected_on <= clock.today(),
    }


def _follow(file_id: UUID) -> Response:
    """The progress of settling, and once it is over the debits as they stand now."""
    values = _file_values(file_id)
    if values["unsettled"]:
        return make_response(render_template("bank_files/_settling.html", **values))
    toast("success", f"Les prélèvements du fichier {values['file'].code} sont tous notés.")
    return make_response(render_template("bank_files/_settled.html", **values))


@bp.post("/<uuid:file_id>/<any(generer, transmis, confirme, defaire):word>")
@for_managers
def step(file_id: UUID, word: str) -> ResponseReturnValue:
    """Take a file one step further, or take it apart."""
    code = listing.find_file(file_id).file.code
    try:
        STEPS[word](file_id, clock.now())
    except BankFileStateError as error:
        return _file_page(file_id, error), error.status
    toast("success", DONE[word].format(code=code))
    address = url_for("bank_files.index") if word == "defaire" else url_for("bank_files.show", file_id=file_id)
    return redirect(address, 303)


@bp.get("/<uuid:file_id>/contenu")
@for_managers
def download(file_id: UUID) -> Response:
    """The bytes for the bank, always the same, and always as a download."""
    file, content = files.read_content(file_id)
    response = make_response(content)
    response.mimetype = "application/xml"
    name = f"prelevements-{file.collected_on}-{file.code}.xml"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@bp.route("/retours", methods=["GET", "POST"])
@for_managers
def note_return() -> ResponseReturnValue:
    """The form of a debit that came back, and its note; ``?reference=…`` names the debit."""
    if request.method == "GET":
        return _returns_page({"reference": request.args.get("reference", ""), "date": clock.today()})
    try:
        charge_id = returns.note_return(
            request.form.get("reference", ""),
            code=request.form.get("code", ""),
            returned_on=_written_day("returned_on"),
            at=clock.now(),
        )
    except DomainError as error:
        return _returns_page(request.form, problem=error), error.status
    toast("success", f"Rejet noté pour {decisions.find_charge(charge_id).code}.")
    return redirect(url_for("bank_files.note_return"), 303)


@bp.post("/retours/liste")
@for_managers
def import_returns() -> ResponseReturnValue:
    """Note every debit of a list, and say line by line what could not be."""
    file = request.files.get("liste")
    blank = {"date": clock.today()}
    try:
        lines = returns.import_returns(file.read() if file else b"", at=clock.now())
    except InvalidInputError as error:
        return _returns_page(blank, problem=error), error.status
    return _returns_page(blank, lines=lines)


def _returns_page(written: Any, *, problem: DomainError | None = None, lines: list[ReturnedLine] | None = None) -> str:
    return render_template(
        "bank_files/returns.html",
        written=written,
        problem=problem,
        codes=CODES,
        today=clock.today(),
        noted=None if lines is None else sum(line.fault is None for line in lines),
        faults=[line for line in lines or () if line.fault is not None],
        most_lines=returns.LARGEST_LIST,
    )
