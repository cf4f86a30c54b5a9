"""What a version of a plan promises, in words: in one line, and beside other versions."""

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal

from webapp import french
from webapp.models.covers import CoverPlanOption, CoverPlanVersion, HomeKind, Trade
from webapp.models.money import tax_label

NO_CAP, NO_LIMIT, NOT_SOLD = "Sans plafond", "Sans limite", "Non vendue"


def in_a_line(version: CoverPlanVersion) -> str:
    """« Plomberie, Électricité · carence 30 jours · franchise 50 € · 500 € par intervention … »."""
    parts = _limits(version)
    if version.claims_per_year is not None:
        parts.append(f"{french.counted(version.claims_per_year, 'intervention')} par an")
    return " · ".join(parts)


def option_in_a_line(option: CoverPlanOption) -> str:
    """« Serrurerie · carence 15 jours · franchise 50 € · 300 € par intervention · 300 € par an »."""
    parts = _limits(option)
    if option.draws_on_main_cap:
        parts.append("compte dans le plafond annuel de la formule")
    return " · ".join(parts)


def changed_trades(present: CoverPlanVersion, chosen: CoverPlanVersion) -> list[str]:
    """« S’y ajoute : Vitrerie. », « N’est plus couvert : Chauffage. »: what another plan brings, and what it ends."""
    added, ended = (set(chosen.trades) - set(present.trades), set(present.trades) - set(chosen.trades))
    told = [f"{'S’y ajoute' if len(added) == 1 else 'S’y ajoutent'}\u202f: {_trades(added)}."] if added else []
    if ended:
        told.append(f"{'N’est plus couvert' if len(ended) == 1 else 'Ne sont plus couverts'}\u202f: {_trades(ended)}.")
    return told


def _limits(promised: CoverPlanVersion | CoverPlanOption) -> list[str]:
    """What plans and options alike promise."""
    parts = [
        _trades(promised.trades),
        f"carence {french.counted(promised.waiting_days, 'jour')}" if promised.waiting_days else "sans carence",
        f"franchise {french.short_money(promised.deductible)}" if promised.deductible else "sans franchise",
    ]
    if promised.cap_per_claim is not None:
        parts.append(f"{french.short_money(promised.cap_per_claim)} par intervention")
    if promised.cap_per_year is not None:
        parts.append(f"{french.short_money(promised.cap_per_year)} par an")
    return parts


def price(version: CoverPlanVersion) -> str:
    """« 12,90 € HT par mois », or « 12,90 € à 15,90 € HT par mois, selon la zone »."""
    if not version.prices:
        return "sans prix"
    least, most = french.money(version.prices[0]), french.money(version.prices[-1])
    return f"{least} HT par mois" if least == most else f"{least} à {most} HT par mois, selon la zone"


def compare(versions: Sequence[CoverPlanVersion]) -> list[tuple[str, list[str]]]:
    """A row for each thing that a version says, of each version, and for each of their options and zones."""
    zones = {zone.code: zone.label for version in reversed(versions) for zone in version.zones}
    told = [(label, [tell(version) for version in versions]) for label, tell in PLACE_ROWS.items()]
    label = "Prix HT par mois, hors zones" if zones else "Prix HT par mois"
    general = (label, [_price(version.price) for version in versions])
    by_zone = [(f"Zone {label}", [_in_zone(code, each) for each in versions]) for code, label in sorted(zones.items())]
    options = {option.code: option.label for version in reversed(versions) for option in version.options}
    by_option = [
        (f"Option {name}", [_option(code, each) for each in versions]) for code, name in sorted(options.items())
    ]
    return [*compare_promises(versions), *told, *by_option, general, *by_zone]


def compare_promises(versions: Sequence[CoverPlanVersion]) -> list[tuple[str, list[str]]]:
    """A row for each thing that is promised wherever the home is."""
    return [(label, [told(version) for version in versions]) for label, told in ROWS.items()]


def _in_zone(code: str, version: CoverPlanVersion) -> str:
    """« 15,90 € : 75 92 »: the price and the postcodes of a zone."""
    zone = next((each for each in version.zones if each.code == code), None)
    if zone is None:
        return "—"
    price = version.price if zone.price is None else zone.price
    return f"{_price(price)}\u202f: {' '.join(zone.prefixes)}"


def _price(price: Decimal | None) -> str:
    return NOT_SOLD if price is None else french.money(price)


def _trades(values: Collection[str]) -> str:
    return ", ".join(trade.label for trade in Trade if trade.value in values) or "Aucun métier"


def _homes(version: CoverPlanVersion) -> str:
    return ", ".join(kind.label for kind in HomeKind if kind.value in version.home_kinds)


def _option(code: str, version: CoverPlanVersion) -> str:
    """« 2,90 € · Serrurerie · carence 15 jours … »: the price per month and the terms of an option."""
    option = next((each for each in version.options if each.code == code), None)
    return f"{french.money(option.price)} · {option_in_a_line(option)}" if option else "—"


def _options(version: CoverPlanVersion) -> str:
    return ", ".join(each.label for each in version.options) or "Aucune"


ROWS: dict[str, Callable[[CoverPlanVersion], str]] = {
    "Nature": lambda version: version.nature.label,
    "Métiers": lambda version: _trades(version.trades),
    "Carence": lambda version: french.counted(version.waiting_days, "jour"),
    "Franchise": lambda version: french.money(version.deductible),
    "Plafond par intervention": lambda version: _cap(version.cap_per_claim and french.money(version.cap_per_claim)),
    "Plafond par an": lambda version: _cap(version.cap_per_year and french.money(version.cap_per_year)),
    "Interventions par an": lambda version: str(version.claims_per_year or NO_LIMIT),
    "Compteurs": lambda version: version.year.label,
    "Taxe": lambda version: tax_label(version.vat_rate),
    "Engagement": lambda version: f"{version.commitment_months} mois",
    "Préavis": lambda version: french.counted(version.notice_days, "jour"),
    "Documents": lambda version: (
        ", ".join(f"{each.kind.label} {each.edition}" for each in version.documents) or "Aucun"
    ),
}
PLACE_ROWS: dict[str, Callable[[CoverPlanVersion], str]] = {
    "Logements": _homes,
    "Options": _options,
}


def _cap(amount: object) -> str:
    return str(amount) if amount else NO_CAP
