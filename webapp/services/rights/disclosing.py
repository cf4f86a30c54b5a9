"""« Remettre ses données »: an archive for the person who asks what is known of them (RGPD, art. 15).

It is made when somebody asks, and kept nowhere. What the database holds of one person fits into memory and is whole
before the first byte leaves; the documents follow from the disk, part by part, and invoices are printed one by one.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from jinja2 import Environment
from sqlalchemy import select

from webapp import french, tenancy
from webapp.clock import PARIS
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.journal import JournalKind
from webapp.models.organisations import Organisation
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import journal, pdf
from webapp.services.invoices import listing, printing
from webapp.services.rights import wording
from webapp.services.rights.erasing import check_admin, groups_of
from webapp.services.rights.gathering import Section, gather
from webapp.transactions import transaction

TEMPLATES = Path(__file__).parent / "print"
CHUNK = 1 << 16
"""Bytes of a document that are read together."""
READ_ME = """\
Ce que contient cette archive
=============================

Donnees.pdf     Vos données, lisibles, rubrique par rubrique.
donnees.json    Les mêmes données, pour un logiciel, avec ce qui est technique (identifiants, dates exactes).
                Chaque rubrique porte le nom d’une table ; « titre » le dit en français, « lignes » en donne le contenu.
documents/      Les fichiers gardés avec votre fiche.
factures/       Vos factures et vos avoirs.

Les personnes qui ont écrit une note ou un message sont nommées comme auteurs. Vous pouvez demander à corriger ces
données, à les faire effacer, ou vous opposer à leur usage ; et saisir la CNIL (www.cnil.fr).
"""

Sections = list[tuple[Section, list[dict[str, Any]]]]
Part = tuple[str, Callable[[], Iterator[bytes]]]
"""A file of the archive: its name, and what makes its bytes when its turn has come."""


class Archive(NamedTuple):
    """A ZIP file to be saved: its bytes come in chunks."""

    name: str
    chunks: Iterator[bytes]


def disclose(client_id: UUID, *, by: User, at: datetime) -> Archive:
    """All that is known of the client, and of those that were merged into it. The journal tells that it was handed out.

    Raises ForbiddenError, NotFoundError, PrintingUnavailableError.
    """
    check_admin(by)
    client = db.session.scalar(select(Client).where(Client.id == client_id))
    if client is None or client.erased_at is not None:
        raise NotFoundError("Ce client n’existe pas, ou a été effacé.")
    ids = groups_of([client_id])[client_id]
    sections = list(gather(ids))
    files, invoices = _files(ids), _invoices(ids)
    named = [name for name, _ in (*files, *invoices)]
    words = [
        ("LISEZ-MOI.txt", READ_ME.encode()),
        ("Donnees.pdf", _pdf(client, sections, named, at=at)),
        ("donnees.json", _json(sections, at=at)),
    ]
    with transaction():
        db.session.add(TimelineEvent(client_id=client_id, kind=EventKind.DATA_DISCLOSED, at=at, user_id=by.id))
        facts: dict[str, journal.Fact] = {"Fiche": str(client_id), "Documents": len(files), "Factures": len(invoices)}
        journal.note(JournalKind.DISCLOSURE, facts, by=by, at=at)
    parts: list[Part] = [(name, partial(iter, [content])) for name, content in words]
    parts += [(name, partial(_read, path)) for name, path in files]
    parts += [(name, partial(_print, page)) for name, page in invoices]
    return Archive(f"donnees-{at.astimezone(PARIS):%Y-%m-%d}.zip", _zip(parts, at=at))


def _files(ids: Sequence[UUID]) -> list[tuple[str, Path]]:
    """The documents, by the names that they have in the archive; one whose file is gone is left out."""
    documents = db.session.scalars(
        select(Document).where(Document.client_id.in_(ids)).order_by(Document.created_at, Document.id)
    )
    found = [
        (each.name, document_store.path_of(each.stored_as, organisation_id=each.organisation_id)) for each in documents
    ]
    present = [(name, path) for name, path in found if path.is_file()]
    return [(f"documents/{number:03} {name}", path) for number, (name, path) in enumerate(present, start=1)]


def _invoices(ids: Sequence[UUID]) -> list[tuple[str, str]]:
    """The pages of invoices and credit notes, still as HTML, which is small, by the names that the PDFs will have."""
    return [
        (f"factures/{number:03} {printing.file_name(each)}", printing.render(each))
        for number, each in enumerate(listing.list_numbered(ids), start=1)
    ]


def _json(sections: Sections, *, at: datetime) -> bytes:
    content = {
        "remis_le": at,
        "rubriques": {section.table: {"titre": section.title, "lignes": rows} for section, rows in sections},
    }
    return orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2)


def _pdf(client: Client, sections: Sections, files: Sequence[str], *, at: datetime) -> bytes:
    return pdf.printer(TEMPLATES / "data.css")(render(client, sections, files, at=at))


def render(client: Client, sections: Sections, files: Sequence[str], *, at: datetime) -> str:
    """The printed pages as HTML, in French."""
    organisation = db.session.scalars(
        select(Organisation).where(Organisation.id == tenancy.current_organisation_id())
    ).one()
    told = [(section, [list(wording.facts(section.table, row)) for row in rows]) for section, rows in sections if rows]
    return (
        _templates()
        .get_template("data.html")
        .render(name=client.full_name, organisation=organisation.name, sections=told, files=files, at=at)
    )


@cache
def _templates() -> Environment:
    return pdf.templates(TEMPLATES, moment=french.moment)


class _Outlet(io.RawIOBase):
    """What an archive is written into, and read from as it grows; nothing is ever gone back to."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        """So that a ZIP file may be written."""
        return True

    def write(self, content: Any) -> int:
        """Add bytes."""
        self._waiting += content
        return len(content)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            yield part


def _print(page: str) -> Iterator[bytes]:
    yield printing.to_pdf(page)


def _zip(parts: Sequence[Part], *, at: datetime) -> Iterator[bytes]:
    outlet = _Outlet()
    when = at.astimezone(PARIS).timetuple()[:6]
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            with archive.open(_entry(name, when), "w") as member:
                for chunk in content():
                    member.write(chunk)
                    yield outlet.take()
    yield outlet.take()


def _entry(name: str, when: Any) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, when)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
