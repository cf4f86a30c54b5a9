"""Documents of a client: what came with its contracts, and files added by hand."""

import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import joinedload

from webapp.errors import DomainError, ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.french import file_size
from webapp.gateways import document_store
from webapp.models.banking import Mandate
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.consents import Consent
from webapp.models.contracts import Contract
from webapp.models.documents import Document
from webapp.models.identity import Role, User
from webapp.models.sales import CoverSale
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import tasks, validity
from webapp.services.clients.banking import may_reveal, refuse_fresh_taking
from webapp.services.clients.editing import find_client
from webapp.services.contact import clean_text
from webapp.tenancy import current_organisation_id
from webapp.transactions import after_commit, transaction

SIZE_LIMIT = 10_000_000
"""Bytes."""
TOO_LARGE = f"Ce fichier est trop lourd\u202f: {SIZE_LIMIT // 1_000_000}\u202fMo au plus."
SCARCE = 0.8
"""The part of the quota from which what is left is told."""
NAME_LENGTH = 150
SHOWN = 200
_DOCUMENTS = (
    select(Document)
    .where(Document.client_id == bindparam("client_id"))
    .options(joinedload(Document.user), joinedload(Document.mandate))
    .order_by(Document.created_at.desc(), Document.id.desc())
    .limit(SHOWN)
)
_PROOFS = select(Document.id).where(
    Document.client_id == bindparam("client_id"),
    or_(
        Document.id.in_(select(Consent.document_id).where(Consent.client_id == bindparam("client_id"))),
        Document.id.in_(select(CoverSale.signed_document_id).where(CoverSale.client_id == bindparam("client_id"))),
    ),
)
_CONTRACTS = (
    select(Contract)
    .where(
        Contract.client_id == bindparam("client_id"),
        or_(Contract.document_url.is_not(None), Contract.audit_trail_url.is_not(None)),
    )
    .order_by(Contract.signed_key.desc(), Contract.id)
    .limit(SHOWN)
)


class FileKind(NamedTuple):
    """A kind of file that is taken, and how its content is known."""

    content_type: str
    is_kind: Callable[[bytes], bool]


def _zip_holding(member: str) -> Callable[[bytes], bool]:
    """Office files are archives; a member tells which. Only the list of members is read, nothing is unpacked."""

    def is_kind(content: bytes) -> bool:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return member in archive.namelist()
        except (zipfile.BadZipFile, ValueError, RuntimeError):
            return False  # no archive, or one of a kind that zipfile does not read, which it calls a RuntimeError

    return is_kind


_OFFICE = "application/vnd.openxmlformats-officedocument"
_JPEG = FileKind("image/jpeg", lambda content: content.startswith(b"\xff\xd8\xff"))
KINDS = {
    ".pdf": FileKind("application/pdf", lambda content: content.startswith(b"%PDF-")),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": FileKind("image/png", lambda content: content.startswith(b"\x89PNG\r\n\x1a\n")),
    ".docx": FileKind(f"{_OFFICE}.wordprocessingml.document", _zip_holding("word/document.xml")),
    ".xlsx": FileKind(f"{_OFFICE}.spreadsheetml.sheet", _zip_holding("xl/workbook.xml")),
}
TAKEN = "PDF, JPEG, PNG, Word (docx) ou Excel (xlsx)"


def add_document(
    client_id: UUID,
    given_name: str,
    content: bytes,
    *,
    mandate: Mandate | None = None,
    claim_id: UUID | None = None,
    valid_until: date | None = None,
    by: User | None,
    at: datetime,
) -> Document:
    """Keep a file with the client, under its own name without any path in it; as the signed copy of a ``mandate``,
    or with one of the client's claim files. Without ``by`` an operator sent it. ``valid_until`` is its last day of
    validity.

    The file is written before the row: a crash in between leaves a file that nobody knows of, never a row without
    its file. Raises NotFoundError; InvalidInputError, field ``file`` or ``valid_until``; QuotaError.
    """
    validity.check(valid_until)
    name, kind = _checked(given_name, content)
    organisation_id = current_organisation_id()
    find_client(client_id)
    stored_as = document_store.store(content, organisation_id=organisation_id)
    try:
        with transaction():
            _refuse_beyond_quota(len(content))
            document = Document(
                client_id=client_id,
                name=name,
                content_type=kind.content_type,
                size=len(content),
                stored_as=stored_as,
                user_id=by.id if by else None,
                mandate_id=mandate.id if mandate else None,
                claim_id=claim_id,
                valid_until=valid_until,
                tell_on=validity.first_told_on(valid_until, at=at),
                created_at=at,
            )
            db.session.add(document)
            _tell(document, EventKind.SIGNED_COPY_ADDED if mandate else EventKind.DOCUMENT_ADDED, by=by, at=at)
    except BaseException:
        document_store.drop(stored_as, organisation_id=organisation_id)
        raise
    return document


