"""What of a cover year is used, and what is left: sums of the ledger, as people read them. Pure: nothing is read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from webapp import french
from webapp.services.covers.claims import Entry, sum_up
from webapp.services.covers.lifetime import CoverLife, CoverYear
from webapp.services.covers.terms import NOTHING, Terms


@dataclass(frozen=True)
class OptionCounter:
    """What is used of an option's yearly cap (None: it has none)."""

    code: str
    label: str
    amount: Decimal
    cap: Decimal | None

    @property
    def sentence(self) -> str:
        """How it reads: « Serrurerie : 300 € sur 300 € »."""
        return f"{self.label}\u202f: {_of(self.amount, self.cap)}"


@dataclass(frozen=True)
class Counters:
    """What is used of a cover year, and its limits (None: there is none)."""

    year: CoverYear
    claims: int
    claims_limit: int | None
    amount: Decimal
    cap: Decimal | None
    options: tuple[OptionCounter, ...] = ()

    @property
    def sentence(self) -> str:
        """How they read: « 2 sur 3 interventions, 870 € sur 1 200 €, renouvelé le 10/01/2027 »."""
        if self.claims_limit is None:
            claims = french.counted(self.claims, "intervention")
        else:
            claims = f"{self.claims} sur {french.counted(self.claims_limit, 'intervention')}"
        return f"{claims}, {_of(self.amount, self.cap)}, renouvelé le {french.day(self.year.renewed_on)}"


def remaining(life: CoverLife, ledger: Iterable[Entry], on: date) -> Counters:
    """The counters of the cover year that contains a day, with the limits of that day and the options it has then."""
    year, limits = life.year_of(on), life.limits_on(on)
    used = sum_up(entry for entry in ledger if entry.event_on in year)
    options = tuple(
        OptionCounter(each.code, each.label, used.by_option.get(each.code, NOTHING), each.cap_per_year)
        for each in (period.terms for period in life.options if period.holds_on(on))
    )
    return Counters(year, used.claims, limits.claims_per_year, used.amount, limits.cap_per_year, options)


def find_excess(counters: Counters, terms: Terms) -> str | None:
    """Why a plan may not follow in this cover year: it promises less than what was used already. None where it may."""
    plan = f"la formule «\u00a0{terms.label}\u00a0»"
    if terms.claims_per_year is not None and counters.claims > terms.claims_per_year:
        used = french.counted(counters.claims, "intervention")
        return f"{used} cette année\u202f: {plan} en prend {terms.claims_per_year} en charge."
    if terms.cap_per_year is not None and counters.amount > terms.cap_per_year:
        used, cap = french.short_money(counters.amount), french.short_money(terms.cap_per_year)
        return f"{used} déjà pris en charge cette année\u202f: {plan} va jusqu’à {cap}."
    return None


def _of(amount: Decimal, cap: Decimal | None) -> str:
    used = french.short_money(amount)
    return used if cap is None else f"{used} sur {french.short_money(cap)}"
