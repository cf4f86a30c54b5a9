"""Carriers, the accounts of companies with them, and how each company ships."""

from enum import StrEnum


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
