"""What tells clients apart, in words: for pages that show several side by side."""

from collections.abc import Callable
from typing import NamedTuple

from webapp.french import NOTHING, day, whole
from webapp.models.clients import Client
from webapp.models.duplicates import DuplicatePair
from webapp.services.contact import readable_phone
from webapp.views.formats import address_lines, day_of, delivery_lines

LABELS = {
    "last_name": "Nom",
    "first_name": "Prénom",
    "civility": "Civilité",
    "birth_date": "Date de naissance",
    "email": "E-mail",
    "phone": "Téléphone",
    "address": "Adresse",
    "delivery": "Livraison",
    "status": "Statut",
    "commercial": "Commercial",
    "contracts": "Contrats",
    "created": "Créé le",
}
IN_SHORT = ("birth_date", "email", "phone", "address", "status", "commercial", "contracts", "created")
"""What the list of duplicates shows of each, below the name."""


class Glance(NamedTuple):
    """A line of two clients side by side."""

    label: str
    first: str
    second: str

    @property
    def is_same(self) -> bool:
        """Whether both say the same, and something."""
        return self.first == self.second != NOTHING


def glance(pair: DuplicatePair) -> list[Glance]:
    """What the clients of a pair have in common and what not; lines that are empty for both are left out."""
    lines = [Glance(LABELS[key], words(pair.first, key), words(pair.second, key)) for key in IN_SHORT]
    return [line for line in lines if (line.first, line.second) != (NOTHING, NOTHING)]


def words(client: Client, key: str) -> str:
    """A field of a client, as FIELDS of the merge or LABELS call it."""
    show = _SHOWN.get(key)
    return (show(client) if show else getattr(client, key)) or NOTHING


def _delivery(client: Client) -> str:
    return ", ".join(filter(None, [client.delivery_name, *delivery_lines(client), client.delivery_instructions]))


_SHOWN: dict[str, Callable[[Client], str]] = {
    "civility": lambda client: client.civility.value if client.civility else "",
    "birth_date": lambda client: day(client.birth_date),
    "phone": lambda client: readable_phone(client.phone),
    "address": lambda client: ", ".join(address_lines(client)),
    "delivery": _delivery,
    "status": lambda client: client.status.label,
    "commercial": lambda client: client.commercial.full_name if client.commercial else "",
    "contracts": lambda client: whole(client.contracts_count),
    "created": lambda client: day_of(client.created_at),
}
