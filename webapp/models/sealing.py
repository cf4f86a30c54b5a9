"""Columns of bytes that are sealed JSON, in the same way in every table that has them."""

import orjson
from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from webapp import crypto, tenancy
from webapp.models.base import Identified, new_id
from webapp.tenancy import OrganisationScoped


class Sealing(OrganisationScoped, Identified):
    """Mixin: seals texts and JSON into columns; what is sealed for one row and column opens in no other."""

    __tablename__: str

    def place_of(self, column: str) -> str:
        """The row and column that a sealed value belongs to. Gives the row its id, where it has none yet."""
        self.id = self.id or new_id()
        organisation_id = self.organisation_id or tenancy.current_organisation_id()
        return f"{organisation_id}|{self.__tablename__}.{column}|{self.id}"

    def _sealed(self, column: str, content: dict[str, str]) -> bytes:
        return crypto.seal(orjson.dumps(content).decode(), place=self.place_of(column))

    def _opened(self, column: str, sealed: bytes | None) -> dict[str, str]:
        opened: dict[str, str] = orjson.loads(crypto.unseal(sealed, place=self.place_of(column))) if sealed else {}
        return opened


class SealedCredentials(Sealing):
    """Mixin: ``credentials``, the keys and secrets of an account by name, which only gateways get to see."""

    credentials: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    def keep_credentials(self, credentials: dict[str, str]) -> None:
        """Seal keys and secrets into the row."""
        self.credentials = self._sealed("credentials", credentials)

    def credentials_in_clear(self) -> dict[str, str]:
        """The keys and secrets, for the gateway alone; empty where none were set."""
        return self._opened("credentials", self.credentials)
