"""What a sale comes to: its price, its dates, and what is still to be done before it can be signed."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.covers import CoverPlanOption, CoverPlanVersion, HomeKind
from webapp.models.money import Totals, totals
from webapp.models.sales import CoverSale, SaleStep
from webapp.services.contact import existing_postcode
from webapp.services.covers import homes, plans, renouncing, selling
from webapp.services.covers.terms import NOTHING
from webapp.services.dunning import days
from webapp.services.sales import drafting
from webapp.services.sales.drafting import SaleStateError
from webapp.services.subscriptions.fields import check_lines

PER = {1: "par mois", 3: "par trimestre", 12: "par an"}


class StepMissingError(SaleStateError):
    """A step before is to be done first; ``step`` is which."""

    def __init__(self, step: SaleStep, message: str) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True, kw_only=True)
class Price:
    """What is charged each time, and in a month; ``months`` are paid at once."""

    lines: list[tuple[str, Totals]]
    each: Totals
    monthly: Totals
    months: int

    @property
    def per(self) -> str:
        """How often it is paid: « par mois »."""
        return PER[self.months]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A sale whose plan is chosen, as it would be signed at an instant.

    ``waits_until`` is the last day of the plan's waiting, None without any; ``options`` with the same of each.
    ``plan_price`` is what the plan costs per month, before tax, as it was shown when it was chosen. ``sold`` is the
    version that is sold today, if one is, and ``price_now`` what it costs where the home is, None where it is not sold.
    """

    version: CoverPlanVersion
    plan_price: Decimal
    price: Price
    effective_on: date
    starts_at_once: bool
    waits_until: date | None
    options: list[tuple[CoverPlanOption, date | None]]
    renounced_until: date
    sold: CoverPlanVersion | None
    price_now: Decimal | None

    @property
    def is_current(self) -> bool:
        """Whether it is still sold so, at that price where the home is."""
        return self.version is self.sold and self.plan_price == self.price_now


def price_of(version: CoverPlanVersion, plan_price: Decimal, options: list[CoverPlanOption], frequency: str) -> Price:
    """What the plan at that price costs with those options. Raises InvalidInputError (field « frequency »)."""
    months = selling.months_of(frequency)
    lines = check_lines(selling.sold_lines(version, plan_price, options, months))
    return Price(
        lines=[(line.label, totals([(line.vat_rate, line.amount)])) for line in lines],
        each=totals((line.vat_rate, line.amount) for line in lines),
        monthly=totals((line.vat_rate, line.unit_price) for line in lines),
        months=months,
    )


def list_prices(
    sale: CoverSale, home_id: UUID | None, postcode: str, kind: HomeKind | None
) -> list[tuple[CoverPlanVersion, Decimal | None]]:
    """What each plan on sale costs per month, before tax, at a home of the client's or one that is being written.

    None where it is not sold; nothing while there is no valid postcode. Any kind will do until one is said.
    """
    home = next((each for each in homes.list_homes(sale.client_id) if each.id == home_id), None)
    try:
        postcode = home.postcode if home else existing_postcode(postcode)
    except InvalidInputError:
        return []
    kind = home.kind if home else kind
    return [
        (version, version.price_for(postcode, kind) if kind else version.price_at(postcode))
        for version in plans.list_sold()
    ]


def sold_of(sale: CoverSale) -> CoverPlanVersion:
    """The version of the plan that is sold. Raises StepMissingError where none is chosen."""
    if not sale.has_home:
        raise StepMissingError(SaleStep.HOME, "Indiquez d’abord le logement.")
    if sale.plan_version is None:
        raise StepMissingError(SaleStep.PLAN, "Choisissez d’abord une formule.")
    return sale.plan_version


def has_documents(sale: CoverSale) -> bool:
    """Whether the client was given the documents of what is sold, if it has any."""
    return not sold_of(sale).documents or sale.documents_version_id == sale.plan_version_id


def earliest(concluded_on: date, *, starts_at_once: bool) -> date:
    """The first day on which a cover can hold: at once where the client asked for it, else once nobody can renounce.

    Insurance: code des assurances, art. L112-2-1; services: code de la consommation, art. L221-25.
    """
    return concluded_on if starts_at_once else renouncing.window_end(concluded_on) + timedelta(days=1)


def too_early(first: date, *, starts_at_once: bool) -> str:
    """Why a day is refused."""
    if starts_at_once:
        return "La couverture prend effet aujourd’hui au plus tôt."
    return (
        "Sans exécution immédiate, la couverture prend effet après le délai de renonciation\u202f: "
        f"le {french.day(first)} au plus tôt."
    )


def offer_of(sale: CoverSale, *, at: datetime) -> Offer:
    """What would be signed at that instant, or was. Raises StepMissingError where no plan is chosen."""
    return offer_from(sale, sale.effective_on, starts_at_once=sale.starts_at_once, at=at)


def offer_from(sale: CoverSale, wished_on: date | None, *, starts_at_once: bool, at: datetime) -> Offer:
    """The same, were it to hold from a day on, whatever the sale has of that. Raises as ``offer_of``."""
    version, today = sold_of(sale), days.local(sale.signed_at or at)
    options = [option for option in version.options if option.code in sale.option_codes]
    first = earliest(today, starts_at_once=starts_at_once)
    effective_on = max(wished_on or first, first)
    sold, plan_price, home = version.plan.sold, sale.plan_price or NOTHING, drafting.home_of(sale)
    return Offer(
        version=version,
        plan_price=plan_price,
        price=price_of(version, plan_price, options, sale.frequency),
        effective_on=effective_on,
        starts_at_once=starts_at_once,
        waits_until=_waits_until(effective_on, version.waiting_days),
        options=[(option, _waits_until(effective_on, option.waiting_days)) for option in options],
        renounced_until=renouncing.window_end(today),
        sold=sold,
        price_now=sold.price_for(home.postcode, home.kind) if sold else None,
    )


def _waits_until(effective_on: date, waiting_days: int) -> date | None:
    return effective_on + timedelta(days=waiting_days - 1) if waiting_days else None


def check_ready(sale: CoverSale, *, at: datetime) -> Offer:
    """What is signed now: nothing for a client who was put into the archives, until they come back.

    Raises StepMissingError, naming the step that is to be done, or done anew, first; SaleStateError.
    """
    drafting.check_open(sale)
    if sale.client.archived_at:
        raise SaleStateError("Ce client est archivé\u202f: sortez-le des archives pour conclure.")
    offer = offer_of(sale, at=at)
    if not offer.is_current:
        raise StepMissingError(SaleStep.PLAN, f"{changed_price(offer)} Choisissez-la à nouveau.")
    if not has_documents(sale):
        raise StepMissingError(SaleStep.DOCUMENTS, "Le client n’a pas encore reçu les documents de cette formule.")
    if sale.step.number < SaleStep.SIGNATURE.number:
        raise StepMissingError(sale.step, f"Une étape n’est pas faite\u202f: {sale.step.label.lower()}.")
    return offer


def changed_price(offer: Offer) -> str:
    """That what was chosen is no longer sold so, and for how much it is."""
    label, before, now = offer.version.plan.label, offer.plan_price, offer.price_now
    if offer.sold is None:
        return f"La formule {label} n’est plus en vente."
    if now is None:
        return f"La formule {label} n’est plus vendue pour ce logement."
    price = f"{french.money(now)} HT par mois au lieu de {french.money(before)}" if before != now else "au même prix"
    if offer.version is offer.sold:
        return f"Pour ce logement, la formule {label} coûte {price}."
    return f"La formule {label} a changé depuis\u202f: version {offer.sold.version}, {price}."
