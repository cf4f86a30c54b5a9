"""Which commercial a prospect belongs to: by Keycloak id, else by e-mail, else made; and those known only later."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.services.winleadplus.payload import Prospect, Representative
from webapp.transactions import transaction


class Directory:
    """The organisation's commercials, as a run knows them. There are few, so they are held in memory."""

    def __init__(self) -> None:
        self._by_external_id: dict[str, UUID] = {}
        self._by_email: dict[str, UUID] = {}
        self._names: dict[UUID, str] = {}
        for commercial in db.session.scalars(select(Commercial).order_by(Commercial.created_at, Commercial.id)):
            self._remember(commercial)

    def id_of(self, prospect: Prospect) -> UUID | None:
        """The prospect's commercial, if known."""
        if prospect.commercial is not None and prospect.commercial in self._by_external_id:
            return self._by_external_id[prospect.commercial]
        someone = prospect.representative
        if someone is None or someone.email is None or prospect.commercial not in (None, someone.external_id):
            return None
        return self._by_email.get(someone.email)

    def commercial_of(self, prospect: Prospect) -> tuple[UUID | None, str | None]:
        """The commercial's id; of one unknown as yet, the Keycloak id to wait for."""
        commercial_id = self.id_of(prospect)
        return commercial_id, None if commercial_id else prospect.commercial

    def name_of(self, commercial_id: UUID | None) -> str | None:
        """What pages show."""
        return self._names.get(commercial_id) if commercial_id else None

    def name_for(self, prospect: Prospect) -> str | None:
        """The name of the prospect's commercial; of one unknown as yet, what WinLeadPlus says of them."""
        known = self.name_of(self.id_of(prospect))
        someone = prospect.representative
        if known is None and someone is not None and prospect.commercial in (None, someone.external_id):
            known = f"{someone.first_name} {someone.last_name}".strip()
        return known or prospect.commercial_key

    def ensure(self, representatives: Iterable[Representative]) -> None:
        """Make those commercials known that are not yet, in a transaction of its own; a later crash does no harm."""
        unknown = {someone for someone in representatives if not self._knows(someone)}
        if not unknown:
            return
        with transaction():
            for commercial in _find(unknown):
                self._remember(commercial)
            for someone in unknown:
                if not self._knows(someone):
                    self._adopt_or_create(someone)

    def _knows(self, someone: Representative) -> bool:
        if someone.external_id is not None:
            return someone.external_id in self._by_external_id
        return someone.email in self._by_email

    def _remember(self, commercial: Commercial) -> None:
        if commercial.external_id:
            self._by_external_id[commercial.external_id] = commercial.id
        if commercial.email:
            self._by_email.setdefault(commercial.email.lower(), commercial.id)
        self._names[commercial.id] = commercial.full_name

    def _adopt_or_create(self, someone: Representative) -> None:
        known = self._by_email.get(someone.email) if someone.email else None
        if known is None:
            self._remember(_create(someone))
        elif someone.external_id is not None:
            db.session.execute(
                update(Commercial)
                .where(Commercial.id == known, Commercial.external_id.is_(None))
                .values(external_id=someone.external_id)
            )
            self._by_external_id[someone.external_id] = known


def _find(representatives: Collection[Representative]) -> Iterable[Commercial]:
    external_ids = [someone.external_id for someone in representatives if someone.external_id]
    emails = [someone.email for someone in representatives if someone.email]
    return db.session.scalars(
        select(Commercial)
        .where(or_(Commercial.external_id.in_(external_ids), func.lower(Commercial.email).in_(emails)))
        .execution_options(populate_existing=True)
    )


def _create(someone: Representative) -> Commercial:
    """The commercial, and an account announced ahead for their first sign-in, unless they have one."""
    values = {
        "organisation_id": tenancy.current_organisation_id(),
        "id": new_id(),
        "external_id": someone.external_id,
        "email": someone.email,
        "first_name": someone.first_name,
        "last_name": someone.last_name,
        "user_id": _account_of(someone),
    }
    statement = insert(Commercial).values(values)
    statement = statement.on_conflict_do_update(  # made at sign-in meanwhile
        index_elements=["organisation_id", "external_id"],
        set_={"email": func.coalesce(Commercial.email, statement.excluded.email)},
    )
    return db.session.scalars(statement.returning(Commercial), execution_options={"populate_existing": True}).one()


def _account_of(someone: Representative) -> UUID:
    matches = [User.subject == someone.external_id] if someone.external_id else []
    if someone.email:
        matches.append((func.lower(User.email) == someone.email) & (User.email_verified | User.issuer.is_(None)))
    taken = select(Commercial.user_id).where(Commercial.user_id.is_not(None))
    user_id = db.session.scalar(
        select(User.id).where(or_(*matches), User.id.not_in(taken)).order_by(User.issuer.nulls_last()).limit(1)
    )
    if user_id is not None:
        return user_id
    user = User(
        id=new_id(),
        subject=someone.external_id,
        email=someone.email,
        first_name=someone.first_name,
        last_name=someone.last_name,
    )
    db.session.add(user)
    db.session.flush()
    return user.id
