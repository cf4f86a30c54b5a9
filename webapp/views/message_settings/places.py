"""Which text an address or a form names, and what its pages share."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from flask import request, url_for

from webapp import clock
from webapp.errors import NotFoundError
from webapp.models.messages import Channel, MessageKind
from webapp.models.organisations import Company
from webapp.services.messages import templates
from webapp.services.messages.kinds import KINDS, Kind
from webapp.services.messages.templates import Versions
from webapp.services.messages.texts import channels_of
from webapp.services.organisations import list_companies
from webapp.views.layout import toast
from webapp.views.lists import read


class Place(NamedTuple):
    """Which text: of a kind, by a channel, for a company or for all (``company`` None)."""

    kind: Kind
    channel: Channel
    company: Company | None
    companies: list[Company]

    @property
    def company_id(self) -> UUID | None:
        """The company's id; None for all."""
        return self.company.id if self.company else None

    @property
    def address(self) -> str:
        """Its page."""
        return url_for("message_texts.show", word=self.kind.code, canal=self.channel, societe=self.company_id)


def read_kind(word: str) -> Kind:
    """The kind that an address names. Raises NotFoundError."""
    code = read(MessageKind, word)
    if code is None:
        raise NotFoundError
    return KINDS[code]


def read_place(word: str, values: Mapping[str, str]) -> Place:
    """The text that an address or a form names. Raises NotFoundError."""
    kind, companies = read_kind(word), list_companies()
    channels = channels_of(kind.code)
    channel = read(Channel, values["canal"]) if values.get("canal") else channels[0]
    company = next((each for each in companies if str(each.id) == values.get("societe")), None)
    if channel not in channels or (company is None and values.get("societe")):
        raise NotFoundError
    return Place(kind, channel, company, list(companies))


def versions_of(place: Place) -> Versions:
    """The versions of the text, as of now."""
    return templates.list_versions(place.kind.code, place.channel, place.company_id, at=clock.now())


def seen_version() -> int:
    """The newest version that whoever sent the form saw; -1 where it says none."""
    seen = read(int, request.form.get("version"))
    return -1 if seen is None else seen


def tell_saved(version: int | None) -> None:
    """Say which version was saved, or that none was."""
    if version is None:
        toast("info", "Ce texte est déjà le dernier enregistré\u202f: rien n’a changé.")
    else:
        toast("success", f"Version {version} enregistrée.")
