"""Sequences of steps: data of the organisation, versioned. A version never changes: an edit makes the next one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload, selectinload

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Charge
from webapp.models.dunning import DunningSequence, DunningSequenceStep, StepAction
from webapp.models.money import cents
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.models.subscriptions import SubscriptionLine
from webapp.services.contact import clean_text
from webapp.services.dunning import days, planning
from webapp.services.dunning.planning import FORMAL_NOTICE
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

DEFAULT_NAME = "Relances"
MOST_STEPS = 30
FARTHEST_DAY = 1000
NAME_LENGTH, TITLE_LENGTH, CATEGORY_LENGTH = 100, 200, 100
LARGEST_MINIMUM = Decimal(10) ** 9

REMINDER, SMS = "dunning_reminder", "dunning_sms"
KINDS: dict[StepAction, tuple[str, ...]] = {
    StepAction.EMAIL: (REMINDER, FORMAL_NOTICE),
    StepAction.SMS: (SMS,),
    StepAction.LETTER: (FORMAL_NOTICE, REMINDER),
    StepAction.SUSPEND: ("suspension_notice",),
    StepAction.TERMINATE: ("termination_notice",),
}
"""What a step may write, the usual first; the others write nothing."""


class MeanwhileError(DomainError):
    """Somebody has made another version of the sequence meanwhile."""


@dataclass(frozen=True)
class StepFields:
    """One step as it is written."""

    day: int
    action: StepAction
    message_kind: str | None = None
    in_working_days: bool = False
    minimum_amount: Decimal = Decimal(0)
    title: str = ""
    asks_means: bool = False


DEFAULT_STEPS = (
    StepFields(3, StepAction.EMAIL, REMINDER, asks_means=True),
    StepFields(7, StepAction.SMS, SMS, asks_means=True),
    StepFields(10, StepAction.LETTER, FORMAL_NOTICE),
    StepFields(40, StepAction.SUSPEND, "suspension_notice"),
    StepFields(50, StepAction.TERMINATE, "termination_notice"),
)
"""What an organisation has until it makes its own."""


def load_default(*, at: datetime) -> DunningSequence:
    """The organisation's sequence for everything that has none of its own; made the first time that it is asked for."""
    statement = select(DunningSequence).where(
        DunningSequence.company_id.is_(None),
        DunningSequence.product_category.is_(None),
        DunningSequence.replaced_at.is_(None),
    )
    found = db.session.scalar(statement)
    if found is not None:
        return found
    with transaction():
        sequence_id = db.session.scalar(
            insert(DunningSequence)
            .values(organisation_id=current_organisation_id(), id=new_id(), name=DEFAULT_NAME, version=1, created_at=at)
            .on_conflict_do_nothing()
            .returning(DunningSequence.id)
        )
        if sequence_id is not None:
            _add_steps(sequence_id, DEFAULT_STEPS)
    return db.session.scalars(statement).one()


def _add_steps(sequence_id: UUID, steps: Iterable[StepFields]) -> None:
    db.session.add_all(
        DunningSequenceStep(
            id=new_id(),
            sequence_id=sequence_id,
            position=position,
            day=step.day,
            in_working_days=step.in_working_days,
            action=step.action,
            message_kind=step.message_kind,
            minimum_amount=step.minimum_amount,
            title=step.title,
            asks_means=step.asks_means,
        )
        for position, step in enumerate(steps)
    )
    db.session.flush()


def choose_for(charge: Charge, *, at: datetime) -> DunningSequence:
    """The sequence for a case that begins with this charge: that of its company and family, of its family, of its
    company, or the organisation's.
    """
    families = (
        select(Product.category)
        .join(SubscriptionLine, linked(Product, SubscriptionLine.product_id))
        .where(SubscriptionLine.subscription_id == charge.subscription_id, Product.category.is_not(None))
    )
    category, company = DunningSequence.product_category, DunningSequence.company_id
    found = db.session.scalar(
        select(DunningSequence)
        .where(
            DunningSequence.replaced_at.is_(None),
            or_(company.is_(None), company == charge.company_id),
            or_(category.is_(None), category.in_(families)),
            or_(company.is_not(None), category.is_not(None)),
        )
        .order_by(category.is_(None), company.is_(None), DunningSequence.id)
        .limit(1)
    )
    return found or load_default(at=at)


def steps_of(sequence_ids: Iterable[UUID]) -> dict[UUID, list[DunningSequenceStep]]:
    """The steps of some sequences, each in order."""
    found: dict[UUID, list[DunningSequenceStep]] = {sequence_id: [] for sequence_id in sequence_ids}
    if found:
        statement = select(DunningSequenceStep).where(DunningSequenceStep.sequence_id.in_(found))
        for step in db.session.scalars(statement.order_by(DunningSequenceStep.position)):
            found[step.sequence_id].append(step)
    return found


