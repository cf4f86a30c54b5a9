"""Sending what is due: claim a lot, ask the provider to take one message after the other, record what came of each.

Before each call a transaction notes that it is made, and what came of the one before: a worker that is killed leaves
one message at most of which nobody knows whether it left.
"""

from collections import Counter
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any
from uuid import UUID

from webapp import clock, queue, tenancy
from webapp.gateways import messaging
from webapp.gateways.messaging import LONGEST_SEND, Outcome, OutgoingEmail, OutgoingSms, Refused
from webapp.models.messages import Channel, MessageSender, MessageStatus
from webapp.services.messages import claiming, composing, frames, recording
from webapp.services.messages.claiming import Claim, Lot
from webapp.services.messages.composing import Outgoing
from webapp.services.messages.frames import Frame
from webapp.services.messages.recording import Finished
from webapp.services.messages.writing import JOB, ring
from webapp.transactions import transaction

TURN = timedelta(minutes=3)
"""How long one job sends at most: organisations take turns, and a job ends well before its time-out."""


def send(organisation_id: UUID) -> Counter[MessageStatus]:
    """Send what is due in the organisation; returns how many messages came to stand where."""
    queue.heard(JOB, organisation_id)
    statuses: Counter[MessageStatus] = Counter()
    end = clock.now() + TURN
    with tenancy.organisation(organisation_id):
        for sender_id in claiming.list_senders_due(at=clock.now()):
            statuses += _send_of(sender_id, end)
        if clock.now() >= end:
            ring()
    return statuses


def _send_of(sender_id: UUID, end: datetime) -> Counter[MessageStatus]:
    """What one sender may send now, over one connection."""
    statuses: Counter[MessageStatus] = Counter()
    lot = claiming.claim(sender_id, at=clock.now())
    if lot is None:
        return statuses
    with _connect(lot.sender) as connection:
        while lot is not None:
            frame = frames.load_frames({lot.sender.company_id})[lot.sender.company_id]
            is_stopped = _Sending(lot, frame, connection, statuses).run()
            if is_stopped or clock.now() >= end:
                break
            lot = claiming.claim(sender_id, at=clock.now())
    return statuses


def _connect(sender: MessageSender) -> AbstractContextManager[Any]:
    connect = messaging.connect_sms if sender.channel is Channel.SMS else messaging.connect_email
    return connect(sender.provider, sender.credentials_in_clear())


class _Sending:
    """The sending of one lot."""

    def __init__(self, lot: Lot, frame: Frame, connection: Any, statuses: Counter[MessageStatus]) -> None:
        self._lot, self._frame, self._connection, self._statuses = lot, frame, connection, statuses
        self._finished: Finished | None = None
        self._ahead: dict[UUID, Outgoing] = {}

    def run(self) -> bool:
        """Send the lot; whether its sender has to rest."""
        claims = self._lot.claims
        for number, (claim, following) in enumerate(zip_longest(claims, claims[1:])):
            if self._is_stopped or clock.now() + LONGEST_SEND > self._lot.lease_until:
                self._end(claims[number:])
                return self._is_stopped
            self._send(claim, following)
        self._end([])
        return self._is_stopped

    @property
    def _is_stopped(self) -> bool:
        return self._finished is not None and self._finished.stops_sender

    def _send(self, claim: Claim, following: Claim | None) -> None:
        outgoing = self._ahead.pop(claim.message_id, None) or self._compose(claim)
        at = clock.now()
        if self._begin(claim, at):
            self._finished = Finished(claim, at, self._hand_over(outgoing, following))

    def _hand_over(self, outgoing: Outgoing, following: Claim | None) -> Outcome:
        if isinstance(outgoing, Refused):
            return outgoing
        outcome: Outcome
        if isinstance(outgoing, OutgoingSms):
            outcome = self._connection.send(outgoing)
        else:
            outcome = self._connection.send(outgoing, meanwhile=partial(self._compose_ahead, following))
        return outcome

    def _compose(self, claim: Claim) -> Outgoing:
        return composing.compose(claim, self._lot.sender, self._frame)

    def _compose_ahead(self, following: Claim | None) -> OutgoingEmail | None:
        """Compose the next e-mail while the server thinks. What cannot be composed says so when its turn comes.

        Files come from the database, which no transaction may hold while we wait.
        """
        if following is None or following.files:
            return None
        with suppress(Exception):
            self._ahead[following.message_id] = self._compose(following)
        outgoing = self._ahead.get(following.message_id)
        return outgoing if isinstance(outgoing, OutgoingEmail) else None

    def _begin(self, claim: Claim, at: datetime) -> bool:
        """Record the message before, and note that this one is handed over; whether it is still ours."""
        with transaction():
            is_ours = self._note(claim, at)
        self._finished = None
        return is_ours

    def _end(self, left: list[Claim]) -> None:
        """Record the last one, and give up what nobody was asked to take."""
        with transaction():
            self._note(None, clock.now())
            if left:
                recording.put_back(left)

    def _note(self, following: Claim | None, at: datetime) -> bool:
        status, is_ours = recording.note(self._finished, following, self._lot.sender, at=at)
        if status is not None:
            self._statuses[status] += 1
        return is_ours
