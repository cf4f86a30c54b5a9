"""The columns that the list of subscriptions can have."""

from sqlalchemy import Date, String, and_, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from webapp.models import clients, commercials
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.organisations import Company
from webapp.models.subscriptions import Frequency, ShopPeriod, Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

DEFAULT = (
    *("client", "numero", "vendu", "statut", "frequence", "montant", "devise"),
    *("prochaine-echeance", "attendu-le", "resiliation"),
)
"""Those that the page shows where nobody chose others."""
_SOLD = (
    select(func.string_agg(SubscriptionLine.label, aggregate_order_by(literal(", "), SubscriptionLine.position)))
    .where(linked(Subscription, SubscriptionLine.subscription_id))
    .correlate(Subscription)
    .scalar_subquery()
)
_INTERVAL = cast(Subscription.shop_interval, String)
_SHOPS_OWN = case(
    *((and_(Subscription.shop_period == each, Subscription.shop_interval == 1), each.every(1)) for each in ShopPeriod),
    *((Subscription.shop_period == each, func.replace(each.every(2), "2", _INTERVAL)) for each in ShopPeriod),
    else_=Frequency.OTHER.label,
)
_RHYTHM = case(
    (Subscription.frequency == Frequency.OTHER, _SHOPS_OWN),
    else_=case(labels_of(Frequency), value=cast(Subscription.frequency, String)),
)
"""``rhythm_label`` in SQL."""

COLUMNS = (
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("numero", "Numéro", func.concat(f"{Subscription.LETTER}-", Subscription.number)),
    ListColumn("vendu", "Vendu", _SOLD),
    ListColumn("statut", "Statut", Subscription.status, ValueKind.CHOICE, labels=labels_of(SubscriptionStatus)),
    ListColumn("frequence", "Fréquence", _RHYTHM),
    ListColumn("montant", "Montant HT", Subscription.recurring_amount, ValueKind.AMOUNT),
    ListColumn("devise", "Devise", Subscription.currency),
    ListColumn("prochaine-echeance", "Prochaine échéance", Subscription.next_charge_on, ValueKind.DAY),
    ListColumn(
        "attendu-le",
        "Attendu par la boutique",
        cast(func.timezone(Subscription.timezone, Subscription.expected_at), Date),
        ValueKind.DAY,
    ),
    ListColumn("resiliation", "Résiliation", Subscription.cancels_on, ValueKind.DAY),
    ListColumn("commercial", "Commercial", commercials.full_name_in_sql()),
    ListColumn("societe", "Société", Company.name),
    ListColumn("email", "E-mail du client", Client.email),
    ListColumn("telephone", "Téléphone du client", Client.phone),
    ListColumn("cree", "Créé", Subscription.created_at, ValueKind.INSTANT),
)
