"""The columns that the list of covers can have."""

from webapp.models import clients
from webapp.models.covers import Cover, CoveredHome, CoverPlan, CoverPlanVersion
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

COVERS = (
    ListColumn("numero", "Numéro", Cover.number, ValueKind.INTEGER),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("formule", "Formule", CoverPlan.label),
    ListColumn("version", "Version", CoverPlanVersion.version, ValueKind.INTEGER),
    ListColumn("adresse", "Adresse du logement", CoveredHome.address_line1),
    ListColumn("code-postal", "Code postal", CoveredHome.postcode),
    ListColumn("ville", "Ville", CoveredHome.city),
    ListColumn("conclusion", "Conclue le", Cover.concluded_on, ValueKind.DAY),
    ListColumn("effet", "Prise d’effet", Cover.effective_on, ValueKind.DAY),
    ListColumn("abonnement", "Abonnement", Subscription.status, ValueKind.CHOICE, labels=labels_of(SubscriptionStatus)),
)
DEFAULT = ("numero", "client", "formule", "code-postal", "ville", "effet", "abonnement")
