"""Changing a client, without anybody overwriting what they have not seen."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.errors import InvalidInputError, MergedError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Commercial, TeamLeader
from webapp.models.identity import Role, User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.banking import BankDetails, add_account
from webapp.services.clients.duplicates import refuse_similar
from webapp.services.clients.fields import ClientFields, find_commercial, find_own_commercial
from webapp.services.concurrent_edits import EditConflictError
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction


def find_client(client_id: UUID) -> Client:
    """The client. Raises NotFoundError, MergedError."""
    return present(db.session.scalar(select(Client).where(Client.id == client_id)))


def follow(client_id: UUID) -> UUID:
    """Who that client is by now: the one that was kept, where it was merged."""
    while kept_id := db.session.scalar(select(Client.merged_into_id).where(Client.id == client_id)):
        client_id = kept_id
    return client_id


def present(client: Client | None) -> Client:
    """The client itself, where it is there and was not merged. Raises NotFoundError, MergedError."""
    if client is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    if client.merged_into_id is not None:
        raise MergedError(client.merged_into_id)
    return client


def edit_client(
    client_id: UUID,
    written: ClientFields,
    *,
    version: int,
    bank: BankDetails | None,
    confirmed: bool,
    by: User,
    at: datetime,
) -> Client:
    """Change a client that its editor saw at ``version``, and add a bank account if one is given.

    A commercial may take a client that has no commercial, and nobody else's: who may see bank details follows from it.
    Raises NotFoundError; InvalidInputError, naming the field; EditConflictError, before anything is written;
    SimilarClientsError unless ``confirmed``, where the e-mail or telephone is new.
    """
    fields = written.normalised(today=at.astimezone(clock.PARIS).date())
    bank = bank.normalised() if bank else None
    with transaction():
        client = _lock(client_id)
        if client.version != version:
            stands = ClientFields.of(client)
            raise EditConflictError("Ce client a été modifié entre-temps.", theirs=stands, version=client.version)
        before = ClientFields.of(client)
        changed = before.differing(fields)
        if "commercial_id" in changed:
            _refuse_taking_over(before.commercial_id, fields.commercial_id, by=by)
        if not confirmed:
            refuse_similar(
                email=fields.email if "email" in changed else None,
                phone=fields.phone if "phone" in changed else None,
            )
        changes = {name: [getattr(before, name), getattr(fields, name)] for name in changed}
        if "commercial_id" in changes:
            changes["commercial"] = _commercial_names(changes.pop("commercial_id"))
        for name in changed:
            setattr(client, name, getattr(fields, name))
        if changed:
            worded = {name: [_as_json(old), _as_json(new)] for name, (old, new) in changes.items()}
            db.session.add(
                TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_UPDATED, at=at, user_id=by.id, changes=worded)
            )
        added = bank is not None and add_account(client, bank, by=by, at=at)
        if changed or added:
            client.version += 1
            client.changed_at = at
    return client


def _lock(client_id: UUID) -> Client:
    client = db.session.scalar(
        select(Client).where(Client.id == client_id).with_for_update().execution_options(populate_existing=True)
    )
    return present(client)


def _refuse_taking_over(old: UUID | None, new: UUID | None, *, by: User) -> None:
    """Raises InvalidInputError unless ``by`` may give the client to another commercial (docs/adr/0049)."""
    if by.has_role(Role.ADMIN):
        return
    if by.has_role(Role.MANAGER):
        if old is not None and _is_led_by_others(old, by):
            sentence = (
                "Ce client a un commercial d’une équipe que vous ne dirigez pas\u202f: demandez à un administrateur."
            )
            raise InvalidInputError(sentence, field="commercial_id")
        return
    if old is not None:
        sentence = "Seul un manager ou un administrateur peut changer le commercial d’un client qui en a un."
        raise InvalidInputError(sentence, field="commercial_id")
    if new != find_own_commercial(by):
        raise InvalidInputError("Vous ne pouvez prendre ce client que pour vous-même.", field="commercial_id")


def _is_led_by_others(commercial_id: UUID, manager: User) -> bool:
    """Whether the commercial is in a team that ``manager`` does not lead; one without a team is led by nobody."""
    team_id = db.session.scalar(select(Commercial.team_id).where(Commercial.id == commercial_id))
    leads = select(TeamLeader.user_id).where(TeamLeader.team_id == team_id, TeamLeader.user_id == manager.id)
    return team_id is not None and db.session.scalar(leads) is None


def _commercial_names(change: list[UUID | None]) -> list[str | None]:
    """The timeline keeps names: it must still read well when a commercial has gone."""
    old_id, new_id = change
    old = db.session.get(Commercial, (current_organisation_id(), old_id)) if old_id else None
    new = find_commercial(new_id) if new_id else None
    return [old.full_name if old else None, new.full_name if new else None]


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value or None
