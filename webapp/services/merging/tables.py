"""What belongs to a client, and so goes along when it is merged: every table that names one in ``client_id``.

A test holds this against the models: a new table must say here what becomes of its rows.
"""

from typing import NamedTuple


class Belonging(NamedTuple):
    """A table whose rows go along.

    ``key`` tells a row within its organisation. ``since`` is the column that says when a row came, in SQL over ``t``;
    empty where none does: of a prospect the line in the history tells.
    ``one`` and ``many`` are how its rows are counted on the screen, empty for what tells a person nothing.
    """

    one: str = ""
    many: str = ""
    key: str = "id"
    since: str = "t.created_at"


BELONGINGS: dict[str, Belonging] = {
    "bank_accounts": Belonging("compte bancaire", "comptes bancaires"),
    "mandates": Belonging("mandat", "mandats"),
    "saved_payment_methods": Belonging("moyen de paiement", "moyens de paiement"),
    "default_means": Belonging("moyen par défaut", "moyens par défaut"),
    "contracts": Belonging("contrat", "contrats"),
    "subscriptions": Belonging("abonnement", "abonnements"),
    "subscription_history": Belonging(since="t.at"),
    "covered_homes": Belonging("logement couvert", "logements couverts"),
    "covers": Belonging("couverture", "couvertures"),
    "cover_sales": Belonging("souscription", "souscriptions"),
    "claims": Belonging("dossier de sinistre", "dossiers de sinistre"),
    "claim_satisfactions": Belonging("réponse de satisfaction", "réponses de satisfaction", since="t.answered_at"),
    "charges": Belonging("prélèvement", "prélèvements"),
    "payments": Belonging("paiement", "paiements", since="t.recorded_at"),
    "invoices": Belonging("facture ou avoir", "factures et avoirs"),
    "means_requests": Belonging("demande de moyen de paiement", "demandes de moyen de paiement"),
    "dunning_cases": Belonging("dossier de relance", "dossiers de relance"),
    "fulfilment_batch_lines": Belonging("ligne de lot", "lignes de lot"),
    "shipments": Belonging("expédition", "expéditions"),
    "messages": Belonging("message", "messages"),
    "consents": Belonging("consentement", "consentements"),
    "documents": Belonging("document", "documents"),
    "tasks": Belonging("tâche", "tâches"),
    "timeline_events": Belonging("événement de l’historique", "événements de l’historique", since="t.at"),
    "sync_items": Belonging(),
    "sync_mappings": Belonging("prospect WinLeadPlus", "prospects WinLeadPlus", key="external_id", since=""),
    "woocommerce_resources": Belonging(since="t.kept_at"),
    "woocommerce_mappings": Belonging(since="t.last_synced_at"),
}
STAY = {
    "operation_items": "what a plan was, and for whom; the timeline of the client tells of it",
    "import_rows": "lines of a file while its plan is made; what it plans for a client who is merged is left out",
    "present_consents": "made anew from consents, by a trigger",
    "cover_revenue_months": "booked anew for who has the covers then; a trigger takes those of the other away",
    "last_contacts": "told anew from timeline_events, by a trigger",
}
"""Tables whose rows keep their client, and why."""
