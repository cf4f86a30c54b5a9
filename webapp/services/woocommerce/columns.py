"""The columns that the lists of what shops tell, and of what is to be looked at, can have; never bodies."""

from typing import Any

from sqlalchemy import ColumnElement, String, Text, case, cast, func
from sqlalchemy.dialects.postgresql import JSONB

from webapp.models import clients
from webapp.models.clients import Client
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource, WooCommerceShop
from webapp.services.list_columns import ListColumn, ValueKind, labels_of, told_of_each
from webapp.services.woocommerce.reviewing import LABELS
from webapp.services.woocommerce.topics import TOPICS

_TOPIC = case(
    (WooCommerceEvent.topic.startswith("pull."), "Relevé"),
    else_=func.coalesce(
        case(dict(TOPICS), value=WooCommerceEvent.topic), func.nullif(WooCommerceEvent.topic, ""), "Sans sujet"
    ),
)
EVENTS = (
    ListColumn("recu", "Reçu", WooCommerceEvent.received_at, ValueKind.INSTANT),
    ListColumn("boutique", "Boutique", WooCommerceShop.name),
    ListColumn("sujet", "Sujet", _TOPIC),
    ListColumn(
        "ressource",
        "Ressource",
        func.coalesce(case(labels_of(ResourceKind), value=cast(WooCommerceEvent.kind, String)), "Autre"),
    ),
    ListColumn("numero", "Numéro", WooCommerceEvent.woo_id, ValueKind.INTEGER),
    ListColumn("etat", "État", WooCommerceEvent.state, ValueKind.CHOICE, labels=labels_of(EventState)),
    ListColumn("motif", "Motif", WooCommerceEvent.reason),
    ListColumn("essais", "Essais", WooCommerceEvent.attempts, ValueKind.INTEGER),
)


def _told(flag: ColumnElement[Any]) -> ColumnElement[Any]:
    code = flag.op("->>")("code")
    return func.concat(func.coalesce(case(dict(LABELS), value=code), code), "\u202f: ", flag.op("->>")("sentence"))


_WHY = told_of_each(
    func.jsonb_array_elements(WooCommerceResource.review), JSONB, of=WooCommerceResource, word=_told, between=" · "
)
REVIEWS = (
    ListColumn("ressource", "Ressource", WooCommerceResource.kind, ValueKind.CHOICE, labels=labels_of(ResourceKind)),
    ListColumn("numero", "Numéro", func.coalesce(WooCommerceResource.number, cast(WooCommerceResource.woo_id, Text))),
    ListColumn("client", "Client", case((Client.id.is_not(None), clients.full_name_in_sql()))),
    ListColumn("boutique", "Boutique", WooCommerceShop.name),
    ListColumn("pourquoi", "Pourquoi", _WHY),
)
