"""One process's work on a run: takes prospects as they come, compares, applies, keeps count, and ends the run."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Update, delete, exists, func, select, update

from webapp import clock
from webapp.extensions import db
from webapp.gateways import winleadplus
from webapp.gateways.json_stream import Element
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, RunPhase, SyncItem, SyncMapping, SyncRun
from webapp.services.commercials import link_awaiting
from webapp.services.winleadplus import absence, config, runs
from webapp.services.winleadplus.applying import PAYLOAD_LIMIT, Applier, Incoming, Tally
from webapp.services.winleadplus.comparing import (
    UNDECODABLE,
    Known,
    Seen,
    find_fingerprints,
    find_known,
    fingerprint_of,
)
from webapp.services.winleadplus.payload import RejectedProspectError, external_id_of
from webapp.services.winleadplus.runs import Lease
from webapp.transactions import after_commit, transaction

log = structlog.get_logger()

FIRST_BATCH = 50
"""Small, so that the first counts are seen soon; each later batch is twice as large, up to BATCH."""
BATCH = 1000
PROGRESS_SECONDS = 1.0
"""How long counts may lag behind, and prospects wait for their batch to fill."""
RENEWAL_SECONDS = 5.0
HEAVY = 8 * 1024 * 1024
"""Characters of raw prospects that are held in memory at most, or a single one if it is larger."""
PAGE = 10_000

FAULTS = {
    "malformed": "Ce prospect n’est pas lisible (JSON non valide).",
    "too_large": "Ce prospect est démesurément grand\u202f: il n’a pas été lu.",
}
UNDECODABLE_FAULT = "Ce prospect contient des octets qui ne sont pas de l’UTF-8\u202f: ses accents seraient perdus."
UNDECODABLE_LIMIT = 3
"""So many prospects in another charset, and none beyond ASCII that can be read, tell that the whole answer is in it."""
COLUMNS = {
    ItemKind.CREATED: "created",
    ItemKind.UPDATED: "updated",
    ItemKind.SKIPPED: "skipped",
    ItemKind.ERROR: "errors",
    ItemKind.WARNING: "warnings",
    ItemKind.CONFLICT: "conflicts",
}
LOGGED = {kind: name for kind, name in COLUMNS.items() if name in ("created", "updated", "skipped", "errors")}


@dataclass(slots=True)
class Work:
    """What a process holds in memory of the run that it works on: bounded, but for some bits per prospect seen.

    ``ids`` and ``texts`` wait to be compared, ``pending`` to be applied. ``seen_before`` are those pending that the run
    has counted already. ``undecodable`` counts prospects in another charset; ``has_sound_letters`` once one beyond
    ASCII could be read. ``mapped`` counts the mappings met, to tell whether any was missing.
    """

    lease: Lease
    applier: Applier
    seen: Seen = field(default_factory=Seen)
    counts: Tally = field(default_factory=Counter)
    position: int = 0
    mapped: int = 0
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    pending: dict[str, Incoming] = field(default_factory=dict)
    seen_before: set[str] = field(default_factory=set)
    returned: list[str] = field(default_factory=list)
    batch: int = FIRST_BATCH
    undecodable: int = 0
    has_sound_letters: bool = False
    raw_weight: int = 0
    pending_weight: int = 0
    saved_at: float = field(default_factory=time.monotonic)
    renewed_at: float = field(default_factory=time.monotonic)

    # ---- Beginning

    def begin(self) -> None:
        """Take over what an earlier process has done of this run: what it wrote counts, the rest is done again."""
        with transaction():
            if self.lease.attempt > 1:
                self._recount()
            self.applier.has_open_items = _has_open_items(self.lease.run_id)
            self._save(phase=RunPhase.FETCHING)
        self.applier.save = self._save_batch

    def _recount(self) -> None:
        """Clients that were made, changed or flagged stay so; errors and conflicts come up again."""
        mine = SyncItem.run_id == self.lease.run_id
        kept = [ItemKind.CREATED, ItemKind.UPDATED, ItemKind.WARNING]
        flagged = select(SyncRun.absence_confirmed_at).where(SyncRun.id == self.lease.run_id)
        absent = [ItemKind.ABSENT] if db.session.scalar(flagged) else []
        db.session.execute(delete(SyncItem).where(mine, SyncItem.kind.not_in(kept + absent)))
        counted = select(SyncItem.kind, func.count()).where(mine, SyncItem.kind.in_(kept)).group_by(SyncItem.kind)
        for kind, number in db.session.execute(counted):
            self.counts[kind] = number

    # ---- Prospects

    def take(self, elements: list[Element]) -> None:
        """Further prospects: compared and applied once there are enough, or have waited long enough."""
        taken = 0
        while taken < len(elements):
            more = elements[taken : taken + self.batch]
            taken += len(more)
            self._tell_apart(more)
            self._advance()
        self._advance()

    def _tell_apart(self, elements: list[Element]) -> None:
        """Keep ids and texts; those without an id go to the pending ones, to become errors.

        What was decoded is let go, and decoded again for those that changed: a thousand nested objects held alive would
        cost more, in passes of the garbage collector, than reading a few twice.
        """
        for element in elements:
            self.position += 1
            try:
                self.ids.append(external_id_of(element.value))
            except RejectedProspectError as error:
                external_id = f"#{self.position}"
                self.pending[external_id] = faulty = _faulty(external_id, element, error)
                self.pending_weight += len(faulty.text)
            else:
                self.texts.append(element.text)
                self.raw_weight += len(element.text)

    def _advance(self) -> None:
        if len(self.ids) >= self.batch or self.raw_weight > HEAVY or self._is_progress_due():
            self._compare_raw()
            if len(self.pending) >= self.batch or self.pending_weight > HEAVY or self._is_progress_due():
                self._apply_pending()
            self.batch = min(2 * self.batch, BATCH)

    def _is_progress_due(self) -> bool:
        return time.monotonic() - self.saved_at >= PROGRESS_SECONDS

    def keep_lease(self) -> None:
        """Prolong the lease while WinLeadPlus takes its time."""
        if time.monotonic() - self.renewed_at >= RENEWAL_SECONDS:
            with transaction():
                self._save()

    def _compare_raw(self) -> None:
        """Count what has not changed, and set the rest aside to be applied."""
        ids, texts = self.ids, self.texts
        self.ids, self.texts, self.raw_weight = [], [], 0
        repeated = self.seen.add_all(map(int, ids))
        fingerprints = [fingerprint_of(text) for text in texts]
        self._check_charset(texts, fingerprints)
        with transaction():
            plain = find_fingerprints(ids, run_id=self.lease.run_id)
            rest = [
                place
                for place, (external_id, fingerprint) in enumerate(zip(ids, fingerprints, strict=True))
                if plain.get(external_id) != fingerprint or place in repeated
            ]
            known = find_known([ids[place] for place in rest], run_id=self.lease.run_id)
        self.counts[ItemKind.SKIPPED] += len(ids) - len(rest)
        self.mapped += len(ids) - len(rest)
        for place in rest:
            if fingerprints[place] == UNDECODABLE:  # the text cannot be kept, and nothing in it be believed
                incoming = Incoming(ids[place], "", UNDECODABLE, UNDECODABLE_FAULT)
            else:
                incoming = Incoming(ids[place], texts[place], fingerprints[place])
            self._compare(incoming, known.get(ids[place]), is_repeated=place in repeated)

    def _check_charset(self, texts: list[str], fingerprints: list[bytes]) -> None:
        """Raises WrongCharsetError once it is plain that the whole answer is in another charset."""
        self.undecodable += fingerprints.count(UNDECODABLE)
        if not self.has_sound_letters:
            self.has_sound_letters = any(
                fingerprint != UNDECODABLE and not text.isascii()
                for text, fingerprint in zip(texts, fingerprints, strict=True)
            )
        if self.undecodable >= UNDECODABLE_LIMIT and not self.has_sound_letters:
            raise winleadplus.WrongCharsetError

    def _compare(self, incoming: Incoming, mapping: Known | None, *, is_repeated: bool) -> None:
        external_id = incoming.external_id
        if is_repeated and self.pending.pop(external_id, None) is not None:
            is_repeated = external_id in self.seen_before  # the earlier row was not counted yet: this one is instead
        elif mapping is not None and not is_repeated:
            self.mapped += 1
            self.returned += [external_id] if mapping.is_missing else []
        if incoming.fault is None and mapping is not None and mapping.is_still(incoming.text, incoming.fingerprint):
            self.counts[ItemKind.SKIPPED] += not (is_repeated or mapping.is_counted)
            return
        if is_repeated:
            self.seen_before.add(external_id)
        self.pending[external_id] = incoming
        self.pending_weight += len(incoming.text)

    def _apply_pending(self) -> None:
        batch, self.pending = list(self.pending.values()), {}
        seen_before, self.seen_before = self.seen_before, set()
        self.pending_weight = 0
        self.applier.author.at = clock.now()
        if batch:
            self.applier.apply(batch, seen_before)
        else:
            with transaction():
                self._save_batch(Counter())

    # ---- Progress

    def _save_batch(self, tally: Tally) -> None:
        """In the transaction of a batch: what it came to, and the lease."""
        counts = self.counts.copy()
        counts.update(tally)
        if self.returned and not self.lease.dry_run:
            db.session.execute(
                update(SyncMapping).where(SyncMapping.external_id.in_(self.returned)).values(missing_since=None)
            )
        self._save(counts, phase=RunPhase.APPLYING)
        self.saved_at = time.monotonic()
        after_commit(lambda: self._keep(counts))

    def _keep(self, counts: Tally) -> None:
        self.counts, self.returned = counts, []

    def _save(self, counts: Tally | None = None, **progress: Any) -> None:
        counts = self.counts if counts is None else counts
        columns = {column: counts[kind] for kind, column in COLUMNS.items()}
        done = sum(number for kind, number in counts.items() if kind is not ItemKind.WARNING)
        runs.renew(self.lease, at=clock.now(), done=done, **columns, **progress)
        self.renewed_at = time.monotonic()

    # ---- End

    def end(self, *, missing: str | None) -> None:
        """Apply what is left, and bring the run to its end; ``missing`` says why the answer may not be whole."""
        self._compare_raw()
        self._apply_pending()
        with transaction():
            self._save(phase=RunPhase.FINISHING)
        is_whole = missing is None and not self.lease.dry_run
        if is_whole:
            missing = self._look_for_vanished()
        is_partial = missing or self.counts[ItemKind.ERROR] or self.counts[ItemKind.CONFLICT]
        with transaction():
            at = clock.now()
            if not self.lease.dry_run:
                link_awaiting(at=at)
                config.note_success(at=at)
            if is_whole:
                db.session.execute(_supersede(self.lease.run_id, at))
            status = RunStatus.PARTIAL if is_partial else RunStatus.SUCCESS
            runs.finish(self.lease, status=status, error=missing, at=at)
        log.info("sync_run_finished", status=status.value, **{name: self.counts[kind] for kind, name in LOGGED.items()})

    def _look_for_vanished(self) -> str | None:
        """Name the prospects that a whole answer no longer holds, and flag them unless they are too many to believe it.

        Looks for them only if the numbers differ. Returns why the run does not say that they are gone.
        """
        with transaction():
            held = absence.count_held()
        vanished = held - self.mapped - self.applier.mapped
        if not vanished:
            return None
        is_believed = not absence.is_incredible(vanished, held)
        last = ""
        while page := self._go_through_page(last, is_believed=is_believed):
            last = page
        if is_believed:
            return None
        with transaction():
            self._save(absent=vanished)
        return absence.doubt(vanished, held)

    def _go_through_page(self, after: str, *, is_believed: bool) -> str | None:
        """Name, and flag, the vanished among the next page of mappings. Returns where the page ends."""
        with transaction():
            page = db.session.scalars(
                select(SyncMapping.external_id)
                .where(SyncMapping.missing_since.is_(None), SyncMapping.external_id > after)
                .order_by(SyncMapping.external_id)
                .limit(PAGE)
            ).all()
            vanished = [external_id for external_id in page if int(external_id) not in self.seen]
            at = clock.now()
            if vanished:
                absence.name(vanished, self.lease.run_id, at=at)
            if vanished and is_believed:
                absence.flag(vanished, at=at)
                self._save(absent=SyncRun.absent + len(vanished), absence_confirmed_at=at)
            else:
                self._save()
        return page[-1] if page else None


def _faulty(external_id: str, element: Element, error: RejectedProspectError) -> Incoming:
    """A row that cannot be told from others, with the reason."""
    reason = FAULTS[element.fault] if element.fault else error.reason
    text = element.text if len(element.text) <= PAYLOAD_LIMIT and fingerprint_of(element.text) != UNDECODABLE else ""
    return Incoming(external_id, text, b"", reason, error.label)


def _open(run_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Items of other runs that still wait for something."""
    return SyncItem.resolved_at.is_(None), SyncItem.run_id != run_id


def _has_open_items(run_id: UUID) -> bool:
    kinds = SyncItem.kind.in_((ItemKind.ERROR, ItemKind.CONFLICT, ItemKind.WARNING))
    return bool(db.session.scalar(select(exists().where(*_open(run_id), kinds))))


def _supersede(run_id: UUID, at: datetime) -> Update:
    """A whole answer says anew what is in error: what earlier runs said of it is settled."""
    kinds = SyncItem.kind.in_((ItemKind.ERROR, ItemKind.CONFLICT))
    statement = update(SyncItem).where(*_open(run_id), kinds).values(resolved_at=at)
    return statement.execution_options(synchronize_session=False)
