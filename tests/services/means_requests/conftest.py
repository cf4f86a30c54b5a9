"""A client with a pending subscription, an account with the pretend provider, and a client who follows links."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sqlalchemy import select

from demo.payment_bank import Bank
from tests import factories
from tests.conftest import NOW, Cast
from tests.gateways.providers.conftest import SECRET, bank
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.providers import registry
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, sign
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.means_requests import HostedPage, MeansRequest
from webapp.models.payments import Payment
from webapp.models.provider_events import WebhookEvent
from webapp.models.providers import Provider, ProviderAccount, SavedPaymentMethod
from webapp.models.runs import RunTrigger
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import runs, sweeping
from webapp.services.means_requests import commands, looking, visiting
from webapp.services.means_requests.commands import RequestFields
from webapp.services.provider_events import webhooks
from webapp.services.subscriptions import scheduling

__all__ = ["bank"]

RETURN, LEAVE = "https://crm.example/merci", "https://crm.example/abandon"


@dataclass
class Desk:
    """Who asks, and the client who is asked."""

    organisation_id: UUID
    account: ProviderAccount
    client: Client
    subscription: Subscription
    by: User
    bank: Bank

    def ask(self, **fields: Any) -> MeansRequest:
        """Ask for a means of payment, for the subscription unless told otherwise."""
        wanted = {"account_id": self.account.id, "subscription_id": self.subscription.id, **fields}
        return commands.create_request(self.client.id, RequestFields(**wanted), by=self.by, at=clock.now())

    def open(self, request: MeansRequest) -> visiting.Visit:
        """The client follows the link."""
        token = commands.find_request(self.client.id, request.id).token_in_clear()
        return visiting.open_link(token, return_url=RETURN, leave_url=LEAVE, at=clock.now())

    def choose(self, visit: visiting.Visit, choice: str) -> None:
        """The client answers on the provider's page."""
        assert visit.url is not None
        answer = httpx.post(visit.url, data={"choice": choice}, trust_env=False)
        assert answer.status_code in (200, 303)

    def look(self) -> None:
        """What the sweep rings for, as if every page's time had come."""
        for page in self.rows(HostedPage):
            if page.next_look_at is not None:
                looking.look_at(page.id, at=clock.now())

    def run(self) -> None:
        """What the charge engine does every hour."""
        run_id, _ = runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now(), enqueue=False)
        runs.carry_out(self.organisation_id, run_id)
        sweeping.sweep(self.organisation_id)

    def tell(self, body: dict[str, Any]) -> None:
        """The provider tells something by a webhook, and it is handled."""
        raw = orjson.dumps({"id": f"evt_{uuid4().hex}", "type": "changed", **body})
        headers = {SIGNATURE_HEADER: sign(raw, SECRET, at=clock.now())}
        webhooks.receive(Provider.SANDBOX, headers, raw, at=clock.now())
        webhooks.handle_due(self.organisation_id, at=clock.now())

    def tell_of_page(self) -> None:
        """The provider tells of the latest page."""
        page = self.rows(HostedPage)[-1]
        known = {"organisation": str(self.organisation_id), "page": str(page.id)}
        self.tell({"page": {"id": page.reference, "metadata": known}})

    def tell_of_payments(self) -> None:
        """The provider tells of every payment that it has."""
        for payment in list(self.bank.payments.values()):
            self.tell({"payment": {"id": payment["id"], "metadata": payment["metadata"]}})

    def begin_anew(self) -> None:
        """Another organisation, provider and client, as if nothing had been."""
        clock.start_at(NOW)
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        self.organisation_id = organisation.id
        self.account = factories.ProviderAccountFactory()
        self.by = factories.UserFactory(roles=["admin"])
        self.client, self.subscription = _sell()
        self.bank.order({"reset": True, "mode": "ok"})

    def rows(self, model: Any) -> list[Any]:
        """All rows of a table, as they stand now."""
        return list(db.session.scalars(select(model).order_by(model.id).execution_options(populate_existing=True)))

    def only(self, model: Any) -> Any:
        """The only row of a table."""
        [row] = self.rows(model)
        return row

    def request(self) -> MeansRequest:
        """The only request."""
        return self.only(MeansRequest)

    def saved(self) -> SavedPaymentMethod:
        """The only saved method."""
        return self.only(SavedPaymentMethod)

    def charge(self) -> Charge:
        """The only charge."""
        return self.only(Charge)

    def attempts(self) -> list[ChargeAttempt]:
        """All attempts."""
        return self.rows(ChargeAttempt)

    def payments(self) -> list[Payment]:
        """The ledger."""
        return self.rows(Payment)

    def reload(self) -> Subscription:
        """The subscription as it stands now."""
        return self.only(Subscription)

    def pages_there(self) -> list[str]:
        """The provider's own list of its pages."""
        return list(httpx.get(f"{self.bank.url}/_pages", trust_env=False).json()["pages"])

    def events(self) -> list[WebhookEvent]:
        """What the provider told us."""
        return self.rows(WebhookEvent)

    def confirm(self) -> None:
        """The client's bank confirms what was given on the latest page."""
        self.bank.later.run_all()

    def change_method(self, reference: str, changes: dict[str, str]) -> None:
        """The client's bank replaces a card."""
        answer = httpx.post(f"{self.bank.url}/_methods/{reference}", json=changes, trust_env=False)
        assert answer.status_code == 200

    def wait(self, **time: float) -> None:
        """Let time pass."""
        clock.start_at(clock.now() + timedelta(**time))


@pytest.fixture
def desk(cast: Cast, bank: Bank, settings: Settings) -> Iterator[Desk]:
    """A client without anything, who has been sold a monthly subscription of 24 € with tax."""
    registry.use(settings.model_copy(update={"payment_sandbox_url": bank.url, "payment_sandbox_secret": SECRET}))
    account = factories.ProviderAccountFactory()
    desk = Desk(cast.organisation.id, account, *_sell(), cast.admin, bank)
    yield desk
    registry.close()
    registry.use(settings)


def _sell() -> tuple[Client, Subscription]:
    client = factories.ClientFactory(email="jeanne@example.org")
    subscription = factories.SubscriptionFactory(
        client_id=client.id,
        status=SubscriptionStatus.PENDING,
        anchor_date=date(2026, 11, 20),
        recurring_amount=Decimal("20.00"),
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id, unit_price=Decimal("20.00"))
    scheduling.schedule(subscription, 0)
    db.session.commit()
    return client, subscription
