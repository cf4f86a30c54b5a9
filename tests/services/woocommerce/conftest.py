"""A shop of the organisation, and whoever tells what it says."""

from uuid import UUID

import pytest

from tests import factories
from tests.services.woocommerce.telling import Teller, make_shop


@pytest.fixture
def company_id(organisation_id: UUID) -> UUID:
    """A company that a shop belongs to."""
    company_id: UUID = factories.CompanyFactory().id
    return company_id


@pytest.fixture
def teller(company_id: UUID) -> Teller:
    """Tells what the shop says."""
    return Teller(make_shop(company_id))
