"""Completing mandates by a list: read and shown first, then applied once, where all is still as it was shown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import String, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError

from webapp import clock, crypto, sepa
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount, Mandate, MandateImport, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.services.contact import check_iban, clean_text
from webapp.services.mandates import commands, lists
from webapp.services.mandates.lists import ListedMandate
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

KEPT_FOR = timedelta(days=30)
CHANGED = "Le mandat a changé depuis l’aperçu."
NAME_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class ImportedLine:
    """A line, what it completes, or why it does not (``fault``). An IBAN is only there masked.

    ``seen`` is how the mandate stood when the list was read; ``is_done`` once the line was applied.
    """

    number: int
    client: str
    postcode: str
    iban: str
    umr: str
    signed_on: str
    signed_in: str
    fault: str | None = None
    client_id: str | None = None
    client_name: str | None = None
    mandate_id: str | None = None
    company_id: str | None = None
    seen: list[str | None] | None = None
    is_done: bool = False


def read_import(file_name: str, content: bytes, *, by: User, at: datetime) -> MandateImport:
    """Read a list and keep what it would do; nothing is completed yet. Raises InvalidInputError, field ``file``."""
    listed = lists.read_list(content)
    with transaction():
        db.session.execute(delete(MandateImport).where(MandateImport.created_at < at - KEPT_FOR))
        resolved = _Resolution(listed, today=at.astimezone(clock.PARIS).date()).lines()
        kept = MandateImport(
            id=new_id(),
            user_id=by.id,
            file_name=clean_text(file_name)[:NAME_LENGTH] or "liste.csv",
            lines=[asdict(line) for line in resolved],
            created_at=at,
        )
        db.session.add(kept)
    return kept


def find_import(import_id: UUID) -> MandateImport:
    """A list that was read. Raises NotFoundError."""
    kept = db.session.scalar(select(MandateImport).where(MandateImport.id == import_id))
    if kept is None:
        raise NotFoundError("Cette liste n’existe pas ou plus.")
    return kept


def lines_of(kept: MandateImport) -> list[ImportedLine]:
    """Its lines, in their order."""
    return [ImportedLine(**line) for line in kept.lines]


def apply_import(import_id: UUID, *, by: User, at: datetime) -> MandateImport:
    """Complete what the preview said, where it is still so; pressing again changes nothing. Raises NotFoundError."""
    with transaction():
        wanted = select(MandateImport).where(MandateImport.id == import_id).with_for_update()
        kept = db.session.scalar(wanted.execution_options(populate_existing=True))
        if kept is None:
            raise NotFoundError("Cette liste n’existe pas ou plus.")
        if kept.applied_at is None:
            lines = lines_of(kept)
            done = _complete([line for line in lines if line.fault is None], by=by, at=at)
            kept.lines = [_closed(line, done) for line in lines]
            kept.applied_at = at
    return kept


def _closed(line: ImportedLine, done: dict[int, str | None]) -> dict[str, Any]:
    """The line with what became of it."""
    values = asdict(line)
    return values if line.fault else values | {"fault": done[line.number], "is_done": done[line.number] is None}


def _complete(lines: Sequence[ImportedLine], *, by: User, at: datetime) -> dict[int, str | None]:
    """By the number of the line: why it was not completed, or None."""
    wanted = [UUID(line.mandate_id) for line in lines if line.mandate_id]
    locked = select(Mandate).where(Mandate.id.in_(wanted)).order_by(Mandate.id).with_for_update()
    mandates = {each.id: each for each in db.session.scalars(locked.execution_options(populate_existing=True))}
    taken = _references_taken(line.umr.upper() for line in lines)
    done: dict[int, str | None] = {}
    for line in lines:
        mandate = mandates.get(UUID(line.mandate_id or ""))
        if mandate is None or _as_it_stands(mandate) != line.seen:
            done[line.number] = CHANGED
        elif taken.get((line.company_id, line.umr.upper()), mandate.id) != mandate.id:
            done[line.number] = commands.TAKEN
        else:
            done[line.number] = _complete_one(mandate, line, by=by, at=at)
    return done


def _complete_one(mandate: Mandate, line: ImportedLine, *, by: User, at: datetime) -> str | None:
    """Somebody may type the same reference at this instant: that costs this line alone."""
    try:
        with db.session.begin_nested():
            before = commands.worded(mandate)
            mandate.umr, mandate.company_id = line.umr, UUID(line.company_id or "")
            mandate.signed_on, mandate.signed_in = date.fromisoformat(line.signed_on), line.signed_in or None
            mandate.status = MandateStatus.ACTIVE
            commands.tell_change(mandate, before, by=by, at=at)
    except IntegrityError:
        return commands.TAKEN
    return None


def _as_it_stands(mandate: Mandate) -> list[str | None]:
    """What must not have changed between the preview and the completion."""
    signed_on = mandate.signed_on.isoformat() if mandate.signed_on else None
    company_id = str(mandate.company_id) if mandate.company_id else None
    return [mandate.status.value, mandate.umr, signed_on, str(mandate.bank_account_id), company_id]


def _references_taken(references: Iterable[str]) -> dict[tuple[str | None, str], UUID]:
    """Which mandates of which company bear these references (in capitals) already, in one look."""
    rows = db.session.execute(
        select(Mandate.company_id, func.upper(Mandate.umr).label("umr"), Mandate.id).where(
            func.upper(Mandate.umr).in_(set(references)), Mandate.company_id.is_not(None)
        )
    )
    return {(str(row.company_id), row.umr): row.id for row in rows}


class _RefusedError(Exception):
    """Why a line completes nothing."""


class _Resolution:
    """A list's lines held against what there is, in as many queries for two thousand lines as for one."""

    def __init__(self, listed: Sequence[ListedMandate], *, today: date) -> None:
        self.listed, self.today = [_with_iban(line) for line in listed], today
        self.completed: set[UUID] = set()
        self.times = Counter(clean_text(line.umr).upper() for line in listed if line.umr)
        self.company_id = db.session.execute(select(Company.id).where(Company.is_default)).scalar_one_or_none()
        self.by_word = self._find_clients()
        self.by_iban = self._find_accounts()
        found = {client.id for clients in self.by_word.values() for client in clients}
        found |= {account.client_id for accounts in self.by_iban.values() for account in accounts}
        self.clients = {each.id: each for each in db.session.scalars(select(Client).where(Client.id.in_(found)))}
        self.mandates: dict[UUID, list[Mandate]] = {}
        of_clients = select(Mandate).where(Mandate.client_id.in_(found), Mandate.status != MandateStatus.REVOKED)
        of_clients = of_clients.where(Mandate.account_archived_at.is_(None))
        for mandate in db.session.scalars(of_clients.order_by(Mandate.id)):
            self.mandates.setdefault(mandate.client_id, []).append(mandate)
        self.taken = _references_taken(self.times)

    def lines(self) -> list[ImportedLine]:
        """Each line with what it would complete, or why not."""
        return [self._line(listed) for listed in self.listed]

    def _find_clients(self) -> dict[tuple[str, str], list[Client]]:
        """By what was written and the postcode beside it: an id, an e-mail, or a name with its postcode."""
        found: dict[tuple[str, str], list[Client]] = {}
        written = {(line.client, line.postcode) for line in self.listed if line.client}
        ids, emails = defaultdict(list), defaultdict(list)  # several lines may write the same in their own ways
        for key in written:
            ids[_as_uuid(key[0])].append(key)
            emails[key[0].lower() if "@" in key[0] else None].append(key)
        for client in db.session.scalars(select(Client).where(Client.id.in_(filter(None, ids)))):
            for key in ids[client.id]:
                found.setdefault(key, []).append(client)
        for client in db.session.scalars(select(Client).where(Client.email.in_(filter(None, emails)))):
            for key in emails[client.email]:
                found.setdefault(key, []).append(client)
        names = sorted({name for name, postcode in written if postcode})
        typed = func.unnest(literal(names, ARRAY(String))).column_valued("typed")
        for name, client in db.session.execute(select(typed, Client).join(Client, Client.name_key == func.fold(typed))):
            found.setdefault((name, client.postcode or ""), []).append(client)
        return found

    def _find_accounts(self) -> dict[str, list[BankAccount]]:
        purpose = iban_purpose(current_organisation_id())
        ibans: dict[bytes, str] = {}
        for line in self.listed:
            if (iban := _as_iban(line.iban)) is not None:
                ibans |= dict.fromkeys(crypto.blind_indexes(iban, purpose=purpose), iban)
        found: dict[str, list[BankAccount]] = {}
        accounts = select(BankAccount).where(BankAccount.iban_index.in_(ibans), BankAccount.archived_at.is_(None))
        for account in db.session.scalars(accounts):
            found.setdefault(ibans[account.iban_index], []).append(account)
        return found

    def _line(self, listed: ListedMandate) -> ImportedLine:
        shown: dict[str, Any] = {
            "number": listed.number,
            "client": clean_text(listed.client),
            "postcode": clean_text(listed.postcode),
            "iban": mask_iban(iban) if (iban := _as_iban(listed.iban)) else ("illisible" if listed.iban else ""),
            "umr": clean_text(listed.umr),
            "signed_on": clean_text(listed.signed_on),
            "signed_in": clean_text(listed.signed_in),
        }
        try:
            return ImportedLine(**shown | self._resolved(listed))
        except (_RefusedError, InvalidInputError) as refusal:
            return ImportedLine(**shown, fault=getattr(refusal, "message", str(refusal)))

    def _resolved(self, listed: ListedMandate) -> dict[str, Any]:
        client, account_ids = self._client(listed)
        mandate = self._mandate(client, account_ids, clean_text(listed.umr))
        if mandate.id in self.completed:
            raise _RefusedError("Une autre ligne complète déjà ce mandat.")
        company_id = mandate.company_id or self.company_id
        if company_id is None:
            raise _RefusedError("Ce mandat ne dit pas à quelle société il est donné\u202f: complétez-le à la main.")
        completed = {
            "umr": self._reference(listed, mandate, company_id),
            "signed_on": self._day(listed).isoformat(),
            "signed_in": self._place(listed),
            "client_id": str(client.id),
            "client_name": client.full_name,
            "mandate_id": str(mandate.id),
            "company_id": str(company_id),
            "seen": _as_it_stands(mandate),
        }
        self.completed.add(mandate.id)
        return completed

    def _client(self, listed: ListedMandate) -> tuple[Client, set[UUID] | None]:
        """The client, and the accounts that an IBAN narrows it to."""
        accounts = None
        candidates: set[UUID] = set()
        if listed.iban:
            iban = check_iban(listed.iban)
            if not sepa.is_iban(iban):
                raise _RefusedError("Cet IBAN n’est pas celui d’un compte SEPA.")
            accounts = {account.id for account in self.by_iban.get(iban, ())}
            candidates = {account.client_id for account in self.by_iban.get(iban, ())}
        if listed.client:
            key = (listed.client, listed.postcode)
            if key not in self.by_word and not (listed.postcode or _as_uuid(listed.client) or "@" in listed.client):
                raise _RefusedError("Un nom demande le code postal\u202f; sinon, l’e-mail ou l’identifiant du client.")
            named = {client.id for client in self.by_word.get(key, ())}
            candidates = named & candidates if listed.iban else named
        if not candidates:
            raise _RefusedError("Aucun client ne correspond.")
        if len(candidates) > 1:
            raise _RefusedError("Plusieurs clients correspondent\u202f: précisez.")
        return self.clients[candidates.pop()], accounts

    def _mandate(self, client: Client, account_ids: set[UUID] | None, umr: str) -> Mandate:
        given = [
            mandate
            for mandate in self.mandates.get(client.id, ())
            if account_ids is None or mandate.bank_account_id in account_ids
        ]
        lacking = [mandate for mandate in given if mandate.signed_on is None or mandate.umr is None]
        lacking = [each for each in lacking if each.umr and each.umr.upper() == umr.upper()] or lacking
        if len(lacking) == 1:
            return lacking[0]
        if lacking:
            raise _RefusedError("Plusieurs mandats de ce client sont à compléter\u202f: précisez l’IBAN.")
        raise _RefusedError("Ce mandat est déjà signé." if given else "Ce client n’a pas de mandat à compléter.")

    def _reference(self, listed: ListedMandate, mandate: Mandate, company_id: UUID) -> str:
        umr = clean_text(listed.umr) or mandate.umr or ""
        if not umr:
            raise _RefusedError("La référence (RUM) manque.")
        if not sepa.is_identifier(umr):
            raise _RefusedError(sepa.WRONG_IDENTIFIER)
        if self.times[umr.upper()] > 1:
            raise _RefusedError("Cette référence (RUM) est plusieurs fois dans la liste.")
        if self.taken.get((str(company_id), umr.upper()), mandate.id) != mandate.id:
            raise _RefusedError(commands.TAKEN)
        return umr

    def _day(self, listed: ListedMandate) -> date:
        day = lists.read_date(listed.signed_on)
        if day > self.today:
            raise _RefusedError("La signature ne peut pas être dans le futur.")
        return day

    def _place(self, listed: ListedMandate) -> str:
        place = clean_text(listed.signed_in)
        if len(place) > commands.PLACE_LENGTH:
            raise _RefusedError(f"Le lieu est trop long\u202f: {commands.PLACE_LENGTH} caractères au plus.")
        return place


def _with_iban(line: ListedMandate) -> ListedMandate:
    """Whoever has only one column for who it is may put the IBAN there."""
    is_iban = not line.iban and _as_iban(line.client) is not None
    return line._replace(client="", iban=line.client) if is_iban else line


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _as_iban(text: str) -> str | None:
    try:
        return check_iban(text)
    except InvalidInputError:
        return None
