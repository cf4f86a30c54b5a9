"""Which products are shipped, and what they weigh."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, text, update

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.products import Product
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services import keyset
from webapp.services.clients.search import fold_search
from webapp.services.keyset import Position
from webapp.services.products import check_weight
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

PAGE_SIZE = 50
BY_NAME = "name"
_PLANNED = text("""
    UPDATE planned_changes SET lines = (
      SELECT jsonb_agg(CASE WHEN line->>'product_id' = :product_id
        THEN line || jsonb_build_object('is_shipped', CAST(:is_shipped AS boolean)) ELSE line END ORDER BY place)
      FROM jsonb_array_elements(lines) WITH ORDINALITY AS planned (line, place))
    WHERE organisation_id = :organisation_id
      AND lines @> jsonb_build_array(jsonb_build_object('product_id', CAST(:product_id AS text)))
    """)
FINAL = frozenset(status for status in SubscriptionStatus if status.is_final)


class ListedProduct(NamedTuple):
    """A product, and how many lines of living subscriptions sell it and say otherwise whether it is shipped."""

    product: Product
    other_lines: int


def list_products(*, search: str = "", cursor: str | None = None, size: int = PAGE_SIZE) -> keyset.Page[ListedProduct]:
    """The organisation's products by name; with ``search``, those whose name holds it, whatever case and accents."""
    statement = select(Product).where(*_named(search))

    def read(start: Position | None) -> Sequence[Product]:
        page = keyset.cut(statement, [Product.name_key, Product.id], start, is_descending=False, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(cursor, sort=BY_NAME, kind=str)
    found = keyset.page(read, start, place=lambda each: (each.name_key, each.id), sort=BY_NAME, size=size)
    others = _count_other_lines([product.id for product in found.rows])
    return found.map(lambda product: ListedProduct(product, others.get(product.id, 0)))


def select_all(search: str) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order: an export adds the columns."""
    return select(Product.id).where(*_named(search)).order_by(Product.name_key, Product.id)


def _named(search: str) -> list[ColumnElement[bool]]:
    words = fold_search(search)
    return [Product.name_key.contains(words, autoescape=True)] if words else []


def _count_other_lines(product_ids: Collection[UUID]) -> dict[UUID | None, int]:
    statement = (
        select(SubscriptionLine.product_id, func.count().label("number"))
        .join(Product, linked(Product, SubscriptionLine.product_id))
        .join(Subscription, linked(Subscription, SubscriptionLine.subscription_id))
        .where(SubscriptionLine.product_id.in_(product_ids), *_says_otherwise())
        .group_by(SubscriptionLine.product_id)
    )
    return {row.product_id: row.number for row in db.session.execute(statement)}


def _says_otherwise() -> tuple[ColumnElement[bool], ...]:
    return SubscriptionLine.is_shipped != Product.is_shipped, Subscription.status.not_in(FINAL)


def save_product(product_id: UUID, *, is_shipped: bool, weight_g: int | None) -> Product:
    """Say whether new lines that sell it are shipped, and what one weighs in grams (None: unknown).

    Raises NotFoundError; InvalidInputError (field « weight_g »).
    """
    check_weight(weight_g)
    with transaction():
        product = _lock(product_id)
        product.is_shipped, product.weight_g = is_shipped, weight_g
        db.session.flush()
    return product


def apply_to_lines(product_id: UUID) -> int:
    """Have the lines of living subscriptions that sell the product shipped as it is, from their next cycle on.

    Lines that are planned follow, too; what is charged already stays. Returns how many of the present lines changed.
    Raises NotFoundError.
    """
    with transaction():
        product = _lock(product_id)
        values = {"product_id": str(product_id), "is_shipped": product.is_shipped}
        db.session.execute(_PLANNED, values | {"organisation_id": current_organisation_id()})
        changed = (
            update(SubscriptionLine)
            .where(
                SubscriptionLine.organisation_id == current_organisation_id(),
                SubscriptionLine.product_id == product_id,
                linked(Product, SubscriptionLine.product_id),
                linked(Subscription, SubscriptionLine.subscription_id),
                *_says_otherwise(),
            )
            .values(is_shipped=Product.is_shipped)
            .returning(SubscriptionLine.id)
            .execution_options(synchronize_session=False)
        )
        return len(db.session.scalars(changed).all())


def _lock(product_id: UUID) -> Product:
    statement = select(Product).where(Product.id == product_id).with_for_update()
    product = db.session.scalar(statement.execution_options(populate_existing=True))
    if product is None:
        raise NotFoundError("Ce produit n’existe pas ou plus.")
    return product
