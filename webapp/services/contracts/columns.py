"""The columns that the list of contracts can have."""

from sqlalchemy import String, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from webapp.models import clients, commercials
from webapp.models.clients import Client
from webapp.models.contracts import Contract, ContractStatus, PaymentMethod
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.services.contracts.selection import ContractSort
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

DEFAULT = ("reference", "client", "produit", "statut", "montant", "devise", "commercial", "signature", "fin")
"""Those that the page shows where nobody chose others."""
_PRODUCTS = (
    select(func.string_agg(Product.name, aggregate_order_by(literal(", "), Product.name)))
    .where(Product.organisation_id == Contract.organisation_id, Product.id == func.any(Contract.product_ids))
    .correlate(Contract)
    .scalar_subquery()
)
_STATUS = func.coalesce(Contract.status_raw, case(labels_of(ContractStatus), value=cast(Contract.status, String)))
"""Upstream's word where we have none of our own."""

COLUMNS = (
    ListColumn("reference", "Référence", Contract.reference),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("produit", "Produit", _PRODUCTS),
    ListColumn("statut", "Statut", _STATUS),
    ListColumn("montant", "Montant", Contract.amount, ValueKind.AMOUNT, sort=ContractSort.AMOUNT_DESCENDING),
    ListColumn("devise", "Devise", Contract.currency),
    ListColumn("commercial", "Commercial", commercials.full_name_in_sql()),
    ListColumn("signature", "Signature", Contract.signed_on, ValueKind.DAY, sort=ContractSort.SIGNED_DESCENDING),
    ListColumn("fin", "Fin", Contract.ends_on, ValueKind.DAY, sort=ContractSort.ENDS),
    ListColumn("debut", "Début", Contract.starts_on, ValueKind.DAY),
    ListColumn("societe", "Société", Company.name),
    ListColumn("fournisseur", "Fournisseur", Contract.supplier),
    ListColumn("type", "Type", Contract.contract_type),
    ListColumn("paiement", "Paiement", Contract.payment_method, ValueKind.CHOICE, labels=labels_of(PaymentMethod)),
    ListColumn("email", "E-mail du client", Client.email),
    ListColumn("telephone", "Téléphone du client", Client.phone),
    ListColumn("modifie", "Modifié", Contract.changed_at, ValueKind.INSTANT),
    ListColumn("cree", "Créé", Contract.created_at, ValueKind.INSTANT),
    ListColumn("absent", "Absent de WinLeadPlus depuis", Contract.missing_since, ValueKind.INSTANT),
)
