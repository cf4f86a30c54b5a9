"""Applies a batch of prospects in one transaction: read, decide, write. A bad row costs itself only."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import psycopg
import structlog
from sqlalchemy import exc, text

from webapp.extensions import db
from webapp.gateways.json_stream import decode
from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus import existing, payload, planning
from webapp.services.winleadplus.commercials import Directory
from webapp.services.winleadplus.comparing import hash_of
from webapp.services.winleadplus.differences import changes_of_new
from webapp.services.winleadplus.existing import Standing
from webapp.services.winleadplus.payload import Prospect, RejectedProspectError
from webapp.services.winleadplus.plans import Claims, Plan, Rules
from webapp.services.winleadplus.products import Catalogue
from webapp.services.winleadplus.writing import Author, Digests, Rows
from webapp.transactions import after_commit, transaction

log = structlog.get_logger()

PAYLOAD_LIMIT = 512 * 1024
"""Characters of a raw prospect beyond which an item does not keep it."""
SKIPPED_ITEMS = 1000
"""After so many, give or take a batch, a run counts prospects without contract and names them no more."""
REASON_LIMIT = 2000

REFUSED_BY_DATABASE = "Ce prospect n’a pas pu être enregistré. Prévenez votre administrateur si cela persiste."
UNREADABLE = "Ce prospect n’a pas pu être lu. Prévenez votre administrateur si cela persiste."

_COUNTED = (ItemKind.CREATED, ItemKind.UPDATED, ItemKind.SKIPPED, ItemKind.ERROR, ItemKind.CONFLICT)
_DATA_ERRORS = (psycopg.DataError, psycopg.IntegrityError, exc.DataError, exc.IntegrityError)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A raw prospect that is new or has changed. ``fault`` says why it could not even be told from the others."""

    external_id: str
    text: str
    fingerprint: bytes
    fault: str | None = None
    label: str = ""


