"""What clients have consented to: of one, with its history, and of many at once."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, literal, select
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.consents import Consent, ConsentPurpose, ConsentState, PresentConsent
from webapp.models.documents import Document

SHOWN = 200
_SHOWN_WITH = (joinedload(Consent.wording), joinedload(Consent.document), joinedload(Consent.user))
_PRESENT = (
    select(Consent)
    .join(
        PresentConsent,
        and_(
            PresentConsent.organisation_id == Consent.organisation_id,
            PresentConsent.consent_id == Consent.id,
        ),
    )
    .where(PresentConsent.client_id == bindparam("client_id"))
    .options(*_SHOWN_WITH)
)
_HISTORY = (
    select(Consent)
    .where(Consent.client_id == bindparam("client_id"))
    .options(*_SHOWN_WITH)
    .order_by(Consent.at.desc(), Consent.id.desc())
    .limit(SHOWN)
)
# A signed mandate shows an IBAN: it proves a mandate, and nothing else.
_POSSIBLE_PROOFS = (
    select(Document.id, Document.name, Document.created_at)
    .where(Document.client_id == bindparam("client_id"), Document.mandate_id.is_(None))
    .order_by(Document.created_at.desc(), Document.id.desc())
    .limit(SHOWN)
)


def find_present(client_id: UUID) -> dict[ConsentPurpose, Consent | None]:
    """What holds now, purpose by purpose; None where the client never said anything."""
    latest = {consent.purpose: consent for consent in db.session.scalars(_PRESENT, {"client_id": client_id})}
    return {purpose: latest.get(purpose) for purpose in ConsentPurpose}


def has_given(client_ids: Collection[UUID], purpose: ConsentPurpose) -> set[UUID]:
    """Those of the clients whose consent to the purpose holds now; one statement however many they are."""
    wanted = literal(list(client_ids), ARRAY(Uuid()))
    given = select(PresentConsent.client_id).where(
        PresentConsent.client_id == any_(wanted),
        PresentConsent.purpose == purpose,
        PresentConsent.state == ConsentState.GIVEN,
    )
    return set(db.session.scalars(given))


def list_history(client_id: UUID) -> Sequence[Consent]:
    """All that the client said, the latest first; SHOWN at most."""
    return db.session.scalars(_HISTORY, {"client_id": client_id}).all()


def list_possible_proofs(client_id: UUID) -> list[tuple[UUID, str]]:
    """Id and name of the client's documents that may show a consent, the newest first."""
    return [(row.id, row.name) for row in db.session.execute(_POSSIBLE_PROOFS, {"client_id": client_id})]