class QuotaError(InvalidInputError):
    """The organisation keeps as much as it may."""

    status = 413


class Room(NamedTuple):
    """Bytes that the organisation keeps, and that it may keep."""

    used: int
    quota: int

    @property
    def is_scarce(self) -> bool:
        """Whether it is time to say so."""
        return self.used >= SCARCE * self.quota


def find_room() -> Room:
    """How much room the current organisation has."""
    statement = select(func.coalesce(func.sum(Document.size), 0))
    return Room(int(db.session.execute(statement).scalar_one()), document_store.quota())


def _refuse_beyond_quota(size: int) -> None:
    """One upload of the organisation at a time: two that fit alone may not fit together. Raises QuotaError."""
    key = f"documents|{current_organisation_id()}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    used, quota = find_room()
    if used + size > quota:
        raise QuotaError(
            f"Votre organisation garde déjà {file_size(used)} de fichiers, sur {file_size(quota)}\u202f: "
            "retirez-en avant d’en ajouter.",
            field="file",
        )


def remove_document(client_id: UUID, document_id: UUID, *, by: User, at: datetime) -> Document:
    """Take a document away, for who added it, a manager or an admin. Raises NotFoundError, ForbiddenError.

    One that proves a consent, or that the client signed, stays: ProofError.
    """
    with transaction():
        document = _lock_document(client_id, document_id)
        if not may_remove(document, by):
            raise ForbiddenError(
                "Seuls la personne qui l’a ajouté, un manager ou un administrateur peuvent le retirer."
            )
        if document.id in list_proofs(client_id):
            raise ProofError("Ce fichier prouve un consentement ou une signature du client\u202f: il est gardé.")
        stored_as, organisation_id = document.stored_as, document.organisation_id
        db.session.delete(document)
        tasks.settle([validity.key_of(document_id)], by=by.id, at=at)
        _tell(document, EventKind.DOCUMENT_REMOVED, by=by, at=at)
        after_commit(lambda: document_store.drop(stored_as, organisation_id=organisation_id))
    return document


def set_validity(client_id: UUID, document_id: UUID, valid_until: date | None, *, by: User, at: datetime) -> Document:
    """Say until when a document is valid; None where it does not expire. The same day again changes nothing.

    Raises NotFoundError; InvalidInputError, field ``valid_until``.
    """
    validity.check(valid_until)
    with transaction():
        document = _lock_document(client_id, document_id)
        before = document.valid_until
        if valid_until != before:
            document.valid_until, document.tell_on = valid_until, validity.first_told_on(valid_until, at=at)
            tasks.settle([validity.key_of(document_id)], by=by.id, at=at)
            changes = {"valid_until": [day.isoformat() if day else None for day in (before, valid_until)]}
            _tell(document, EventKind.DOCUMENT_CHANGED, changes=changes, by=by, at=at)
    return document


class ProofError(DomainError):
    """The document shows what a client consented to, or signed."""


def _lock_document(client_id: UUID, document_id: UUID) -> Document:
    """The document, which nobody takes for a proof meanwhile. Raises NotFoundError."""
    locked = select(Document).where(Document.id == document_id).with_for_update()
    db.session.execute(locked.execution_options(populate_existing=True))
    return find_document(client_id, document_id)


def list_proofs(client_id: UUID) -> set[UUID]:
    """The client's documents that prove a consent, or bear a signature."""
    return set(db.session.scalars(_PROOFS, {"client_id": client_id}))


def may_remove(document: Document, user: User) -> bool:
    """Whether ``user`` may take the document away; the signed copy of a mandate is a proof, for managers alone."""
    is_own = document.user_id == user.id and document.mandate_id is None
    return is_own or user.has_role(Role.MANAGER, Role.ADMIN)


def find_document(client_id: UUID, document_id: UUID) -> Document:
    """A document of the client. Raises NotFoundError."""
    wanted = select(Document).where(Document.id == document_id, Document.client_id == client_id)
    document = db.session.scalar(wanted)
    if document is None:
        raise NotFoundError("Ce document n’existe pas ou plus.")
    return document


