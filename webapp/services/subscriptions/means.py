"""Means of payment: what a subscription is collected by, and why it cannot be where it cannot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import DefaultMeans, Provider, ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription

Row = TypeVar("Row", Mandate, ProviderAccount, SavedPaymentMethod)

DEBITED = frozenset({PaymentMethod.SEPA, PaymentMethod.CARD})
"""What we collect ourselves; transfers and cheques come from the client."""
MANDATE_PROVIDERS = (Provider.SEPA_FILE, Provider.SANDBOX)
"""Who collects under a mandate that we keep, the preferred one first."""

NO_METHOD = "Aucun mode de paiement n’est choisi."
NO_CARD = "Aucune carte n’est enregistrée pour ce client."
NO_MANDATE = "Le prélèvement demande un mandat SEPA du client\u202f: ajoutez-en un."
NO_ACCOUNT = "La société n’a pas de compte actif chez un prestataire qui puisse prélever ce moyen de paiement."
METHOD_REVOKED = "Le moyen de paiement enregistré a été révoqué\u202f: demandez-en un autre au client."
METHOD_EXPIRED = "La carte enregistrée a expiré\u202f: demandez-en une autre au client."


@dataclass(frozen=True, kw_only=True)
class Means:
    """How a subscription is paid, with the rows behind it; ``is_inherited`` from the client's default means."""

    method: PaymentMethod | None = None
    saved: SavedPaymentMethod | None = None
    mandate: Mandate | None = None
    account: ProviderAccount | None = None
    is_inherited: bool = False

    def obstacle(self, on: date) -> str | None:
        """Why nothing can be collected on that day, in a sentence for the user; None where all is well.

        What the client pays by transfer or cheque needs nothing.
        """
        if self.method is None:
            return NO_METHOD
        if self.method not in DEBITED:
            return None
        if self.saved is not None:
            fault = _fault_of_saved(self.saved, on)
        elif self.mandate is not None and self.method is PaymentMethod.SEPA:
            fault = _fault_of_mandate(self.mandate, on)
        else:
            fault = NO_CARD if self.method is PaymentMethod.CARD else NO_MANDATE
        if fault is None and (self.account is None or not self.account.is_active):
            return NO_ACCOUNT
        return fault


def _fault_of_saved(saved: SavedPaymentMethod, on: date) -> str | None:
    if saved.revoked_at is not None:
        return METHOD_REVOKED
    return None if saved.is_usable(on) else METHOD_EXPIRED


def _fault_of_mandate(mandate: Mandate, on: date) -> str | None:
    fault = mandate.fault(on)
    return fault.sentence if fault else None


def load_means(subscriptions: Sequence[Subscription]) -> dict[UUID, Means]:
    """The means of each subscription, by its id, in three queries however many there are."""
    saved = _by_id(SavedPaymentMethod, (subscription.saved_method_id for subscription in subscriptions))
    mandates = _by_id(Mandate, (subscription.mandate_id for subscription in subscriptions))
    accounts = _by_id(ProviderAccount, (subscription.provider_account_id for subscription in subscriptions))
    return {
        subscription.id: Means(
            method=subscription.payment_method,
            saved=saved.get(subscription.saved_method_id),
            mandate=mandates.get(subscription.mandate_id),
            account=accounts.get(subscription.provider_account_id),
        )
        for subscription in subscriptions
    }


def _by_id(model: type[Row], ids: Iterable[UUID | None]) -> dict[UUID | None, Row]:
    wanted = {row_id for row_id in ids if row_id is not None}
    if not wanted:
        return {}
    rows: Iterable[Any] = db.session.scalars(select(model).where(model.id.in_(wanted)))
    return {row.id: row for row in rows}


@dataclass(frozen=True, kw_only=True)
class PaymentFields:
    """How a person wants a subscription to be paid; ``method`` as the form sends it.

    With ``follows_default`` it is what the client's subscriptions with the company are paid by, now and later.
    """

    method: str | None = None
    saved_method_id: UUID | None = None
    mandate_id: UUID | None = None
    follows_default: bool = False


