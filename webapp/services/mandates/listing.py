"""The mandates that lack something, and how many subscriptions wait behind each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateFault, MandateStatus
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.organisations import Company
from webapp.models.subscriptions import Subscription
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position
from webapp.services.mandates.commands import LIVING

PAGE_SIZE = 50
BY_AGE = "created_at"
SOON = relativedelta(months=3)


class Lack(StrEnum):
    """What a mandate lacks, as the address says it."""

    ACCOUNT = "compte-archive"
    DECLARED = "declares"
    UNSIGNED = "a-signer"
    IDLE = "inactifs"
    IDLE_SOON = "bientot-inactifs"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "compte-archive": "Compte archivé",
            "declares": "Déclaré, à compléter",
            "a-signer": "À faire signer",
            "inactifs": "36 mois sans prélèvement",
            "bientot-inactifs": "Bientôt 36 mois sans prélèvement",
        }[self.value]


@dataclass(frozen=True, kw_only=True)
class MandatesView:
    """Which mandates are shown: those that lack ``lack``, or anything; ``search`` is for words over clients."""

    lack: Lack | None = None
    search: str = ""
    cursor: str | None = None


class MandateRow(NamedTuple):
    """A mandate that lacks something, with its client, and how many living subscriptions wait behind it."""

    mandate: Mandate
    client: Client
    iban_masked: str
    company: str | None
    lack: Lack
    waiting: int


WAITING = (
    select(func.count())
    .where(
        Subscription.organisation_id == Mandate.organisation_id,
        Subscription.client_id == Mandate.client_id,  # which has an index
        Subscription.mandate_id == Mandate.id,
        Subscription.status.in_(LIVING),
    )
    .scalar_subquery()
)


def list_mandates(view: MandatesView, *, today: date, size: int = PAGE_SIZE) -> keyset.Page[MandateRow]:
    """The mandates of the view, the oldest first."""
    statement = _select(view, today).with_only_columns(Mandate, Client, BankAccount.iban_masked, Company.name, WAITING)

    def read(start: Position | None) -> Sequence[MandateRow]:
        page = keyset.cut(statement, [Mandate.created_at, Mandate.id], start, is_descending=False, size=size)
        return [
            MandateRow(mandate, client, iban, company, _lack_of(mandate, today), waiting)
            for mandate, client, iban, company, waiting in db.session.execute(page)
        ]

    start = keyset.decode(view.cursor, sort=BY_AGE, kind=datetime)
    return keyset.page(read, start, place=lambda row: (row.mandate.created_at, row.mandate.id), sort=BY_AGE, size=size)


def _select(view: MandatesView, today: date) -> Select[*tuple[Any, ...]]:
    lacking = _lacking(today)
    statement = (
        select(Mandate.id)
        .join(Client, linked(Client, Mandate.client_id))
        .join(BankAccount, linked(BankAccount, Mandate.bank_account_id))
        .outerjoin(Company, linked(Company, Mandate.company_id))
        .where(or_(*lacking.values()) if view.lack is None else lacking[view.lack])
    )
    return statement.where(*found_by(view.search))


def select_all(view: MandatesView, *, today: date) -> Select[*tuple[Any, ...]]:
    """Every mandate of a view in its order, joined with clients, accounts and companies: an export adds the columns."""
    return _select(view, today).order_by(Mandate.created_at, Mandate.id)


def lack_in_sql(today: date) -> ColumnElement[str]:
    """In a statement: the word for what a mandate of the list lacks."""
    return case(*((condition, lack.label) for lack, condition in _lacking(today).items()))


def count_by_lack(*, today: date) -> dict[Lack, int]:
    """How many mandates lack what."""
    lacking = _lacking(today)
    counts = [func.count().filter(condition) for condition in lacking.values()]
    row = db.session.execute(
        select(*counts).select_from(Mandate).where(Mandate.organisation_id == tenancy.current_organisation_id())
    ).one()
    return dict(zip(lacking, row, strict=True))


def _lacking(today: date) -> dict[Lack, ColumnElement[bool]]:
    """In a statement, what ``_lack_of`` says of one."""
    is_there = Mandate.account_archived_at.is_(None)
    is_active = and_(is_there, Mandate.status == MandateStatus.ACTIVE)
    is_signed = and_(is_active, Mandate.umr.is_not(None), Mandate.signed_on.is_not(None))
    idle_from = Mandate.idle_from_in_sql()
    return {
        Lack.ACCOUNT: and_(~is_there, Mandate.status != MandateStatus.REVOKED),
        Lack.DECLARED: and_(is_there, Mandate.status == MandateStatus.DECLARED),
        Lack.UNSIGNED: and_(is_active, or_(Mandate.signed_on.is_(None), Mandate.umr.is_(None))),
        Lack.IDLE: and_(is_signed, idle_from <= today),
        Lack.IDLE_SOON: and_(is_signed, idle_from > today, idle_from <= today + SOON),
    }


def _lack_of(mandate: Mandate, today: date) -> Lack:
    if mandate.account_archived_at is not None:
        return Lack.ACCOUNT
    if mandate.status is MandateStatus.DECLARED:
        return Lack.DECLARED
    if mandate.signed_on is None or mandate.umr is None:
        return Lack.UNSIGNED
    return Lack.IDLE if mandate.fault(today) is MandateFault.IDLE else Lack.IDLE_SOON
