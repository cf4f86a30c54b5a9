"""The homes that covers hold for (adresses du risque), as people write them."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.covers import CoveredHome, CoverPlanVersion, HomeKind, Occupancy
from webapp.services.clients.search import fold_search
from webapp.services.contact import clean_text, existing_postcode

LENGTHS = {"address_line1": 200, "address_line2": 200, "city": 100, "access_notes": 500}
OLDEST = date(1900, 1, 1)


@dataclass(frozen=True, kw_only=True)
class HomeFields:
    """A home as written, named as the model's columns; absent is None."""

    kind: HomeKind | None = None
    occupancy: Occupancy | None = None
    occupied_since: date | None = None
    address_line1: str = ""
    address_line2: str | None = None
    postcode: str = ""
    city: str = ""
    access_notes: str | None = None

    @classmethod
    def of_client(cls, client: Client) -> "HomeFields":
        """What the client's main address would be as a home: kind and occupancy are not known."""
        return cls(
            address_line1=client.address_line1 or "",
            address_line2=client.address_line2,
            postcode=client.postcode or "",
            city=client.city or "",
        )

    @property
    def one_line(self) -> str:
        """The address in one line."""
        street = ", ".join(line for line in (self.address_line1, self.address_line2) if line)
        return f"{street}, {self.postcode} {self.city}"

    def is_at(self, home: CoveredHome) -> bool:
        """Whether it is written as the address of that home, whatever case and accents."""
        written = fold_search(f"{self.address_line1} {self.address_line2 or ''} {self.postcode}")
        return written == fold_search(f"{home.address_line1} {home.address_line2 or ''} {home.postcode}")

    def normalised(self, *, on: date) -> "HomeFields":
        """The same in the form in which it is kept. Raises InvalidInputError, naming the field, for the first fault."""
        texts = {name: _text(getattr(self, name), length, name) for name, length in LENGTHS.items()}
        if self.kind is None:
            raise InvalidInputError("Choisissez maison ou appartement.", field="kind")
        if self.occupancy is None:
            raise InvalidInputError("Choisissez propriétaire ou locataire.", field="occupancy")
        if not texts["address_line1"]:
            raise InvalidInputError("Indiquez l’adresse du logement.", field="address_line1")
        if not texts["city"]:
            raise InvalidInputError("Indiquez la ville.", field="city")
        if not self.postcode.strip():
            raise InvalidInputError("Indiquez le code postal.", field="postcode")
        try:
            postcode = existing_postcode(self.postcode)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, field="postcode") from error
        if self.occupied_since and not OLDEST <= self.occupied_since <= on:
            raise InvalidInputError("Cette date n’est pas possible.", field="occupied_since")
        return replace(self, **texts, postcode=postcode)  # type: ignore[arg-type]


def _text(written: str | None, length: int, name: str) -> str | None:
    text = clean_text(written or "")
    if len(text) > length:
        raise InvalidInputError(f"C’est trop long\u202f: {length} caractères au plus.", field=name)
    return text or None


def list_homes(client_id: UUID) -> list[CoveredHome]:
    """The homes of a client that a cover holds or held for, the latest first."""
    statement = select(CoveredHome).where(CoveredHome.client_id == client_id)
    return list(db.session.scalars(statement.order_by(CoveredHome.created_at.desc(), CoveredHome.id)))


def price_at(version: CoverPlanVersion, home: CoveredHome | HomeFields) -> Decimal:
    """What the plan costs per month, before tax, for such a home.

    Raises InvalidInputError (field « postcode » or « kind ») where it is not sold.
    """
    price = version.price_for(home.postcode, home.kind)
    if price is not None:
        return price
    if home.kind is None or home.kind.value not in version.home_kinds:
        kind = home.kind.label.lower() if home.kind else "ce logement"
        raise InvalidInputError(f"Cette formule ne couvre pas un logement de type «\u00a0{kind}\u00a0».", field="kind")
    raise InvalidInputError(f"Cette formule n’est pas vendue au code postal {home.postcode}.", field="postcode")


def add_home(client_id: UUID, written: HomeFields, *, at: datetime) -> CoveredHome:
    """A further home of the client, in the caller's transaction; ``written`` is normalised."""
    home = CoveredHome(
        client_id=client_id,
        kind=written.kind,
        occupancy=written.occupancy,
        occupied_since=written.occupied_since,
        address_line1=written.address_line1,
        address_line2=written.address_line2,
        postcode=written.postcode,
        city=written.city,
        access_notes=written.access_notes,
        created_at=at,
    )
    db.session.add(home)
    db.session.flush()
    return home
