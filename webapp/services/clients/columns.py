"""The columns that the list of clients can have.

What other tables hold is looked up for each row that a page shows, by an index, and for no other.
"""

from sqlalchemy import Date, String, Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from webapp.models import clients, commercials
from webapp.models.base import linked
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.tasks import Task
from webapp.models.timeline import LastContact
from webapp.services.clients.selection import ClientSort
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

NAME = "nom"
DEFAULT = (NAME, "email", "telephone", "ville", "commercial", "statut", "contrats", "modifie")
"""Those that the page shows where nobody chose others."""
OWN = "CRM"
"""What stands for the source of clients that were made here."""
_LAST_CONTACT = select(LastContact.at).where(linked(Client, LastContact.client_id)).correlate(Client).scalar_subquery()
_NEXT_TASK = (
    select(func.min(Task.due_on, type_=Date()))
    .where(linked(Client, Task.client_id), Task.done_at.is_(None))
    .correlate(Client)
    .scalar_subquery()
)
_OWED = (
    select(Invoice.currency, func.sum(Invoice.total - Invoice.paid - Invoice.credited).label("owed"))
    .where(linked(Client, Invoice.client_id), Invoice.corrects_id.is_(None), Invoice.status != InvoiceStatus.PAID)
    .correlate(Client)
    .group_by(Invoice.currency)
    .subquery()
)
_BALANCE = select(func.jsonb_object_agg(_OWED.c.currency, cast(_OWED.c.owed, String), type_=JSONB())).scalar_subquery()

COLUMNS = (
    ListColumn(NAME, "Nom", clients.full_name_in_sql(), sort=ClientSort.NAME),
    ListColumn("email", "E-mail", Client.email),
    ListColumn("telephone", "Téléphone", Client.phone),
    ListColumn("ville", "Ville", Client.city, sort=ClientSort.CITY),
    ListColumn("code-postal", "Code postal", Client.postcode),
    ListColumn("commercial", "Commercial", commercials.full_name_in_sql()),
    ListColumn("statut", "Statut", Client.status, ValueKind.CHOICE, labels=labels_of(ClientStatus)),
    ListColumn(
        "source",
        "Source",
        func.coalesce(cast(Client.source, String), OWN),
        ValueKind.CHOICE,
        labels={OWN: OWN, **{source.value: source.value for source in Source}},
    ),
    ListColumn("contrats", "Contrats", Client.contracts_count, ValueKind.INTEGER, sort=ClientSort.CONTRACTS_DESCENDING),
    ListColumn("dernier-contact", "Dernier contact", _LAST_CONTACT, ValueKind.INSTANT),
    ListColumn("prochain-rappel", "Prochain rappel", _NEXT_TASK, ValueKind.DAY),
    ListColumn("solde", "Solde à payer", _BALANCE, ValueKind.AMOUNTS),
    ListColumn("modifie", "Modifié", Client.changed_at, ValueKind.INSTANT, sort=ClientSort.CHANGED_DESCENDING),
    ListColumn("cree", "Créé", Client.created_at, ValueKind.INSTANT, sort=ClientSort.CREATED_DESCENDING),
    ListColumn("civilite", "Civilité", Client.civility),
    ListColumn("prenom", "Prénom", Client.first_name),
    ListColumn("nom-de-famille", "Nom de famille", Client.last_name),
    ListColumn("naissance", "Date de naissance", Client.birth_date, ValueKind.DAY),
    ListColumn("adresse", "Adresse", Client.address_line1),
    ListColumn("complement", "Complément d’adresse", Client.address_line2),
    ListColumn("pays", "Pays", Client.country),
    ListColumn("identifiant", "Identifiant du client", cast(Client.id, Text)),
)
BY_KEY = {column.key: column for column in COLUMNS}
OF_COMMERCIALS = frozenset({"commercial"})
"""Columns for which the list joins its commercials."""
