"""The documents of a plan's draft: information sheet and terms, which clients are given before they sign."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.covers import CoverPlanDocument, PlanDocumentKind
from webapp.services import plan_documents
from webapp.services.contact import clean_text
from webapp.services.covers import plans
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

SIZE_LIMIT = 4_000_000
"""Bytes: both leave as attachments of one e-mail."""
TOO_LARGE = f"Ce fichier est trop lourd\u202f: {SIZE_LIMIT // 1_000_000}\u202fMo au plus."
EDITION_LENGTH = 50


def add_document(
    plan_id: UUID, kind: PlanDocumentKind | None, edition: str, content: bytes, *, at: datetime
) -> CoverPlanDocument:
    """Give the draft a document, instead of the one of that kind that it may have; ``edition`` is its own version.

    The file is written before the row: a crash in between leaves a file that nobody knows of, never a row without its
    file. Raises NotFoundError, PlanStateError without a draft; InvalidInputError, naming the field.
    """
    if kind is None:
        raise InvalidInputError("Choisissez le type du document.", field="kind")
    edition = clean_text(edition)
    if not edition or len(edition) > EDITION_LENGTH:
        raise InvalidInputError(
            f"Indiquez la version du document, de {EDITION_LENGTH} caractères au plus.", field="edition"
        )
    if not content.startswith(b"%PDF-"):
        raise InvalidInputError("Choisissez un fichier PDF.", field="file")
    if len(content) > SIZE_LIMIT:
        raise InvalidInputError(TOO_LARGE, field="file")
    organisation_id = current_organisation_id()
    stored_as = document_store.store(content, organisation_id=organisation_id)
    try:
        with transaction():
            draft = plans.lock_draft(plan_id)
            _remove(draft.id, kind)
            document = CoverPlanDocument(
                version_id=draft.id,
                kind=kind,
                edition=edition,
                name=f"{kind.label} {edition}.pdf".replace("/", "-"),
                size=len(content),
                stored_as=stored_as,
                created_at=at,
            )
            db.session.add(document)
            draft.edits += 1
    except BaseException:
        document_store.drop(stored_as, organisation_id=organisation_id)
        raise
    return document


def remove_document(plan_id: UUID, kind: PlanDocumentKind | None) -> None:
    """Take a document out of the draft. Raises NotFoundError, PlanStateError without a draft."""
    with transaction():
        draft = plans.lock_draft(plan_id)
        if kind is not None:
            _remove(draft.id, kind)
        draft.edits += 1


def _remove(version_id: UUID, kind: PlanDocumentKind) -> None:
    statement = select(CoverPlanDocument).where(
        CoverPlanDocument.version_id == version_id, CoverPlanDocument.kind == kind
    )
    document = db.session.scalar(statement)
    if document is not None:
        db.session.delete(document)
        plan_documents.drop_unused([document.stored_as])
