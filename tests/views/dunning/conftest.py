"""The world of dunning, for its pages."""

from tests.services.dunning.conftest import ledger as ledger  # noqa: PLC0414  the fixture
from tests.services.dunning.conftest import world as world  # noqa: PLC0414  the fixture
