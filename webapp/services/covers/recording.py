"""What every change of a cover needs: the cover locked and up to date, and the client's timeline told."""

from datetime import date, datetime
from uuid import UUID

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.covers import following, ledger, loading
from webapp.services.dunning import days

ERASED = "Les données de ce client sont effacées\u202f: sa couverture ne change plus."


class CoverStateError(DomainError):
    """The state of the cover, or of its subscription, does not allow this."""


def find_living(cover_id: UUID, *, at: datetime) -> Cover:
    """The cover, locked and up to date, to be changed. Raises NotFoundError; CoverStateError where it is over."""
    cover = loading.find_for_update(cover_id)
    following.catch_up(cover, at=at)
    check_living(cover)
    return cover


def check_living(cover: Cover) -> None:
    """Raise CoverStateError where the cover is over, or its client erased."""
    if cover.client.erased_at:
        raise CoverStateError(ERASED)
    if cover.subscription.status.is_final:
        raise CoverStateError("Cette couverture est terminée.")


def refuse_open_claims(cover_id: UUID, what: str) -> None:
    """Raise CoverStateError, naming the files, where claims are under way: ``what`` waits for them."""
    open_claims = ledger.list_open_claims(cover_id)
    if not open_claims:
        return
    is_one = len(open_claims) == 1
    under_way = "Un sinistre est en cours" if is_one else "Des sinistres sont en cours"
    once_over = "son dossier clos ou annulé" if is_one else "leurs dossiers clos ou annulés"
    raise CoverStateError(f"{under_way} ({', '.join(open_claims)})\u202f: {what} une fois {once_over}.")


def next_cycle(cover: Cover, *, at: datetime) -> date:
    """The first day of the subscription's next cycle; today where nothing falls due."""
    return cover.subscription.next_charge_on or cover.subscription.current_period_end or days.local(at)


def tell(cover: Cover, kind: EventKind, changes: dict[str, list[str | None]], *, by: User | None, at: datetime) -> None:
    """Tell the client's timeline, in the caller's transaction."""
    words = {"cover": [None, cover.code], **changes}
    user_id = by.id if by else None
    db.session.add(TimelineEvent(client_id=cover.client_id, kind=kind, at=at, user_id=user_id, changes=words))
