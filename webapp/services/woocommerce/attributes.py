"""What the buyer chose of a variation, as preferences, where the shop's table says so."""

from collections.abc import Mapping
from datetime import datetime

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.preferences import PreferenceSchema, PreferenceValue, Scalar
from webapp.models.subscriptions import Subscription
from webapp.models.woocommerce import WooCommerceMapping, WooCommerceShop
from webapp.services.preferences import values
from webapp.services.preferences.checking import check_value
from webapp.services.preferences.schemas import list_schemas
from webapp.services.woocommerce.flags import Flag
from webapp.services.woocommerce.reading import Attribute
from webapp.services.woocommerce.reading import Subscription as Word

NOT_A_CHOICE = "«\u00a0{value}\u00a0» n’est pas un choix de la préférence «\u00a0{label}\u00a0»."

Chosen = dict[str, Scalar]
"""By the code of the preference."""


def bring(
    shop: WooCommerceShop, subscription: Subscription, word: Word, mapping: WooCommerceMapping, *, at: datetime
) -> list[Flag]:
    """Set what was chosen otherwise than the shop said the last time; what people change here stays until then.

    What the buyer chose first holds from the first cycle on. A value that its preference does not know is flagged.
    """
    if not shop.attribute_codes:
        return []
    chosen, faults = _chosen(shop.attribute_codes, word)
    snapshot = mapping.snapshot_in_clear()
    said: Chosen = snapshot.get("attributes", {})
    new = {code: value for code, value in chosen.items() if said.get(code) != value}
    if new and not subscription.status.is_final:
        mapping.keep_snapshot(snapshot | {"attributes": said | new})
        if said:
            values.set_values(subscription.id, new, by=None, at=at)
        else:
            _set_first(subscription, new, at=at)
    return faults


def _chosen(codes: Mapping[str, str], word: Word) -> tuple[Chosen, list[Flag]]:
    by_name = {name.casefold(): code for name, code in codes.items()}
    schemas = {schema.code: schema for schema in list_schemas()}
    chosen: Chosen = {}
    faults: list[Flag] = []
    for item in word.items:
        for attribute in item.attributes:
            code = by_name.get(attribute.name.casefold()) or by_name.get(attribute.shown_name.casefold())
            if code in schemas and code not in chosen:
                value = _fitting(schemas[code], attribute)
                if value is None:
                    sentence = NOT_A_CHOICE.format(value=attribute.shown_value, label=schemas[code].label)
                    faults.append(Flag("MISMATCH", sentence))
                else:
                    chosen[code] = value
    return chosen, faults


def _fitting(schema: PreferenceSchema, attribute: Attribute) -> Scalar | None:
    """As people read it, else as machines do; None where neither is a choice."""
    for written in (attribute.shown_value, attribute.value):
        try:
            return check_value(schema, written)
        except InvalidInputError:
            continue
    return None


def _set_first(subscription: Subscription, chosen: Chosen, *, at: datetime) -> None:
    schemas = {schema.code: schema for schema in list_schemas()}
    db.session.add_all(
        PreferenceValue(
            subscription_id=subscription.id,
            schema_id=schemas[code].id,
            effective_from_cycle=0,
            value=value,
            changed_at=at,
        )
        for code, value in chosen.items()
    )
