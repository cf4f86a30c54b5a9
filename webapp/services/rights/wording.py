"""What is handed out, as a person reads it: the names of columns, and values in French."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Enum

from webapp import french
from webapp.models.base import Base

LABELS = {
    "access_notes": "Accès au logement",
    "account": "Compte",
    "action": "Action",
    "address": "Adresse",
    "address_line1": "Adresse",
    "address_line2": "Complément d’adresse",
    "address_snapshot": "Adresse de livraison",
    "after": "Après",
    "amount": "Montant",
    "amount_before_tax": "Montant hors taxes",
    "anchor_date": "Première échéance",
    "annual_after": "Montant annuel après",
    "annual_before": "Montant annuel avant",
    "answered_at": "Répondu le",
    "archived_at": "Archivé le",
    "asked": "Montant demandé",
    "at": "Date",
    "before": "Avant",
    "bic": "BIC",
    "birth_date": "Date de naissance",
    "body": "Texte",
    "brand": "Marque",
    "buyer": "Acheteur, tel qu’imprimé",
    "cancels_on": "Résilié à compter du",
    "cause": "Cause",
    "changes": "Changements",
    "channel": "Canal",
    "charge_time": "Heure",
    "city": "Ville",
    "civility": "Civilité",
    "closed_at": "Clos le",
    "code": "Code",
    "comment": "Commentaire",
    "concluded_on": "Conclu le",
    "content": "Contenu",
    "content_type": "Format",
    "contract_references": "Références des contrats",
    "contract_type": "Type de contrat",
    "country": "Pays",
    "covered": "Montant pris en charge",
    "craftsman": "Intervenant",
    "created_at": "Enregistré le",
    "currency": "Devise",
    "customer_reference": "Référence chez le prestataire",
    "declared_on": "Déclaré le",
    "deductible": "Franchise",
    "delivery_city": "Ville de livraison",
    "delivery_company": "Société du destinataire",
    "delivery_country": "Pays de livraison",
    "delivery_instructions": "Consignes de livraison",
    "delivery_line1": "Adresse de livraison",
    "delivery_line2": "Complément d’adresse de livraison",
    "delivery_name": "Destinataire",
    "delivery_phone": "Téléphone du destinataire",
    "delivery_postcode": "Code postal de livraison",
    "description": "Description",
    "details": "Détails",
    "document_url": "Document",
    "audit_trail_url": "Preuve de signature",
    "documents_given_at": "Documents remis le",
    "done_at": "Fait le",
    "doubt": "À revoir parce que",
    "due_on": "Échéance",
    "effective_from_cycle": "À compter du cycle",
    "effective_on": "Prend effet le",
    "email": "E-mail",
    "ended_at": "Terminé le",
    "ends_on": "Fin",
    "end_to_end_id": "Référence du débit",
    "error": "Motif d’échec",
    "event_at": "Événement survenu le",
    "event_on": "Jour de l’événement",
    "expires_on": "Expire le",
    "explanation": "Explication",
    "external_id": "Identifiant d’origine",
    "first_name": "Prénom",
    "frequency": "Rythme",
    "gift_message": "Message de cadeau",
    "ground": "Motif de résiliation",
    "handed_over_at": "Remis au transporteur le",
    "happened_at": "Date",
    "held_reason": "Retenu parce que",
    "holder": "Titulaire",
    "home_access_notes": "Accès au logement",
    "home_address_line1": "Adresse du logement",
    "home_address_line2": "Complément d’adresse du logement",
    "home_city": "Ville du logement",
    "home_kind": "Type de logement",
    "home_occupancy": "Occupation du logement",
    "home_occupied_since": "Logement occupé depuis",
    "home_postcode": "Code postal du logement",
    "iban": "IBAN",
    "identity_card": "Pièce d’identité",
    "issued_on": "Émis le",
    "kind": "Genre",
    "label": "Libellé",
    "last4": "Quatre derniers chiffres",
    "last_name": "Nom",
    "last_used_on": "Dernier débit",
    "left_over": "Reste",
    "lines": "Lignes",
    "method": "Moyen",
    "missing_since": "Absent depuis",
    "name": "Nom du fichier",
    "new_status": "Nouvel état",
    "new_value": "Nouvelle valeur",
    "next_charge_on": "Prochaine échéance",
    "note": "Note",
    "number": "Numéro",
    "occupancy": "Occupation",
    "occupied_since": "Occupé depuis",
    "old_status": "Ancien état",
    "old_value": "Ancienne valeur",
    "opened_at": "Ouvert le",
    "original": "Valeur d’avant",
    "outcome": "Issue",
    "over": "Au-delà du plafond",
    "paid": "Payé",
    "paid_at": "Payé le",
    "pause_note": "Note de pause",
    "payment_method": "Moyen de paiement",
    "payload": "Données reçues",
    "period_end": "Fin de période",
    "period_start": "Début de période",
    "phone": "Téléphone",
    "placed_at": "Commandé le",
    "planned_on": "Prévu le",
    "postcode": "Code postal",
    "preference_snapshot": "Préférences",
    "provider": "Prestataire",
    "provider_message": "Réponse du prestataire",
    "purpose": "Finalité",
    "quantity": "Quantité",
    "reason": "Motif",
    "received_on": "Reçu le",
    "recurring_amount": "Montant par cycle",
    "reference": "Référence",
    "registered_no": "Numéro de recommandé",
    "reported_state": "État chez l’opérateur",
    "requested_by": "Demandé par",
    "revoked_at": "Retiré le",
    "revoked_on": "Révoqué le",
    "scheduled_at": "Prévu le",
    "score": "Note sur 10",
    "sent_at": "Envoyé le",
    "settled_at": "Réglé le",
    "setup_fee": "Frais de mise en service",
    "signed_at": "Signé le",
    "signed_by": "Manière de signer",
    "signed_from": "Adresse (IP) de la signature",
    "signed_in": "Signé à",
    "signed_on": "Signé le",
    "since": "Depuis le",
    "size": "Taille en octets",
    "snapshot": "Dernier état connu",
    "source": "Source",
    "starts_on": "Début",
    "state": "État",
    "status": "État",
    "status_raw": "État d’origine",
    "supplier": "Fournisseur",
    "synced_at": "Synchronisé le",
    "text": "Texte",
    "title": "Intitulé",
    "to": "Adressé à",
    "total": "Total",
    "tracking_number": "Numéro de suivi",
    "trade": "Métier",
    "umr": "Référence du mandat (RUM)",
    "unit_price": "Prix unitaire",
    "until": "Jusqu’au",
    "user": "Par",
    "valid_until": "Valable jusqu’au",
    "validated_at": "Validé le",
    "value": "Valeur",
    "vat_rate": "Taux de TVA",
    "weight_g": "Poids en grammes",
    "withdrawal_day": "Jour de prélèvement",
    "words": "Suivi",
    "written_by": "Écrit par",
}
"""The columns that the PDF tells of; what is technical stands in the JSON alone."""
OTHERWISE = {("claims", "words"): "Ce que dit le client"}
"""Columns that are called otherwise in one table."""


def facts(table_name: str, row: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """A row as pairs of a French name and lines of text."""
    columns = Base.metadata.tables[table_name].columns
    for name, value in row.items():
        if name not in LABELS or value is None:
            continue
        label = OTHERWISE.get((table_name, name), LABELS[name])
        kind = columns[name].type if name in columns else None
        if isinstance(kind, Enum) and kind.enum_class is not None and isinstance(value, str):
            member = kind.enum_class(value)
            yield label, [getattr(member, "label", value)]
        else:
            yield label, list(lines(value))


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """A value as lines of text; what holds others, one line for each."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            inner = list(lines(each, indent))
            if len(inner) == 1 and not isinstance(each, Mapping | list):
                yield f"{indent}{_named(name)}\u202f: {inner[0].strip()}"
            elif inner:
                yield f"{indent}{_named(name)}\u202f:"
                yield from lines(each, f"{indent}\u00a0\u00a0")
    elif isinstance(value, list):
        if len(value) == 2 and all(not isinstance(each, Mapping | list) for each in value):
            yield f"{indent}{_word(value[0]) or '—'} → {_word(value[1]) or '—'}"
            return
        for each in value:
            yield from lines(each, indent)
    else:
        yield from (f"{indent}{line}" for line in _word(value).splitlines())


def _named(name: str) -> str:
    return LABELS.get(name, name)


_WORDED: Sequence[tuple[type, Callable[[Any], str]]] = (
    (bool, lambda value: "oui" if value else "non"),
    (datetime, french.moment),
    (date, french.day),
    (Decimal, french.quantity),
)
"""How values of a type read; a kind of another comes before it."""


def _word(value: Any) -> str:
    if value is None:
        return ""
    return next((words(value) for kind, words in _WORDED if isinstance(value, kind)), str(value))
