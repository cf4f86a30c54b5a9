"""How values read on a French page: the filters of the templates."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from flask import Flask

from webapp import clock
from webapp.french import (
    NOTHING,
    ago,
    amount,
    amounts,
    counted,
    country,
    day,
    duration,
    file_size,
    kilograms,
    moment,
    moment_noted,
    money,
    month,
    percent,
    plural,
    quantity,
    upcoming,
    week_day,
    week_moment,
    whole,
)
from webapp.models.clients import Client, ClientStatus
from webapp.models.money import tax_label, tax_name
from webapp.services.contact import readable_phone
from webapp.services.fulfilment.addresses import Destination
from webapp.services.woocommerce.showing import admin_url, movement_label, order_label, topic_label, url_in_admin


def init_app(app: Flask) -> None:
    """Make every filter known to the templates, under its own name."""
    for each in (
        phone,
        day,
        day_of,
        moment,
        moment_noted,
        ago,
        upcoming,
        duration,
        money,
        whole,
        amounts,
        percent,
        plural,
        counted,
        month,
        quantity,
        tax_label,
        tax_name,
        iban,
        field_label,
        field_value,
        address_lines,
        delivery_lines,
        destination_lines,
        written_text,
        file_size,
        kilograms,
        country,
        iso_day,
        week_day,
        week_moment,
        order_label,
        movement_label,
        topic_label,
        admin_url,
        url_in_admin,
    ):
        app.add_template_filter(each)


def phone(number: str | None) -> str:
    """An E.164 number as people read it; a dash for none."""
    return readable_phone(number) or NOTHING


def day_of(instant: datetime | None) -> str:
    """The day of an instant, in Paris; a dash for none."""
    return day(instant.astimezone(clock.PARIS).date()) if instant else NOTHING


def iban(value: str) -> str:
    """A compact IBAN in groups of four."""
    return " ".join(value[start : start + 4] for start in range(0, len(value), 4))


def field_label(name: str) -> str:
    """The word on the screen for a column of a client."""
    return FIELD_LABELS.get(name, name)


def field_value(value: object, field: str) -> str:
    """A value of a client's ``field``, as the timeline or a form holds it."""
    if value in (None, ""):
        return "vide"
    if isinstance(value, ClientStatus):
        return value.label
    if isinstance(value, date):
        return day(value)
    show = _SHOWN.get(field)
    return show(str(value)) if show else str(value)


def address_lines(client: Client) -> list[str]:
    """A postal address, line by line; the country only where it is not France."""
    street = [client.address_line1, client.address_line2]
    return _address(street, client.postcode, client.city, client.country)


def delivery_lines(client: Client) -> list[str]:
    """The delivery address, line by line; nothing where it is the main one."""
    street = [client.delivery_line1, client.delivery_line2]
    return _address(street, client.delivery_postcode, client.delivery_city, client.delivery_country)


def destination_lines(destination: Destination) -> list[str]:
    """Recipient and address, line by line; nothing where there is no address."""
    street = [destination.line1, destination.line2]
    lines = _address(street, destination.postcode, destination.city, destination.country)
    return [line for line in (destination.recipient, destination.company) if line] + lines if lines else []


def _address(street: list[str | None], postcode: str | None, city: str | None, code: str) -> list[str]:
    town = f"{postcode or ''} {city or ''}".strip()
    written = [line for line in (*street, town) if line]
    return [*written, country(code)] if code != "FR" and written else written


def written_text(value: str) -> list[str]:
    """What somebody wrote, line by line: a template puts the breaks."""
    return value.split("\n")


def iso_day(value: str) -> str:
    """A day that is kept as text (2026-11-03), as it is written in France."""
    return _written_day(value)


def _written_day(value: str) -> str:
    """An ISO date as it is written in France."""
    return "/".join(reversed(value.split("-")))


def _written_money(value: str) -> str:
    """An amount with the code of its currency (24.00 EUR) as it is written in France."""
    number, _, currency = value.partition(" ")
    return money(Decimal(number), currency)


_STATUS_LABELS: dict[str, str] = {status.value: status.label for status in ClientStatus}

