"""Plans (formules): drafts of admins, published, and never changed afterwards; the next version replaces the last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import selectinload

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.covers import (
    CoverNature,
    CoverPlan,
    CoverPlanDocument,
    CoverPlanOption,
    CoverPlanVersion,
    HomeKind,
    Trade,
    YearKind,
)
from webapp.models.identity import User
from webapp.models.money import INSURANCE_TAX, VAT_RATES
from webapp.models.organisations import Company
from webapp.services.concurrent_edits import EditableFields, EditConflictError
from webapp.services.covers import loading, zones
from webapp.services.covers.naming import checked_code, checked_label
from webapp.services.covers.terms import Terms, find_faults, find_faults_between
from webapp.services.plan_documents import drop_unused
from webapp.transactions import transaction

LONGEST_COMMITMENT, LONGEST_NOTICE = 36, 90
MOST_OPTIONS = 12
_WRONG_PRICE = "Indiquez un prix par mois, de zéro à 10\u202f000, avec deux décimales au plus."
LARGEST_PRICE = Decimal(10_000)
ZONES_CHANGED = (
    "Les zones ont changé depuis l’enregistrement de ce brouillon\u202f: vérifiez ses prix, puis enregistrez-le "
    "avant de le publier."
)


class PlanStateError(DomainError):
    """The state of the plan's version does not allow this."""


@dataclass(frozen=True, kw_only=True)
class VersionFields(EditableFields):
    """What a draft promises, as written. What is no number is NaN, or -1.

    ``price`` is per month, before tax, wherever ``zone_prices`` (by code of the zone) has none; None: nowhere else.
    """

    nature: CoverNature = CoverNature.INSURANCE
    year: YearKind = YearKind.ANNIVERSARY
    trades: frozenset[Trade] = frozenset()
    waiting_days: int = 30
    deductible: Decimal = Decimal(0)
    cap_per_claim: Decimal | None = None
    cap_per_year: Decimal | None = None
    claims_per_year: int | None = None
    home_kinds: frozenset[HomeKind] = frozenset(HomeKind)
    price: Decimal | None = Decimal(0)
    zone_prices: Mapping[str, Decimal] = field(default_factory=dict)
    vat_rate: Decimal = INSURANCE_TAX
    commitment_months: int = 12
    notice_days: int = 30


@dataclass(frozen=True, kw_only=True)
class OptionFields:
    """An option of a draft, as written; ``price`` is per month, before tax."""

    code: str
    label: str
    trades: frozenset[Trade] = frozenset()
    waiting_days: int = 0
    deductible: Decimal = Decimal(0)
    cap_per_claim: Decimal | None = None
    cap_per_year: Decimal | None = None
    draws_on_main_cap: bool = False
    price: Decimal = Decimal(0)


def list_plans() -> list[CoverPlan]:
    """All plans by name, each with its versions, the latest first."""
    return list(db.session.scalars(_plans().order_by(CoverPlan.label, CoverPlan.id)))


def list_sold(company_id: UUID | None = None) -> list[CoverPlanVersion]:
    """What a company, or each, sells today, by name, with options."""
    statement = (
        select(CoverPlanVersion)
        .join(CoverPlan, CoverPlan.id == CoverPlanVersion.plan_id)
        .where(
            CoverPlan.organisation_id == CoverPlanVersion.organisation_id,
            CoverPlanVersion.published_at.is_not(None),
            CoverPlanVersion.retired_at.is_(None),
        )
        .order_by(CoverPlan.label, CoverPlan.id)
        .options(
            selectinload(CoverPlanVersion.options),
            selectinload(CoverPlanVersion.zones),
            selectinload(CoverPlanVersion.documents),
            selectinload(CoverPlanVersion.plan).selectinload(CoverPlan.company),
        )
    )
    if company_id is not None:
        statement = statement.where(CoverPlan.company_id == company_id)
    return list(db.session.scalars(statement))


def find_plan(plan_id: UUID) -> CoverPlan:
    """The plan with its versions, their options and zones. Raises NotFoundError."""
    zones_too = selectinload(CoverPlan.versions).selectinload(CoverPlanVersion.zones)
    found = _plans().where(CoverPlan.id == plan_id).options(zones_too).execution_options(populate_existing=True)
    plan = db.session.scalar(found)
    if plan is None:
        raise NotFoundError("Cette formule n’existe pas ou plus.")
    return plan


def _plans() -> Select[CoverPlan]:
    return select(CoverPlan).options(
        selectinload(CoverPlan.company),
        selectinload(CoverPlan.versions).options(
            selectinload(CoverPlanVersion.options), selectinload(CoverPlanVersion.documents)
        ),
    )


def create_plan(code: str, label: str, company_id: UUID | None, *, by: User, at: datetime) -> CoverPlan:
    """Begin a plan, with an empty draft of its first version. Raises InvalidInputError, naming the field."""
    code, label = checked_code(code), checked_label(label)
    with transaction():
        if company_id is None or db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
            raise InvalidInputError("Choisissez la société qui vend cette formule.", field="company")
        if db.session.scalar(select(CoverPlan.id).where(CoverPlan.code == code)):
            raise InvalidInputError("Ce code est déjà celui d’une autre formule.", field="code")
        plan = CoverPlan(code=code, label=label, company_id=company_id, created_at=at)
        db.session.add(plan)
        db.session.flush()
        _add_draft(plan.id, 1, VersionFields(), by=by, at=at)
    return plan


