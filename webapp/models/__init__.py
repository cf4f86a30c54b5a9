"""All tables. Importing this package registers every model."""

from webapp.models import (  # noqa: F401  registration is the point of the import
    banking,
    charges,
    clients,
    commercials,
    contracts,
    documents,
    identity,
    invoices,
    organisations,
    outbox,
    payments,
    preferences,
    products,
    schedule,
    subscriptions,
    tallies,
    tasks,
    timeline,
    winleadplus,
)
