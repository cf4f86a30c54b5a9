"""The documents of the versions of plans, as they are read: by colleagues, by clients, and by messages."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.covers import CoverPlanDocument
from webapp.tenancy import current_organisation_id
from webapp.transactions import after_commit

GONE = "Ce document n’existe pas ou plus."


def find_file(document_id: UUID, *, version_id: UUID | None = None) -> tuple[CoverPlanDocument, Path]:
    """A document, of that version where one is named, and where its file lies. Raises NotFoundError."""
    document = db.session.scalar(select(CoverPlanDocument).where(CoverPlanDocument.id == document_id))
    if document is None or version_id not in (None, document.version_id):
        raise NotFoundError(GONE)
    path = document_store.path_of(document.stored_as, organisation_id=document.organisation_id)
    if not path.is_file():
        raise NotFoundError("Le fichier de ce document manque\u202f: prévenez un administrateur.")
    return document, path


def drop_unused(names: Collection[str]) -> None:
    """Once the caller's transaction has committed, take those files away that no version has any more."""
    db.session.flush()
    used = select(CoverPlanDocument.stored_as).where(CoverPlanDocument.stored_as.in_(names))
    organisation_id = current_organisation_id()
    for name in set(names) - set(db.session.scalars(used)):
        after_commit(partial(document_store.drop, name, organisation_id=organisation_id))
