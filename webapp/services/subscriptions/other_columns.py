"""The columns that the lists of coupons and of cards that expire can have."""

from webapp.models import clients
from webapp.models.coupons import Coupon
from webapp.models.providers import SavedPaymentMethod
from webapp.services.list_columns import ListColumn, ValueKind
from webapp.services.subscriptions.saved_methods import NEXT, WAITING

COUPONS = (
    ListColumn("code", "Code", Coupon.code),
    ListColumn("nom", "Nom", Coupon.label),
    ListColumn("pourcentage", "Remise HT (%)", Coupon.percent, ValueKind.AMOUNT),
    ListColumn("montant", "Remise HT", Coupon.amount, ValueKind.AMOUNT),
    ListColumn("echeances", "Nombre d’échéances", Coupon.cycles, ValueKind.INTEGER),
    ListColumn("debut", "Valable du", Coupon.valid_from, ValueKind.DAY),
    ListColumn("fin", "Valable jusqu’au", Coupon.valid_until, ValueKind.DAY),
    ListColumn("applique", "Appliqué", Coupon.uses, ValueKind.INTEGER),
    ListColumn("au-plus", "Utilisations au plus", Coupon.max_uses, ValueKind.INTEGER),
    ListColumn("actif", "Actif", Coupon.is_active, ValueKind.YES_NO),
)
CARDS = (
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("carte", "Carte", SavedPaymentMethod.label),
    ListColumn("expire", "Expire", SavedPaymentMethod.expires_on, ValueKind.DAY),
    ListColumn("abonnements", "Abonnements", WAITING, ValueKind.INTEGER),
    ListColumn("prochaine-echeance", "Prochaine échéance", NEXT, ValueKind.DAY),
)