def draft_next(plan_id: UUID, *, by: User, at: datetime) -> CoverPlanVersion:
    """Begin the next version, as a copy of the latest. Raises NotFoundError; PlanStateError where there is a draft."""
    with transaction():
        _lock(plan_id)
        plan = find_plan(plan_id)
        if plan.draft:
            raise PlanStateError("Une version de cette formule est déjà en préparation.")
        latest = plan.versions[0]
        draft = _add_draft(plan_id, latest.version + 1, fields_of(latest), by=by, at=at)
        for option in latest.options:
            db.session.add(CoverPlanOption(version_id=draft.id, **_values_of(option)))
        for document in latest.documents:
            db.session.add(_copy(document, draft.id, at=at))
        db.session.flush()
    return draft


def edit_draft(plan_id: UUID, written: VersionFields, *, edits: int) -> CoverPlanVersion:
    """Write down what the draft promises.

    Raises NotFoundError, PlanStateError where it was published meanwhile, EditConflictError where somebody else changed
    it, InvalidInputError.
    """
    _check_version(written)
    with transaction():
        draft = lock_draft(plan_id)
        if draft.edits != edits:
            raise EditConflictError(
                "Quelqu’un d’autre a modifié ce brouillon entre-temps\u202f: relisez-le avant d’enregistrer.",
                theirs=fields_of(draft),
                version=draft.edits,
            )
        _write(draft, written)
        draft.edits += 1
    return draft


def add_option(plan_id: UUID, written: OptionFields) -> CoverPlanOption:
    """Add an option to the draft, or replace the one of that code. Raises as ``edit_draft``."""
    code, label = checked_code(written.code), checked_label(written.label)
    _check_price(written.price)
    with transaction():
        draft = lock_draft(plan_id)
        options = list(db.session.scalars(select(CoverPlanOption).where(CoverPlanOption.version_id == draft.id)))
        option = next((each for each in options if each.code == code), None)
        if option is None and len(options) >= MOST_OPTIONS:
            raise InvalidInputError(f"Une formule a {MOST_OPTIONS} options au plus.", field="code")
        option = option or CoverPlanOption(version_id=draft.id, code=code)
        option.label, option.price = label, written.price
        option.trades = sorted(trade.value for trade in written.trades)
        option.waiting_days, option.deductible = written.waiting_days, written.deductible
        option.cap_per_claim, option.cap_per_year = written.cap_per_claim, written.cap_per_year
        option.draws_on_main_cap = written.draws_on_main_cap
        _raise_first(find_faults(loading.option_terms(option)))
        db.session.add(option)
        draft.edits += 1
        db.session.flush()
    return option


def remove_option(plan_id: UUID, code: str) -> None:
    """Take an option out of the draft. Raises NotFoundError, PlanStateError."""
    with transaction():
        draft = lock_draft(plan_id)
        statement = delete(CoverPlanOption).where(CoverPlanOption.version_id == draft.id, CoverPlanOption.code == code)
        db.session.execute(statement)
        draft.edits += 1


def publish(plan_id: UUID, *, edits: int, at: datetime) -> CoverPlanVersion:
    """Sell the draft from now on, instead of the version before, which covers that have it keep.

    Raises NotFoundError, PlanStateError, EditConflictError where the draft is no longer the one that was read, or the
    table of zones the one that it was written for; InvalidInputError for one that promises nothing.
    """
    with transaction():
        draft = lock_draft(plan_id)
        if draft.edits != edits:
            raise EditConflictError("Le brouillon a changé entre-temps\u202f: relisez-le avant de le publier.")
        if not zones.is_current(draft):
            raise EditConflictError(ZONES_CHANGED)
        _check_version(fields_of(draft))
        options = list(db.session.scalars(select(CoverPlanOption).where(CoverPlanOption.version_id == draft.id)))
        terms = _terms(fields_of(draft))
        for sentence in find_faults_between(terms, [loading.option_terms(option) for option in options]).values():
            raise InvalidInputError(sentence, field="options")
        sold = find_plan(plan_id).sold
        if sold:
            sold.retired_at = at
            db.session.flush()  # one version is sold at a time
        draft.published_at = at
    return draft


def drop_draft(plan_id: UUID) -> bool:
    """Give the draft up; with it the plan, where nothing of it was ever published. Returns whether the plan is left.

    Raises NotFoundError, PlanStateError.
    """
    with transaction():
        draft = lock_draft(plan_id)
        is_first = draft.version == 1
        statement = delete(CoverPlan).where(CoverPlan.id == plan_id)
        if not is_first:
            statement = delete(CoverPlanVersion).where(CoverPlanVersion.id == draft.id)
        files = [document.stored_as for document in draft.documents]
        db.session.execute(statement)
        drop_unused(files)
    return not is_first


