"""What a person may write about a subscription, checked, with a sentence for each fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from dateutil.relativedelta import relativedelta
from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Source
from webapp.models.money import TAX_RATES, VAT_RATES, line_amount
from webapp.models.products import Product
from webapp.models.subscriptions import RHYTHMS, Rhythm, SubscriptionLine
from webapp.services.contact import clean_text
from webapp.services.subscriptions.means import PaymentFields

MAX_LINES = 50
LABEL_LENGTH = 200
LARGEST_QUANTITY = Decimal(100_000)
LARGEST_PRICE = Decimal(10_000_000)
FURTHEST_START = relativedelta(years=5)
LONGEST_TRIAL = 365
MOST_TRIAL_CYCLES = 24
LARGEST_FEE = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class SubscriptionLineFields:
    """A line as written. ``unit_price`` and ``discount`` (of the whole line, per cycle) are before tax.

    ``is_shipped`` is None where nobody said: it is its product's then, and true for a line without one.
    """

    label: str = ""
    unit_price: Decimal | None = None
    quantity: Decimal | None = Decimal(1)
    vat_rate: Decimal | None = Decimal(20)
    discount: Decimal | None = None
    product_id: UUID | None = None
    is_shipped: bool | None = None

    @classmethod
    def of(cls, line: "SubscriptionLine | CheckedLine") -> "SubscriptionLineFields":
        """A line that is kept, or planned, as somebody would write it."""
        return cls(
            label=line.label,
            unit_price=line.unit_price,
            quantity=line.quantity,
            vat_rate=line.vat_rate,
            discount=line.discount,
            product_id=line.product_id,
            is_shipped=line.is_shipped,
        )


@dataclass(frozen=True, kw_only=True)
class CheckedLine:
    """A line in the form in which it is kept."""

    label: str
    unit_price: Decimal
    quantity: Decimal
    vat_rate: Decimal
    discount: Decimal
    product_id: UUID | None
    is_shipped: bool = True

    @classmethod
    def of(cls, line: SubscriptionLine) -> "CheckedLine":
        """A line that is kept."""
        return cls(
            label=line.label,
            unit_price=line.unit_price,
            quantity=line.quantity,
            vat_rate=line.vat_rate,
            discount=line.discount,
            product_id=line.product_id,
            is_shipped=line.is_shipped,
        )

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "CheckedLine":
        """The line that ``as_json`` wrote."""
        numbers = {name: Decimal(kept[name]) for name in ("unit_price", "quantity", "vat_rate", "discount")}
        product_id = UUID(kept["product_id"]) if kept["product_id"] else None
        is_shipped = kept.get("is_shipped", True)  # planned before there was a choice
        return cls(label=kept["label"], product_id=product_id, is_shipped=is_shipped, **numbers)

    def as_json(self) -> dict[str, Any]:
        """The line as texts."""
        return {
            "label": self.label,
            "product_id": str(self.product_id) if self.product_id else None,
            "quantity": str(self.quantity),
            "unit_price": str(self.unit_price),
            "discount": str(self.discount),
            "vat_rate": str(self.vat_rate),
            "is_shipped": self.is_shipped,
        }

    @property
    def amount(self) -> Decimal:
        """What it costs per cycle, before tax, net of its discount."""
        return line_amount(self.quantity, self.unit_price, self.discount)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """``trial_days`` before the first due date, or ``trial_cycles`` at nothing; a ``setup_fee`` before tax."""

    trial_days: int = 0
    trial_cycles: int = 0
    setup_fee: Decimal | None = None
    setup_vat_rate: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class SubscriptionFields:
    """A new subscription as written; the company defaults to the organisation's, the currency to the company's.

    It is paid by the client's default means unless it names its own.
    ``coupon`` is a code, or nothing. Days of trial come before the first due date, after ``anchor_date``.
    """

    client_id: UUID
    frequency: str
    anchor_date: date | None
    lines: Sequence[SubscriptionLineFields]
    company_id: UUID | None = None
    contract_id: UUID | None = None
    currency: str | None = None
    ends_on: date | None = None
    charge_time: time = time(0)
    timezone: str = "Europe/Paris"
    payment: PaymentFields = field(default_factory=lambda: PaymentFields(follows_default=True))
    opening: Opening = field(default_factory=Opening)
    coupon: str = ""
    source: Source | None = None


def check_frequency(written: str) -> Rhythm:
    """The frequency of that name. Raises InvalidInputError: rhythms of shops are not for us to give."""
    found = next((each for each in RHYTHMS if each == written), None)
    if found is None:
        raise InvalidInputError("Cette fréquence n’existe pas.", field="frequency")
    return found


def check_timezone(written: str) -> str:
    """The zone of that name. Raises InvalidInputError."""
    if written not in available_timezones():
        raise InvalidInputError("Ce fuseau horaire n’existe pas.", field="timezone")
    return written


def check_dates(anchor: date | None, ends_on: date | None, *, today: date, is_imported: bool) -> date:
    """The anchor, if it and the last day make sense; only an import may bring one that has passed.

    Raises InvalidInputError.
    """
    if anchor is None:
        raise InvalidInputError("Indiquez la date de la première échéance.", field="anchor_date")
    if anchor < today and not is_imported:
        raise InvalidInputError("La première échéance ne peut pas être dans le passé.", field="anchor_date")
    if anchor > today + FURTHEST_START:
        raise InvalidInputError("La première échéance est à plus de cinq ans.", field="anchor_date")
    if ends_on is not None and ends_on < anchor:
        raise InvalidInputError("Le dernier jour précède la première échéance.", field="ends_on")
    return anchor


def check_opening(written: Opening) -> Opening:
    """The opening as it is kept. Raises InvalidInputError, naming the field."""
    if not 0 <= written.trial_days <= LONGEST_TRIAL:
        raise InvalidInputError(f"Un essai dure {LONGEST_TRIAL} jours au plus.", field="trial")
    if not 0 <= written.trial_cycles <= MOST_TRIAL_CYCLES:
        raise InvalidInputError(f"Un essai dure {MOST_TRIAL_CYCLES} échéances au plus.", field="trial")
    fee = written.setup_fee
    if not fee and (fee is None or fee == 0):
        return Opening(trial_days=written.trial_days, trial_cycles=written.trial_cycles)
    if not fee.is_finite() or not 0 < fee <= LARGEST_FEE or fee != round(fee, 2):
        raise InvalidInputError(
            "Indiquez un montant au-dessus de zéro, avec deux décimales au plus.", field="setup_fee"
        )
    if written.setup_vat_rate not in VAT_RATES:
        raise InvalidInputError("Ce taux de TVA n’existe pas.", field="setup_vat_rate")
    return written


def check_lines(lines: Sequence[SubscriptionLineFields]) -> list[CheckedLine]:
    """The lines as they are kept. Raises InvalidInputError, naming the field (« lines-0-unit_price »)."""
    if not lines:
        raise InvalidInputError("Un abonnement a au moins une ligne.", field="lines")
    if len(lines) > MAX_LINES:
        raise InvalidInputError(f"Un abonnement a au plus {MAX_LINES} lignes.", field="lines")
    products = _find_products({line.product_id for line in lines if line.product_id})
    return [_check_line(line, position, products) for position, line in enumerate(lines)]


def _find_products(product_ids: set[UUID]) -> dict[UUID, Product]:
    if not product_ids:
        return {}
    return {row.id: row for row in db.session.scalars(select(Product).where(Product.id.in_(product_ids)))}


def _check_line(line: SubscriptionLineFields, position: int, products: Mapping[UUID, Product]) -> CheckedLine:
    here = f"lines-{position}"
    product = products.get(line.product_id) if line.product_id else None
    if line.product_id is not None and product is None:
        raise InvalidInputError("Ce produit n’existe pas ou plus.", field=f"{here}-product_id")
    label = _check_label(line.label or (product.name if product else ""), f"{here}-label")
    unit_price = _check_number(line.unit_price, f"{here}-unit_price", LARGEST_PRICE, places=4)
    quantity = _check_number(line.quantity, f"{here}-quantity", LARGEST_QUANTITY, places=3)
    if quantity == 0:
        raise InvalidInputError("La quantité doit être supérieure à zéro.", field=f"{here}-quantity")
    if line.vat_rate is None or line.vat_rate not in TAX_RATES:
        raise InvalidInputError("Ce taux de TVA n’existe pas.", field=f"{here}-vat_rate")
    discount = _check_number(line.discount or Decimal(0), f"{here}-discount", LARGEST_PRICE, places=2)
    if discount > line_amount(quantity, unit_price):
        raise InvalidInputError("La remise dépasse le montant de la ligne.", field=f"{here}-discount")
    return CheckedLine(
        label=label,
        unit_price=unit_price,
        quantity=quantity,
        vat_rate=line.vat_rate,
        discount=discount,
        product_id=line.product_id,
        is_shipped=_is_shipped(line, product),
    )


def _is_shipped(line: SubscriptionLineFields, product: Product | None) -> bool:
    if line.is_shipped is None:
        return product is None or product.is_shipped
    return line.is_shipped


def _check_label(written: str, field: str) -> str:
    label = clean_text(written)
    if not label:
        raise InvalidInputError("Indiquez ce que la ligne vend.", field=field)
    if len(label) > LABEL_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {LABEL_LENGTH} caractères au plus.", field=field)
    return label


def _check_number(number: Decimal | None, field: str, largest: Decimal, *, places: int) -> Decimal:
    if number is None:
        missing = "Indiquez le prix de la ligne." if field.endswith("unit_price") else "Indiquez un nombre."
        raise InvalidInputError(missing, field=field)
    if not number.is_finite():
        raise InvalidInputError("Ce n’est pas un nombre.", field=field)
    if number < 0:
        raise InvalidInputError("Ce nombre ne peut pas être négatif.", field=field)
    if number > largest:
        raise InvalidInputError("Ce nombre est trop grand.", field=field)
    if number != round(number, places):
        raise InvalidInputError(f"Pas plus de {places} chiffres après la virgule.", field=field)
    return number
