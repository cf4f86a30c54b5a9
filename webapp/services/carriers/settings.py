"""How companies ship: who is the sender, by whom, what packaging weighs, and on which paper labels are printed."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways.carriers.protocol import Party
from webapp.gateways.carriers.registry import is_offered, party_faults
from webapp.models.base import new_id
from webapp.models.carriers import (
    HEAVIEST,
    LABELS_KEPT_DAYS,
    Carrier,
    CarrierAccount,
    LabelFormat,
    ShippingSettings,
)
from webapp.models.organisations import Company
from webapp.services.contact import clean_text, normalise_email, normalise_phone, normalise_postcode
from webapp.services.organisations import find_company, lock_company
from webapp.transactions import transaction

LONGEST_LINE = 100
KEPT_DAYS = range(1, 3651)
_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, kw_only=True)
class SenderFields:
    """What is typed of a sender who is not at the company's own address."""

    name: str
    line1: str
    line2: str = ""
    postcode: str
    city: str
    country: str = "FR"
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, kw_only=True)
class SettingsFields:
    """What is typed of how a company ships; weights in grams. Without a ``sender``, it is the company itself."""

    sender: SenderFields | None = None
    default_account_id: UUID | None = None
    packaging_weight_g: int = 100
    item_weight_g: int = 500
    label_format: LabelFormat = LabelFormat.SMALL
    labels_kept_days: int = LABELS_KEPT_DAYS


class Shipper(NamedTuple):
    """A company, how it ships (``settings`` is not stored where nobody has changed anything) and its accounts.

    ``offered`` are the carriers of which it may open accounts.
    """

    company: Company
    settings: ShippingSettings
    accounts: list[CarrierAccount]
    offered: list[Carrier]

    @property
    def sender(self) -> Party:
        """From whom its parcels come, and to whom they go back."""
        return sender_of(self.company, self.settings)

    @property
    def fault(self) -> str | None:
        """Why one of its carriers would take no parcel from that sender, as a sentence."""
        carriers = dict.fromkeys(account.carrier for account in self.accounts if account.is_active)
        faults = (fault for carrier in carriers for fault in party_faults(carrier, self.sender))
        return next((fault.sentence for fault in faults), None)


def list_shippers() -> list[Shipper]:
    """Every company with how it ships, the usual company first; three statements."""
    companies = db.session.scalars(select(Company).order_by(Company.is_default.desc(), Company.name, Company.id)).all()
    settings = {each.company_id: each for each in db.session.scalars(select(ShippingSettings))}
    accounts = _list_accounts()
    return [_shipper(company, settings.get(company.id), accounts) for company in companies]


def find_shipper(company_id: UUID) -> Shipper:
    """One of them. Raises NotFoundError."""
    company = find_company(company_id)
    return _shipper(company, find_settings(company_id), _list_accounts())


def _list_accounts() -> list[CarrierAccount]:
    return list(db.session.scalars(select(CarrierAccount).order_by(CarrierAccount.created_at, CarrierAccount.id)))


def _shipper(company: Company, settings: ShippingSettings | None, accounts: Collection[CarrierAccount]) -> Shipper:
    own = [account for account in accounts if account.company_id == company.id]
    return Shipper(company, settings or _usual(company.id), own, [each for each in Carrier if is_offered(each)])


def find_settings(company_id: UUID) -> ShippingSettings | None:
    """How a company ships; None while nobody has changed anything."""
    return db.session.scalar(select(ShippingSettings).where(ShippingSettings.company_id == company_id))


def settings_of(company_id: UUID) -> ShippingSettings:
    """How a company ships, as it was set or by default; not stored here."""
    return find_settings(company_id) or _usual(company_id)


def _usual(company_id: UUID) -> ShippingSettings:
    usual = SettingsFields()
    return ShippingSettings(
        company_id=company_id,
        sender_country="FR",
        packaging_weight_g=usual.packaging_weight_g,
        item_weight_g=usual.item_weight_g,
        label_format=usual.label_format,
        labels_kept_days=usual.labels_kept_days,
    )


def sender_of(company: Company, settings: ShippingSettings) -> Party:
    """Who sends a company's parcels: the address that was written for it, else its own."""
    if settings.sender_line1 is None:
        return Party(
            name="",
            company=company.name,
            lines=_lines(company.address_line1, company.address_line2),
            postcode=company.postcode or "",
            town=company.city or "",
            country=company.country,
            phone=company.phone or "",
            email=company.email or "",
        )
    return Party(
        name=settings.sender_name or "",
        company=company.name,
        lines=_lines(settings.sender_line1, settings.sender_line2),
        postcode=settings.sender_postcode or "",
        town=settings.sender_city or "",
        country=settings.sender_country,
        phone=settings.sender_phone or company.phone or "",
        email=settings.sender_email or company.email or "",
    )


