"""What a person decides of a claim file: accept or refuse, contest, decide anew, confirm a decision in doubt."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.claims import Claim, ClaimStatus
from webapp.models.identity import User
from webapp.models.timeline import EventKind
from webapp.services.claims import accounts, declaring, doubting, recording
from webapp.services.claims.recording import ClaimStateError, Held
from webapp.services.covers import ledger
from webapp.services.covers.claims import Entry
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision, Outcome
from webapp.services.covers.terms import GREATEST_AMOUNT, NOTHING
from webapp.transactions import transaction

ACCEPTED, REFUSED, TO_REVIEW = ClaimStatus.ACCEPTED, ClaimStatus.REFUSED, ClaimStatus.TO_REVIEW


def accept(
    claim_id: UUID, *, covered: Decimal | None, reason: str, version: int | None, by: User, at: datetime
) -> Claim:
    """Accept a file that waits for a person. ``covered`` is, where absent, what the rules would cover.

    Otherwise than by the rules it is shown as such, and needs a reason. Raises NotFoundError, EditConflictError,
    ClaimStateError; InvalidInputError (fields « covered », « reason »).
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        rules = _by_rules(claim, held)
        amount = _checked_covered(claim, rules, covered)
        is_override = rules.outcome is Outcome.REFUSED or amount != rules.covered
        why = recording.checked_reason(reason, is_needed=is_override)
        recording.move(claim, ACCEPTED, reason=why, by=by, at=held.at)
        row = recording.keep_decision(
            claim, rules, ACCEPTED, covered=amount, is_override=is_override, reason=why, by=by, at=held.at
        )
        accounts.set_covered(claim, _use(claim, rules, amount), by=by, at=held.at, of=row)
        _share_out(claim, rules)
        borne = accounts.sums_of(claim.id).borne
        accounts.set_reserve(claim, accounts.expected_cost(rules, amount) - borne, by=by, at=held.at, of=row)
        _conclude(claim, held, by=by, reason=why)
    return claim


def refuse(claim_id: UUID, *, reason: str, version: int | None, by: User, at: datetime) -> Claim:
    """Refuse a file that waits for a person. Raises NotFoundError, EditConflictError, ClaimStateError;
    InvalidInputError without a reason.
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        why = recording.checked_reason(reason)
        rules = _by_rules(claim, held)
        recording.move(claim, REFUSED, reason=why, by=by, at=held.at)
        is_override = rules.outcome is Outcome.ACCEPTED
        row = recording.keep_decision(
            claim, rules, REFUSED, covered=NOTHING, is_override=is_override, reason=why, by=by, at=held.at
        )
        accounts.set_covered(claim, None, by=by, at=held.at, of=row)
        claim.deductible = claim.over = NOTHING
        accounts.set_reserve(claim, NOTHING, by=by, at=held.at, of=row)
        _conclude(claim, held, by=by, reason=why)
    return claim


def contest(claim_id: UUID, *, reason: str, version: int | None, by: User, at: datetime) -> Claim:
    """Give a decided file to a person: a refusal that is contested, or what was accepted and is in doubt.

    What it used of its cover is given back until it is decided. Raises NotFoundError, EditConflictError,
    ClaimStateError; InvalidInputError without a reason.
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        why = recording.checked_reason(reason)
        recording.move_and_tell(claim, TO_REVIEW, reason=why, by=by, at=held.at)
        accounts.give_back(claim, by=by, at=held.at)
        recording.finish(claim, at=held.at)
        doubting.look_at(held)
    return claim


def correct_asked(
    claim_id: UUID, *, asked: Decimal | None, reason: str, version: int | None, by: User | None, at: datetime
) -> Claim:
    """Decide an open file anew by the rules, with what is asked now; the ledger is corrected by further entries.

    What the rules do not accept goes to a person, whoever had accepted it before. Raises NotFoundError,
    EditConflictError, ClaimStateError; InvalidInputError (field « asked », « reason »).
    """
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        if not claim.status.is_open:
            raise ClaimStateError(f"Un dossier «\u00a0{claim.status.label}\u00a0» ne se décide plus de nouveau.")
        if asked is None and claim.asked is not None:
            raise InvalidInputError("Indiquez le montant demandé.", field="asked")
        why = recording.checked_reason(reason, is_needed=claim.asked not in (None, asked))
        before = claim.asked
        claim.asked = asked
        recording.as_declared(claim)  # what no claim can say is refused before anything is written
        rules = _by_rules(claim, held)
        if before != asked:
            told = {
                "claim_asked": [recording.as_told(before), recording.as_told(asked)],
                **({"reason": [None, why]} if why else {}),
            }
            recording.tell(claim, EventKind.CLAIM_CHANGED, told, by=by, at=held.at)
        if rules.outcome is Outcome.ACCEPTED:
            declaring.follow_rules(claim, rules, by=by, at=held.at)
        else:
            leave_to_person(claim, rules, by=by, at=held.at)
        recording.finish(claim, at=held.at)
        doubting.look_at(held)
    return claim


