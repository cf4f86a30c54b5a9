"""Organisations and their companies, opened and described by the operator: nobody can sign in before that."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError

from webapp import clock, french, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import AmendmentKind
from webapp.models.base import new_id
from webapp.models.organisations import Company, Organisation
from webapp.services import amendments
from webapp.services.contact import clean_text, normalise_email, normalise_phone
from webapp.transactions import transaction

NAME_LENGTH = 200
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_SIREN = re.compile(r"[0-9]{9}", re.ASCII)
_VAT_NUMBER = re.compile(r"[A-Z]{2}[A-Z0-9]{2,18}", re.ASCII)
_MOST_CAPITAL = Decimal("99999999999999.99")


class OrganisationExistsError(DomainError):
    """Another organisation already has this slug."""


def find_organisation(slug: str) -> Organisation:
    """The organisation called ``slug``. Raises NotFoundError."""
    organisation = db.session.scalar(select(Organisation).where(Organisation.slug == slug))
    if organisation is None:
        raise NotFoundError(f"L’organisation « {slug} » n’existe pas.", field="slug")
    return organisation


def is_any_there() -> bool:
    """Whether the installation has an organisation."""
    return bool(db.session.scalar(select(select(Organisation.id).exists())))


def lock_company(company_id: UUID) -> Company:
    """Hold a company until the transaction ends: two people who open the same account of it wait for each other.

    Raises NotFoundError.
    """
    return _found(db.session.scalar(select(Company).where(Company.id == company_id).with_for_update()))


def _found(company: Company | None) -> Company:
    if company is None:
        raise NotFoundError("Cette société n’existe pas ou plus.")
    return company


def open_organisation(slug: str, name: str, *, company: str) -> Organisation:
    """Make an organisation and the company that sells in it unless another is named.

    ``slug`` is what tokens name it by. Raises InvalidInputError naming the field, OrganisationExistsError.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidInputError("De 1 à 63 lettres minuscules sans accent, chiffres et tirets.", field="slug")
    organisation = Organisation(id=new_id(), slug=slug, name=_text(name, "name"))
    with transaction(), tenancy.organisation(organisation.id):
        try:
            with db.session.begin_nested():
                db.session.add(organisation)
        except IntegrityError as error:
            raise OrganisationExistsError(f"L’organisation « {slug} » existe déjà.", field="slug") from error
        db.session.add(Company(id=new_id(), name=_text(company, "company"), is_default=True))
        db.session.flush()
    return organisation


def describe_company(name: str | None, particulars: Mapping[str, str]) -> Company:
    """Note what invoices must say of a company of the current organisation; one without that name is made.

    With no name it is the default company. ``particulars`` are some of PARTICULARS; what is left out stays as it is,
    what is empty is taken away. Of another name, the bank is told with the next debit under each mandate. Raises
    InvalidInputError naming the field, NotFoundError where there is no default.
    """
    values = _read(particulars)
    with transaction():
        company = _find_for_update(name)
        _describe(company, values)
    return company


def list_companies() -> list[Company]:
    """The companies of the current organisation, the default one first, then by name."""
    return list(db.session.scalars(select(Company).order_by(Company.is_default.desc(), Company.name, Company.id)))


def find_company(company_id: UUID) -> Company:
    """A company of the current organisation. Raises NotFoundError."""
    return _found(db.session.scalar(select(Company).where(Company.id == company_id)))


def change_company(company_id: UUID, particulars: Mapping[str, str]) -> Company:
    """What ``describe_company`` does, for a company that is known by its id, whose name no other company has.

    Raises NotFoundError as well.
    """
    values = _read(particulars)
    with transaction():
        _lock_organisation()
        company = lock_company(company_id)
        if "name" in values:
            _check_free(values["name"], but=company_id)
        _describe(company, values)
    return company


def create_company(particulars: Mapping[str, str]) -> Company:
    """Another company of the current organisation. Raises InvalidInputError naming the field: a name is needed."""
    values = _read({"name": "", **particulars})
    with transaction():
        _lock_organisation()
        _check_free(values["name"])
        company = _add(str(values["name"]))
        _describe(company, values)
    return company


