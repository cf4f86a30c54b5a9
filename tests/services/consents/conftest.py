"""A client whose consents are noted."""

from typing import Any

import pytest

from tests import factories
from tests.conftest import Cast
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose
from webapp.services.consents.recording import ConsentFields, record


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client."""
    client: Client = factories.ClientFactory()
    db.session.commit()
    return client


def fields(*, agrees: bool = True, **values: Any) -> ConsentFields:
    """Said at the telephone, about offers by e-mail."""
    usual = {"purpose": ConsentPurpose.PROSPECTION_EMAIL, "channel": ConsentChannel.PHONE}
    return ConsentFields(agrees=agrees, **(usual | values))


def note(client: Client, cast: Cast, *, at: Any, **values: Any) -> Consent:
    """Note by a commercial."""
    return record(client.id, fields(**values), by=cast.commercial, at=at)