def find_means(fields: PaymentFields, *, client_id: UUID, company_id: UUID) -> Means:
    """The means that ``fields`` name, with the account that collects it.

    It may still be unusable: ``obstacle`` says so, and nothing is attempted until that is mended. Raises
    InvalidInputError for an unknown method, and for a mandate or saved method that is not this client's.
    """
    if fields.follows_default:
        hold_default(client_id)
        named = _find_named(find_default(client_id, company_id), client_id=client_id, company_id=company_id)
        return replace(named, is_inherited=True)
    return _find_named(fields, client_id=client_id, company_id=company_id)


def _find_named(fields: PaymentFields, *, client_id: UUID, company_id: UUID) -> Means:
    if not fields.method:
        return Means()
    if fields.method not in set(PaymentMethod):
        raise InvalidInputError("Ce mode de paiement n’existe pas.", field="payment_method")
    method = PaymentMethod(fields.method)
    if method not in DEBITED:
        return Means(method=method)
    if fields.saved_method_id is not None:
        saved = _by_id(SavedPaymentMethod, [fields.saved_method_id]).get(fields.saved_method_id)
        if saved is None or saved.client_id != client_id or saved.method is not method:
            raise InvalidInputError("Ce moyen de paiement n’est pas celui de ce client.", field="saved_method_id")
        return Means(method=method, saved=saved, account=_account_of(saved, company_id))
    if fields.mandate_id is None or method is PaymentMethod.CARD:
        return Means(method=method)
    mandate = _by_id(Mandate, [fields.mandate_id]).get(fields.mandate_id)
    if mandate is None or mandate.client_id != client_id or mandate.company_id not in (None, company_id):
        raise InvalidInputError("Ce mandat n’est pas donné à cette société par ce client.", field="mandate_id")
    return Means(method=method, mandate=mandate, account=_account_for_mandates(company_id))


def find_default(client_id: UUID, company_id: UUID) -> PaymentFields:
    """The default means of the client with the company; empty where there are none."""
    default = db.session.scalar(
        select(DefaultMeans).where(DefaultMeans.client_id == client_id, DefaultMeans.company_id == company_id)
    )
    if default is None:
        return PaymentFields()
    return PaymentFields(
        method=default.payment_method, saved_method_id=default.saved_method_id, mandate_id=default.mandate_id
    )


def hold_default(client_id: UUID) -> None:
    """Who changes the default means meanwhile waits, and finds the subscription that inherits them."""
    db.session.execute(select(Client.id).where(Client.id == client_id).with_for_update(read=True))


def _account_of(saved: SavedPaymentMethod, company_id: UUID) -> ProviderAccount:
    account = _by_id(ProviderAccount, [saved.provider_account_id])[saved.provider_account_id]
    if account.company_id != company_id:
        raise InvalidInputError(
            "Ce moyen de paiement est enregistré auprès d’une autre société.", field="saved_method_id"
        )
    return account


def _account_for_mandates(company_id: UUID) -> ProviderAccount | None:
    accounts = db.session.scalars(
        select(ProviderAccount).where(
            ProviderAccount.company_id == company_id,
            ProviderAccount.is_active,
            ProviderAccount.provider.in_(MANDATE_PROVIDERS),
        )
    )
    return min(accounts, key=lambda account: MANDATE_PROVIDERS.index(account.provider), default=None)


def list_saved_methods(client_id: UUID, *, on: date) -> list[SavedPaymentMethod]:
    """What may be charged on that day among what providers keep for the client."""
    saved = db.session.scalars(
        select(SavedPaymentMethod).where(SavedPaymentMethod.client_id == client_id).order_by(SavedPaymentMethod.id)
    )
    return [method for method in saved if method.is_usable(on)]


def list_mandates(client_id: UUID) -> list[Mandate]:
    """The client's mandates that are not revoked; a declared one is to be completed before the first charge."""
    return list(
        db.session.scalars(
            select(Mandate)
            .where(Mandate.client_id == client_id, Mandate.status != MandateStatus.REVOKED)
            .order_by(Mandate.id)
        )
    )
