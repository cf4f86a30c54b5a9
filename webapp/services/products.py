"""The catalogue: the products that lines of contracts and subscriptions name."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from webapp import tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.carriers import HEAVIEST
from webapp.models.products import Product
from webapp.services.contact import clean_text
from webapp.transactions import transaction

NAME_LENGTH = 200
CATEGORY_LENGTH = 100


def list_products() -> list[Product]:
    """The organisation's products, by name."""
    return list(db.session.scalars(select(Product).order_by(Product.name_key, Product.id)))


def create_product(
    name: str, *, is_shipped: bool, category: str = "", supplier: str = "", weight_g: int | None = None
) -> Product:
    """Add a product to the catalogue. Raises InvalidInputError naming the field; one of that name may be there."""
    made, is_new = _make(
        name,
        is_shipped=is_shipped,
        category=_text(category, "category", CATEGORY_LENGTH),
        supplier=_text(supplier, "supplier", NAME_LENGTH),
        weight_g=check_weight(weight_g),
    )
    if not is_new:
        raise InvalidInputError("Un produit porte déjà ce nom.", field="name")
    return made


def ensure_product(name: str, *, is_shipped: bool) -> Product:
    """The product of that name, whatever its case and accents; it is made where there is none. Raises as above."""
    return _make(name, is_shipped=is_shipped)[0]


def check_weight(weight_g: int | None) -> int | None:
    """The weight, where a parcel can have it. Raises InvalidInputError (field « weight_g »)."""
    if weight_g is not None and not 0 < weight_g <= HEAVIEST:
        raise InvalidInputError("Indiquez un poids de 1 à 30\u202f000 grammes, ou rien.", field="weight_g")
    return weight_g


def _make(name: str, **values: object) -> tuple[Product, bool]:
    """The product, and whether it is new: of two people who make it at once, one does."""
    cleaned = _text(name, "name", NAME_LENGTH)
    if cleaned is None:
        raise InvalidInputError("Donnez un nom au produit.", field="name")
    row = {"organisation_id": tenancy.current_organisation_id(), "id": new_id(), "name": cleaned, **values}
    with transaction():
        statement = insert(Product).values(row).on_conflict_do_nothing().returning(Product.id)
        is_new = db.session.scalar(statement) is not None
        named = select(Product).where(Product.name_key == func.fold(cleaned))
        return db.session.scalars(named).one(), is_new


def _text(text: str, field: str, length: int) -> str | None:
    cleaned = clean_text(text)
    if len(cleaned) > length:
        raise InvalidInputError(f"{length} caractères au plus.", field=field)
    return cleaned or None
