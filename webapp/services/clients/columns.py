"""The columns that the list of clients can have."""

from sqlalchemy import String, Text, cast, func

from webapp.models import clients, commercials
from webapp.models.clients import Client, ClientStatus, Source
from webapp.services.clients.selection import ClientSort
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

DEFAULT = ("nom", "email", "telephone", "ville", "commercial", "statut", "contrats", "modifie")
"""Those that the page shows where nobody chose others."""
OWN = "CRM"
"""What stands for the source of clients that were made here."""
COLUMNS = (
    ListColumn("nom", "Nom", clients.full_name_in_sql(), sort=ClientSort.NAME),
    ListColumn("email", "E-mail", Client.email),
    ListColumn("telephone", "Téléphone", Client.phone),
    ListColumn("ville", "Ville", Client.city, sort=ClientSort.CITY),
    ListColumn("commercial", "Commercial", commercials.full_name_in_sql()),
    ListColumn("statut", "Statut", Client.status, ValueKind.CHOICE, labels=labels_of(ClientStatus)),
    ListColumn("contrats", "Contrats", Client.contracts_count, ValueKind.INTEGER, sort=ClientSort.CONTRACTS_DESCENDING),
    ListColumn("modifie", "Modifié", Client.changed_at, ValueKind.INSTANT, sort=ClientSort.CHANGED_DESCENDING),
    ListColumn("cree", "Créé", Client.created_at, ValueKind.INSTANT),
    ListColumn(
        "source",
        "Source",
        func.coalesce(cast(Client.source, String), OWN),
        ValueKind.CHOICE,
        labels={OWN: OWN, **{source.value: source.value for source in Source}},
    ),
    ListColumn("code-postal", "Code postal", Client.postcode),
    ListColumn("civilite", "Civilité", Client.civility),
    ListColumn("prenom", "Prénom", Client.first_name),
    ListColumn("nom-de-famille", "Nom de famille", Client.last_name),
    ListColumn("naissance", "Date de naissance", Client.birth_date, ValueKind.DAY),
    ListColumn("adresse", "Adresse", Client.address_line1),
    ListColumn("complement", "Complément d’adresse", Client.address_line2),
    ListColumn("pays", "Pays", Client.country),
    ListColumn("identifiant", "Identifiant du client", cast(Client.id, Text)),
)