def fields_of(version: CoverPlanVersion) -> VersionFields:
    """What a version promises, as its form shows it."""
    return VersionFields(
        nature=version.nature,
        year=version.year,
        trades=frozenset(map(Trade, version.trades)),
        waiting_days=version.waiting_days,
        deductible=version.deductible,
        cap_per_claim=version.cap_per_claim,
        cap_per_year=version.cap_per_year,
        claims_per_year=version.claims_per_year,
        home_kinds=frozenset(map(HomeKind, version.home_kinds)),
        price=version.price,
        zone_prices={zone.code: zone.price for zone in version.zones if zone.price is not None},
        vat_rate=version.vat_rate,
        commitment_months=version.commitment_months,
        notice_days=version.notice_days,
    )


def _copy(document: CoverPlanDocument, version_id: UUID, *, at: datetime) -> CoverPlanDocument:
    """The same document for another version: files never change, so that both have the same."""
    return CoverPlanDocument(
        version_id=version_id,
        kind=document.kind,
        edition=document.edition,
        name=document.name,
        size=document.size,
        stored_as=document.stored_as,
        created_at=at,
    )


def _values_of(option: CoverPlanOption) -> dict[str, object]:
    names = ("code", "label", "trades", "waiting_days", "deductible", "cap_per_claim", "cap_per_year")
    return {name: getattr(option, name) for name in (*names, "draws_on_main_cap", "price")}


def _add_draft(plan_id: UUID, version: int, fields: VersionFields, *, by: User, at: datetime) -> CoverPlanVersion:
    draft = CoverPlanVersion(plan_id=plan_id, version=version, created_by_id=by.id, created_at=at)
    db.session.add(draft)
    _write(draft, fields)
    return draft


def _write(draft: CoverPlanVersion, fields: VersionFields) -> None:
    for name in vars(fields).keys() - {"zone_prices"}:
        setattr(draft, name, getattr(fields, name))
    draft.trades = sorted(trade.value for trade in fields.trades)
    draft.home_kinds = sorted(kind.value for kind in fields.home_kinds)
    db.session.flush()
    zones.write_prices(draft, fields.zone_prices)


def _lock(plan_id: UUID) -> None:
    if db.session.scalar(select(CoverPlan.id).where(CoverPlan.id == plan_id).with_for_update()) is None:
        raise NotFoundError("Cette formule n’existe pas ou plus.")


def lock_draft(plan_id: UUID) -> CoverPlanVersion:
    """The draft, which nobody publishes or drops meanwhile. Raises NotFoundError, PlanStateError without one."""
    _lock(plan_id)
    statement = select(CoverPlanVersion).where(
        CoverPlanVersion.plan_id == plan_id, CoverPlanVersion.published_at.is_(None)
    )
    draft = db.session.scalar(statement.execution_options(populate_existing=True))
    if draft is None:
        raise PlanStateError("Aucune version de cette formule n’est en préparation.")
    return draft


def _check_version(written: VersionFields) -> None:
    _raise_first(find_faults(_terms(written)))
    if not written.home_kinds:
        raise InvalidInputError("Choisissez au moins un type de logement.", field="home_kinds")
    if written.price is not None:
        _check_price(written.price)
    elif not written.zone_prices:
        raise InvalidInputError("Indiquez un prix\u202f: le prix général, ou celui d’une zone.", field="price")
    for code, price in written.zone_prices.items():
        _check_price(price, field=zone_field(code))
    if written.nature is CoverNature.INSURANCE and written.vat_rate != INSURANCE_TAX:
        raise InvalidInputError("Une assurance porte la taxe de 9\u202f% (TSCA), sans TVA.", field="vat_rate")
    if written.nature is CoverNature.SERVICE and written.vat_rate not in VAT_RATES:
        raise InvalidInputError("Une prestation de service porte la TVA\u202f: choisissez son taux.", field="vat_rate")
    _check_whole(written.commitment_months, LONGEST_COMMITMENT, "mois", "commitment_months")
    _check_whole(written.notice_days, LONGEST_NOTICE, "jours", "notice_days")


def _terms(written: VersionFields) -> Terms:
    return Terms(
        code="",
        version=0,
        label="",
        trades=written.trades,
        waiting_days=written.waiting_days,
        deductible=written.deductible,
        cap_per_claim=written.cap_per_claim,
        cap_per_year=written.cap_per_year,
        claims_per_year=written.claims_per_year,
        year=written.year,
    )


def _raise_first(faults: dict[str, str]) -> None:
    for name, sentence in faults.items():
        raise InvalidInputError(sentence, field=name)


def zone_field(code: str) -> str:
    """What a refusal calls the price of a zone."""
    return f"zone_{code}"


def _check_price(price: Decimal, *, field: str = "price") -> None:
    if not price.is_finite() or not 0 <= price <= LARGEST_PRICE or price != round(price, 2):
        raise InvalidInputError(_WRONG_PRICE, field=field)


def _check_whole(number: int, largest: int, unit: str, field: str) -> None:
    if not 0 <= number <= largest:
        raise InvalidInputError(f"Indiquez un nombre de {unit} de 0 à {largest}.", field=field)