def _lines(*lines: str | None) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def save_settings(company_id: UUID, fields: SettingsFields) -> ShippingSettings:
    """Say how a company ships.

    Raises NotFoundError for a company of another organisation; InvalidInputError naming the field, of the sender
    ``sender.<name>``.
    """
    with transaction():
        company = lock_company(company_id)
        settings = find_settings(company_id) or ShippingSettings(id=new_id(), company_id=company_id)
        accounts = [account for account in _list_accounts() if account.company_id == company_id and account.is_active]
        settings.default_account_id = _checked_account(fields.default_account_id, accounts)
        settings.packaging_weight_g = _weight(fields.packaging_weight_g, "packaging_weight_g", least=0)
        settings.item_weight_g = _weight(fields.item_weight_g, "item_weight_g", least=1)
        settings.label_format = fields.label_format
        if fields.labels_kept_days not in KEPT_DAYS:
            raise InvalidInputError("De 1 à 3\u202f650 jours.", field="labels_kept_days")
        settings.labels_kept_days = fields.labels_kept_days
        _set_sender(settings, fields.sender)
        if fields.sender:
            _check_fits(sender_of(company, settings), accounts)
        db.session.add(settings)
        db.session.flush()
        return settings


def _checked_account(account_id: UUID | None, accounts: Collection[CarrierAccount]) -> UUID | None:
    if account_id is not None and account_id not in {account.id for account in accounts}:
        raise InvalidInputError("Choisissez un compte actif de cette société.", field="default_account_id")
    return account_id


def _weight(grams: int, field: str, *, least: int) -> int:
    if not least <= grams <= HEAVIEST:
        raise InvalidInputError(f"Un poids de {least} à 30\u202f000 g.", field=field)
    return grams


def _set_sender(settings: ShippingSettings, sender: SenderFields | None) -> None:
    """All of it, or none."""
    if sender is None:
        settings.sender_name = settings.sender_line1 = settings.sender_line2 = None
        settings.sender_postcode = settings.sender_city = settings.sender_phone = settings.sender_email = None
        settings.sender_country = "FR"
        return
    country = clean_text(sender.country).upper()
    if not _COUNTRY.fullmatch(country):
        raise InvalidInputError("Deux lettres\u202f: FR, BE, LU…", field="sender.country")
    settings.sender_country = country
    settings.sender_name = _needed(sender.name, "name")
    settings.sender_line1 = _needed(sender.line1, "line1")
    settings.sender_line2 = _short(sender.line2, "line2") or None
    settings.sender_city = _needed(sender.city, "city")
    settings.sender_postcode = _at("postcode", normalise_postcode, _needed(sender.postcode, "postcode"), country)
    settings.sender_phone = _at("phone", normalise_phone, sender.phone, country) if sender.phone.strip() else None
    settings.sender_email = _at("email", normalise_email, sender.email) if sender.email.strip() else None


def _needed(typed: str, name: str) -> str:
    text = _short(typed, name)
    if not text:
        raise InvalidInputError("Ce champ est nécessaire.", field=f"sender.{name}")
    return text


def _short(typed: str, name: str) -> str:
    """One line of a label; how long it may be there is said by each carrier."""
    text = clean_text(typed)
    if len(text) > LONGEST_LINE:
        raise InvalidInputError(f"{LONGEST_LINE} caractères au plus.", field=f"sender.{name}")
    return text


def _at(name: str, normalise: Callable[..., str], *written: str) -> str:
    """What ``normalise`` makes of it, refused at our own field."""
    try:
        return normalise(*written)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field=f"sender.{name}") from error


_FIELD_OF = {
    "name": "name",
    "lines": "line1",
    "postcode": "postcode",
    "town": "city",
    "phone": "phone",
    "email": "email",
}


def _check_fits(sender: Party, accounts: Collection[CarrierAccount]) -> None:
    """Refused here, where somebody can mend it, and not by the carrier with the first parcel."""
    for carrier in {account.carrier for account in accounts}:
        for fault in party_faults(carrier, sender):
            raise InvalidInputError(fault.sentence, field=f"sender.{_FIELD_OF.get(fault.field, 'name')}")
