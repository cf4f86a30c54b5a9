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
