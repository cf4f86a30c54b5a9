"""The columns that the lists of bank files and of their debits can have."""

from sqlalchemy import func

from webapp.models import clients
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.banking import Mandate
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.organisations import Company
from webapp.services.list_columns import ListColumn, ValueKind, labels_of
from webapp.services.mandates.columns import IBAN

FILES = (
    ListColumn("numero", "Fichier", func.concat(f"{BankFile.LETTER}-", BankFile.number)),
    ListColumn("societe", "Société", Company.name),
    ListColumn("prelevement", "Prélevé le", BankFile.collected_on, ValueKind.DAY),
    ListColumn("statut", "État", BankFile.status, ValueKind.CHOICE, labels=labels_of(BankFileStatus)),
    ListColumn("nombre", "Prélèvements", BankFile.number_of_debits, ValueKind.INTEGER),
    ListColumn("total", "Total TTC", BankFile.total, ValueKind.AMOUNT),
    ListColumn("genere", "Généré", BankFile.exported_at, ValueKind.INSTANT),
    ListColumn("transmis", "Transmis", BankFile.sent_at, ValueKind.INSTANT),
    ListColumn("confirme", "Confirmé", BankFile.confirmed_at, ValueKind.INSTANT),
    ListColumn("message-id", "MsgId", BankFile.message_id),
)
DEBITS = (
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("numero", "Numéro", func.concat(f"{Charge.LETTER}-", Charge.number)),
    ListColumn("statut", "État", ChargeAttempt.status, ValueKind.CHOICE, labels=labels_of(AttemptStatus)),
    ListColumn("explication", "Explication", ChargeAttempt.provider_message),
    ListColumn("montant", "Montant TTC", ChargeAttempt.amount, ValueKind.AMOUNT),
    ListColumn("devise", "Devise", ChargeAttempt.currency),
    ListColumn("reference", "EndToEndId", ChargeAttempt.end_to_end_id),
    ListColumn("rum", "RUM", Mandate.umr),
    IBAN,
)
