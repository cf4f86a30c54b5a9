"""What the forms of a subscription send, as texts and as what the services take."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import zip_longest
from uuid import UUID

from flask import request
from werkzeug.datastructures import MultiDict

from webapp.errors import InvalidInputError
from webapp.french import field_number, read_number
from webapp.models.contracts import PaymentMethod
from webapp.models.money import INSURANCE_TAX, VAT_RATES, tax_label
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions.fields import SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields
from webapp.services.subscriptions.offering import PaymentOffer
from webapp.views.lists import read, read_day

LINE_NAMES = ("libelle", "quantite", "prix", "tva", "remise", "produit", "expedie")
TSCA_CHOICE = (str(INSURANCE_TAX), tax_label(INSURANCE_TAX))
VAT_CHOICES = [(str(rate), tax_label(rate)) for rate in reversed(VAT_RATES)]
TAX_CHOICES = [*VAT_CHOICES, TSCA_CHOICE]
SHIPPED_CHOICES = [("", "Selon le produit"), ("oui", "Oui"), ("non", "Non")]
DEFAULT = "defaut"
BY_CLIENT = (PaymentMethod.TRANSFER, PaymentMethod.CHEQUE)
NOT_A_NUMBER = Decimal("NaN")
_NUMBER = re.compile(r"[+-]?\d{1,15}([.,]\d{1,15})?", re.ASCII)


@dataclass(frozen=True)
class WrittenLine:
    """A line as it stands in the form."""

    libelle: str = ""
    quantite: str = "1"
    prix: str = ""
    tva: str = "20"
    remise: str = ""
    produit: str = ""
    expedie: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was written into it."""
        return not (self.libelle.strip() or self.prix.strip() or self.produit)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values, for hidden fields and addresses."""
        return [(name, getattr(self, name)) for name in LINE_NAMES]

    def fields(self) -> SubscriptionLineFields:
        """What the service takes; what is no number is told by it."""
        return SubscriptionLineFields(
            label=self.libelle,
            unit_price=read_number(self.prix),
            quantity=read_number(self.quantite),
            vat_rate=read_number(self.tva),
            discount=read_number(self.remise),
            product_id=read(UUID, self.produit),
            is_shipped={"oui": True, "non": False}.get(self.expedie),
        )


def asked_day(name: str, *, field: str) -> date | None:
    """A date of the request's form; what is written and is none is refused, as the service's ``field``."""
    written = request.form.get(name, "").strip()
    day = read_day(written)
    if written and day is None:
        raise InvalidInputError("Indiquez une date valable.", field=field)
    return day


def read_lines(form: MultiDict[str, str]) -> list[WrittenLine]:
    """The lines of a form, without the blank ones, so that a refusal's position is that of the line shown."""
    rows = zip_longest(*(form.getlist(name) for name in LINE_NAMES), fillvalue="")
    return [line for row in rows if not (line := WrittenLine(*row)).is_blank]


def change_lines(lines: list[WrittenLine], order: str) -> list[WrittenLine]:
    """The lines after « ajouter » or « retirer-2 »; as they are for any other word."""
    if order == "ajouter":
        return [*lines, WrittenLine()]
    position = read(int, order.removeprefix("retirer-"))
    return [line for index, line in enumerate(lines) if index != position]


def written_lines(lines: Iterable[SubscriptionLineFields]) -> list[WrittenLine]:
    """Lines as the form shows them."""
    return [
        WrittenLine(
            libelle=line.label,
            quantite=field_number(line.quantity),
            prix=field_number(line.unit_price),
            tva="" if line.vat_rate is None else f"{line.vat_rate.normalize():f}",  # as the choices have it
            remise=field_number(line.discount or None),
            produit=str(line.product_id or ""),
            expedie={True: "oui", False: "non", None: ""}[line.is_shipped],
        )
        for line in lines
    ]


def lines_of(subscription: Subscription) -> list[WrittenLine]:
    """The lines of a subscription as the form shows them."""
    return written_lines(map(SubscriptionLineFields.of, subscription.lines))


def read_payment(word: str) -> PaymentFields:
    """What a choice of ``payment_choices`` stands for."""
    if word == DEFAULT:
        return PaymentFields(follows_default=True)
    method, _, row = word.partition(":")
    kind, _, row_id = row.partition(":")
    payment = read(UUID, row_id)
    return PaymentFields(
        method=method or None,
        saved_method_id=payment if kind == "moyen" else None,
        mandate_id=payment if kind == "mandat" else None,
    )


def payment_choices(offer: PaymentOffer) -> list[tuple[str, str]]:
    """How a client can pay, as (word, text)."""
    nothing = [(DEFAULT, "Le moyen par défaut du client"), ("", "À choisir plus tard")]
    return [*nothing, *kept_choices(offer), *((method.value, method.label) for method in BY_CLIENT)]


def kept_choices(offer: PaymentOffer) -> list[tuple[str, str]]:
    """The mandates and saved methods among them."""
    saved = [
        (_saved_word(saved_method), f"{saved_method.method.label}\u202f: {saved_method.label or 'enregistré'}")
        for saved_method in offer.saved
    ]
    mandates = [
        (
            f"{PaymentMethod.SEPA}:mandat:{mandate.id}",
            f"{PaymentMethod.SEPA.label}\u202f: mandat {mandate.umr or 'déclaré, à compléter'}",
        )
        for mandate in offer.mandates
    ]
    return [*saved, *mandates]


def payment_word(subscription: Subscription) -> str:
    """The choice that stands for how a subscription is paid now."""
    if subscription.means_inherited:
        return DEFAULT
    return payment_word_of(
        PaymentFields(
            method=subscription.payment_method,
            saved_method_id=subscription.saved_method_id,
            mandate_id=subscription.mandate_id,
        )
    )


def payment_word_of(fields: PaymentFields) -> str:
    """The choice that stands for these means."""
    if fields.saved_method_id is not None:
        return f"{fields.method}:moyen:{fields.saved_method_id}"
    if fields.mandate_id is not None:
        return f"{fields.method}:mandat:{fields.mandate_id}"
    return fields.method or ""


def _saved_word(saved: SavedPaymentMethod) -> str:
    return f"{saved.method}:moyen:{saved.id}"
