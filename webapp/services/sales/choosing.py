"""What is sold, on which papers, and how it is paid: the middle steps of a sale."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.messages import MessageKind
from webapp.models.providers import ProviderAccount
from webapp.models.sales import CoverSale, DocumentsWay, SaleStep
from webapp.models.subscriptions import Frequency
from webapp.services.clients import banking
from webapp.services.clients.banking import BankDetails
from webapp.services.consents import recording
from webapp.services.consents.recording import ConsentFields
from webapp.services.covers import homes, plans, selling
from webapp.services.dunning import days
from webapp.services.mandates import commands as mandates
from webapp.services.mandates.commands import MandateFields
from webapp.services.means_requests import commands as means_requests
from webapp.services.messages import writing
from webapp.services.messages.writing import Attachment, Draft
from webapp.services.sales import drafting, offers
from webapp.services.sales.drafting import SaleStateError
from webapp.services.subscriptions import means
from webapp.services.subscriptions.means import PaymentFields

OFF = "Ce message est désactivé pour cette société\u202f: remettez les documents en main propre."


def choose_plan(
    sale_id: UUID,
    version_id: UUID | None,
    option_codes: frozenset[str],
    frequency: str,
    *,
    version: int,
    at: datetime,
) -> CoverSale:
    """Choose what is sold, and how often it is paid.

    Raises as ``drafting.step``; InvalidInputError, naming the field.
    """
    with drafting.step(sale_id, SaleStep.PLAN, version, at=at) as sale:
        if not sale.has_home:
            raise SaleStateError("Indiquez d’abord le logement.")
        sold = next((each for each in plans.list_sold() if each.id == version_id), None)
        if sold is None:
            raise InvalidInputError("Choisissez une formule en vente.", field="version")
        price = homes.price_at(sold, drafting.home_of(sale))
        selling.find_options(sold, option_codes)
        selling.months_of(frequency)
        if sale.plan_version and sale.plan_version.plan.company_id != sold.plan.company_id:
            drafting.forget_payment(sale)
        sale.plan_version_id, sale.plan_price, sale.frequency = sold.id, price, Frequency(frequency)
        sale.option_codes = sorted(option_codes)
    return drafting.find_sale(sale_id)


def give_documents(
    sale_id: UUID,
    way: DocumentsWay | None,
    consents: Mapping[ConsentPurpose, bool],
    channel: ConsentChannel,
    *,
    version: int,
    by: User,
    at: datetime,
) -> CoverSale:
    """Note that the client was given the documents of the plan, or send them; and what the client consents to.

    Without ``way`` what was given already stands. Raises as ``drafting.step``; InvalidInputError, naming the field.
    """
    with drafting.step(sale_id, SaleStep.DOCUMENTS, version, at=at) as sale:
        sold = offers.sold_of(sale)
        if way is not None and sold.documents:
            if way is DocumentsWay.EMAIL:
                _send_documents(sale, by=by, at=at)
            sale.documents_version_id, sale.documents_way, sale.documents_given_at = sold.id, way, at
        if not offers.has_documents(sale):
            raise InvalidInputError("Dites comment le client reçoit les documents.", field="way")
        for purpose, agrees in consents.items():
            fields = ConsentFields(purpose=purpose, agrees=agrees, channel=channel)
            consent_id = uuid5(sale_id, f"{purpose}:{version}")
            recording.record(sale.client_id, fields, consent_id=consent_id, by=by, at=at)
    return drafting.find_sale(sale_id)


def _send_documents(sale: CoverSale, *, by: User, at: datetime) -> None:
    sold = offers.sold_of(sale)
    if not sale.client.email:
        raise InvalidInputError("Ce client n’a pas d’adresse e-mail.", field="way")
    draft = Draft(
        kind=MessageKind.SALE_DOCUMENTS,
        company_id=sold.plan.company_id,
        client_id=sale.client_id,
        subject_id=sale.id,
        occasion=str(sale.version),
        variables={"formule": sold.plan.label},
        attachments=tuple(Attachment("plan_document", document.id) for document in sold.documents),
    )
    if writing.write(draft, at=at, by=by.id) is None:
        raise InvalidInputError(OFF, field="way")


@dataclass(frozen=True, kw_only=True)
class NewMandate:
    """A mandate that the client has just given: the account, and when and where it was signed."""

    iban: str
    holder: str = ""
    signed_on: date | None = None
    signed_in: str = ""


def choose_payment(
    sale_id: UUID,
    payment: PaymentFields,
    *,
    asks_client: bool = False,
    mandate: NewMandate | None = None,
    version: int,
    by: User,
    at: datetime,
) -> CoverSale:
    """Choose how it is paid: by what we have, by a ``mandate`` given now, or by what the client ``asks_client`` gives.

    Raises as ``drafting.step``; InvalidInputError, naming the field.
    """
    with drafting.step(sale_id, SaleStep.PAYMENT, version, at=at) as sale:
        company_id = offers.sold_of(sale).plan.company_id
        if mandate is not None:
            payment = _give_mandate(sale.client, company_id, mandate, by=by, at=at)
        if asks_client and find_account(company_id) is None:
            raise InvalidInputError(
                "La société n’a pas de prestataire qui demande un moyen par un lien.", field="payment"
            )
        means.find_means(payment, client_id=sale.client_id, company_id=company_id)
        drafting.forget_payment(sale)
        sale.asks_client, sale.follows_default = asks_client, payment.follows_default
        sale.payment_method = PaymentMethod(payment.method) if payment.method else None
        sale.saved_method_id, sale.mandate_id = payment.saved_method_id, payment.mandate_id
    return drafting.find_sale(sale_id)


def _give_mandate(client: Client, company_id: UUID, given: NewMandate, *, by: User, at: datetime) -> PaymentFields:
    """The account, unless the client has it already, and the mandate on it."""
    details = BankDetails(iban=given.iban, holder=given.holder or None).normalised()
    banking.add_account(client, details, by=by, at=at)
    db.session.flush()
    account = banking.find_by_iban(client, details.iban)
    fields = MandateFields(
        bank_account_id=account.id, company_id=company_id, signed_on=given.signed_on, signed_in=given.signed_in
    )
    mandate = mandates.create_mandate(client.id, fields, by=by, at=at)
    return PaymentFields(method=PaymentMethod.SEPA, mandate_id=mandate.id)


def find_account(company_id: UUID) -> ProviderAccount | None:
    """The company's account whose provider asks clients for a means of payment, if there is one."""
    accounts = means_requests.list_accounts()
    return next((account for account in accounts if account.company_id == company_id), None)


def payment_of(sale: CoverSale) -> PaymentFields:
    """How it is paid, as a subscription's fields say it."""
    return PaymentFields(
        method=sale.payment_method,
        saved_method_id=sale.saved_method_id,
        mandate_id=sale.mandate_id,
        follows_default=sale.follows_default,
    )


def write_start(
    sale_id: UUID, effective_on: date | None, *, starts_at_once: bool, version: int, at: datetime
) -> CoverSale:
    """Say from when it holds: without a day as soon as may be (see ``offers.earliest``).

    Raises as ``drafting.step``; InvalidInputError (field « effective_on »).
    """
    today = days.local(at)
    with drafting.step(sale_id, SaleStep.SUMMARY, version, at=at) as sale:
        if effective_on is not None:
            earliest = offers.earliest(today, starts_at_once=starts_at_once)
            if effective_on < earliest:
                raise InvalidInputError(offers.too_early(earliest, starts_at_once=starts_at_once), field="effective_on")
            if effective_on > today + selling.FURTHEST:
                raise InvalidInputError("La couverture prend effet dans un an au plus tard.", field="effective_on")
        sale.effective_on, sale.starts_at_once = effective_on, starts_at_once
    return drafting.find_sale(sale_id)