FIELD_LABELS = {
    "merged": "Fiche fusionnée",
    "status": "Statut",
    "archived_at": "Archivé",
    "shop": "Boutique",
    "shop_event": "Événement",
    "commercial": "Commercial",
    "commercial_id": "Commercial",
    "civility": "Civilité",
    "last_name": "Nom",
    "first_name": "Prénom",
    "birth_date": "Date de naissance",
    "email": "E-mail",
    "phone": "Téléphone",
    "address_line1": "Adresse",
    "address_line2": "Complément d’adresse",
    "postcode": "Code postal",
    "city": "Ville",
    "country": "Pays",
    "delivery_name": "Destinataire",
    "delivery_company": "Société du destinataire",
    "delivery_line1": "Adresse de livraison",
    "delivery_line2": "Complément d’adresse de livraison",
    "delivery_postcode": "Code postal de livraison",
    "delivery_city": "Ville de livraison",
    "delivery_country": "Pays de livraison",
    "delivery_phone": "Téléphone du destinataire",
    "delivery_instructions": "Consignes de livraison",
    "gift_message": "Message cadeau",
    "skips_cycle": "Échéance sautée",
    "iban": "IBAN",
    "mandate_status": "Mandat",
    "means_request": "Demande",
    "umr": "Référence (RUM)",
    "signed_on": "Signature",
    "signed_in": "Lieu de signature",
    "bic": "BIC",
    "identity_card": "Pièce d’identité",
    "subscription_status": "Statut de l’abonnement",
    "reason": "Motif",
    "resume_on": "Reprise prévue",
    "cancels_on": "Résiliation prévue",
    "ends_on": "Dernier jour",
    "skipped_cycles": "Échéances non prélevées",
    "recurring_amount": "Montant par échéance",
    "planned_amount": "Montant prévu dès la prochaine échéance",
    "planned_change": "Changement prévu",
    "planned_rhythm": "Rythme prévu",
    "subscription": "Abonnement",
    "means_lost": "Moyen de paiement retiré",
    "prorated": "Différence au prorata TTC",
    "settlement": "Règlement de la différence",
    "coupon": "Coupon",
    "frequency": "Fréquence",
    "anchor_date": "Jour des échéances",
    "trial": "Essai gratuit",
    "setup_fee": "Frais de mise en service HT",
    "company": "Société",
    "contract": "Contrat",
    "payment_method": "Mode de paiement",
    "card": "Carte",
    "expires_on": "Expiration",
    "charge": "Prélèvement",
    "refund": "Remboursement",
    "charge_action": "Décision",
    "shipment": "Expédition",
    "cover": "Couverture",
    "sale": "Souscription",
    "signed_by": "Signature",
    "plan": "Formule",
    "option": "Option",
    "home": "Logement couvert",
    "monthly_price": "Prix par mois HT",
    "price_agreed": "Nouveau prix",
    "termination": "Résiliation",
    "claim": "Dossier",
    "trade": "Métier",
    "event_on": "Jour de l’événement",
    "claim_status": "État du dossier",
    "claim_asked": "Demandé",
    "claim_covered": "Pris en charge",
    "claim_reserve": "Provision",
    "claim_paid": "Payé",
    "claim_recovered": "Récupéré",
    "tracking_number": "Numéro de suivi",
    "charge_amount": "Montant",
    "invoice": "Facture",
    "credited": "Crédité",
    "case": "Dossier",
    "case_amount": "Montant dû",
    "case_status": "État du dossier",
    "step": "Étape",
    "case_action": "Décision",
    "until": "Jusqu’au",
    "valid_until": "Valable jusqu’au",
}

_SHOWN: dict[str, Callable[[str], str]] = {
    "status": lambda value: _STATUS_LABELS.get(value, value),
    "birth_date": _written_day,
    "resume_on": _written_day,
    "cancels_on": _written_day,
    "ends_on": _written_day,
    "anchor_date": _written_day,
    "until": _written_day,
    "valid_until": _written_day,
    "event_on": _written_day,
    "claim_asked": _written_money,
    "claim_covered": _written_money,
    "claim_reserve": _written_money,
    "claim_paid": _written_money,
    "claim_recovered": _written_money,
    "case_amount": _written_money,
    "charge_amount": _written_money,
    "credited": _written_money,
    "recurring_amount": lambda value: amount(Decimal(value)),
    "planned_amount": lambda value: amount(Decimal(value)),
    "monthly_price": lambda value: amount(Decimal(value)),
    "setup_fee": lambda value: amount(Decimal(value)),
    "prorated": lambda value: amount(Decimal(value)),
    "phone": phone,
    "delivery_phone": phone,
    "skips_cycle": _written_day,
    "country": country,
    "delivery_country": country,
}
