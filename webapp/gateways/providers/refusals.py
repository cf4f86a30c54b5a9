"""Words of refusal, and the class of each: whether and when it makes sense to ask again."""

from webapp.models.charges import RefusalClass

SOFT_CARD_CODES = frozenset(
    {
        "insufficient_funds",
        "card_velocity_exceeded",
        "withdrawal_count_limit_exceeded",
        "do_not_honor",
        "generic_decline",
        "card_declined",
        "call_issuer",
        "try_again_later",
        "approve_with_id",
        "no_action_taken",
    }
)
"""Decline codes after which another day may bring another answer."""
TECHNICAL_CARD_CODES = frozenset({"processing_error", "issuer_not_available", "reenter_transaction"})
AUTHENTICATION_CODES = frozenset({"authentication_required", "authentication_not_handled", "offline_pin_required"})


_REFUSED = "Refusé par la banque, sans autre motif"
_WRONG_CARD = "Numéro, date ou code de la carte erronés"
_BLOCKED = "La carte ne permet pas ce paiement"
_RETAINED = "La carte est signalée à la banque"
_CARD_WORDS = {
    "approve_with_id": _REFUSED,
    "authentication_required": "Le client doit donner son accord (authentification)",
    "authentication_not_handled": "Le client doit donner son accord (authentification)",
    "call_issuer": _REFUSED,
    "card_declined": _REFUSED,
    "card_not_supported": _BLOCKED,
    "card_velocity_exceeded": "Plafond de la carte atteint",
    "currency_not_supported": "La carte n’accepte pas cette devise",
    "do_not_honor": _REFUSED,
    "do_not_try_again": _REFUSED,
    "duplicate_transaction": "Paiement présenté deux fois",
    "expired_card": "Carte expirée",
    "fraudulent": "Soupçon de fraude",
    "generic_decline": _REFUSED,
    "incorrect_cvc": _WRONG_CARD,
    "incorrect_number": _WRONG_CARD,
    "insufficient_funds": "Provision insuffisante",
    "invalid_account": "Compte ou carte invalide",
    "invalid_cvc": _WRONG_CARD,
    "invalid_expiry_month": _WRONG_CARD,
    "invalid_expiry_year": _WRONG_CARD,
    "invalid_number": _WRONG_CARD,
    "issuer_not_available": "La banque du client ne répond pas",
    "lost_card": "Carte déclarée perdue",
    "no_action_taken": _REFUSED,
    "not_permitted": _BLOCKED,
    "offline_pin_required": "La carte demande son code",
    "pickup_card": _RETAINED,
    "processing_error": "Incident technique chez le prestataire",
    "reenter_transaction": "Incident technique à la banque",
    "restricted_card": _RETAINED,
    "revocation_of_all_authorizations": "Le client a révoqué ses autorisations auprès de sa banque",
    "revocation_of_authorization": "Le client a révoqué son autorisation auprès de sa banque",
    "security_violation": _REFUSED,
    "service_not_allowed": _BLOCKED,
    "stolen_card": "Carte déclarée volée",
    "stop_payment_order": "Le client a fait opposition auprès de sa banque",
    "transaction_not_allowed": _BLOCKED,
    "try_again_later": _REFUSED,
    "withdrawal_count_limit_exceeded": "Plafond de la carte atteint",
}
_DISPUTE_WORDS = {
    "bank_cannot_process": "La banque du client n’a pas pu traiter le paiement",
    "credit_not_processed": "Contesté\u202f: remboursement attendu et non reçu",
    "customer_initiated": "Remboursement demandé par le débiteur",
    "debit_not_authorized": "Contesté\u202f: prélèvement non autorisé",
    "duplicate": "Contesté\u202f: payé deux fois",
    "general": "Contesté par le client",
    "incorrect_account_details": "Coordonnées bancaires erronées",
    "noncompliant": "Contesté\u202f: règles du réseau de la carte",
    "product_not_received": "Contesté\u202f: produit non reçu",
    "product_unacceptable": "Contesté\u202f: produit non conforme",
    "subscription_canceled": "Contesté\u202f: abonnement résilié",
    "unrecognized": "Contesté\u202f: paiement non reconnu",
}
_REFUND_WORDS = {
    "canceled": "Remboursement annulé chez le prestataire",
    "charge_for_pending_refund_disputed": "Le client a contesté le paiement entre-temps",
    "declined": "La banque du client a refusé",
    "expired_or_canceled_card": "Carte expirée ou résiliée",
    "failed": "Refusé par la banque, sans autre motif",
    "lost_or_stolen_card": "Carte perdue ou volée",
    "merchant_request": "Remboursement annulé chez le prestataire",
    "unknown": "Refusé par la banque, sans autre motif",
}


def class_of_card_code(code: str | None) -> RefusalClass:
    """The class of a card's decline code, in the words that card networks and Stripe use. Unknown ones are final."""
    if code in AUTHENTICATION_CODES:
        return RefusalClass.AUTHENTICATION
    if code in SOFT_CARD_CODES:
        return RefusalClass.SOFT
    return RefusalClass.TECHNICAL if code in TECHNICAL_CARD_CODES else RefusalClass.HARD


SEPA_CODES = {
    "AC01": "Coordonnées bancaires erronées",
    "AC04": "Compte clos",
    "AC06": "Compte bloqué",
    "AC13": "Le compte du débiteur n’est pas celui d’un particulier",
    "AM04": "Provision insuffisante",
    "AM05": "Prélèvement présenté deux fois",
    "MD01": "Pas de mandat",
    "MD02": "Mandat incomplet ou erroné",
    "MD06": "Remboursement demandé par le débiteur",
    "MD07": "Débiteur décédé",
    "MS02": "Refus du débiteur",
    "MS03": "Motif non précisé par la banque",
    "SL01": "Service limité par la banque du débiteur",
}
"""Reason codes of rejects and returns (SEPA Core rulebook), in French."""

SOFT_SEPA_CODES = frozenset({"AM04", "MS03"})
"""The only ones that may be presented again without anybody mending anything."""


def class_of_sepa_code(code: str) -> RefusalClass:
    """The class of a SEPA reason code."""
    return RefusalClass.SOFT if code in SOFT_SEPA_CODES else RefusalClass.HARD


_WORDS = SEPA_CODES | _CARD_WORDS | _DISPUTE_WORDS | _REFUND_WORDS


def words_of(code: str | None, default: str | None = None) -> str | None:
    """Why money did not come or go, in French, by the code; ``default`` for one that is unknown here."""
    return _WORDS.get(code or "", default)
