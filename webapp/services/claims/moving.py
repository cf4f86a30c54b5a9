"""Another home for a cover, and what that makes doubtful of its claims: in one transaction."""

from datetime import date, datetime
from uuid import UUID

from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.services.claims import doubting
from webapp.services.covers import moving
from webapp.services.covers.moving import ShownMove
from webapp.services.covers.selling import CoverRequest
from webapp.transactions import transaction


def move(
    cover_id: UUID, asked: CoverRequest, *, wished: date | None, shown: ShownMove, by: User, at: datetime
) -> Cover:
    """Let the cover hold for another home, and look at its claims again. Raises as ``covers.moving.move``."""
    with transaction():
        cover = moving.move(cover_id, asked, wished=wished, shown=shown, by=by, at=at)
        doubting.look_again(cover_id, at=at)
    return cover