def list_current(*, at: datetime) -> Sequence[DunningSequence]:
    """The versions in use, the organisation's own first, with their steps."""
    load_default(at=at)
    statement = (
        select(DunningSequence)
        .where(DunningSequence.replaced_at.is_(None))
        .order_by(
            DunningSequence.company_id.is_not(None),
            DunningSequence.product_category.is_not(None),
            DunningSequence.name,
            DunningSequence.id,
        )
        .options(selectinload(DunningSequence.steps), joinedload(DunningSequence.company))
    )
    return db.session.scalars(statement).all()


def find_sequence(sequence_id: UUID) -> DunningSequence:
    """One version, with its steps. Raises NotFoundError."""
    statement = select(DunningSequence).where(DunningSequence.id == sequence_id)
    options = (selectinload(DunningSequence.steps), joinedload(DunningSequence.company))
    found = db.session.scalar(statement.options(*options).execution_options(populate_existing=True))
    if found is None:
        raise NotFoundError("Cette séquence n’existe pas ou plus.")
    return found


def list_versions(sequence: DunningSequence) -> Sequence[DunningSequence]:
    """All versions for the same cases, the latest first, with their steps."""
    statement = select(DunningSequence).where(_same_scope(sequence.company_id, sequence.product_category))
    statement = statement.order_by(DunningSequence.version.desc()).options(selectinload(DunningSequence.steps))
    return db.session.scalars(statement).all()


def _same_scope(company_id: UUID | None, category: str | None) -> ColumnElement[bool]:
    return and_(
        DunningSequence.company_id.is_not_distinct_from(company_id),
        DunningSequence.product_category.is_not_distinct_from(category),
    )


def list_categories() -> Sequence[str]:
    """The product families that a sequence may be for."""
    statement = select(Product.category).where(
        Product.organisation_id == current_organisation_id(), Product.category.is_not(None)
    )
    return [category for category in db.session.scalars(statement.distinct().order_by(Product.category)) if category]


def create_sequence(
    *,
    name: str,
    company_id: UUID | None,
    product_category: str | None,
    is_insurance: bool,
    steps: Sequence[StepFields],
    by: UUID | None,
    at: datetime,
) -> DunningSequence:
    """Make the first version for a company, a family, or both. Raises InvalidInputError naming the field."""
    name, category = _checked_name(name), clean_text(product_category or "") or None
    if company_id is None and category is None:
        raise InvalidInputError(
            "Choisissez une société ou une famille\u202f: la séquence générale existe déjà.", field="company"
        )
    if company_id is not None and db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
        raise InvalidInputError("Cette société n’existe pas ou plus.", field="company")
    if category is not None and len(category) > CATEGORY_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {CATEGORY_LENGTH} caractères au plus.", field="category")
    checked = check_steps(steps, is_insurance=is_insurance)
    with transaction():
        latest = db.session.scalar(select(func.max(DunningSequence.version)).where(_same_scope(company_id, category)))
        sequence_id = db.session.scalar(
            insert(DunningSequence)
            .values(
                organisation_id=current_organisation_id(),
                id=new_id(),
                company_id=company_id,
                product_category=category,
                name=name,
                is_insurance=is_insurance,
                version=(latest or 0) + 1,
                created_by_id=by,
                created_at=at,
            )
            .on_conflict_do_nothing()
            .returning(DunningSequence.id)
        )
        if sequence_id is None:
            raise InvalidInputError("Une séquence existe déjà pour cette société et cette famille.", field="company")
        _add_steps(sequence_id, checked)
    return find_sequence(sequence_id)


