"""Accounts with payment providers: which company collects through whom, and with which keys."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import clock, sepa
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.gateways.providers.registry import CREDENTIALS, is_offered, provider_for
from webapp.iban import mask_iban
from webapp.models.banking import AmendmentKind
from webapp.models.base import new_id
from webapp.models.organisations import Company
from webapp.models.providers import MOST_NOTICE_DAYS, Milestone, Provider, ProviderAccount
from webapp.services import amendments
from webapp.services.contact import check_bic, check_iban
from webapp.services.organisations import lock_company
from webapp.transactions import transaction

MOST_PER_SECOND = 1000
MOST_AT_ONCE = 64
"""Calls to a provider: as many as a gateway keeps connections."""
_KEY = re.compile(r"[!-~]{1,500}")


class ConnectionFailedError(DomainError):
    """The provider does not know our keys, or does not answer."""


class Terms(NamedTuple):
    """What each moment of a payment sets off, and how much may be asked of the provider at once."""

    ship_at: Milestone
    invoice_at: Milestone
    rate_per_second: int
    max_concurrency: int


USUAL = Terms(Milestone.SUCCEEDED, Milestone.SUCCEEDED, rate_per_second=50, max_concurrency=16)


def save_account(
    company_id: UUID,
    provider: Provider,
    *,
    credentials: Mapping[str, str] | None = None,
    ics: str | None = None,
    is_active: bool = True,
    terms: Terms | None = None,
    first_as_frst: bool | None = None,
    notice_days: int | None = None,
) -> ProviderAccount:
    """Open a company's account with a provider, or change it.

    What is left out stays as it is: ICS, terms, how first debits are called, the days of notice, and each of the
    credentials that is empty. Raises InvalidInputError naming the field, NotFoundError for a company of another
    organisation.
    """
    with transaction():
        company = lock_company(company_id)
        account = find_account(company_id, provider)
        if account is None:
            account = ProviderAccount(id=new_id(), company_id=company_id, provider=provider)
            db.session.add(account)
        account.keep_credentials(_checked(provider, account.credentials_in_clear() | _given(credentials)))
        if ics is not None:
            _set_ics(account, _checked_ics(ics))
        if provider is Provider.SEPA_FILE and not account.ics:
            raise InvalidInputError("L’identifiant créancier SEPA (ICS) de la société est nécessaire.", field="ics")
        if terms is not None:
            _agree(account, terms)
        if first_as_frst is not None:
            account.first_as_frst = first_as_frst
        if notice_days is not None:
            account.notice_days = _checked_days(notice_days)
        account.is_active = is_active
        if provider is Provider.SEPA_FILE and is_active:
            _check_creditor(account, company)
        db.session.flush()
        return account


def _check_creditor(account: ProviderAccount, company: Company) -> None:
    """Refused here, where somebody can mend it, and not by the bank."""
    if fault := account.creditor_fault(company.name):
        raise InvalidInputError(fault.sentence, field=fault.value)


def _set_ics(account: ProviderAccount, ics: str) -> None:
    """Of another one, the bank is told with the next debit under each mandate."""
    amendments.note_creditor(account.company_id, AmendmentKind.CREDITOR_ID, old=account.ics, new=ics, at=clock.now())
    account.ics = ics


def _given(credentials: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value.strip() for name, value in (credentials or {}).items() if value.strip()}


def _checked(provider: Provider, credentials: Mapping[str, str]) -> dict[str, str]:
    """The credentials that this provider knows, none missing."""
    for name in CREDENTIALS[provider]:
        if name not in credentials:
            raise InvalidInputError("Ce champ est nécessaire pour ce prestataire.", field=name)
    kept = {name: credentials[name] for name in CREDENTIALS[provider]}
    if provider is Provider.SEPA_FILE:
        return {"iban": check_iban(kept["iban"]), "bic": check_bic(kept["bic"])}
    for name, value in kept.items():
        if not _KEY.fullmatch(value):
            raise InvalidInputError("Cette clé n’a pas la forme attendue\u202f: copiez-la en entier.", field=name)
    return kept


def _agree(account: ProviderAccount, terms: Terms) -> None:
    for name, most in (("rate_per_second", MOST_PER_SECOND), ("max_concurrency", MOST_AT_ONCE)):
        if not 1 <= getattr(terms, name) <= most:
            raise InvalidInputError(f"Un nombre de 1 à {most} est attendu.", field=name)
    for name, value in terms._asdict().items():
        setattr(account, name, value)


def _checked_days(days: int) -> int:
    if not 1 <= days <= MOST_NOTICE_DAYS:
        raise InvalidInputError(f"Un nombre de jours de 1 à {MOST_NOTICE_DAYS} est attendu.", field="notice_days")
    return days


def _checked_ics(text: str) -> str:
    ics = re.sub(r"\s", "", text).upper()
    if not sepa.is_creditor_identifier(ics):
        raise InvalidInputError("Cet identifiant créancier SEPA (ICS) n’est pas valide.", field="ics")
    return ics


class Offer(NamedTuple):
    """A company, and its account with a provider or None where it may open one."""

    company: Company
    provider: Provider
    account: ProviderAccount | None

    @property
    def fault(self) -> str | None:
        """Why a bank would refuse the files of the account, as a sentence."""
        if self.account is None or self.provider is not Provider.SEPA_FILE or not self.account.is_active:
            return None
        fault = self.account.creditor_fault(self.company.name)
        return fault.sentence if fault else None


def list_offers() -> list[Offer]:
    """Every account that companies have or may open, the default company first."""
    accounts = {(each.company_id, each.provider): each for each in list_accounts()}
    companies = db.session.scalars(select(Company).order_by(Company.is_default.desc(), Company.name, Company.id))
    return [
        Offer(company, provider, account)
        for company in companies
        for provider in Provider
        if (account := accounts.get((company.id, provider))) or is_offered(provider)
    ]


def find_offer(company_id: UUID, provider: Provider) -> Offer:
    """One of them. Raises NotFoundError."""
    company = db.session.scalar(select(Company).where(Company.id == company_id))
    account = find_account(company_id, provider)
    if company is None or (account is None and not is_offered(provider)):
        raise NotFoundError("Ce compte ne peut pas être ouvert.")
    return Offer(company, provider, account)


def describe_credentials(account: ProviderAccount | None) -> dict[str, str]:
    """What may be shown of the credentials that are kept: which ones, and the end of the company's own IBAN."""
    kept = account.credentials_in_clear() if account else {}
    return {name: mask_iban(value) if name == "iban" else "conservé" for name, value in kept.items()}


