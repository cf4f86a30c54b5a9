"""The link of a request, sent to the client by e-mail or SMS."""

from datetime import datetime
from uuid import UUID

from webapp import clock, links
from webapp.errors import InvalidInputError
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.means_requests import MeansRequest
from webapp.models.messages import Channel, MessageKind
from webapp.services.clients.editing import find_client
from webapp.services.means_requests import commands, looking
from webapp.services.means_requests.commands import RequestStateError
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.subscriptions import naming
from webapp.transactions import transaction

MOST_REMINDERS = 50
OFF = "Ce message est désactivé pour cette société, ou il vient d’être écrit."


def list_channels(client: Client) -> list[Channel]:
    """By what the link can be sent to the client."""
    addresses = {Channel.EMAIL: client.email, Channel.SMS: client.phone}
    return [channel for channel, address in addresses.items() if address]


def send_link(
    client_id: UUID, request_id: UUID, channel: Channel | None, *, reminder: int, by: User, at: datetime
) -> bool:
    """Send the link, which hands it on; ``reminder`` is how many messages went before, so that two clicks send one.

    False where nothing was written: it is switched off, or was written before. Raises NotFoundError, RequestStateError
    for a request that has ended, InvalidInputError for a channel that the client has no address for.
    """
    client = find_client(client_id)
    if channel not in list_channels(client) or not 0 <= reminder < MOST_REMINDERS:
        raise InvalidInputError("Le client n’a pas d’adresse pour ce moyen d’envoi.", field="channel")
    with transaction():
        commands.find_request(client_id, request_id)
        looking.lock_request(request_id)
        request = commands.find_request(client_id, request_id)
        if not request.status.is_open or request.expires_at <= at:
            raise RequestStateError("Cette demande est terminée\u202f: son lien ne mène plus nulle part.")
        draft = _draft(request, channel, reminder)
        is_written = writing.write(draft, at=at, by=by.id) is not None
        if is_written:
            commands.mark_sent(client_id, request_id, at=at)
    return is_written


def _draft(request: MeansRequest, channel: Channel | None, reminder: int) -> Draft:
    subscription_id = request.subscription_id
    name = naming.find_names([subscription_id])[subscription_id] if subscription_id else None
    return Draft(
        kind=MessageKind.MEANS_REQUEST,
        company_id=request.account.company_id,
        client_id=request.client_id,
        subject_id=request.id,
        occasion=str(reminder),
        channel=channel,
        expires_at=request.expires_at,
        variables={
            "lien": links.giving_means(request.token_in_clear()),
            "valable_jusqu_au": request.expires_at.astimezone(clock.PARIS).date(),
            "abonnement": name,
        },
    )
