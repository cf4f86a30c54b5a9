"""What a shop says of people who were erased here: it is neither kept nor brought to our rows."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    CompoundSelect,
    LargeBinary,
    Select,
    String,
    any_,
    bindparam,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)

from webapp import crypto
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.woocommerce import (
    MappingKind,
    WooCommerceMapping,
    WooCommerceResource,
    WooCommerceShop,
    email_purpose,
)
from webapp.services.woocommerce.kept import Name
from webapp.services.woocommerce.matching import person_of
from webapp.services.woocommerce.reading import Customer, Sale
from webapp.tenancy import current_organisation_id

ERASED_HERE = "Ce client a été effacé ici\u202f: rien n’en est repris."

_OURS: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in ("organisation_id", "shop_id")}
_BY_PERSON: Select[*tuple[Any, ...]] = (
    select(literal_column("NULL", String).label("kind"), WooCommerceMapping.woo_id, WooCommerceMapping.email_index)
    .join(Client, linked(Client, WooCommerceMapping.client_id))
    .where(
        WooCommerceMapping.organisation_id == _OURS["organisation_id"],
        WooCommerceMapping.shop_id == _OURS["shop_id"],
        WooCommerceMapping.kind == MappingKind.CLIENT,
        or_(
            WooCommerceMapping.woo_id == any_(bindparam("accounts", type_=ARRAY(BigInteger))),
            WooCommerceMapping.email_index == any_(bindparam("emails", type_=ARRAY(LargeBinary))),
        ),
        Client.erased_at.is_not(None),
    )
)
_BY_RESOURCE: Select[*tuple[Any, ...]] = (
    select(type_coerce(WooCommerceResource.kind, String), WooCommerceResource.woo_id, literal_column("NULL::bytea"))
    .join(Client, linked(Client, WooCommerceResource.client_id))
    .where(
        WooCommerceResource.organisation_id == _OURS["organisation_id"],
        WooCommerceResource.shop_id == _OURS["shop_id"],
        WooCommerceResource.woo_id == any_(bindparam("woo_ids", type_=ARRAY(BigInteger))),
        Client.erased_at.is_not(None),
    )
)
_FOUND: CompoundSelect[*tuple[Any, ...]] = union_all(_BY_PERSON, _BY_RESOURCE)


def find_erased(shop: WooCommerceShop, words: Iterable[Any]) -> set[Name]:
    """Which resources are of a client of ours who was erased: by their account, their e-mail, or what they were."""
    people = {(word.kind, word.woo_id): person_of(word) for word in words if isinstance(word, Customer | Sale)}
    if not people:
        return set()
    purpose = email_purpose(current_organisation_id())
    indexes = {
        name: crypto.blind_indexes(person.email, purpose=purpose) if person.email else []
        for name, person in people.items()
    }
    rows = db.session.execute(
        _FOUND,
        {
            "organisation_id": shop.organisation_id,
            "shop_id": shop.id,
            "accounts": sorted({person.customer_id for person in people.values()} - {0}),
            "emails": sorted({index for each in indexes.values() for index in each}),
            "woo_ids": sorted({woo_id for _, woo_id in people}),
        },
    ).all()
    accounts = {row.woo_id for row in rows if row.kind is None}
    emails = {row.email_index for row in rows if row.kind is None}
    resources = {(row.kind, row.woo_id) for row in rows}
    return {
        name
        for name, person in people.items()
        if name in resources
        or (person.customer_id and person.customer_id in accounts)
        or not emails.isdisjoint(indexes[name])
    }
