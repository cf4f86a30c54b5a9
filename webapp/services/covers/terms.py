"""What a cover promises: trades, waiting, deductible and caps. Plain values; nothing is read or written.

Amounts are euros with tax, to the cent. Where there is no limit, there is None.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from webapp.models.covers import Trade, YearKind

LONGEST_WAITING = 365
"""In days: nobody pays for longer than a year before anything is covered."""
GREATEST_AMOUNT = Decimal(1_000_000)
MOST_CLAIMS = 100
NOTHING = Decimal("0.00")

Limit = TypeVar("Limit", int, Decimal)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one version of a plan promises.

    ``waiting_days``: the first day that is covered lies so many days behind the day of effect. ``deductible``
    (franchise) is what the client bears of each claim; ``cap_per_claim`` is the most that is covered of the rest.
    """

    code: str
    version: int
    label: str
    trades: frozenset[Trade]
    waiting_days: int = 0
    deductible: Decimal = NOTHING
    cap_per_claim: Decimal | None = None
    cap_per_year: Decimal | None = None
    claims_per_year: int | None = None
    year: YearKind = YearKind.ANNIVERSARY

    def lesser_of(self, other: "Terms") -> "Terms":
        """These terms, with whichever of the two amounts and numbers gives the client less."""
        return replace(
            self,
            deductible=max(self.deductible, other.deductible),
            cap_per_claim=_lesser(self.cap_per_claim, other.cap_per_claim),
            cap_per_year=_lesser(self.cap_per_year, other.cap_per_year),
            claims_per_year=_lesser(self.claims_per_year, other.claims_per_year),
        )


@dataclass(frozen=True, kw_only=True)
class OptionTerms:
    """What an option promises, which has limits of its own.

    ``draws_on_main``: what it covers is counted in the plan's yearly cap, too. ``counts_among_claims``: its claims are
    some of the plan's claims per year.
    """

    code: str
    label: str
    trades: frozenset[Trade]
    waiting_days: int = 0
    deductible: Decimal = NOTHING
    cap_per_claim: Decimal | None = None
    cap_per_year: Decimal | None = None
    draws_on_main: bool = False
    counts_among_claims: bool = True


def find_faults(terms: Terms | OptionTerms) -> dict[str, str]:
    """What is wrong with terms: a French sentence by the name of its field; empty where they can be sold."""
    faults = {
        "trades": "Choisissez au moins un métier." if not terms.trades else "",
        "waiting_days": _fault_of_waiting(terms.waiting_days),
        "deductible": _fault_of_amount(terms.deductible, "La franchise"),
        "cap_per_claim": _fault_of_cap(terms.cap_per_claim, "Le plafond par intervention"),
        "cap_per_year": _fault_of_cap(terms.cap_per_year, "Le plafond annuel"),
    }
    if isinstance(terms, Terms):
        faults["claims_per_year"] = _fault_of_number(terms.claims_per_year)
    if not faults["cap_per_claim"] and _is_above(terms.cap_per_claim, terms.cap_per_year):
        faults["cap_per_claim"] = "Le plafond par intervention ne peut pas dépasser le plafond annuel."
    return {field: sentence for field, sentence in faults.items() if sentence}


def find_faults_between(terms: Terms, options: Iterable[OptionTerms]) -> dict[str, str]:
    """What is wrong with options beside their plan: a French sentence by the option's code."""
    faults: dict[str, str] = {}
    codes: set[str] = set()
    for option in options:
        if option.code in codes:
            faults[option.code] = f"Deux options portent le code «\u00a0{option.code}\u00a0»."
        elif option.trades and option.trades <= terms.trades:
            faults[option.code] = "Cette option n’ajoute aucun métier à la formule."
        elif option.draws_on_main and _is_above(option.cap_per_year, terms.cap_per_year):
            faults[option.code] = "Le plafond annuel de l’option ne peut pas dépasser celui de la formule."
        codes.add(option.code)
    return faults


def _lesser(one: Limit | None, other: Limit | None) -> Limit | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _is_above(one: Decimal | None, other: Decimal | None) -> bool:
    return one is not None and other is not None and one > other


def _fault_of_waiting(days: int) -> str:
    if days < 0:
        return "Le délai de carence ne peut pas être négatif."
    return "Le délai de carence ne peut pas dépasser un an." if days > LONGEST_WAITING else ""


def _fault_of_cap(cap: Decimal | None, name: str) -> str:
    if cap is None:
        return ""
    fault = _fault_of_amount(cap, name)
    return fault or ("" if cap else f"{name} ne peut pas être nul\u202f: laissez-le vide s’il n’y en a pas.")


def _fault_of_amount(amount: Decimal, name: str) -> str:
    """What is wrong with an amount that has a name in French."""
    if not amount.is_finite():
        return f"{name} n’est pas un montant."
    if amount < 0:
        return f"{name} est de 0\u00a0€ au moins."
    if amount > GREATEST_AMOUNT:
        return f"{name} ne peut pas dépasser un million d’euros."
    return "" if amount == round(amount, 2) else f"{name} s’écrit avec deux décimales au plus."


def _fault_of_number(number: int | None) -> str:
    if number is None:
        return ""
    if number < 1:
        return "Le nombre d’interventions par an est d’au moins une\u202f: laissez-le vide s’il n’y a pas de limite."
    return f"Le nombre d’interventions par an est de {MOST_CLAIMS} au plus." if number > MOST_CLAIMS else ""
