"""Deciding a claim: whether it is covered, and for how much. Pure and total: nothing is read or written.

The steps stand in the order of ``Step``. The day of the event decides, not that of the declaration. The first refusal
ends the explanation; what only a person can judge lets the rest be worked out, as what would be covered.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from webapp import french
from webapp.models.covers import CoverCause, CoverKind
from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.decisions import Decision, Line, Outcome, Over, Step
from webapp.services.covers.lifetime import DAY, CoverLife
from webapp.services.covers.terms import NOTHING
from webapp.services.covers.weighing import Weighing
from webapp.services.dunning import days

DECLARED_WITHIN = 5
"""Working days from the event to its declaration (article L113-2 of the insurance code)."""


def decide(life: CoverLife, claim: Claim, ledger: Iterable[Entry], at: datetime) -> Decision:
    """What becomes of a claim, decided at ``at``.

    ``ledger`` is what claims used of the cover before; entries of other cover years, or of this claim, do not count.
    """
    case = Weighing(life, claim, ledger, at)
    lines = _explain(case)
    outcome = _outcome_of(lines)
    is_covered = outcome is not Outcome.REFUSED
    return Decision(
        claim=claim,
        at=at,
        outcome=outcome,
        covered=case.shares.covered if is_covered else NOTHING,
        deductible=case.shares.deductible if is_covered else NOTHING,
        over=case.over if is_covered else Over(),
        up_to=case.up_to if is_covered else NOTHING,
        before=case.left,
        after=case.left_after if is_covered else case.left,
        lines=tuple(lines),
        inputs=case.inputs,
    )


@lru_cache(4096)
def last_day_to_declare(event_on: date) -> date:
    """The last of the working days within which an event is to be declared; its own day does not count."""
    return days.after(event_on, DECLARED_WITHIN, in_working_days=True)


@lru_cache(4096)
def euros(amount: Decimal) -> str:
    """An amount in a sentence; kept, since a decision says a dozen, of which most are those of a plan."""
    return french.short_money(amount)


def _explain(case: Weighing) -> list[Line]:
    """The lines in their order, up to the first refusal; without one, the last says what is covered."""
    lines = list[Line]()
    for check in CHECKS:
        lines.append(check(case))
        if lines[-1].outcome is Outcome.REFUSED:
            return lines
    return [*lines, _tell_covered(case, is_sure=_outcome_of(lines) is Outcome.ACCEPTED)]


def _outcome_of(lines: Iterable[Line]) -> Outcome:
    outcomes = {line.outcome for line in lines}
    return next(outcome for outcome in (Outcome.REFUSED, Outcome.TO_REVIEW, Outcome.ACCEPTED) if outcome in outcomes)


def _pass(step: Step, sentence: str, amount: Decimal | None = None) -> Line:
    return Line(step, Outcome.ACCEPTED, sentence, amount)


def _refuse(step: Step, sentence: str) -> Line:
    return Line(step, Outcome.REFUSED, sentence)


def _doubt(step: Step, sentence: str) -> Line:
    return Line(step, Outcome.TO_REVIEW, sentence)


def _check_in_force(case: Weighing) -> Line:
    step, day = Step.IN_FORCE, french.day(case.day)
    effective_on = french.day(case.life.effective_on)
    if case.day < case.life.effective_on:
        return _refuse(step, f"La couverture ne prend effet que le {effective_on}.")
    if not case.states:
        return _refuse(step, f"La couverture n’avait pas encore pris effet le {day}.")
    ended = next((state for state in case.states if state.kind is CoverKind.ENDED), None)
    if ended is None:
        return _pass(step, f"La couverture était en vigueur le {day} (prise d’effet le {effective_on}).")
    ground = ended.note or ended.cause.label.lower()
    if len(case.states) == 1:
        return _refuse(step, f"La couverture a pris fin le {french.day(days.local(ended.since))} ({ground}).")
    return _doubt(
        step,
        f"La couverture a pris fin le {french.moment(ended.since)} ({ground})\u202f: l’heure de l’événement décide.",
    )


def _check_waiting(case: Weighing) -> Line:
    step, source = Step.WAITING, case.source
    if source is None:
        return _pass(step, "Aucun délai de carence à vérifier\u202f: ce métier n’est pas couvert.")
    if case.day < source.covered_from:
        last = f"jusqu’au {french.day(source.covered_from - DAY)} inclus"
        if source.option:
            return _refuse(step, f"L’option «\u00a0{source.option.label}\u00a0» est en délai de carence {last}.")
        return _refuse(step, f"Le métier «\u00a0{case.claim.trade.label}\u00a0» est en délai de carence {last}.")
    return _pass(step, f"Le délai de carence était terminé\u202f: couvert depuis le {french.day(source.covered_from)}.")


def _check_suspended(case: Weighing) -> Line:
    step = Step.SUSPENDED
    suspended = next((state for state in case.states if state.kind is CoverKind.SUSPENDED), None)
    if suspended is None:
        return _pass(step, "La couverture n’était pas suspendue.")
    why = " pour impayé" if suspended.cause is CoverCause.UNPAID else f" ({suspended.cause.label.lower()})"
    until = f" jusqu’au {french.moment(suspended.until)}" if suspended.until else ""
    sentence = f"La couverture était suspendue{why} depuis le {french.moment(suspended.since)}{until}"
    if any(state.kind is CoverKind.ACTIVE or state.kind is CoverKind.WAITING for state in case.states):
        return _doubt(step, f"{sentence}\u202f: l’heure de l’événement décide.")
    return _refuse(step, f"{sentence}.")


def _check_trade(case: Weighing) -> Line:
    trade = case.claim.trade.label
    plan = case.life.terms_on(case.day)
    if case.source is None:
        nothing = f"n’est couvert ni par la formule «\u00a0{plan.label}\u00a0» ni par une option"
        return _refuse(Step.TRADE, f"Le métier «\u00a0{trade}\u00a0» {nothing}.")
    if case.option:
        by = f"l’option «\u00a0{case.option.label}\u00a0»"
    else:
        by = f"la formule «\u00a0{plan.label}\u00a0» (version {plan.version})"
    return _pass(Step.TRADE, f"Le métier «\u00a0{trade}\u00a0» est couvert par {by}.")


def _check_home(case: Weighing) -> Line:
    step, home, day = Step.HOME, case.home, french.day(case.day)
    if home is None:
        return _refuse(step, f"Aucun logement n’était couvert le {day}.")
    if case.claim.home_id not in (None, home.home_id):
        covered = f"\u202f: c’était {home.label}" if home.label else ""
        return _refuse(step, f"Ce logement n’était pas le logement couvert le {day}{covered}.")
    where = f" ({home.label})" if home.label else ""
    return _pass(step, f"C’était le logement couvert ce jour-là{where}.")


def _check_declared(case: Weighing) -> Line:
    step, claim = Step.DECLARED, case.claim
    declared_on, event_on = french.day(claim.declared_on), french.day(claim.event_on)
    last = last_day_to_declare(claim.event_on)
    if max(claim.event_on, claim.declared_on) > days.local(case.at):
        return _doubt(step, f"Une date est dans le futur (événement le {event_on}, déclaré le {declared_on}).")
    if claim.declared_on < claim.event_on:
        return _doubt(step, f"Déclaré le {declared_on}, avant l’événement du {event_on}.")
    if claim.declared_on > last:
        return _doubt(step, f"Déclaré le {declared_on}, après les {DECLARED_WITHIN} jours ouvrés ({french.day(last)}).")
    return _pass(step, f"Déclaré le {declared_on}, dans les {DECLARED_WITHIN} jours ouvrés.")


def _check_claims_left(case: Weighing) -> Line:
    step, limit, used = Step.CLAIMS_LEFT, case.limits.claims_per_year, case.used.claims
    if not case.counts:
        return _pass(step, "Cette option ne compte pas parmi les interventions de la formule.")
    if limit is None or case.left.claims is None:
        return _pass(step, "Le nombre d’interventions par an n’est pas limité.")
    of_limit = f"{used} sur {french.counted(limit, 'intervention')}"
    taken = f"{of_limit} déjà {french.plural(limit, 'prise')} en charge cette année"
    if case.left.claims == 0:
        return _refuse(step, f"{taken}\u202f: il n’en reste plus avant le {french.day(case.year.renewed_on)}.")
    return _pass(step, f"{taken}\u202f: il en reste {case.left.claims}.")


def _check_deductible(case: Weighing) -> Line:
    step, asked, deductible = Step.DEDUCTIBLE, case.claim.asked, max(case.terms.deductible, NOTHING)
    if asked == 0:
        return _refuse(step, "Rien n’est demandé\u202f: il n’y a rien à prendre en charge.")
    if not deductible:
        return _pass(step, "Sans franchise.", NOTHING)
    share = f"Franchise de {euros(deductible)} à la charge du client"
    if asked is not None and asked <= deductible:
        return _refuse(step, f"{share}\u202f: les {euros(asked)} demandés ne la dépassent pas.")
    return _pass(step, f"{share}.", case.shares.deductible)


def _check_cap_per_claim(case: Weighing) -> Line:
    step, cap = Step.CAP_PER_CLAIM, case.cap_per_claim
    if cap is None:
        return _pass(step, "Sans plafond par intervention.", NOTHING)
    whose = f" de l’option «\u00a0{case.option.label}\u00a0»" if case.option else ""
    if cap == 0:
        return _refuse(step, f"Le plafond par intervention{whose} est nul.")
    over = case.shares.over_claim
    return _pass(step, f"Plafond par intervention{whose}\u202f: {euros(cap)}{_beyond(over)}.", over)


def _check_cap_per_year(case: Weighing) -> Line:
    step, renewed_on = Step.CAP_PER_YEAR, french.day(case.year.renewed_on)
    caps = list(_yearly_caps(case))
    exhausted = next((f"{name} ({euros(cap)}) épuisé" for name, cap, left in caps if not left), None)
    if exhausted:
        return _refuse(step, f"{exhausted}\u202f: il est renouvelé le {renewed_on}.")
    if not caps:
        return _pass(step, "Sans plafond annuel.", NOTHING)
    over = case.shares.over_option + case.shares.over_year
    left_of = "\u202f; ".join(f"{name}\u202f: il reste {euros(left)} sur {euros(cap)}" for name, cap, left in caps)
    return _pass(step, f"{left_of}{_beyond(over)}.", over)


def _yearly_caps(case: Weighing) -> Iterator[tuple[str, Decimal, Decimal]]:
    """The yearly caps that limit the claim: name, cap, what is left of it."""
    if case.option and case.option.cap_per_year is not None and case.left.option is not None:
        yield (
            f"Plafond annuel de l’option «\u00a0{case.option.label}\u00a0»",
            case.option.cap_per_year,
            case.left.option,
        )
    if case.limits.cap_per_year is not None and case.left_of_main is not None:
        yield "Plafond annuel", case.limits.cap_per_year, case.left_of_main


def _tell_covered(case: Weighing, *, is_sure: bool) -> Line:
    step, asked, shares = Step.COVERED, case.claim.asked, case.shares
    if asked is None:
        most = f"{euros(case.up_to)} au plus" if case.up_to is not None else "Sans limite de montant"
        return _pass(step, f"{most}, une fois le montant connu.", NOTHING)
    parts = {
        "de franchise": shares.deductible,
        "au-delà du plafond par intervention": case.over.per_claim,
        "au-delà du plafond de l’option": case.over.option,
        "au-delà du plafond annuel": case.over.per_year,
    }
    borne = [f"{euros(amount)} {words}" for words, amount in parts.items() if amount]
    rest = f" Reste à la charge du client\u202f: {', '.join(borne)}." if borne else ""
    would_be = "" if is_sure else "seraient, si une personne l’accepte, "
    return _pass(
        step, f"{euros(shares.covered)} {would_be}pris en charge sur {euros(asked)} demandés.{rest}", shares.covered
    )


def _beyond(over: Decimal) -> str:
    return f"\u202f; {euros(over)} au-delà" if over else ""


CHECKS: tuple[Callable[[Weighing], Line], ...] = (
    _check_in_force,
    _check_waiting,
    _check_suspended,
    _check_trade,
    _check_home,
    _check_declared,
    _check_claims_left,
    _check_deductible,
    _check_cap_per_claim,
    _check_cap_per_year,
)