def check_connection(account_id: UUID) -> None:
    """Ask the provider for a payment that cannot be there: it answers whoever has the right keys, and changes nothing.

    Raises NotFoundError; ConnectionFailedError, with the provider's own words.
    """
    with transaction():  # ended before the provider is called
        account = db.session.scalar(select(ProviderAccount).where(ProviderAccount.id == account_id))
        if account is None or not account.provider.is_online:
            raise NotFoundError("Ce compte n’existe pas ou plus.")
        try:
            provider = provider_of(account)
        except protocol.ProviderError as error:
            raise ConnectionFailedError(f"Le compte n’est pas prêt\u202f: {error}") from error
    try:
        provider.find_payment(new_id())
    except protocol.ProviderError as error:
        raise ConnectionFailedError(f"La connexion a échoué\u202f: {error}") from error


def find_account(company_id: UUID, provider: Provider) -> ProviderAccount | None:
    """A company's account with a provider."""
    return db.session.scalar(
        select(ProviderAccount).where(ProviderAccount.company_id == company_id, ProviderAccount.provider == provider)
    )


def list_accounts() -> list[ProviderAccount]:
    """Every account of the organisation, company by company."""
    return list(
        db.session.scalars(select(ProviderAccount).order_by(ProviderAccount.company_id, ProviderAccount.provider))
    )


def provider_of(account: ProviderAccount) -> protocol.PaymentProvider:
    """The provider behind an account, ready to be called outside any transaction, from any thread.

    Raises ProviderRejectedError where credentials or addresses are missing.
    """
    return provider_for(
        account.provider,
        account.credentials_in_clear(),
        longest_delay=timedelta(seconds=account.longest_delay_seconds),
    )
