"""Products and offers, as they appear on contract lines."""

from sqlalchemy import CheckConstraint, Computed, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped
from webapp.tenancy import OrganisationScoped


class Product(OrganisationScoped, Identified, Timestamped, Base):
    """Something sold (produit, offre); one per name, whatever its case and accents.

    ``is_shipped`` is what new lines that sell it start from. ``weight_g`` is what one weighs, in grams; None where
    nobody said so.
    """

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("organisation_id", "name_key"),
        CheckConstraint("weight_g BETWEEN 1 AND 30000", name="weight_in_a_parcel"),
    )

    name: Mapped[str] = mapped_column(String(200))
    category: Mapped[str | None] = mapped_column(String(100))
    supplier: Mapped[str | None] = mapped_column(String(200))
    name_key: Mapped[str] = mapped_column(String(collation="C"), Computed("fold(name)", persisted=True))
    is_shipped: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    weight_g: Mapped[int | None]
