"""The link by which a client withdraws a consent with one click, from any message that no contract requires (RFC 8058).

The token names organisation, client and purpose, and is signed with the data keys. It has no end: somebody may open an
old message. To follow the link changes nothing, since programs follow links; to send its form does.
"""

import base64
import hmac
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import crypto, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.consents import ConsentChannel, ConsentPurpose, ConsentState, PresentConsent
from webapp.models.organisations import Organisation
from webapp.services.consents.recording import ConsentFields, record

UNKNOWN_LINK = (
    "Ce lien de désabonnement n’est pas valable\u202f: il est peut-être incomplet. Rouvrez-le depuis le message, ou "
    "demandez-nous de ne plus vous écrire en répondant à ce message."
)
_SIGNED_FOR = "unsubscribe"
# What a link that is out there holds never changes its meaning.
_CODES = {
    ConsentPurpose.PROSPECTION_PHONE: 1,
    ConsentPurpose.PROSPECTION_EMAIL: 2,
    ConsentPurpose.PROSPECTION_SMS: 3,
    ConsentPurpose.SATISFACTION: 4,
    ConsentPurpose.PARTNERS: 5,
}
_PURPOSES = {code: purpose for purpose, code in _CODES.items()}
_ID = 16
_SAID = 1 + 2 * _ID
_LENGTH = _SAID + 16
"""Bytes: the purpose, two ids, the signature."""


class _Subject(NamedTuple):
    """What a token names."""

    organisation_id: UUID
    client_id: UUID
    purpose: ConsentPurpose


class Link(NamedTuple):
    """What its page says: whose messages, about what, and whether the client is against them already."""

    organisation: str
    purpose: ConsentPurpose
    is_over: bool
    is_erased: bool = False


def make_token(client_id: UUID, purpose: ConsentPurpose) -> str:
    """The token of a client of the current organisation, fit for an address; the same every time."""
    said = bytes([_CODES[purpose]]) + tenancy.current_organisation_id().bytes + client_id.bytes
    return _written(said + crypto.blind_index(said.hex(), purpose=_SIGNED_FOR))


def find_link(token: str) -> Link:
    """What the link is about. Changes nothing. Raises NotFoundError."""
    subject = _read(token)
    with tenancy.organisation(subject.organisation_id):
        return _find_link(subject)


def unsubscribe(token: str, *, at: datetime) -> Link:
    """The client wants no more of it; said twice, it is noted once. Raises NotFoundError."""
    subject = _read(token)
    with tenancy.organisation(subject.organisation_id):
        link = _find_link(subject)
        if not link.is_erased:  # an erased client gets nothing, and nothing more is noted of it
            fields = ConsentFields(purpose=subject.purpose, agrees=False, channel=ConsentChannel.WEB)
            record(subject.client_id, fields, by=None, at=at)
    return link._replace(is_over=True)


def _find_link(subject: _Subject) -> Link:
    state = (
        select(PresentConsent.state)
        .where(PresentConsent.client_id == Client.id, PresentConsent.purpose == subject.purpose)
        .scalar_subquery()
    )
    row = db.session.execute(
        select(Organisation.name, state.label("state"), Client.erased_at)
        .join(Client, Client.organisation_id == Organisation.id)
        .where(Client.id == subject.client_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError(UNKNOWN_LINK)
    is_over = row.erased_at is not None or row.state in (ConsentState.WITHDRAWN, ConsentState.REFUSED)
    return Link(row.name, subject.purpose, is_over, row.erased_at is not None)


def _read(token: str) -> _Subject:
    """Raises NotFoundError for anything that we have not signed."""
    try:
        content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise NotFoundError(UNKNOWN_LINK) from None
    said, signature = content[:_SAID], content[_SAID:]
    signatures = crypto.blind_indexes(said.hex(), purpose=_SIGNED_FOR)
    is_ours = any(hmac.compare_digest(signature, each) for each in signatures)
    if len(content) != _LENGTH or not is_ours or _written(content) != token or said[0] not in _PURPOSES:
        raise NotFoundError(UNKNOWN_LINK)
    return _Subject(UUID(bytes=said[1 : 1 + _ID]), UUID(bytes=said[1 + _ID :]), _PURPOSES[said[0]])


def _written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
