"""The table of zones: where plans are sold, by the beginnings of postcodes."""

from uuid import UUID

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Timestamped, linked, tenant_key
from webapp.tenancy import OrganisationScoped


class CoverZone(OrganisationScoped, Identified, Timestamped, Base):
    """A zone in which plans have a price: postcodes that begin alike. ``code`` never changes: drafts know it by that.

    It changes at any time, since versions of plans keep it as it was (``CoverPlanZone``).
    """

    __tablename__ = "cover_zones"
    __table_args__ = (UniqueConstraint("organisation_id", "code"),)

    code: Mapped[str] = mapped_column(String(30))
    label: Mapped[str] = mapped_column(String(100))

    beginnings: Mapped[list["CoverZonePrefix"]] = relationship(
        primaryjoin=lambda: linked(CoverZone, CoverZonePrefix.zone_id),
        order_by="CoverZonePrefix.prefix",
        viewonly=True,
    )

    @property
    def prefixes(self) -> list[str]:
        """The beginnings of its postcodes, in order."""
        return [each.prefix for each in self.beginnings]


class CoverZonePrefix(OrganisationScoped, Base):
    """The beginning of the postcodes of a zone; a prefix belongs to one zone."""

    __tablename__ = "cover_zone_prefixes"
    __table_args__ = (
        Index("ix_cover_zone_prefixes_zone", "organisation_id", "zone_id"),
        tenant_key("zone_id", "cover_zones"),
    )

    prefix: Mapped[str] = mapped_column(String(5), primary_key=True)
    zone_id: Mapped[UUID]
