"""Who may merge: whoever has a say over every one of the clients."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select

from webapp.errors import ForbiddenError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Commercial, TeamLeader
from webapp.models.identity import Role, User

NOT_YOURS = (
    "Vous ne pouvez fusionner que des clients qui sont les vôtres ou sans commercial\u202f: demandez à un manager."
)
NOT_YOUR_TEAM = (
    "Un de ces clients a un commercial d’une équipe que vous ne dirigez pas\u202f: demandez à un administrateur."
)


def check_right(client_ids: Collection[UUID], user: User) -> None:
    """An admin may merge any clients, a manager none of other managers' teams, a commercial own ones and nobody's.

    Raises ForbiddenError.
    """
    if user.has_role(Role.ADMIN):
        return
    if user.has_role(Role.MANAGER):
        led = select(TeamLeader.team_id).where(TeamLeader.user_id == user.id)
        others = select(Commercial.id).where(Commercial.team_id.not_in(led))
        is_others: ColumnElement[bool] = Client.commercial_id.in_(others)
    else:
        own = select(Commercial.id).where(Commercial.user_id == user.id)
        is_others = ~or_(Client.commercial_id.is_(None), Client.commercial_id.in_(own))
    if db.session.scalar(select(Client.id).where(Client.id.in_(client_ids), is_others).limit(1)) is not None:
        raise ForbiddenError(NOT_YOUR_TEAM if user.has_role(Role.MANAGER) else NOT_YOURS)
