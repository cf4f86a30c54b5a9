"""Carriers, the accounts of companies with them, and how each company ships."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, stored_enum, tenant_key
from webapp.models.sealing import SealedCredentials
from webapp.tenancy import OrganisationScoped

HEAVIEST = 30_000
"""Grams: what carriers take as one parcel."""
LABELS_KEPT_DAYS = 90


class Carrier(StrEnum):
    """Who brings the parcels. NONE: labels are made elsewhere, or parcels are handed over by oneself."""

    SANDBOX = "sandbox"
    NONE = "none"
    COLISSIMO = "colissimo"
    CHRONOPOST = "chronopost"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "sandbox": "Bac à sable",
            "none": "Sans transporteur",
            "colissimo": "Colissimo",
            "chronopost": "Chronopost",
        }[self.value]

    @property
    def is_called(self) -> bool:
        """Whether something is asked of it; what goes without a carrier is ready at once."""
        return self is not Carrier.NONE


class LabelFormat(StrEnum):
    """The paper that labels are printed on."""

    SMALL = "10x15"
    A4 = "a4"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"10x15": "10 × 15 cm", "a4": "A4"}[self.value]


class TrackedStatus(StrEnum):
    """Where a carrier says that a parcel is. ANNOUNCED: it knows the label, and has not seen the parcel."""

    ANNOUNCED = "announced"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    RETURNED = "returned"
    LOST = "lost"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "announced": "Annoncé",
            "in_transit": "En chemin",
            "delivered": "Livré",
            "returned": "Retourné",
            "lost": "Perdu",
        }[self.value]


class CarrierAccount(SealedCredentials, Timestamped, Base):
    """A company's account with a carrier, for one of its services. ``credentials`` is sealed JSON.

    ``calls_per_second`` bounds our calls; ``longest_delay_seconds`` is how late the carrier may still make a label
    whose request looked lost.
    """

    __tablename__ = "carrier_accounts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "carrier", "service"),
        CheckConstraint("calls_per_second > 0 AND longest_delay_seconds >= 0", name="limits_make_sense"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID]
    carrier: Mapped[Carrier] = mapped_column(stored_enum(Carrier))
    service: Mapped[str] = mapped_column(String(32), default="", server_default="")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    calls_per_second: Mapped[int] = mapped_column(default=10, server_default="10")
    longest_delay_seconds: Mapped[int] = mapped_column(default=300, server_default="300")
    paused_until: Mapped[datetime | None]
    pauses: Mapped[int] = mapped_column(default=0, server_default="0")
    pause_reason: Mapped[str | None] = mapped_column(Text)


class ShippingSettings(OrganisationScoped, Identified, Timestamped, Base):
    """How a company ships. A company without a row has the defaults of these columns.

    ``sender_…`` is the address that parcels come from and go back to; without ``sender_line1``, the company's own.
    Weights are in grams: of the packaging of a parcel, and of an item whose product names none. Labels are kept for
    ``labels_kept_days``.
    """

    __tablename__ = "shipping_settings"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id"),
        CheckConstraint(
            "num_nulls(sender_name, sender_line1, sender_postcode, sender_city) IN (0, 4)", name="sender_is_whole"
        ),
        CheckConstraint(
            "packaging_weight_g BETWEEN 0 AND 30000 AND item_weight_g BETWEEN 1 AND 30000", name="weights_make_sense"
        ),
        CheckConstraint("labels_kept_days BETWEEN 1 AND 3650", name="labels_kept_days_make_sense"),
        tenant_key("company_id", "companies"),
        tenant_key("default_account_id", "carrier_accounts", ondelete="SET NULL"),
    )

    company_id: Mapped[UUID]
    default_account_id: Mapped[UUID | None]
    sender_name: Mapped[str | None] = mapped_column(String(200))
    sender_line1: Mapped[str | None] = mapped_column(String(200))
    sender_line2: Mapped[str | None] = mapped_column(String(200))
    sender_postcode: Mapped[str | None] = mapped_column(String(20))
    sender_city: Mapped[str | None] = mapped_column(String(100))
    sender_country: Mapped[str] = mapped_column(String(2), default="FR", server_default="FR")
    sender_phone: Mapped[str | None] = mapped_column(String(20))
    sender_email: Mapped[str | None] = mapped_column(String(320))
    packaging_weight_g: Mapped[int] = mapped_column(default=100, server_default="100")
    item_weight_g: Mapped[int] = mapped_column(default=500, server_default="500")
    label_format: Mapped[LabelFormat] = mapped_column(
        stored_enum(LabelFormat), default=LabelFormat.SMALL, server_default=LabelFormat.SMALL.value
    )
    labels_kept_days: Mapped[int] = mapped_column(default=LABELS_KEPT_DAYS, server_default=str(LABELS_KEPT_DAYS))