def _read(particulars: Mapping[str, str]) -> dict[str, object]:
    return {
        field: PARTICULARS[field](text) if text.strip() or field in NEEDED else None
        for field, text in particulars.items()
    }


def _describe(company: Company, values: Mapping[str, object]) -> None:
    old = company.name
    for field, value in values.items():
        setattr(company, field, value)
    db.session.flush()  # the row is locked: no bank file is generated meanwhile
    amendments.note_creditor(company.id, AmendmentKind.CREDITOR_NAME, old=old, new=company.name, at=clock.now())


def _check_free(name: object, *, but: UUID | None = None) -> None:
    """Two companies of one name could not be told apart in any list. Raises InvalidInputError."""
    taken = select(Company.id).where(Company.name == name)
    if but is not None:
        taken = taken.where(Company.id != but)
    if db.session.scalar(select(exists(taken))):
        raise InvalidInputError("Une société porte déjà ce nom.", field="name")


def _find_for_update(name: str | None) -> Company:
    """The company; two people who describe companies of one organisation wait for each other."""
    _lock_organisation()
    cleaned = None if name is None else _text(name, "company")
    company = db.session.scalar(
        select(Company).where(Company.is_default if cleaned is None else Company.name == cleaned)
    )
    if company is not None:
        return company
    if cleaned is None:
        raise NotFoundError("Cette organisation n’a pas de société principale\u202f: nommez-en une.", field="company")
    return _add(cleaned)


def _lock_organisation() -> None:
    organisation_id = tenancy.current_organisation_id()
    db.session.execute(select(Organisation.id).where(Organisation.id == organisation_id).with_for_update())


def _add(name: str) -> Company:
    """A new company: the default one where there is none. The organisation's row is locked."""
    has_default = db.session.scalar(select(exists(select(Company.id).where(Company.is_default))))
    company = Company(id=new_id(), name=name, is_default=not has_default)
    db.session.add(company)
    return company


def _text(text: str, field: str, length: int = NAME_LENGTH) -> str:
    cleaned = clean_text(text)
    if not 1 <= len(cleaned) <= length:
        raise InvalidInputError(f"Un texte de 1 à {length} caractères est attendu.", field=field)
    return cleaned


def _siren(text: str) -> str:
    """Nine digits, the last of which checks the others (Luhn)."""
    siren = re.sub(r"\s", "", text)
    if not _SIREN.fullmatch(siren) or sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(siren)) % 10:
        raise InvalidInputError("Ce SIREN n’est pas valide.", field="siren")
    return siren


def _vat_number(text: str) -> str:
    number = re.sub(r"\s", "", text).upper()
    if not _VAT_NUMBER.fullmatch(number):
        raise InvalidInputError("Ce numéro de TVA n’est pas valide.", field="vat_number")
    return number


def _capital(text: str) -> Decimal:
    """Euros."""
    capital = french.read_number(text)
    if capital is not None and capital.is_finite() and 0 <= capital <= _MOST_CAPITAL and capital == round(capital, 2):
        return capital
    raise InvalidInputError("Un montant en euros est attendu.", field="share_capital")


_LENGTHS = {
    "legal_form": 100,
    "registry_city": 100,
    "address_line1": 200,
    "address_line2": 200,
    "postcode": 20,
    "city": 100,
}
PARTICULARS: dict[str, Callable[[str], object]] = {
    **{field: partial(_text, field=field, length=length) for field, length in _LENGTHS.items()},
    "siren": _siren,
    "vat_number": _vat_number,
    "share_capital": _capital,
    "email": normalise_email,
    "phone": normalise_phone,
    "umr_pattern": str.strip,
    "name": partial(_text, field="name"),
}
"""What can be said of a company, each with how it is read. Raises InvalidInputError."""
NEEDED = frozenset({"name", "umr_pattern"})
"""Of these, what no company does without."""
