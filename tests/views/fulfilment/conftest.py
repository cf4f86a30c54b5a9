"""The world of fulfilment, for its pages."""

from tests.services.fulfilment.conftest import ledger as ledger  # noqa: PLC0414  the fixture
from tests.services.fulfilment.conftest import locked as locked  # noqa: PLC0414  the fixture
from tests.services.fulfilment.conftest import world as world  # noqa: PLC0414  the fixture
