"""The columns that the list of events, which stands beside the charges, can have."""

from sqlalchemy import case, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from webapp.clock import PARIS
from webapp.models.base import linked
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.services.list_columns import ListColumn, ValueKind, labels_of

_DELIVERED = func.to_char(func.timezone(PARIS.key, OutboxDelivery.delivered_at), "DD/MM/YYYY HH24:MI:SS")
_STANDING = case(
    (OutboxDelivery.delivered_at.is_not(None), func.concat("remis le ", _DELIVERED)),
    else_=func.concat_ws(
        ", ", "à remettre", func.concat("essais\u202f: ", OutboxDelivery.attempts), OutboxDelivery.error
    ),
)
_DELIVERIES = (
    select(
        func.string_agg(
            func.concat(OutboxDelivery.subscriber, "\u202f: ", _STANDING),
            aggregate_order_by(literal(" · "), OutboxDelivery.subscriber),
        )
    )
    .where(linked(OutboxEvent, OutboxDelivery.event_id))
    .correlate(OutboxEvent)
    .scalar_subquery()
)
COLUMNS = (
    ListColumn("quand", "Quand", OutboxEvent.occurred_at, ValueKind.INSTANT),
    ListColumn("quoi", "Quoi", OutboxEvent.kind, ValueKind.CHOICE, labels=labels_of(OutboxKind)),
    ListColumn("remise", "Remise", func.coalesce(_DELIVERIES, "aucun destinataire")),
)
