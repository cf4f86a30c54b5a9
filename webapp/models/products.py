"""Products and offers, as they appear on contract lines."""

from sqlalchemy import Computed, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped
from webapp.tenancy import OrganisationScoped


class Product(OrganisationScoped, Identified, Timestamped, Base):
    """Something sold (produit, offre); one per name, whatever its case and accents."""

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("organisation_id", "name_key"),)

    name: Mapped[str] = mapped_column(String(200))
    category: Mapped[str | None] = mapped_column(String(100))
    supplier: Mapped[str | None] = mapped_column(String(200))
    name_key: Mapped[str] = mapped_column(String(collation="C"), Computed("fold(name)", persisted=True))
