"""Accounts: who signs in, for which organisation, with which roles, as which commercial."""

from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload

from webapp import tenancy
from webapp.errors import ForbiddenError
from webapp.extensions import db
from webapp.gateways.identity import Identity, SessionEndedError
from webapp.models.base import new_id
from webapp.models.commercials import Commercial
from webapp.models.identity import Role, User
from webapp.models.organisations import Organisation
from webapp.services.commercials import link_awaiting
from webapp.transactions import transaction

log = structlog.get_logger()

EXTERNAL_ID_LENGTH = 64
KNOWN_ROLES = frozenset(role.value for role in Role)
_USER = select(User).where(User.id == bindparam("user_id")).options(joinedload(User.organisation))


class UnknownOrganisationError(ForbiddenError):
    """The token names an organisation that the CRM does not have."""


class OtherOrganisationError(ForbiddenError):
    """The account already belongs to another organisation than the token now names. Nobody is moved by a claim."""


def sign_in(identity: Identity, *, default_organisation: str, at: datetime) -> User:
    """The user behind a verified identity, made or announced at the first sign-in, brought up to date at each.

    ``default_organisation`` is the slug for identities that name none, "" for no such slug; it counts only while there
    is no other organisation. A user with the role commercial also becomes a commercial. Raises UnknownOrganisationError
    or OtherOrganisationError.
    """
    with transaction():
        # One subject at a time: two tabs that sign in for the first time must not both find nobody.
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_key(identity), 0))))
        organisation_id = _organisation_id(identity.organisation or _only_organisation(default_organisation))
        user = _known_user(identity)
        if user is not None and user.organisation_id != organisation_id:
            raise OtherOrganisationError(
                "Votre compte appartient déjà à une autre organisation. Demandez à votre administrateur."
            )
        with tenancy.organisation(organisation_id):
            user = user or _take_over_announced(identity) or _create(identity)
            _bring_up_to_date(user, identity, at=at)
            if user.has_role(Role.COMMERCIAL):
                _become_commercial(user, at=at)
            db.session.flush()
    return user


def renew(user_id: UUID, identity: Identity, *, at: datetime) -> None:
    """Take over the roles that a refreshed token gives the user, in the current organisation.

    Raises SessionEndedError where it now speaks of somebody else or names another organisation.
    """
    with transaction():
        user = find_user(user_id)
        if user is None or (user.issuer, user.subject) != (identity.issuer, identity.subject):
            raise SessionEndedError("Votre session a pris fin. Connectez-vous de nouveau.")
        if identity.organisation and user.organisation_id != _organisation_id(identity.organisation):
            raise SessionEndedError("Votre compte a changé d’organisation. Connectez-vous de nouveau.")
        _take_roles(user, identity, at=at)


def find_user(user_id: UUID) -> User | None:
    """The user of the current organisation, with that organisation, which every page names; or None."""
    return db.session.scalar(_USER, {"user_id": user_id})


def _key(identity: Identity) -> str:
    return f"sign-in|{identity.issuer}|{identity.subject}"


def _only_organisation(slug: str) -> str:
    """The slug that stands in for a missing claim: with two organisations, whose account it is would be a guess."""
    if not slug or (db.session.scalar(select(func.count()).select_from(Organisation)) or 0) > 1:
        log.warning("no_organisation")
        raise UnknownOrganisationError(
            "Votre compte ne nomme aucune organisation. Demandez à votre administrateur de l’ajouter."
        )
    return slug


def _organisation_id(slug: str) -> UUID:
    organisation_id = db.session.scalar(select(Organisation.id).where(Organisation.slug == slug))
    if organisation_id is None:
        log.warning("unknown_organisation")
        raise UnknownOrganisationError(
            "Votre compte nomme une organisation que le CRM ne connaît pas. Demandez à votre administrateur."
        )
    return organisation_id


def _known_user(identity: Identity) -> User | None:
    with tenancy.across_organisations():
        return db.session.scalar(
            select(User).where(User.issuer == identity.issuer, User.subject == identity.subject).with_for_update()
        )


def _take_over_announced(identity: Identity) -> User | None:
    """An account announced ahead: by its subject, else by a verified e-mail that only one of them has."""
    user = _only_announced(User.subject == identity.subject)
    if user is None and identity.email and identity.email_verified:
        user = _only_announced(func.lower(User.email) == identity.email)
    if user is not None:
        user.issuer, user.subject = identity.issuer, identity.subject
    return user


def _only_announced(match: ColumnElement[bool]) -> User | None:
    matches = db.session.scalars(select(User).where(User.issuer.is_(None), match).limit(2).with_for_update()).all()
    return matches[0] if len(matches) == 1 else None


def _create(identity: Identity) -> User:
    user = User(id=new_id(), issuer=identity.issuer, subject=identity.subject)
    db.session.add(user)
    return user


def _bring_up_to_date(user: User, identity: Identity, *, at: datetime) -> None:
    user.email, user.email_verified = identity.email, identity.email_verified
    user.first_name, user.last_name = identity.first_name, identity.last_name
    _take_roles(user, identity, at=at)


def _take_roles(user: User, identity: Identity, *, at: datetime) -> None:
    user.roles = sorted(identity.roles & KNOWN_ROLES)
    user.last_seen_at = at


def _become_commercial(user: User, *, at: datetime) -> None:
    """Join the user to the commercial that the sync or an import made, once; where there is none, make one.

    Clients that WinLeadPlus gave to this commercial before anybody knew them become theirs.
    """
    db.session.flush()
    if db.session.scalar(select(Commercial.id).where(Commercial.user_id == user.id)):
        return
    commercial = _only_unclaimed(Commercial.external_id == user.subject)
    if commercial is None and user.email and user.email_verified:
        commercial = _only_unclaimed(func.lower(Commercial.email) == user.email)
    if commercial is None:
        _create_commercial(user)
    else:
        commercial.user_id = user.id
        commercial.external_id = commercial.external_id or _external_id(user)
    db.session.flush()
    link_awaiting(at=at)


def _only_unclaimed(match: ColumnElement[bool]) -> Commercial | None:
    """The one commercial that matches and is nobody's yet: without user, or with one that never signed in."""
    nobody = select(User.id).where(User.issuer.is_(None))
    unclaimed = or_(Commercial.user_id.is_(None), Commercial.user_id.in_(nobody))
    matches = db.session.scalars(select(Commercial).where(unclaimed, match).limit(2).with_for_update()).all()
    return matches[0] if len(matches) == 1 else None


def _create_commercial(user: User) -> None:
    """The sync may be making the same commercial at this moment; it then comes first and is joined."""
    values = {
        "organisation_id": user.organisation_id,
        "id": new_id(),
        "external_id": _external_id(user),
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "user_id": user.id,
    }
    statement = insert(Commercial).values(values)
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["organisation_id", "external_id"],
            set_={"user_id": func.coalesce(Commercial.user_id, statement.excluded.user_id)},
        )
    )


def _external_id(user: User) -> str | None:
    """The subject, as WinLeadPlus would name the commercial; Keycloak's are UUIDs, other providers' may not fit."""
    return user.subject if user.subject and len(user.subject) <= EXTERNAL_ID_LENGTH else None


def list_colleagues() -> list[User]:
    """The users of the current organisation who have a role, by name."""
    by_name = select(User).order_by(User.last_name, User.first_name, User.id)
    return list(db.session.scalars(by_name.where(func.cardinality(User.roles) > 0)))