Tally = Counter[ItemKind]
"""How many prospects came to what; a prospect with warnings counts as WARNING, too."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A prospect as read, or why it could not be."""

    incoming: Incoming
    prospect: Prospect | None = None
    hash: bytes = b""
    fault: str | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one prospect."""

    incoming: Incoming
    digests: Digests
    kind: ItemKind
    label: str
    reason: str | None = None
    plan: Plan | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_warned(self) -> bool:
        """Whether something was left out of a client that the prospect has, or gets."""
        is_kept = self.kind in (ItemKind.CREATED, ItemKind.UPDATED) or (self.plan and self.plan.snapshot is not None)
        return bool(self.warnings and is_kept)


@dataclass(slots=True)
class Applier:
    """Applies batches for one run. ``save`` is called within each transaction with what the batch came to.

    ``is_resumed``: an earlier process has worked on the run, any prospect may have items of it already.
    """

    author: Author
    rules: Rules
    is_dry_run: bool = False
    is_resumed: bool = False
    save: Callable[[Tally], None] = lambda _tally: None
    directory: Directory = field(default_factory=Directory)
    catalogue: Catalogue = field(default_factory=Catalogue)
    claims: Claims = field(default_factory=Claims)
    has_open_items: bool = True
    mapped: int = 0
    """Prospects that came to have a client by this run."""
    _skipped: int = 0

    def apply(self, batch: list[Incoming], seen_before: Collection[str] = ()) -> None:
        """Apply the batch. ``seen_before`` are those that the run has counted already: they came twice.

        Should the database refuse a value, the batch is halved until the row at fault stands alone, as an error.
        """
        read = [_read(incoming) for incoming in batch]
        prospects = [row.prospect for row in read if row.prospect is not None]
        if not self.is_dry_run:
            self._make_known(prospects)
        self._apply_read(read, seen_before)

    def apply_one(self, incoming: Incoming) -> Plan:
        """Apply one prospect on a person's behalf, in the caller's transaction, and write no item about it.

        Returns the plan that was followed. Raises RejectedProspectError.
        """
        value = decode(incoming.text)
        prospect = payload.read(value)
        self._make_known([prospect])
        standing = existing.load([prospect], [chosen for chosen in self.rules.decided.values() if chosen])
        (plan,) = planning.plan_all([prospect], standing, Claims(), self.rules, self.directory)
        rows = Rows(self.author, self.directory, self.catalogue)
        self._add_rows(rows, plan, Digests(hash_of(value), incoming.fingerprint), standing)
        rows.write()
        return plan

    def _make_known(self, prospects: list[Prospect]) -> None:
        self.directory.ensure(prospect.representative for prospect in prospects if prospect.representative)
        self.catalogue.ensure(
            line for prospect in prospects for contract in prospect.contracts for line in contract.lines
        )

    def _apply_read(self, read: "list[_Row]", seen_before: Collection[str]) -> None:
        try:
            with transaction():
                self.save(self._attempt(read, seen_before))
        except _DATA_ERRORS as error:
            log.warning("sync_batch_refused", count=len(read), exc_type=type(error).__name__)
            if len(read) > 1:
                middle = len(read) // 2
                self._apply_read(read[:middle], seen_before)
                self._apply_read(read[middle:], seen_before)
            elif read[0].prospect is None:
                raise
            else:
                refused = _Row(read[0].incoming, label=read[0].prospect.label, fault=REFUSED_BY_DATABASE)
                self._apply_read([refused], seen_before)

    def _attempt(self, read: "list[_Row]", seen_before: Collection[str]) -> Tally:
        prospects = [row.prospect for row in read if row.prospect is not None]
        standing = existing.load(prospects, [chosen for chosen in self.rules.decided.values() if chosen])
        # Within a batch, claims are those of its rows; only a dry run, which writes none, must remember them all.
        claims = self.claims if self.is_dry_run else Claims()
        plans = planning.plan_all(prospects, standing, claims, self.rules, self.directory)
        erased = existing.list_erased([row.incoming.external_id for row in read if row.prospect is None])
        outcomes = [_nameless(each, erased) for each in _outcomes(read, plans)]
        rows = Rows(self.author, self.directory, self.catalogue)
        tally, redone = self._count(outcomes, seen_before)
        for outcome in outcomes:
            if outcome.plan is not None:
                self._add_rows(rows, outcome.plan, outcome.digests, standing)
            self._add_items(rows, outcome, redone.get(outcome.incoming.external_id, frozenset()))
        if self.is_dry_run:
            rows.write_items()
        else:
            rows.write()
            self._supersede_items(outcomes)
        mapped = sum(
            outcome.kind in (ItemKind.CREATED, ItemKind.UPDATED)
            and outcome.incoming.external_id not in standing.mappings
            for outcome in outcomes
        )
        after_commit(lambda: self._keep(mapped, tally[ItemKind.SKIPPED]))
        return tally

    def _keep(self, mapped: int, skipped: int) -> None:
        self.mapped += mapped
        self._skipped += skipped

    # ---- Rows

    def _add_rows(self, rows: Rows, plan: Plan, digests: Digests, standing: Standing) -> None:
        """The rows of the prospect's client; a dry run only completes what the plan tells."""
        if plan.kind in (ItemKind.ERROR, ItemKind.CONFLICT):
            return
        if self.is_dry_run:
            if plan.kind is ItemKind.CREATED:
                plan.changes = changes_of_new(plan.prospect, self.directory)
        elif plan.kind is ItemKind.CREATED:
            plan.client_id = rows.add_created(plan, digests)
        elif plan.kind is ItemKind.UPDATED:
            rows.add_updated(plan, digests, standing)
        elif plan.snapshot is not None:
            rows.add_refreshed(plan, digests, standing)

    def _add_items(self, rows: Rows, outcome: _Outcome, earlier: Collection[ItemKind]) -> None:
        """What the run says about the prospect, beyond what its ``earlier`` items say."""
        plan, client_id = outcome.plan, outcome.plan.client_id if outcome.plan else None
        if self._is_told(outcome, earlier):
            is_open = outcome.kind in (ItemKind.ERROR, ItemKind.CONFLICT)
            keeps_image = outcome.kind is ItemKind.UPDATED or self.is_dry_run
            rows.add_item(
                outcome.kind,
                outcome.incoming.external_id,
                label=outcome.label,
                reason=outcome.reason,
                client_id=client_id,
                candidates=plan.candidates if plan else [],
                changes=plan.changes if plan and keeps_image else None,
                payload=outcome.incoming.text if is_open and len(outcome.incoming.text) <= PAYLOAD_LIMIT else None,
            )
        if outcome.is_warned:
            reason = " ".join(outcome.warnings)[:REASON_LIMIT]
            external_id = outcome.incoming.external_id
            rows.add_item(ItemKind.WARNING, external_id, label=outcome.label, reason=reason, client_id=client_id)

    def _is_told(self, outcome: _Outcome, earlier: Collection[ItemKind]) -> bool:
        """Whether it gets an item: « ignoré » for want of a contract only up to a number, « créé » only once."""
        if outcome.kind is ItemKind.SKIPPED:
            return outcome.reason is not None and self._skipped < SKIPPED_ITEMS
        if outcome.kind in (ItemKind.CREATED, ItemKind.UPDATED):
            return ItemKind.CREATED not in earlier and ItemKind.UPDATED not in earlier
        return True

    # ---- Counts

    def _count(
        self, outcomes: list[_Outcome], seen_before: Collection[str]
    ) -> tuple[Tally, dict[str, frozenset[ItemKind]]]:
        """What the batch adds to the run's counts, and the items it already has on prospects that come again.

        A prospect counts once, by its last row; one that was created or updated in this run stays that.
        """
        tally: Tally = Counter()
        again = [
            outcome.incoming.external_id
            for outcome in outcomes
            if self.is_resumed or outcome.incoming.external_id in seen_before
        ]
        redone = self._take_back_items(again)
        for outcome in outcomes:
            external_id = outcome.incoming.external_id
            earlier = redone.get(external_id, frozenset())
            if external_id in seen_before and not earlier & set(_COUNTED):
                tally[ItemKind.SKIPPED] -= 1
            for kind in earlier - {ItemKind.CREATED, ItemKind.UPDATED}:
                tally[kind] -= 1
            if not earlier & {ItemKind.CREATED, ItemKind.UPDATED} or outcome.kind is ItemKind.ERROR:
                tally[outcome.kind] += 1
            tally[ItemKind.WARNING] += outcome.is_warned
        return tally, redone

    def _take_back_items(self, external_ids: Collection[str]) -> dict[str, frozenset[ItemKind]]:
        """The kinds of items of this run on these prospects; those but « créé » and « mis à jour » are deleted."""
        kinds: dict[str, frozenset[ItemKind]] = {}
        if not external_ids:
            return kinds
        parameters = {
            "organisation_id": self.author.organisation_id,
            "run_id": self.author.run_id,
            "external_ids": list(external_ids),
        }
        for external_id, kind in db.session.execute(_ITEM_KINDS, parameters):
            kinds[external_id] = kinds.get(external_id, frozenset()) | {ItemKind(kind)}
        db.session.execute(_DELETE_ITEMS, parameters)
        return kinds

    def _supersede_items(self, outcomes: list[_Outcome]) -> None:
        """What earlier runs left open about these prospects is settled, or said anew by this run."""
        if not self.has_open_items:
            return
        parameters = {
            "organisation_id": self.author.organisation_id,
            "run_id": self.author.run_id,
            "external_ids": [outcome.incoming.external_id for outcome in outcomes],
            "at": self.author.at,
        }
        db.session.execute(_SUPERSEDE, parameters)


