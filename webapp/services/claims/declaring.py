"""Declaring a claim: its file is opened and decided at once, by the rules, under the lock of its cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.claims import Claim, ClaimChannel, ClaimCounter, ClaimEntry, ClaimStatus
from webapp.models.covers import Trade
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.claims import accounts, doubting, recording
from webapp.services.claims.recording import ClaimStateError, Held
from webapp.services.clients.activities import clean_lines
from webapp.services.covers import ledger
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision, Outcome
from webapp.services.dunning import days
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

WORDS_LENGTH = 5000
STATUS_OF = {
    Outcome.ACCEPTED: ClaimStatus.ACCEPTED,
    Outcome.REFUSED: ClaimStatus.REFUSED,
    Outcome.TO_REVIEW: ClaimStatus.TO_REVIEW,
}


@dataclass(frozen=True, kw_only=True)
class ClaimFields:
    """A claim as it is declared; absent is None.

    ``event_on`` and ``declared_on`` (today where absent) are local dates in Paris, ``event_time`` the hour on the wall
    there. Without ``home_id`` the covered home of that day is meant. ``token`` is of the form: sent twice, it declares
    once.
    """

    trade: Trade | None
    event_on: date | None
    event_time: time | None = None
    declared_on: date | None = None
    channel: ClaimChannel | None = ClaimChannel.PHONE
    home_id: UUID | None = None
    asked: Decimal | None = None
    words: str = ""
    token: UUID | None = None


def declare(cover_id: UUID, fields: ClaimFields, *, by: User | None, at: datetime) -> Claim:
    """Open a file and decide it. Sent again with the same token, it is the file that stands already.

    Raises NotFoundError, ClaimStateError; InvalidInputError, naming the field.
    """
    with transaction():
        held = recording.hold_cover(cover_id, at=at)
        standing = _find_declared(cover_id, fields.token)
        if standing is not None:
            return standing
        if held.cover.client.erased_at is not None:
            raise ClaimStateError("Ce client a été effacé\u202f: plus rien n’est déclaré pour lui.")
        claim = open_file(held, fields, by=by)
        recording.finish(claim, at=held.at)
        if held.is_news:
            doubting.look_at(held)
    return claim


def open_file(held: Held, fields: ClaimFields, *, by: User | None) -> Claim:
    """Open a file of a locked cover and decide it, in the caller's transaction, who finishes it.

    The client is not erased. Raises ClaimStateError; InvalidInputError, naming the field.
    """
    claim = _open(held, fields, by=by)
    _decide(claim, held, by=by)
    return claim


def _find_declared(cover_id: UUID, token: UUID | None) -> Claim | None:
    if token is None:
        return None
    claim = db.session.scalar(select(Claim).where(Claim.token == token))
    if claim is not None and claim.cover_id != cover_id:
        raise ClaimStateError("Ce formulaire a déjà servi pour une autre couverture\u202f: ouvrez-en un nouveau.")
    return claim


def _open(held: Held, fields: ClaimFields, *, by: User | None) -> Claim:
    today = days.local(held.at)
    event_on, declared_on = _checked_days(fields, today=today)
    if fields.trade is None:
        raise InvalidInputError("Choisissez un métier.", field="trade")
    if fields.channel is None:
        raise InvalidInputError("Indiquez comment le client l’a déclaré.", field="channel")
    if fields.home_id is not None and fields.home_id not in {home.home_id for home in held.cover.lasting_homes}:
        raise InvalidInputError("Choisissez un logement de cette couverture.", field="home_id")
    words = checked_words(fields.words)
    claim = Claim(
        id=new_id(),
        cover_id=held.cover.id,
        client_id=held.cover.client_id,
        home_id=fields.home_id,
        trade=fields.trade,
        event_on=event_on,
        event_at=instant_of(event_on, fields.event_time, held),
        declared_on=declared_on,
        channel=fields.channel,
        words=words,
        status=ClaimStatus.DECLARED,
        asked=fields.asked,
        token=fields.token,
        created_by_id=by.id if by else None,
        created_at=held.at,
        changed_at=held.at,
        version=1,
    )
    recording.as_declared(claim)  # what no claim can say is refused before anything is written
    claim.reference = _next_reference(declared_on.year)
    db.session.add(claim)
    db.session.flush()
    return claim


def _checked_days(fields: ClaimFields, *, today: date) -> tuple[date, date]:
    if fields.event_on is None:
        raise InvalidInputError("Indiquez le jour de l’événement.", field="event_on")
    if fields.event_on > today:
        raise InvalidInputError("L’événement ne peut pas être dans le futur.", field="event_on")
    declared_on = fields.declared_on or today
    if declared_on > today:
        raise InvalidInputError("La déclaration ne peut pas être dans le futur.", field="declared_on")
    if declared_on < fields.event_on:
        raise InvalidInputError("La déclaration ne peut pas précéder l’événement.", field="declared_on")
    return fields.event_on, declared_on


def checked_words(written: str) -> str:
    """What the client said, fit to be kept. Raises InvalidInputError."""
    words = clean_lines(written)
    if len(words) > WORDS_LENGTH:
        most = french.whole(WORDS_LENGTH)
        raise InvalidInputError(f"C’est trop long\u202f: {most} caractères au plus.", field="words")
    return words


def instant_of(event_on: date, hour: time | None, held: Held) -> datetime | None:
    """The instant of an hour on the wall in Paris; None where nobody knows it. Raises InvalidInputError."""
    if hour is None:
        return None
    event_at = datetime.combine(event_on, hour, clock.PARIS)
    if event_at > held.at:
        raise InvalidInputError("Cette heure est dans le futur.", field="event_time")
    return event_at


def _next_reference(year: int) -> str:
    """The next one of the year; whoever declares at the same time waits for it until this commits."""
    counter = insert(ClaimCounter).values(organisation_id=current_organisation_id(), year=year, last=1)
    counter = counter.on_conflict_do_update(
        index_elements=["organisation_id", "year"], set_={"last": ClaimCounter.last + 1}
    )
    number = db.session.execute(counter.returning(ClaimCounter.last)).scalar_one()
    return f"DEP-{year}-{number:06d}"


def _decide(claim: Claim, held: Held, *, by: User | None) -> None:
    at = held.at
    recording.note_change(claim, None, ClaimStatus.DECLARED, reason=None, by=by, at=at)
    asked = {"trade": [None, claim.trade.label], "event_on": [None, claim.event_on.isoformat()]}
    recording.tell(claim, EventKind.CLAIM_DECLARED, asked, by=by, at=at)
    with db.session.no_autoflush:  # nothing pending is read here
        decision = decide(held.life, recording.as_declared(claim), ledger.list_entries(held.cover.id), at)
        follow_rules(claim, decision, entries=[], by=None, at=at)


def follow_rules(
    claim: Claim, decision: Decision, *, entries: Sequence[ClaimEntry] | None = None, by: User | None, at: datetime
) -> None:
    """Let a file be what the rules decided, in the caller's transaction. Raises ClaimStateError.

    ``entries`` are its own, where the caller knows.
    """
    status = STATUS_OF[decision.outcome]
    row = recording.keep_decision(claim, decision, status, by=by, at=at)
    entries = accounts.list_entries(claim.id) if entries is None else entries
    standing = accounts.sum_up(entries)
    is_accepted = status is ClaimStatus.ACCEPTED
    if claim.status is not status and not (is_accepted and claim.status is ClaimStatus.IN_PROGRESS):
        recording.move(claim, status, reason=decision.reason.sentence, by=by, at=at)
    accounts.set_covered(claim, decision.entry, by=by, at=at, of=row, entries=entries)
    claim.deductible = decision.deductible if is_accepted else Decimal(0)
    claim.over = decision.over.total if is_accepted else Decimal(0)
    claim.doubt = None
    is_refused = status is ClaimStatus.REFUSED
    expected = Decimal(0) if is_refused else accounts.expected_cost(decision, decision.covered)
    accounts.set_reserve(claim, expected - standing.borne, by=by, at=at, of=row, standing=standing)
    tell_decided(claim, by=by, at=at)


def tell_decided(claim: Claim, *, by: User | None, at: datetime, reason: str | None = None) -> None:
    """Tell the client's timeline what was decided."""
    changes: dict[str, list[str | None]] = {
        "claim_status": [None, claim.status.label],
        "claim_covered": [None, recording.as_told(claim.covered)],
    }
    if reason:
        changes["reason"] = [None, reason]
    recording.tell(claim, EventKind.CLAIM_DECIDED, changes, by=by, at=at)
