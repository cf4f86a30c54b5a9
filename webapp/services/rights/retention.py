"""Prospects without activity for as long as the organisation says: proposed for erasure, never erased by themselves.

CNIL: data of a prospect are kept for three years after the last contact.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, exists, func, select

from webapp import tenancy
from webapp.clock import PARIS
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client, ClientStatus
from webapp.models.identity import User
from webapp.models.organisations import Organisation
from webapp.models.tasks import Task
from webapp.models.timeline import TimelineEvent
from webapp.services import keyset
from webapp.services.capped_counts import COUNT_CAP, Count, capped
from webapp.services.rights import commands
from webapp.services.rights.erasing import check_admin
from webapp.transactions import transaction

PAGE_SIZE = 50
OLDEST_FIRST = "modifie"
MONTHS = range(1, 121)
"""How long a prospect may be kept, in months."""


def months() -> int:
    """How long the organisation keeps prospects without activity, in months."""
    wanted = select(Organisation.prospects_kept_months).where(Organisation.id == tenancy.current_organisation_id())
    return db.session.scalars(wanted).one()


def keep_for(number: int | None, *, by: User) -> None:
    """Say how long, in months. Raises ForbiddenError; InvalidInputError, field ``mois``."""
    check_admin(by)
    if number is None or number not in MONTHS:
        raise InvalidInputError(f"Écrivez un nombre de mois, de {MONTHS[0]} à {MONTHS[-1]}.", field="mois")
    with transaction():
        organisation_id = tenancy.current_organisation_id()
        organisation = db.session.scalars(select(Organisation).where(Organisation.id == organisation_id)).one()
        organisation.prospects_kept_months = number


def inactive_since(at: datetime) -> datetime:
    """A prospect of whom nothing has been heard since then is proposed."""
    return (at.astimezone(PARIS) - relativedelta(months=months())).astimezone(at.tzinfo)


def list_proposed(cursor: str | None, *, at: datetime, size: int = PAGE_SIZE) -> keyset.Page[Client]:
    """The prospects that are proposed, the one that was changed first at the front."""
    statement = select(Client).where(*_proposed(inactive_since(at)))

    def read(start: keyset.Position | None) -> Sequence[Client]:
        order = [Client.changed_at, Client.id]
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=False, size=size)).all()

    start = keyset.decode(cursor, sort=OLDEST_FIRST, kind=datetime)
    return keyset.page(read, start, place=lambda each: (each.changed_at, each.id), sort=OLDEST_FIRST, size=size)


def count_proposed(*, at: datetime) -> Count:
    """How many there are, up to the limit of counts."""
    some = select(Client.id).where(*_proposed(inactive_since(at))).limit(COUNT_CAP + 1).subquery()
    return capped(db.session.scalars(select(func.count()).select_from(some)).one())


def _proposed(since: datetime) -> list[ColumnElement[bool]]:
    """Neither changed, nor told of, nor to be called: the timeline knows of every note, call, message and edit."""
    told = exists().where(linked(Client, TimelineEvent.client_id), TimelineEvent.at >= since)
    to_do = exists().where(linked(Client, Task.client_id), Task.done_at.is_(None))
    return [
        Client.status == ClientStatus.PROSPECT,
        Client.erased_at.is_(None),
        Client.merged_into_id.is_(None),
        Client.changed_at < since,
        ~told,
        ~to_do,
    ]


def erase(client_ids: Sequence[UUID], *, typed: str, by: User, at: datetime) -> UUID:
    """Have chosen ones erased, where they are proposed still. Returns the operation's id.

    Raises as ``commands.erase_many`` does.
    """
    wanted = list(dict.fromkeys(client_ids))
    proposed = select(Client.id).where(Client.id.in_(wanted), *_proposed(inactive_since(at)))
    check_admin(by)
    if len(db.session.scalars(proposed).all()) < len(wanted):
        raise InvalidInputError("Un de ces clients n’est plus proposé\u202f: choisissez à nouveau.", field="client")
    reason = f"sans activité depuis {months()} mois"
    return commands.erase_many(wanted, reason, typed=typed, by=by, at=at)
