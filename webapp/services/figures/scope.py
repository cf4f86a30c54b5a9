"""Whose figures someone may see: own ones, those of the teams they lead, or all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import or_, select

from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.models.identity import Role, User
from webapp.services.contracts.selection import ContractsView, OfTeam, Seller

NOBODY_AT_ALL = UUID(int=0)
"""No commercial has this id: it stands for a scope without anybody."""


@dataclass(frozen=True)
class Scope:
    """Whose figures: all, or those of ``sellers``, by what to call them.

    ``members`` are the commercials whom that means now, with their teams.
    """

    is_all: bool = False
    sellers: Mapping[Seller, str] = field(default_factory=dict)
    members: Mapping[UUID, UUID | None] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Whose figures these are, in words."""
        return "Toute l’organisation" if self.is_all else " · ".join(self.sellers.values()) or "Aucun commercial"

    @property
    def view(self) -> ContractsView:
        """All contracts that count in this scope."""
        return ContractsView() if self.is_all else ContractsView(sold_by=tuple(self.sellers) or (NOBODY_AT_ALL,))

    def includes(self, commercial_id: UUID) -> bool:
        """Whether the figures of this commercial may be seen."""
        return self.is_all or commercial_id in self.members


def figures_scope(user: User) -> Scope:
    """What figures ``user`` may see: an admin all, a manager those of the teams led, each also own ones."""
    if user.has_role(Role.ADMIN):
        return Scope(is_all=True)
    teams = _list_led_teams(user) if user.has_role(Role.MANAGER) else {}
    own = Commercial.user_id == user.id
    rows = db.session.execute(select(Commercial.id, Commercial.team_id).where(or_(own, Commercial.team_id.in_(teams))))
    members = dict(iter(rows))
    sellers: dict[Seller, str] = {OfTeam(team_id): name for team_id, name in teams.items()}
    sellers |= {commercial_id: "Vos chiffres" for commercial_id, team_id in members.items() if team_id not in teams}
    return Scope(sellers=sellers, members=members)


def find_in_scope(scope: Scope, commercial_id: UUID) -> Commercial:
    """A commercial whose figures may be seen. Raises NotFoundError, ForbiddenError."""
    commercial = db.session.scalar(select(Commercial).where(Commercial.id == commercial_id))
    if commercial is None:
        raise NotFoundError("Ce commercial n’existe pas ou plus.")
    if not scope.includes(commercial.id):
        raise ForbiddenError("Les chiffres de ce commercial ne sont pas à votre portée.")
    return commercial


def list_in_scope(scope: Scope) -> list[Commercial]:
    """The commercials whose figures may be seen, by name; of all, those who are active."""
    there = Commercial.is_active if scope.is_all else Commercial.id.in_(scope.members)
    return list(db.session.scalars(select(Commercial).where(there).order_by(Commercial.name_key, Commercial.id)))


def _list_led_teams(user: User) -> dict[UUID, str]:
    """Names of the teams that the user leads, by id."""
    led = select(TeamLeader.team_id).where(
        TeamLeader.organisation_id == user.organisation_id, TeamLeader.user_id == user.id
    )
    rows = db.session.execute(select(Team.id, Team.name).where(Team.id.in_(led)).order_by(Team.name, Team.id))
    return {team_id: f"Équipe {name.removeprefix('Équipe ')}" for team_id, name in rows}
