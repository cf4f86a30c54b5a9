"""What a version of a plan promises, in words: in one line, and beside other versions."""

from collections.abc import Callable, Sequence

from webapp import french
from webapp.models.covers import CoverPlanVersion, HomeKind, Trade
from webapp.models.money import tax_label

NO_CAP, NO_LIMIT = "Sans plafond", "Sans limite"


def in_a_line(version: CoverPlanVersion) -> str:
    """« Plomberie, Électricité · carence 30 jours · franchise 50 € · 500 € par intervention … »."""
    parts = [
        _trades(version.trades),
        f"carence {french.counted(version.waiting_days, 'jour')}" if version.waiting_days else "sans carence",
        f"franchise {french.short_money(version.deductible)}" if version.deductible else "sans franchise",
    ]
    if version.cap_per_claim is not None:
        parts.append(f"{french.short_money(version.cap_per_claim)} par intervention")
    if version.cap_per_year is not None:
        parts.append(f"{french.short_money(version.cap_per_year)} par an")
    if version.claims_per_year is not None:
        parts.append(f"{french.counted(version.claims_per_year, 'intervention')} par an")
    return " · ".join(parts)


def compare(versions: Sequence[CoverPlanVersion]) -> list[tuple[str, list[str]]]:
    """A row for each thing that is promised, with what each version says of it."""
    return [(label, [told(version) for version in versions]) for label, told in ROWS.items()]


def _trades(values: Sequence[str]) -> str:
    return ", ".join(trade.label for trade in Trade if trade.value in values) or "Aucun métier"


def _homes(version: CoverPlanVersion) -> str:
    return ", ".join(kind.label for kind in HomeKind if kind.value in version.home_kinds)


def _options(version: CoverPlanVersion) -> str:
    return ", ".join(f"{each.label} ({french.money(each.price)})" for each in version.options) or "Aucune"


ROWS: dict[str, Callable[[CoverPlanVersion], str]] = {
    "Nature": lambda version: version.nature.label,
    "Métiers": lambda version: _trades(version.trades),
    "Carence": lambda version: french.counted(version.waiting_days, "jour"),
    "Franchise": lambda version: french.money(version.deductible),
    "Plafond par intervention": lambda version: _cap(version.cap_per_claim and french.money(version.cap_per_claim)),
    "Plafond par an": lambda version: _cap(version.cap_per_year and french.money(version.cap_per_year)),
    "Interventions par an": lambda version: str(version.claims_per_year or NO_LIMIT),
    "Compteurs": lambda version: version.year.label,
    "Logements": _homes,
    "Codes postaux": lambda version: " ".join(version.postcodes) or "Partout",
    "Prix HT par mois": lambda version: french.money(version.price),
    "Taxe": lambda version: tax_label(version.vat_rate),
    "Engagement": lambda version: f"{version.commitment_months} mois",
    "Préavis": lambda version: french.counted(version.notice_days, "jour"),
    "Options": _options,
    "Documents": lambda version: (
        ", ".join(f"{each.kind.label} {each.edition}" for each in version.documents) or "Aucun"
    ),
}


def _cap(amount: object) -> str:
    return str(amount) if amount else NO_CAP