def confirm(claim_id: UUID, *, reason: str, version: int | None, by: User, at: datetime) -> Claim:
    """Let a doubtful decision hold. Raises NotFoundError, EditConflictError, ClaimStateError; InvalidInputError."""
    with transaction():
        claim, held = recording.hold(claim_id, version=version, at=at)
        if claim.doubt is None:
            raise ClaimStateError("La décision de ce dossier n’est pas en doute.")
        why = recording.checked_reason(reason)
        rules = _by_rules(claim, held)
        status = REFUSED if claim.status is REFUSED else ACCEPTED
        is_as_ruled = (declaring.STATUS_OF[rules.outcome], rules.covered) == (status, claim.covered)
        recording.keep_decision(
            claim,
            rules,
            status,
            covered=claim.covered,
            is_override=not is_as_ruled,
            reason=why,
            by=by,
            at=held.at,
        )
        claim.doubt = None
        _conclude(claim, held, by=by, reason=why)
    return claim


def _by_rules(claim: Claim, held: Held) -> Decision:
    entries = ledger.list_entries(held.cover.id, besides=claim.id)
    return decide(held.life, recording.as_declared(claim), entries, held.at)


def _checked_covered(claim: Claim, rules: Decision, covered: Decimal | None) -> Decimal:
    """What is covered, as somebody says it, or as the rules do."""
    if claim.asked is None:
        if covered is not None:
            raise InvalidInputError("Corrigez d’abord le montant demandé\u202f: il n’est pas connu.", field="covered")
        return NOTHING
    if covered is None:
        if rules.outcome is Outcome.REFUSED:
            raise InvalidInputError("Indiquez le montant pris en charge.", field="covered")
        return rules.covered
    if not covered.is_finite() or covered != round(covered, 2):
        raise InvalidInputError("Indiquez un montant, avec deux décimales au plus.", field="covered")
    if not 0 < covered <= GREATEST_AMOUNT:
        raise InvalidInputError("Le montant pris en charge est supérieur à 0\u00a0€.", field="covered")
    if covered > claim.asked:
        asked = french.short_money(claim.asked)
        raise InvalidInputError(f"Le montant pris en charge ne dépasse pas les {asked} demandés.", field="covered")
    return covered


def _use(claim: Claim, rules: Decision, covered: Decimal) -> Entry:
    """What the file uses of its cover where a person accepts it."""
    option = rules.inputs.option
    return Entry(
        claim_id=claim.id,
        event_on=claim.event_on,
        covered=covered,
        option=option.code if option else None,
        draws_on_main=option is None or option.draws_on_main,
        counts=option is None or option.counts_among_claims,
        holds_place=claim.asked is None,
    )


def _share_out(claim: Claim, rules: Decision) -> None:
    """Who bears the rest: the client the deductible, as far as it goes; what is left is over the caps."""
    borne = (claim.asked or NOTHING) - claim.covered
    claim.deductible = min(rules.deductible, borne)
    claim.over = borne - claim.deductible


def leave_to_person(claim: Claim, rules: Decision, *, by: User | None, at: datetime) -> None:
    """Let a person decide what the rules do not accept; until then it uses nothing. In the caller's transaction."""
    row = recording.keep_decision(claim, rules, TO_REVIEW, covered=NOTHING, by=by, at=at)
    if claim.status is not TO_REVIEW:
        recording.move_and_tell(claim, TO_REVIEW, reason=rules.reason.sentence, by=by, at=at)
    accounts.set_covered(claim, None, by=by, at=at, of=row)
    claim.deductible = claim.over = NOTHING


def _conclude(claim: Claim, held: Held, *, by: User | None, reason: str | None) -> None:
    declaring.tell_decided(claim, by=by, at=held.at, reason=reason)
    recording.finish(claim, at=held.at)
    doubting.look_at(held)
