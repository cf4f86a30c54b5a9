"""The columns that the lists of charges can have."""

from sqlalchemy import func

from webapp.models import clients
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.organisations import Company
from webapp.models.subscriptions import Collector
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

DEFAULT = ("echeance", "numero", "client", "statut", "motif", "explication", "montant", "devise", "tentatives")
"""Those that the page shows where nobody chose others."""
COLUMNS = (
    ListColumn("echeance", "Échéance", Charge.due_on, ValueKind.DAY),
    ListColumn("numero", "Numéro", func.concat(f"{Charge.LETTER}-", Charge.number)),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("statut", "État", Charge.status, ValueKind.CHOICE, labels=labels_of(ChargeStatus)),
    ListColumn("motif", "À traiter", Charge.attention, ValueKind.CHOICE, labels=labels_of(Attention)),
    ListColumn("explication", "Explication", Charge.explanation),
    ListColumn("montant", "Montant TTC", Charge.amount, ValueKind.AMOUNT),
    ListColumn("devise", "Devise", Charge.currency),
    ListColumn("tentatives", "Tentatives", Charge.attempts_count, ValueKind.INTEGER),
    ListColumn("prochain-essai", "Prochain essai", Charge.next_attempt_at, ValueKind.INSTANT),
    ListColumn("montant-ht", "Montant HT", Charge.amount_before_tax, ValueKind.AMOUNT),
    ListColumn("encaissement", "Encaissement", Charge.collected_by, ValueKind.CHOICE, labels=labels_of(Collector)),
    ListColumn("periode-du", "Période du", Charge.period_start, ValueKind.DAY),
    ListColumn("periode-au", "Période au", Charge.period_end, ValueKind.DAY),
    ListColumn("societe", "Société", Company.name),
)
