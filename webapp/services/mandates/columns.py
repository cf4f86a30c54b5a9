"""The columns that the list of mandates that lack something can have."""

from datetime import date

from webapp.models import clients
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.organisations import Company
from webapp.services.list_columns import ListColumn, SealedColumn, ValueKind, labels_of
from webapp.services.mandates.listing import WAITING, lack_in_sql


def columns(today: date) -> tuple[ListColumn, ...]:
    """The columns; what a mandate lacks depends on the day."""
    return (
        ListColumn("client", "Client", clients.full_name_in_sql()),
        ListColumn("manque", "Ce qui manque", lack_in_sql(today)),
        ListColumn("rum", "RUM", Mandate.umr),
        IBAN,
        ListColumn("societe", "Société", Company.name),
        ListColumn("abonnements", "Abonnements en attente", WAITING, ValueKind.INTEGER),
        ListColumn("statut", "Statut", Mandate.status, ValueKind.CHOICE, labels=labels_of(MandateStatus)),
        ListColumn("signature", "Signature", Mandate.signed_on, ValueKind.DAY),
        ListColumn("titulaire", "Titulaire", BankAccount.holder),
    )


IBAN = SealedColumn(
    key="iban",
    label="Compte",
    value=BankAccount.iban_masked,
    sealed=BankAccount.iban,
    row_id=BankAccount.id,
    place=lambda organisation_id, account_id: BankAccount.place(organisation_id, account_id, "iban"),
)
"""An account by its IBAN; in statements that have BankAccount."""
DEFAULT = ("client", "manque", "rum", "iban", "societe", "abonnements")
"""Those that the page shows where nobody chose others."""
