"""Accounts with carriers: by whom a company's parcels are carried, as what, and with which keys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.carriers import protocol
from webapp.gateways.carriers.registry import CAPABILITIES, CREDENTIALS, SERVICES, carrier_for, is_offered
from webapp.models.base import new_id
from webapp.models.carriers import Carrier, CarrierAccount, ShippingSettings
from webapp.services.organisations import lock_company
from webapp.transactions import transaction

MOST_PER_SECOND = 1000
NO_ACCOUNT = "Ce compte n’existe pas ou plus."
_KEY = re.compile(r"[!-~]{1,200}")


class ConnectionFailedError(DomainError):
    """The carrier does not know our keys, or does not answer."""


class NoAccountError(DomainError):
    """There is no account by which the company's parcels could go."""


@dataclass(frozen=True, kw_only=True)
class AccountFields:
    """What is typed of an account. A credential that is empty stays as it was."""

    service: str
    credentials: Mapping[str, str]
    calls_per_second: int
    is_active: bool = True


def usual_fields(carrier: Carrier) -> AccountFields:
    """How an account with that carrier usually is."""
    pace = CAPABILITIES[carrier].calls_per_second
    return AccountFields(service=SERVICES[carrier][0][0], credentials={}, calls_per_second=pace)


def find_offered(carrier: Carrier | None) -> Carrier:
    """That carrier, if accounts with it can be opened here. Raises NotFoundError."""
    if carrier is None or not is_offered(carrier):
        raise NotFoundError("Ce compte ne peut pas être ouvert.")
    return carrier


def open_account(company_id: UUID, carrier: Carrier, fields: AccountFields) -> CarrierAccount:
    """Open a company's account with a carrier.

    Raises NotFoundError for a company of another organisation or a carrier that is not offered here; InvalidInputError
    naming the field, of a credential its name.
    """
    find_offered(carrier)
    with transaction():
        lock_company(company_id)
        delay = CAPABILITIES[carrier].longest_delay
        account = CarrierAccount(
            id=new_id(), company_id=company_id, carrier=carrier, longest_delay_seconds=int(delay.total_seconds())
        )
        _set(account, fields)
        db.session.add(account)
        db.session.flush()
        return account


def change_account(account_id: UUID, fields: AccountFields) -> CarrierAccount:
    """Change an account. Raises NotFoundError; InvalidInputError as ``open_account``.

    The company's usual account stays active: another one takes its place first.
    """
    with transaction():
        lock_company(find_account(account_id).company_id)
        account = find_account(account_id)
        if not fields.is_active and _is_default(account):
            raise InvalidInputError(
                "C’est le compte habituel de la société\u202f: choisissez-en d’abord un autre.", field="is_active"
            )
        _set(account, fields)
        db.session.flush()
        return account


def _set(account: CarrierAccount, fields: AccountFields) -> None:
    if fields.service not in dict(SERVICES[account.carrier]):
        raise InvalidInputError("Choisissez un service de ce transporteur.", field="service")
    if not 1 <= fields.calls_per_second <= MOST_PER_SECOND:
        raise InvalidInputError("Un nombre de 1 à 1\u202f000 est attendu.", field="calls_per_second")
    _refuse_twice(account, fields.service)
    account.keep_credentials(_checked(account.carrier, account.credentials_in_clear(), fields.credentials))
    account.service = fields.service
    account.calls_per_second = fields.calls_per_second
    account.is_active = fields.is_active


def _refuse_twice(account: CarrierAccount, service: str) -> None:
    same = select(CarrierAccount.id).where(
        CarrierAccount.company_id == account.company_id,
        CarrierAccount.carrier == account.carrier,
        CarrierAccount.service == service,
        CarrierAccount.id != account.id,
    )
    if db.session.scalar(same) is not None:
        raise InvalidInputError("La société a déjà un compte pour ce service.", field="service")


def _checked(carrier: Carrier, known: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """The credentials that this carrier asks for, those that are needed all there."""
    kept = {}
    for field in CREDENTIALS[carrier]:
        value = typed.get(field.name, "").strip() or known.get(field.name, "")
        if not value and field.is_required:
            raise InvalidInputError("Ce champ est nécessaire pour ce transporteur.", field=field.name)
        if value and not _KEY.fullmatch(value):
            raise InvalidInputError(
                "Cette valeur n’a pas la forme attendue\u202f: copiez-la en entier.", field=field.name
            )
        kept[field.name] = value
    return {name: value for name, value in kept.items() if value}


def _is_default(account: CarrierAccount) -> bool:
    named = select(ShippingSettings.id).where(ShippingSettings.default_account_id == account.id)
    return db.session.scalar(named) is not None


def find_account(account_id: UUID) -> CarrierAccount:
    """An account as it is now, with its keys. Raises NotFoundError."""
    statement = select(CarrierAccount).where(CarrierAccount.id == account_id)
    account = db.session.scalar(
        statement.options(undefer(CarrierAccount.credentials)).execution_options(populate_existing=True)
    )
    if account is None:
        raise NotFoundError(NO_ACCOUNT)
    return account


def default_account(company_id: UUID) -> CarrierAccount:
    """The account by which a company's parcels usually go.

    Without a choice it is its only active account; with none at all, parcels go without a carrier, by an account that
    is opened here. In a transaction. Raises NoAccountError where one of several must be chosen first.
    """
    lock_company(company_id)
    chosen = select(ShippingSettings.default_account_id).where(ShippingSettings.company_id == company_id)
    accounts = db.session.scalars(select(CarrierAccount).where(CarrierAccount.company_id == company_id)).all()
    default_id = db.session.scalar(chosen)
    active = [account for account in accounts if account.is_active and default_id in (None, account.id)]
    if len(active) == 1:
        return active[0]
    if accounts:
        raise NoAccountError(
            "Choisissez d’abord le compte habituel de la société, parmi les actifs, dans les réglages des lots."
        )
    return open_account(company_id, Carrier.NONE, usual_fields(Carrier.NONE))


def known_credentials(account: CarrierAccount | None) -> frozenset[str]:
    """The names of the credentials that are kept; their values are never shown."""
    return frozenset(account.credentials_in_clear() if account else ())


def service_label(account: CarrierAccount) -> str:
    """What the account buys, as people say it."""
    return dict(SERVICES[account.carrier]).get(account.service, account.service)


def check_connection(account_id: UUID) -> None:
    """Ask the carrier whether it knows the account; nothing is made. Never inside a transaction.

    Raises NotFoundError; ConnectionFailedError, with what is wrong in a sentence.
    """
    with transaction():  # ended before the carrier is called
        account = find_account(account_id)
        if not account.carrier.is_called:
            raise NotFoundError(NO_ACCOUNT)
        try:
            carrier = carrier_of(account)
        except protocol.CarrierRejectedError as error:
            raise ConnectionFailedError(f"Le compte n’est pas prêt\u202f: {error}") from error
    if fault := carrier.fault():
        raise ConnectionFailedError(fault)


def carrier_of(account: CarrierAccount) -> protocol.LabelCarrier:
    """The carrier behind an account, ready to be called outside any transaction, from any thread.

    Raises CarrierRejectedError where credentials or addresses are missing.
    """
    return carrier_for(
        account.carrier,
        account.credentials_in_clear(),
        service=account.service,
        longest_delay=timedelta(seconds=account.longest_delay_seconds),
    )
