"""Accounts with payment providers: which company collects through whom, and with which keys."""

import re
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.payments import protocol
from webapp.gateways.payments.registry import CREDENTIALS, provider_for
from webapp.models.base import new_id
from webapp.models.organisations import Company
from webapp.models.payments import Provider, ProviderAccount
from webapp.services.contact import check_bic, check_iban
from webapp.transactions import transaction

_ICS = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Z0-9]{1,28}", re.ASCII)


def save_account(
    company_id: UUID,
    provider: Provider,
    *,
    credentials: Mapping[str, str] | None = None,
    ics: str | None = None,
    is_active: bool = True,
) -> ProviderAccount:
    """Open a company's account with a provider, or change it. None leaves credentials or ICS as they are.

    Raises InvalidInputError naming the field, NotFoundError for a company of another organisation.
    """
    with transaction():
        if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
            raise NotFoundError
        account = find_account(company_id, provider)
        if account is None:
            account = ProviderAccount(id=new_id(), company_id=company_id, provider=provider)
            db.session.add(account)
        if credentials is not None:
            account.keep_credentials(_checked(provider, credentials))
        elif CREDENTIALS[provider] and account.credentials is None:
            raise InvalidInputError(
                "Les identifiants de ce prestataire sont nécessaires.", field=CREDENTIALS[provider][0]
            )
        if ics is not None:
            account.ics = _checked_ics(ics)
        if provider is Provider.SEPA_FILE and not account.ics:
            raise InvalidInputError("L’identifiant créancier SEPA (ICS) de la société est nécessaire.", field="ics")
        account.is_active = is_active
        db.session.flush()
        return account


def _checked(provider: Provider, credentials: Mapping[str, str]) -> dict[str, str]:
    """The credentials that this provider knows, trimmed."""
    kept = {name: credentials.get(name, "").strip() for name in CREDENTIALS[provider]}
    for name, value in kept.items():
        if not value:
            raise InvalidInputError("Ce champ est nécessaire pour ce prestataire.", field=name)
    if provider is Provider.SEPA_FILE:
        kept |= {"iban": check_iban(kept["iban"]), "bic": check_bic(kept["bic"])}
    return kept


def _checked_ics(text: str) -> str:
    """A SEPA creditor identifier: country, check digits (ISO 7064, without the business code), code, number."""
    ics = re.sub(r"\s", "", text).upper()
    if _ICS.fullmatch(ics) and int("".join(str(int(c, 36)) for c in ics[7:] + ics[:4])) % 97 == 1:
        return ics
    raise InvalidInputError("Cet identifiant créancier SEPA (ICS) n’est pas valide.", field="ics")


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


def provider_of(account: ProviderAccount) -> protocol.Provider:
    """The provider behind an account, ready to be called outside any transaction, from any thread.

    Raises ProviderRejectedError where credentials or addresses are missing.
    """
    return provider_for(
        account.provider,
        account.credentials_in_clear(),
        longest_delay=timedelta(seconds=account.longest_delay_seconds),
    )
