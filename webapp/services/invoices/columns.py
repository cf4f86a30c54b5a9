"""The columns that the list of invoices and credit notes can have."""

from sqlalchemy import String, case, cast

from webapp.models import clients
from webapp.models.invoices import Invoice, InvoiceKind, InvoiceStatus, label_of
from webapp.models.organisations import Company
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

DEFAULT = ("numero", "client", "statut", "total", "reste", "devise", "emission", "echeance", "societe")
"""Those that the page shows where nobody chose others."""
_IS_CREDIT_NOTE = Invoice.corrects_id.is_not(None)
_STATUS = case(
    (
        _IS_CREDIT_NOTE,
        case(
            {status.value: label_of(InvoiceKind.CREDIT_NOTE, status) for status in InvoiceStatus},
            value=cast(Invoice.status, String),
        ),
    ),
    else_=case(labels_of(InvoiceStatus), value=cast(Invoice.status, String)),
)
COLUMNS = (
    ListColumn("numero", "Numéro", Invoice.reference),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("statut", "Statut", _STATUS),
    ListColumn("total", "Total TTC", Invoice.total, ValueKind.AMOUNT),
    ListColumn(
        "reste",
        "Reste à payer",
        case((~_IS_CREDIT_NOTE, Invoice.total - Invoice.paid - Invoice.credited)),
        ValueKind.AMOUNT,
    ),
    ListColumn("devise", "Devise", Invoice.currency),
    ListColumn("emission", "Émise le", Invoice.issued_on, ValueKind.DAY),
    ListColumn("echeance", "Échéance", case((~_IS_CREDIT_NOTE, Invoice.due_on)), ValueKind.DAY),
    ListColumn("societe", "Société", Company.name),
    ListColumn(
        "genre", "Genre", case((_IS_CREDIT_NOTE, InvoiceKind.CREDIT_NOTE.label), else_=InvoiceKind.INVOICE.label)
    ),
    ListColumn("total-ht", "Total HT", Invoice.amount_before_tax, ValueKind.AMOUNT),
    ListColumn("paye", "Payé", Invoice.paid, ValueKind.AMOUNT),
    ListColumn("credite", "Crédité", Invoice.credited, ValueKind.AMOUNT),
    ListColumn("periode-du", "Période du", Invoice.period_start, ValueKind.DAY),
    ListColumn("periode-au", "Période au", Invoice.period_end, ValueKind.DAY),
)
