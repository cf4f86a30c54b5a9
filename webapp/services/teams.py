"""Teams: who belongs to which, and who leads it. Figures follow at once: scopes are read from here."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.models.identity import Role, User
from webapp.transactions import transaction

log = structlog.get_logger()

NAME_LENGTH = 100
TAKEN = "Une équipe porte déjà ce nom."


class TeamExistsError(DomainError):
    """Another team already has this name."""


@dataclass(frozen=True)
class TeamRow:
    """A team with its people, by name."""

    id: UUID
    name: str
    members: list[Commercial]
    leaders: list[User]


@dataclass(frozen=True)
class People:
    """Who may be in a team, and who may lead one."""

    commercials: list[Commercial]
    managers: list[User]


def list_teams() -> list[TeamRow]:
    """All teams, by name, in three statements whatever their number."""
    members: dict[UUID | None, list[Commercial]] = {}
    for commercial in db.session.scalars(
        select(Commercial).where(Commercial.team_id.is_not(None)).order_by(Commercial.name_key, Commercial.id)
    ):
        members.setdefault(commercial.team_id, []).append(commercial)
    leaders: dict[UUID, list[User]] = {}
    led = (
        select(TeamLeader.team_id, User).join(User, linked(User, TeamLeader.user_id)).order_by(User.last_name, User.id)
    )
    for team_id, user in db.session.execute(led):
        leaders.setdefault(team_id, []).append(user)
    return [
        TeamRow(team.id, team.name, members.get(team.id, []), leaders.get(team.id, []))
        for team in db.session.scalars(select(Team).order_by(func.fold(Team.name), Team.id))
    ]


def list_people() -> People:
    """All commercials, and the users who are managers or admins, by name."""
    by_name = select(User).order_by(User.last_name, User.first_name, User.id)
    return People(
        list(db.session.scalars(select(Commercial).order_by(Commercial.name_key, Commercial.id))),
        list(db.session.scalars(by_name.where(User.roles.overlap([Role.MANAGER.value, Role.ADMIN.value])))),
    )


def find_name(team_id: UUID) -> str | None:
    """The name of a team of the current organisation; None where there is none."""
    return db.session.scalar(select(Team.name).where(Team.id == team_id))


def create_team(name: str, *, by: User) -> Team:
    """Make a team. Raises InvalidInputError for a name that is none, TeamExistsError for one that is taken."""
    with transaction():
        team = Team(id=new_id())
        _give_name(team, name)
        log.info("team_created", team_id=str(team.id), user_id=str(by.id))
    return team


def change_team(team_id: UUID, *, name: str, members: Collection[UUID], leaders: Collection[UUID], by: User) -> Team:
    """Say what a team is called, which commercials are in it and which users lead it.

    A commercial is in one team at most: who joins this one leaves the other. Ids of nobody in this organisation are
    passed over. Raises NotFoundError, InvalidInputError or TeamExistsError.
    """
    with transaction():
        team = _find_for_update(team_id)
        _give_name(team, name)
        db.session.execute(update(Commercial).where(Commercial.team_id == team_id).values(team_id=None))
        db.session.execute(update(Commercial).where(Commercial.id.in_(members)).values(team_id=team_id))
        db.session.execute(delete(TeamLeader).where(TeamLeader.team_id == team_id))
        for user_id in db.session.scalars(select(User.id).where(User.id.in_(leaders))):
            db.session.add(TeamLeader(team_id=team_id, user_id=user_id))
        log.info("team_changed", team_id=str(team_id), user_id=str(by.id))
    return team


def delete_team(team_id: UUID, *, by: User) -> None:
    """Do away with a team; its commercials then are in none. Raises NotFoundError."""
    with transaction():
        team = _find_for_update(team_id)
        db.session.delete(team)
        log.info("team_deleted", team_id=str(team_id), user_id=str(by.id))


def _find_for_update(team_id: UUID) -> Team:
    team = db.session.scalar(select(Team).where(Team.id == team_id).with_for_update())
    if team is None:
        raise NotFoundError("Cette équipe n’existe pas ou plus.")
    return team


def _give_name(team: Team, name: str) -> None:
    cleaned = _checked(name)
    # Looked up before it is given: the lookup would write it first, and meet the constraint there.
    _refuse_taken(cleaned, by_other_than=team.id)
    try:
        with db.session.begin_nested():
            team.name = cleaned
            db.session.add(team)
    except IntegrityError as error:  # somebody gave it to another team since we looked
        raise TeamExistsError(TAKEN, field="name") from error


def _checked(name: str) -> str:
    cleaned = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if not cleaned:
        raise InvalidInputError("Donnez un nom à l’équipe.", field="name")
    if len(cleaned) > NAME_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {NAME_LENGTH} caractères au plus.", field="name")
    return cleaned


def _refuse_taken(name: str, *, by_other_than: UUID) -> None:
    taken = select(Team.id).where(func.fold(Team.name) == func.fold(name), Team.id != by_other_than)
    if db.session.scalar(taken.limit(1)):
        raise TeamExistsError(TAKEN, field="name")