def change_sequence(
    sequence_id: UUID, *, name: str, is_insurance: bool, steps: Sequence[StepFields], by: UUID | None, at: datetime
) -> DunningSequence:
    """Make the next version of a sequence; cases that were begun keep theirs.

    Raises NotFoundError; MeanwhileError where this is no longer the latest one; InvalidInputError naming the field.
    """
    name, checked = _checked_name(name), check_steps(steps, is_insurance=is_insurance)
    with transaction():
        old = db.session.scalar(
            select(DunningSequence)
            .where(DunningSequence.id == sequence_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if old is None:
            raise NotFoundError("Cette séquence n’existe pas ou plus.")
        if old.replaced_at is not None:
            raise MeanwhileError("Cette séquence a une version plus récente\u202f: partez de celle-ci.")
        old.replaced_at = at
        db.session.flush()
        new = DunningSequence(
            id=new_id(),
            company_id=old.company_id,
            product_category=old.product_category,
            name=name,
            is_insurance=is_insurance,
            version=old.version + 1,
            created_by_id=by,
            created_at=at,
        )
        db.session.add(new)
        db.session.flush()
        _add_steps(new.id, checked)
    return find_sequence(new.id)


def retire_sequence(sequence_id: UUID, *, at: datetime) -> None:
    """Use a sequence for no further case; the general one stays. Raises NotFoundError, InvalidInputError."""
    with transaction():
        sequence = find_sequence(sequence_id)
        if sequence.company_id is None and sequence.product_category is None:
            raise InvalidInputError("La séquence générale ne peut pas être retirée.")
        sequence.replaced_at = sequence.replaced_at or at


def _checked_name(name: str) -> str:
    name = clean_text(name)
    if not name:
        raise InvalidInputError("Donnez un nom à la séquence.", field="name")
    if len(name) > NAME_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {NAME_LENGTH} caractères au plus.", field="name")
    return name


def check_steps(steps: Sequence[StepFields], *, is_insurance: bool) -> list[StepFields]:
    """The steps as they are kept. Raises InvalidInputError; its field is ``steps`` or ``step-<position>``."""
    if not steps:
        raise InvalidInputError("Une séquence a au moins une étape.", field="steps")
    if len(steps) > MOST_STEPS:
        raise InvalidInputError(f"Une séquence a {MOST_STEPS} étapes au plus.", field="steps")
    checked = [_checked_step(step, f"step-{position}") for position, step in enumerate(steps)]
    for position, (before, step) in enumerate(pairwise(checked), start=1):
        if step.day <= before.day:
            raise InvalidInputError(
                f"Les étapes se suivent\u202f: le jour {step.day} ne peut pas venir après le jour {before.day}.",
                field=f"step-{position}",
            )
    _check_taking_away(checked, is_insurance=is_insurance)
    return checked


def _checked_step(step: StepFields, field: str) -> StepFields:
    if not 0 <= step.day <= FARTHEST_DAY:
        raise InvalidInputError(f"Le jour va de 0 à {FARTHEST_DAY}.", field=field)
    if step.action is StepAction.RESUME:
        raise InvalidInputError("La reprise suit le paiement d’elle-même.", field=field)
    amount = step.minimum_amount
    if not amount.is_finite() or not 0 <= amount <= LARGEST_MINIMUM or amount != cents(amount):
        raise InvalidInputError(
            "Le montant minimum va de 0 à 1 milliard d’euros, avec deux décimales au plus.", field=field
        )
    kinds = KINDS.get(step.action, ())
    if step.message_kind is not None and step.message_kind not in kinds:
        raise InvalidInputError(f"«\u00a0{step.action.label}\u00a0» n’écrit pas ce message.", field=field)
    title = clean_text(step.title)
    if len(title) > TITLE_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {TITLE_LENGTH} caractères au plus.", field=field)
    if step.action is StepAction.TASK and not title:
        raise InvalidInputError("Dites ce qu’il y a à faire.", field=field)
    kind = step.message_kind or (kinds[0] if kinds else None)
    if step.asks_means and kind is None:
        raise InvalidInputError("Seul un message peut porter le lien de paiement.", field=field)
    return StepFields(step.day, step.action, kind, step.in_working_days, amount, title, step.asks_means)


def _check_taking_away(steps: Sequence[StepFields], *, is_insurance: bool) -> None:
    """Suspension and termination stand on a formal notice; of insurance the law says how many days lie between."""
    notice: StepFields | None = None
    suspension: StepFields | None = None
    for position, step in enumerate(steps):
        field = f"step-{position}"
        if step.message_kind == FORMAL_NOTICE:
            notice = step
            if is_insurance:
                _check_gap(step, days.NOTICE_AFTER, "La mise en demeure", "l’échéance", field)
                _check_posted(step, field)
        elif step.action in planning.TAKING_AWAY:
            if notice is None:
                raise InvalidInputError(
                    f"«\u00a0{step.action.label}\u00a0» vient après une mise en demeure.", field=field
                )
            if is_insurance and step.action is StepAction.SUSPEND:
                suspension = step
                _check_gap(step, notice.day + days.SUSPEND_AFTER_NOTICE, "La suspension", "la mise en demeure", field)
            elif is_insurance:
                since = suspension.day if suspension else notice.day + days.SUSPEND_AFTER_NOTICE
                _check_gap(step, since + days.TERMINATE_AFTER_SUSPENSION, "La résiliation", "la suspension", field)


def _check_gap(step: StepFields, earliest: int, what: str, since: str, field: str) -> None:
    if step.day < earliest:
        raise InvalidInputError(
            f"{what} vient au jour {earliest} au plus tôt après {since} (article L113-3 du Code des assurances).",
            field=field,
        )


def _check_posted(step: StepFields, field: str) -> None:
    if step.action is not StepAction.LETTER or step.in_working_days:
        raise InvalidInputError(
            "La mise en demeure d’une assurance est une lettre recommandée, en jours calendaires.", field=field
        )
