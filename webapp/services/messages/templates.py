"""The texts of an organisation: versions that are only ever added to, by kind and channel, for one company or for all.

The first version of a text for all is the one that ships; it is stored with its first use.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime
from difflib import SequenceMatcher
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import joinedload

from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.messages import Channel, MessageKind, MessageTemplate
from webapp.models.organisations import Company
from webapp.services.effective_days import start_of_effect
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text, check, cleaned
from webapp.services.messages.texts import SHIPPED
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

FROM_THE_START = datetime(2000, 1, 1, tzinfo=UTC)
"""Since when a text that ships is in use: whatever the organisation does, it did not do before."""
_MANY = 200

Place = tuple[MessageKind, Channel, UUID]
"""What is written, how it goes, and in whose name."""


class NewerTextError(DomainError):
    """A colleague has saved a version meanwhile."""


class TemplateInUse(NamedTuple):
    """A version, and its text."""

    id: UUID
    text: Text


class Versions(NamedTuple):
    """The versions of one text, the newest first; ``present`` is the one in use, None before the first."""

    versions: Sequence[MessageTemplate]
    present: MessageTemplate | None

    @property
    def latest(self) -> int:
        """The number of the newest version; 0 where there is none."""
        return self.versions[0].version if self.versions else 0

    @property
    def newest_text(self) -> Text | None:
        """What the newest version says; None where there is none, or the text of all is followed."""
        return text_of(self.versions[0]) if self.versions and not self.versions[0].follows_all else None


class DiffLine(NamedTuple):
    """A line of a text as it was (« - »), is (« + »), or both (« = »)."""

    mark: Literal["=", "-", "+"]
    line: str


def load_in_use(wanted: Collection[Place], *, at: datetime) -> dict[Place, TemplateInUse]:
    """The text in use of each: a company's own before the organisation's. In a transaction.

    One statement, three where a text that ships is used for the first time. Absent where there is no text.
    """
    found = _find_in_use(wanted, at=at)
    missing = {(kind, channel) for kind, channel, company_id in wanted if (kind, channel, company_id) not in found}
    if missing & SHIPPED.keys():
        _store_shipped(missing & SHIPPED.keys())
        found = _find_in_use(wanted, at=at)
    return found


def _find_in_use(wanted: Collection[Place], *, at: datetime) -> dict[Place, TemplateInUse]:
    table = MessageTemplate
    pairs = {(kind, channel) for kind, channel, _ in wanted}
    companies = {company_id for *_, company_id in wanted}
    statement = (
        select(table)
        .where(
            tuple_(table.kind, table.channel).in_(pairs),
            or_(table.company_id.is_(None), table.company_id.in_(companies)),
            table.active_from <= at,
        )
        .ext(distinct_on(table.kind, table.channel, table.company_id))
        .order_by(table.kind, table.channel, table.company_id, table.version.desc())
    )
    rows = {(row.kind, row.channel, row.company_id): row for row in db.session.scalars(statement)}
    in_use = {}
    for kind, channel, company_id in wanted:
        row = rows.get((kind, channel, company_id))
        if row is None or row.follows_all:
            row = rows.get((kind, channel, None))
        if row is not None:
            in_use[kind, channel, company_id] = TemplateInUse(row.id, text_of(row))
    return in_use


def _store_shipped(pairs: Iterable[tuple[MessageKind, Channel]]) -> None:
    """Version 1 for all; whoever comes second stores nothing."""
    rows = [
        {
            "organisation_id": current_organisation_id(),
            "id": new_id(),
            "kind": kind,
            "channel": channel,
            "version": 1,
            "subject": SHIPPED[kind, channel].subject,
            "body": SHIPPED[kind, channel].body,
            "active_from": FROM_THE_START,
        }
        for kind, channel in sorted(pairs)
    ]
    db.session.execute(insert(MessageTemplate.__table__).on_conflict_do_nothing(), rows)  # type: ignore[arg-type]


def text_of(version: MessageTemplate) -> Text:
    """What a version says."""
    return Text(version.subject, version.body)


def list_in_use(*, at: datetime) -> dict[tuple[MessageKind, Channel, UUID | None], int]:
    """The number of the version in use, of every text that was ever written; the others are as they ship.

    A company that follows the text of all again is not there.
    """
    table = MessageTemplate
    statement = (
        select(table.kind, table.channel, table.company_id, table.version, table.follows_all)
        .where(table.active_from <= at)
        .ext(distinct_on(table.kind, table.channel, table.company_id))
        .order_by(table.kind, table.channel, table.company_id, table.version.desc())
    )
    return {
        (row.kind, row.channel, row.company_id): row.version
        for row in db.session.execute(statement)
        if not row.follows_all
    }


def list_versions(kind: MessageKind, channel: Channel, company_id: UUID | None, *, at: datetime) -> Versions:
    """The versions of one text. The one that ships stands for all as version 1, though it may not be stored yet."""
    statement = (
        select(MessageTemplate)
        .where(*_of(kind, channel, company_id))
        .options(joinedload(MessageTemplate.created_by))
        .order_by(MessageTemplate.version.desc())
        .limit(_MANY)
    )
    versions: Sequence[MessageTemplate] = db.session.scalars(statement).all()
    if not versions and company_id is None:
        versions = [_shipped(kind, channel)]
    return Versions(versions, next((version for version in versions if version.active_from <= at), None))


def _shipped(kind: MessageKind, channel: Channel) -> MessageTemplate:
    text = SHIPPED[kind, channel]
    return MessageTemplate(
        kind=kind, channel=channel, version=1, subject=text.subject, body=text.body, active_from=FROM_THE_START
    )


def find_version(kind: MessageKind, channel: Channel, company_id: UUID | None, version: int) -> MessageTemplate:
    """One version. Raises NotFoundError."""
    of_number = (
        select(MessageTemplate)
        .where(*_of(kind, channel, company_id), MessageTemplate.version == version)
        .options(joinedload(MessageTemplate.created_by))
    )
    found = db.session.scalar(of_number)
    if found is None and version == 1 and company_id is None and (kind, channel) in SHIPPED:
        return _shipped(kind, channel)
    if found is None:
        raise NotFoundError
    return found


def save(
    kind: MessageKind,
    channel: Channel,
    company_id: UUID | None,
    text: Text,
    *,
    seen_version: int,
    active_on: date | None = None,
    by: User,
    at: datetime,
) -> MessageTemplate | None:
    """Add a version, in use from now, or from the beginning of a day to come; None where it says what the newest says.

    ``company_id`` None: for all companies without a text of their own. ``seen_version`` is the newest that its writer
    saw, 0 for none. Raises WrongTextError, InvalidInputError naming the field, NewerTextError, NotFoundError.
    """
    if (kind, channel) not in SHIPPED:
        raise NotFoundError
    written = cleaned("" if channel is Channel.SMS else text.subject, text.body)
    check(KINDS[kind], channel, written)
    active_from = start_of_effect(active_on, at=at)
    with transaction():
        _lock_texts()
        _check_company(company_id)
        if company_id is None:
            _store_shipped([(kind, channel)])
        newest = _find_newest(kind, channel, company_id, seen_version)
        if newest is not None and text_of(newest) == written and newest.active_from <= active_from:
            return None
        version = MessageTemplate(
            kind=kind,
            channel=channel,
            company_id=company_id,
            version=seen_version + 1,
            subject=written.subject,
            body=written.body,
            active_from=active_from,
            created_by_id=by.id,
            created_at=at,
        )
        db.session.add(version)
        db.session.flush()
    return version


def follow_all(
    kind: MessageKind, channel: Channel, company_id: UUID, *, seen_version: int, by: User, at: datetime
) -> MessageTemplate | None:
    """Have the company use the text of all again, from now on, as its newest version; None where it does already.

    What it wrote stays, and may be taken up. Raises NewerTextError, NotFoundError.
    """
    with transaction():
        _lock_texts()
        _check_company(company_id)
        newest = _find_newest(kind, channel, company_id, seen_version)
        if newest is None or newest.follows_all:
            return None
        version = MessageTemplate(
            kind=kind,
            channel=channel,
            company_id=company_id,
            version=seen_version + 1,
            body="",
            follows_all=True,
            active_from=at,
            created_by_id=by.id,
            created_at=at,
        )
        db.session.add(version)
        db.session.flush()
    return version


def _find_newest(
    kind: MessageKind, channel: Channel, company_id: UUID | None, seen_version: int
) -> MessageTemplate | None:
    """The newest version, under the lock. Raises NewerTextError where it is not the one that was seen."""
    of_place = select(MessageTemplate).where(*_of(kind, channel, company_id))
    newest = db.session.scalar(of_place.order_by(MessageTemplate.version.desc()).limit(1))
    if (newest.version if newest else 0) != seen_version:
        raise NewerTextError("Un collègue a enregistré une autre version entre-temps\u202f: relisez-la d’abord.")
    return newest


def _check_company(company_id: UUID | None) -> None:
    if company_id is not None and db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
        raise NotFoundError


def _of(kind: MessageKind, channel: Channel, company_id: UUID | None) -> tuple[ColumnElement[bool], ...]:
    table = MessageTemplate
    return table.kind == kind, table.channel == channel, table.company_id == company_id


def _lock_texts() -> None:
    """One version of the organisation at a time, so that numbers follow each other."""
    key = f"message_templates|{current_organisation_id()}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def diff(old: Text, new: Text) -> list[DiffLine]:
    """Line by line, subjects first, what one version says and the other does not."""
    before, after = _lines(old), _lines(new)
    lines: list[DiffLine] = []
    for operation, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if operation == "equal":
            lines += [DiffLine("=", line) for line in before[start:end]]
        else:
            lines += [DiffLine("-", line) for line in before[start:end]]
            lines += [DiffLine("+", line) for line in after[new_start:new_end]]
    return lines


def _lines(text: Text) -> list[str]:
    return [*([text.subject, ""] if text.subject else []), *text.body.split("\n")]
