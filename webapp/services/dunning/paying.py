"""The links that messages of dunning bring: to pay what is longest unpaid, or else to give another means of payment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from webapp import links
from webapp.models.charges import Charge
from webapp.models.dunning import DunningCase
from webapp.services.charges import on_page
from webapp.services.means_requests import asking, commands
from webapp.services.means_requests.asking import Wish
from webapp.services.means_requests.listing import load_payment_links


class Links(NamedTuple):
    """Where clients pay a charge, by charge; where they give another means, by case."""

    payment: Mapping[UUID, str]
    means: Mapping[UUID, str]


class Claimed(NamedTuple):
    """What a message claims, the longest unpaid first. With ``asks_means`` a request is made where none is open."""

    case: DunningCase
    claims: Sequence[tuple[Charge, Decimal]]
    asks_means: bool


def find_links(claimed: Sequence[Claimed], *, at: datetime) -> Links:
    """The links for these messages, in the caller's transaction, which holds the charges.

    A charge that is to be tried again by itself is paid on no page: another means is asked for instead, as it is where
    a request is open that takes no such payment. There is one request at a time, so that nobody is asked twice.
    """
    payment = load_payment_links({charge.id for each in claimed for charge, _ in each.claims}, at=at)
    means: dict[UUID, str] = {}
    asked = [each for each in claimed if each.asks_means and not any(charge.id in payment for charge, _ in each.claims)]
    accounts = {account.company_id: account.id for account in reversed(commands.list_accounts())} if asked else {}
    asked = [each for each in asked if each.case.company_id in accounts]
    wishes = [_wish(each, accounts[each.case.company_id]) for each in asked]
    for each, request in zip(asked, asking.ask(wishes, at=at, waits=False), strict=True):
        if request is not None:
            link = links.giving_means(request.token_in_clear())
            means[each.case.id] = link
            if request.takes_payment and request.charge_id == each.claims[0][0].id:
                payment[each.claims[0][0].id] = link
    return Links(payment, means)


def _wish(claimed: Claimed, account_id: UUID) -> Wish:
    oldest = claimed.claims[0][0]
    return Wish(
        client_id=claimed.case.client_id,
        account_id=account_id,
        subscription_id=oldest.subscription_id,
        charge_id=oldest.id if on_page.is_payable(oldest) else None,
    )
