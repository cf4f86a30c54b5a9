"""All tables. Importing this package registers every model."""

from webapp.models import (  # noqa: F401  registration is the point of the import
    banking,
    clients,
    commercials,
    contracts,
    identity,
    organisations,
    products,
    schedule,
    timeline,
    winleadplus,
)
