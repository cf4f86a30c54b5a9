"""The texts that clients agree to: versions that are only ever added to. An organisation starts from ours."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.models.consents import ConsentPurpose, ConsentWording
from webapp.models.identity import User
from webapp.models.organisations import Organisation
from webapp.services.contact import clean_text
from webapp.services.effective_days import start_of_effect
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

LENGTHS = range(20, 2001)
_MANY = 500
SHIPPED = {
    ConsentPurpose.PROSPECTION_PHONE: "J’accepte d’être appelé(e) au téléphone pour recevoir des offres commerciales de"
    " votre part. Je peux retirer mon accord à tout moment, sans frais ni justification.",
    ConsentPurpose.PROSPECTION_EMAIL: "J’accepte de recevoir par e-mail des offres commerciales de votre part. Je peux"
    " retirer mon accord à tout moment, par le lien de désabonnement de chaque message ou sur simple demande.",
    ConsentPurpose.PROSPECTION_SMS: "J’accepte de recevoir par SMS des offres commerciales de votre part. Je peux"
    " retirer mon accord à tout moment, sans frais, sur simple demande.",
    ConsentPurpose.SATISFACTION: "J’accepte d’être interrogé(e) sur ma satisfaction. Je peux retirer mon accord à tout"
    " moment, sur simple demande.",
    ConsentPurpose.PARTNERS: "J’accepte que mes coordonnées soient transmises à vos partenaires, dont la liste m’a été"
    " remise, pour recevoir leurs offres commerciales. Je peux retirer mon accord à tout moment, sur simple demande.",
}


class NewerWordingError(DomainError):
    """A colleague has published a version meanwhile."""


class PurposeWordings(NamedTuple):
    """The versions of a purpose, the latest that holds first; ``present`` is one of them, None before the first."""

    purpose: ConsentPurpose
    versions: Sequence[ConsentWording]
    present: ConsentWording | None

    @property
    def latest_version(self) -> int:
        """The number of the newest version, whether it holds already or not."""
        return max(wording.version for wording in self.versions)


def list_wordings(*, at: datetime) -> list[PurposeWordings]:
    """Every purpose with its versions; one that the organisation never wrote has ours, which is not stored yet."""
    statement = select(ConsentWording).options(joinedload(ConsentWording.user))
    newest_first = statement.order_by(ConsentWording.active_from.desc(), ConsentWording.version.desc()).limit(_MANY)
    stored, came = db.session.scalars(newest_first).all(), _came_at()
    listed = []
    for purpose in ConsentPurpose:
        versions = [wording for wording in stored if wording.purpose is purpose] or [_shipped(purpose, came)]
        present = next((wording for wording in versions if wording.active_from <= at), None)
        listed.append(PurposeWordings(purpose, versions, present))
    return listed


def find_wording(purpose: ConsentPurpose, wording_id: UUID | None, *, said_at: datetime) -> ConsentWording | None:
    """The version that was asked for, by default the one that held when the client agreed; None where none did.

    In a transaction: ours is stored with its first use. Raises InvalidInputError, field ``wording_id``.
    """
    _store_shipped(purpose)
    of_purpose = select(ConsentWording).where(ConsentWording.purpose == purpose)
    if wording_id is None:
        held = of_purpose.where(ConsentWording.active_from <= said_at)
        return db.session.scalar(
            held.order_by(ConsentWording.active_from.desc(), ConsentWording.version.desc()).limit(1)
        )
    wording = db.session.scalar(of_purpose.where(ConsentWording.id == wording_id))
    if wording is None:
        raise InvalidInputError("Choisissez l’un des textes de cette finalité.", field="wording_id")
    if clock.start_of(wording.active_from.astimezone(clock.PARIS).date()) > said_at:
        raise InvalidInputError("Ce texte n’était pas encore en vigueur à cette date.", field="wording_id")
    return wording


def publish(
    purpose: ConsentPurpose, written: str, *, active_on: date | None = None, seen_version: int, by: User, at: datetime
) -> ConsentWording:
    """Add a version, which holds from now, or from the beginning of a day to come.

    ``seen_version`` is the newest that its writer saw. Raises InvalidInputError, naming the field; NewerWordingError.
    """
    text, active_from = clean_text(written), start_of_effect(active_on, at=at)
    if len(text) not in LENGTHS:
        raise InvalidInputError(
            f"Écrivez un texte de {LENGTHS[0]} à {LENGTHS[-1]} caractères\u202f: c’est lui que le client accepte.",
            field="text",
        )
    with transaction():
        _lock_wordings()
        _store_shipped(purpose)
        versions = select(ConsentWording).where(ConsentWording.purpose == purpose)
        newest = db.session.scalars(versions.order_by(ConsentWording.version.desc()).limit(1)).one()
        if newest.version != seen_version:
            raise NewerWordingError("Un collègue a publié un autre texte entre-temps\u202f: relisez-le d’abord.")
        if text == newest.text:
            raise InvalidInputError("Ce texte est déjà le dernier publié.", field="text")
        wording = ConsentWording(
            purpose=purpose,
            version=newest.version + 1,
            text=text,
            active_from=active_from,
            user_id=by.id,
            created_at=at,
        )
        db.session.add(wording)
        db.session.flush()
    return wording


def _shipped(purpose: ConsentPurpose, came_at: datetime) -> ConsentWording:
    """Ours as version 1, not stored yet."""
    return ConsentWording(purpose=purpose, version=1, text=SHIPPED[purpose], active_from=came_at)


def _came_at() -> datetime:
    """The beginning of the day on which the organisation came: from then on our texts hold."""
    wanted = select(Organisation.created_at).where(Organisation.id == current_organisation_id())
    return clock.start_of(db.session.scalars(wanted).one().astimezone(clock.PARIS).date())


def _store_shipped(purpose: ConsentPurpose) -> None:
    """Store ours with its first use, or its replacement."""
    if not _has_any(purpose):
        _lock_wordings()
        if not _has_any(purpose):
            db.session.add(_shipped(purpose, _came_at()))
            db.session.flush()


def _has_any(purpose: ConsentPurpose) -> bool:
    return db.session.scalar(select(ConsentWording.id).where(ConsentWording.purpose == purpose).limit(1)) is not None


def _lock_wordings() -> None:
    """One version of the organisation at a time, so that numbers follow each other."""
    key = f"consent_wordings|{current_organisation_id()}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
