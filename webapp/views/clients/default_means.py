"""A client's default means of payment with a company: chosen, shown with what follows, then confirmed."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.french import counted
from webapp.models.clients import Client
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.charges import resuming
from webapp.services.clients.editing import find_client
from webapp.services.organisations import find_company
from webapp.services.subscriptions import defaults, means
from webapp.services.subscriptions.means import PaymentFields
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import toast
from webapp.views.subscriptions.form import kept_choices, payment_word_of, read_payment

bp = Blueprint("default_means", __name__, url_prefix="/clients/<uuid:client_id>/moyen-par-defaut/<uuid:company_id>")


bp.add_app_template_filter(lambda paid_by: defaults.describe(paid_by) or "Aucun", "means_words")


@bp.get("")
def edit(client_id: UUID, company_id: UUID) -> ResponseReturnValue:
    """The choice; once ``moyen`` is chosen, what follows from it, to be confirmed."""
    client = find_client(client_id)
    if "moyen" not in request.args:
        return _page(client, company_id, payment_word_of(means.find_default(client_id, company_id)))
    chosen = request.args["moyen"]
    try:
        means.find_means(_asked(chosen), client_id=client_id, company_id=company_id)
    except InvalidInputError as error:
        return _page(client, company_id, chosen, problem=error), error.status
    return _page(client, company_id, chosen, is_chosen=True)


@bp.post("")
def change(client_id: UUID, company_id: UUID) -> ResponseReturnValue:
    """Make it the default; with ``reprise``, try again what waited for a means of payment."""
    client, chosen = find_client(client_id), request.form.get("moyen", "")
    by, at = current_user(), clock.now()
    try:
        followers = defaults.set_default(client_id, company_id, _asked(chosen), by=by, at=at)
    except InvalidInputError as error:
        return _page(client, company_id, chosen, problem=error), error.status
    words = f"Moyen par défaut enregistré\u202f: {_followed(len(followers))}."
    if "reprise" in request.form and by.has_role(Role.MANAGER, Role.ADMIN):
        resumed = resuming.resume_all(client_id=client_id, by=by, at=at).resumed
        words += f" {counted(resumed, 'prélèvement repris', 'prélèvements repris')}."
    toast("success", words)
    return redirect(url_for("client.show", client_id=client_id, onglet=ClientTab.PAYMENTS), 303)


def _followed(number: int) -> str:
    if number == 0:
        return "aucun abonnement ne le suit encore"
    return f"{counted(number, 'abonnement')} {'le suit' if number == 1 else 'le suivent'}"


def _asked(word: str) -> PaymentFields:
    """What the choice stands for; a default follows no other."""
    fields = read_payment(word)
    return PaymentFields() if fields.follows_default else fields


def _page(
    client: Client,
    company_id: UUID,
    chosen: str,
    *,
    is_chosen: bool = False,
    problem: InvalidInputError | None = None,
) -> str:
    company = find_company(company_id)
    choices = [("", "Aucun"), *kept_choices(defaults.list_choices(client.id, company_id, on=clock.today()))]
    if chosen not in dict(choices):
        choices.append((chosen, "Moyen actuel (inutilisable)"))
    followers = defaults.list_followers(client.id, company_id)
    return render_template(
        "clients/default_means.html",
        client=client,
        company=company,
        choices=choices,
        chosen=chosen,
        is_chosen=is_chosen,
        problem=InvalidInputError(problem.message, field="moyen") if problem else None,
        followers=followers,
        waiting=resuming.count_waiting(*(subscription.id for subscription in followers)) if followers else 0,
        may_resume=current_user().has_role(Role.MANAGER, Role.ADMIN),
        back=url_for("client.show", client_id=client.id, onglet=ClientTab.PAYMENTS),
    )
