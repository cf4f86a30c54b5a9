"""A decision on a claim, as it is stored: whole, with its inputs and its sentences, so that it shows the same for ever.

Stored as JSON. ``VERSION`` grows when the meaning of a field changes; fields and codes are only ever added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.intervals import Interval
from webapp.services.covers.lifetime import CoverYear
from webapp.services.covers.terms import NOTHING, OptionTerms, Terms

VERSION = 1


class Outcome(StrEnum):
    """What becomes of a claim, or of one step of its decision."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TO_REVIEW = "to_review"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"accepted": "Accepté", "refused": "Refusé", "to_review": "À revoir"}[self.value]


class Step(StrEnum):
    """The steps of a decision, in their order; that of a refusal is its reason."""

    IN_FORCE = "in_force"
    WAITING = "waiting"
    SUSPENDED = "suspended"
    TRADE = "trade"
    HOME = "home"
    DECLARED = "declared"
    CLAIMS_LEFT = "claims_left"
    DEDUCTIBLE = "deductible"
    CAP_PER_CLAIM = "cap_per_claim"
    CAP_PER_YEAR = "cap_per_year"
    COVERED = "covered"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "in_force": "Couverture en vigueur",
            "waiting": "Délai de carence",
            "suspended": "Suspension",
            "trade": "Métier couvert",
            "home": "Logement couvert",
            "declared": "Délai de déclaration",
            "claims_left": "Interventions restantes",
            "deductible": "Franchise",
            "cap_per_claim": "Plafond par intervention",
            "cap_per_year": "Plafond annuel",
            "covered": "Montant pris en charge",
        }[self.value]


@dataclass(frozen=True)
class Line:
    """One step of the explanation. ``amount`` is what the step takes, or, at the last one, what is covered."""

    step: Step
    outcome: Outcome
    sentence: str
    amount: Decimal | None = None


@dataclass(frozen=True)
class Over:
    """What no cover bears, by the limit that was reached; all that an option's own caps leave is ``option``."""

    per_claim: Decimal = NOTHING
    per_year: Decimal = NOTHING
    option: Decimal = NOTHING

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.per_claim + self.per_year + self.option


@dataclass(frozen=True)
class Left:
    """What is left of a cover year: claims, the plan's yearly cap, and that of the option that covers the trade.

    None where there is no limit; ``option`` also where no option is concerned.
    """

    claims: int | None
    amount: Decimal | None
    option: Decimal | None = None


@dataclass(frozen=True)
class Inputs:
    """What was known of the cover when it was decided, as far as the decision stands on it.

    ``terms`` are the plan's limits that held; ``states`` how the cover stood that day; ``entries`` what had been used
    of the cover year.
    """

    terms: Terms
    option: OptionTerms | None
    covered_from: date | None
    home_id: UUID | None
    year: CoverYear
    states: tuple[Interval, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What becomes of a claim, and why.

    Of one that is accepted, ``covered``, ``deductible`` and ``over`` come to what is asked; of one that is refused they
    are nothing. One that a person is to review has what would be covered, and left. ``up_to`` is the most that could
    be covered (None: no limit), whatever is asked.
    """

    claim: Claim
    at: datetime
    outcome: Outcome
    covered: Decimal
    deductible: Decimal
    over: Over
    up_to: Decimal | None
    before: Left
    after: Left
    lines: tuple[Line, ...]
    inputs: Inputs
    version: int = VERSION

    @property
    def reason(self) -> Line:
        """The line that decided: the refusal, else the first doubt, else the last line."""
        for outcome in (Outcome.REFUSED, Outcome.TO_REVIEW):
            line = next((line for line in self.lines if line.outcome is outcome), None)
            if line is not None:
                return line
        return self.lines[-1]

    @property
    def entry(self) -> Entry | None:
        """What the claim uses of its cover by this decision; None where it uses nothing, or has no id yet."""
        if self.outcome is not Outcome.ACCEPTED or self.claim.claim_id is None:
            return None
        option = self.inputs.option
        return Entry(
            claim_id=self.claim.claim_id,
            event_on=self.claim.event_on,
            covered=self.covered,
            option=option.code if option else None,
            draws_on_main=option is None or option.draws_on_main,
            counts=option is None or option.counts_among_claims,
            holds_place=self.claim.asked is None,
        )

    def as_json(self) -> dict[str, Any]:
        """The whole decision, to be stored."""
        stored: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, order="deterministic"))
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Decision":
        """The decision that ``as_json`` stored."""
        return msgspec.convert(stored, cls)
