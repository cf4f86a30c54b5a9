"""The columns that the lists of batches, of their lines, of shipments and of products can have."""

from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from webapp.models import clients
from webapp.models.base import linked
from webapp.models.carriers import Carrier, CarrierAccount
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.fulfilment import (
    BatchStatus,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineFlag,
    LineStatus,
    Parcel,
    ParcelStatus,
    Shipment,
)
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.services.list_columns import ListColumn, ValueKind, labels_of


def _code(consignment_no: ColumnElement[Any]) -> ColumnElement[str | None]:
    """``consignment_code`` in SQL; NULL where there is none."""
    number = func.lpad(cast(FulfilmentBatch.number, String), 6, "0")
    consignment = case(
        (consignment_no < 10_000, func.lpad(cast(consignment_no, String), 4, "0")), else_=cast(consignment_no, String)
    )
    return case((consignment_no.is_not(None), func.concat("L", number, "-", consignment)))


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    ours = linked(FulfilmentBatch, FulfilmentBatchLine.batch_id)
    counted = select(func.count()).select_from(FulfilmentBatchLine).where(ours, *conditions)
    return counted.correlate(FulfilmentBatch).scalar_subquery()


_STAYS = FulfilmentBatchLine.status.in_((LineStatus.TO_PREPARE, LineStatus.PREPARED, LineStatus.SHIPPED))
_CONSIGNMENTS = (
    select(func.count(FulfilmentBatchLine.consignment_no.distinct()))
    .where(linked(FulfilmentBatch, FulfilmentBatchLine.batch_id), _STAYS)
    .correlate(FulfilmentBatch)
    .scalar_subquery()
)
BATCHES = (
    ListColumn("numero", "Lot", FulfilmentBatch.number, ValueKind.INTEGER),
    ListColumn("societe", "Société", Company.name),
    ListColumn("statut", "État", FulfilmentBatch.status, ValueKind.CHOICE, labels=labels_of(BatchStatus)),
    ListColumn("verrouille", "Verrouillé", FulfilmentBatch.locked_at, ValueKind.INSTANT),
    ListColumn(
        "lignes",
        "Lignes",
        _count(_STAYS | (FulfilmentBatchLine.status == LineStatus.SET_ASIDE)),
        ValueKind.INTEGER,
    ),
    ListColumn("envois", "Envois", _CONSIGNMENTS, ValueKind.INTEGER),
    ListColumn("de-cote", "De côté", _count(FulfilmentBatchLine.status == LineStatus.SET_ASIDE), ValueKind.INTEGER),
)


def _address(key: str) -> ColumnElement[Any]:
    return FulfilmentBatchLine.address_snapshot.op("->>")(key)


def _destination(key: str) -> ColumnElement[Any]:
    return Shipment.address.op("->>")(key)


_PREFERENCE = func.jsonb_each(FulfilmentBatchLine.preference_snapshot).table_valued("key", "value", name="preference")
_PREFERENCES = (
    select(
        func.string_agg(
            func.concat(_PREFERENCE.c.value.op("->>")("label"), "\u202f: ", _PREFERENCE.c.value.op("->>")("value")),
            aggregate_order_by(literal(", "), _PREFERENCE.c.key),
        )
    )
    .select_from(_PREFERENCE)
    .correlate(FulfilmentBatchLine)
    .scalar_subquery()
)
LINES = (
    ListColumn("reference", "Référence", _code(FulfilmentBatchLine.consignment_no.expression)),
    ListColumn("prelevement", "Prélèvement", func.concat(f"{Charge.LETTER}-", Charge.number)),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("quantite", "Quantité", FulfilmentBatchLine.quantity, ValueKind.AMOUNT),
    ListColumn("contenu", "Contenu", FulfilmentBatchLine.label),
    ListColumn("preferences", "Préférences", _PREFERENCES),
    ListColumn("destinataire", "Destinataire", _address("recipient")),
    ListColumn("adresse", "Adresse", _address("line1")),
    ListColumn("complement", "Complément", _address("line2")),
    ListColumn("code-postal", "Code postal", _address("postcode")),
    ListColumn("ville", "Ville", _address("city")),
    ListColumn("pays", "Pays", _address("country")),
    ListColumn("statut", "État", FulfilmentBatchLine.status, ValueKind.CHOICE, labels=labels_of(LineStatus)),
    ListColumn("signalement", "Signalement", FulfilmentBatchLine.flag, ValueKind.CHOICE, labels=labels_of(LineFlag)),
    ListColumn("motif", "Motif", func.coalesce(FulfilmentBatchLine.held_reason, FulfilmentBatchLine.reason)),
    ListColumn("message-cadeau", "Message cadeau", FulfilmentBatchLine.gift_message),
)
_OF_SHIPMENT = linked(Shipment, Parcel.shipment_id)
_TRACKING = (
    select(func.string_agg(Parcel.tracking_number, aggregate_order_by(literal(", "), Parcel.number)))
    .where(_OF_SHIPMENT)
    .correlate(Shipment)
    .scalar_subquery()
)
_WEIGHT = select(func.sum(Parcel.weight_g)).where(_OF_SHIPMENT).correlate(Shipment).scalar_subquery()
SHIPMENTS = (
    ListColumn("reference", "Référence", _code(Shipment.consignment_no.expression)),
    ListColumn("numero", "Numéro", func.concat(f"{Shipment.LETTER}-", Shipment.number)),
    ListColumn("client", "Client", clients.full_name_in_sql()),
    ListColumn("statut", "État", Shipment.status, ValueKind.CHOICE, labels=labels_of(ParcelStatus)),
    ListColumn("suivi", "Numéro de suivi", _TRACKING),
    ListColumn("code-postal", "Code postal", _destination("postcode")),
    ListColumn("ville", "Ville", _destination("city")),
    ListColumn("transporteur", "Transporteur", CarrierAccount.carrier, ValueKind.CHOICE, labels=labels_of(Carrier)),
    ListColumn("remise", "Remise au transporteur", Shipment.handed_over_at, ValueKind.INSTANT),
    ListColumn("destinataire", "Destinataire", _destination("recipient")),
    ListColumn("adresse", "Adresse", _destination("line1")),
    ListColumn("complement", "Complément", _destination("line2")),
    ListColumn("pays", "Pays", _destination("country")),
    ListColumn("poids", "Poids (g)", _WEIGHT, ValueKind.INTEGER),
    ListColumn("email", "E-mail du client", Client.email),
)
SHIPMENTS_DEFAULT = (
    *("reference", "numero", "client", "statut", "suivi"),
    *("code-postal", "ville", "transporteur", "remise"),
)
"""Those that the page shows where nobody chose others."""
PRODUCTS = (
    ListColumn("produit", "Produit", Product.name),
    ListColumn("categorie", "Catégorie", Product.category),
    ListColumn("expedie", "S’expédie", Product.is_shipped, ValueKind.YES_NO),
    ListColumn("poids", "Poids (g)", Product.weight_g, ValueKind.INTEGER),
)