def _read(incoming: Incoming) -> _Row:
    if incoming.fault is not None:
        return _Row(incoming, fault=incoming.fault, label=incoming.label)
    try:
        value = decode(incoming.text)
        return _Row(incoming, payload.read(value), hash_of(value))
    except RejectedProspectError as error:
        return _Row(incoming, fault=error.reason, label=error.label)
    except Exception as error:
        # A row that we did not foresee is our bug, and costs that row, not the run.
        log.error("sync_row_unreadable", exc_type=type(error).__name__)  # noqa: TRY400  the values are personal
        return _Row(incoming, fault=UNREADABLE)


def _outcomes(read: list[_Row], plans: list[Plan]) -> list[_Outcome]:
    """What the plans, one for each row that has a prospect, make of the rows."""
    remaining = iter(plans)
    return [_outcome(row, next(remaining) if row.prospect else None) for row in read]


def _outcome(row: _Row, plan: Plan | None) -> _Outcome:
    digests = Digests(row.hash, row.incoming.fingerprint)
    if plan is None:
        return _Outcome(row.incoming, digests, ItemKind.ERROR, row.label, row.fault)
    prospect = plan.prospect
    return _Outcome(row.incoming, digests, plan.kind, prospect.label, plan.reason, plan, prospect.warnings)


def _nameless(outcome: _Outcome, erased: Collection[str]) -> _Outcome:
    """Of a client that was erased, no item keeps a name, a warning or the prospect itself."""
    if outcome.plan is not None and outcome.reason == planning.ERASED and outcome.kind is ItemKind.SKIPPED:
        return replace(outcome, label="", warnings=())
    if outcome.incoming.external_id in erased:
        return replace(outcome, kind=ItemKind.SKIPPED, label="", reason=planning.ERASED)
    return outcome


_ITEM_KINDS = text(
    """SELECT external_id, kind FROM sync_items
    WHERE organisation_id = :organisation_id AND run_id = :run_id AND external_id = ANY(:external_ids)"""
)
_DELETE_ITEMS = text(
    """DELETE FROM sync_items WHERE organisation_id = :organisation_id AND run_id = :run_id
      AND external_id = ANY(:external_ids) AND kind NOT IN ('created', 'updated')"""
)
_SUPERSEDE = text(
    """UPDATE sync_items SET resolved_at = :at
    WHERE organisation_id = :organisation_id AND external_id = ANY(:external_ids) AND resolved_at IS NULL
      AND kind IN ('error', 'conflict', 'warning') AND run_id <> :run_id"""
)