def find_file(client_id: UUID, document_id: UUID) -> tuple[Document, Path]:
    """A document of the client, and where its file lies. Raises NotFoundError, also for a signed copy of a mandate."""
    document = find_document(client_id, document_id)
    if document.mandate_id is not None:
        raise NotFoundError("Un mandat signé montre un IBAN\u202f: ouvrez-le par son bouton.")
    return document, _path(document)


def open_signed_copy(client_id: UUID, document_id: UUID, *, by: User, at: datetime) -> tuple[Document, Path]:
    """The signed copy of a mandate, for those who may see the client's IBANs; the timeline keeps who looked.

    Raises NotFoundError, ForbiddenError.
    """
    with transaction():
        document = find_document(client_id, document_id)
        path = _path(document)
        commercial = db.session.scalar(
            select(Commercial).join(Client, linked(Commercial, Client.commercial_id)).where(Client.id == client_id)
        )
        if document.mandate_id is None:
            raise NotFoundError("Ce document n’est pas un mandat signé.")
        if not may_reveal(by, commercial):
            raise ForbiddenError(
                "Un mandat signé montre un IBAN\u202f: seuls le commercial du client, un manager ou un administrateur "
                "peuvent l’ouvrir."
            )
        refuse_fresh_taking(client_id, by=by, at=at)
        _tell(document, EventKind.SIGNED_COPY_OPENED, by=by, at=at)
    return document, path


def list_signed_copies(mandate_id: UUID) -> Sequence[Document]:
    """The signed copies of a mandate, the newest, which replaces the others, first."""
    copies = select(Document).where(Document.mandate_id == mandate_id).options(joinedload(Document.user))
    return db.session.scalars(copies.order_by(Document.created_at.desc(), Document.id.desc()).limit(SHOWN)).all()


def _path(document: Document) -> Path:
    path = document_store.path_of(document.stored_as, organisation_id=document.organisation_id)
    if not path.is_file():
        raise NotFoundError("Le fichier de ce document est introuvable.")
    return path


def list_documents(client_id: UUID) -> Sequence[Document]:
    """The files added by hand, the newest first."""
    return db.session.scalars(_DOCUMENTS, {"client_id": client_id}).all()


def list_of_claim(claim_id: UUID) -> Sequence[Document]:
    """The files of a claim file, the newest first."""
    of_claim = select(Document).where(Document.claim_id == claim_id).options(joinedload(Document.user))
    return db.session.scalars(of_claim.order_by(Document.created_at.desc(), Document.id.desc()).limit(SHOWN)).all()


def list_contracts_with_documents(client_id: UUID) -> Sequence[Contract]:
    """The contracts that came with paths or links, the latest signed first."""
    return db.session.scalars(_CONTRACTS, {"client_id": client_id}).all()


def _checked(given_name: str, content: bytes) -> tuple[str, FileKind]:
    """The name without a path, and the kind that name and content agree on. Raises InvalidInputError."""
    name = clean_text(PurePosixPath(given_name.replace("\\", "/")).name)
    suffix = PurePosixPath(name).suffix.lower()
    kind = KINDS.get(suffix)
    if not name:
        raise InvalidInputError("Choisissez un fichier.", field="file")
    if kind is None:
        raise InvalidInputError(f"Ce genre de fichier n’est pas accepté\u202f: {TAKEN}.", field="file")
    if len(content) > SIZE_LIMIT:
        raise InvalidInputError(TOO_LARGE, field="file")
    if not content:
        raise InvalidInputError("Ce fichier est vide.", field="file")
    if not kind.is_kind(content):
        raise InvalidInputError(
            f"Ce fichier n’est pas ce que dit son nom\u202f: son contenu n’est pas celui d’un {suffix}.", field="file"
        )
    return f"{name.removesuffix(suffix)[: NAME_LENGTH - len(suffix)]}{suffix}" if len(
        name
    ) > NAME_LENGTH else name, kind


def _tell(
    document: Document,
    kind: EventKind,
    *,
    changes: dict[str, list[str | None]] | None = None,
    by: User | None,
    at: datetime,
) -> None:
    user_id = by.id if by else None
    event = TimelineEvent(client_id=document.client_id, kind=kind, at=at, user_id=user_id, body=document.name)
    event.claim_id, event.changes = document.claim_id, changes or {}
    db.session.add(event)
