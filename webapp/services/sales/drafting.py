"""A sale as a draft: each step is saved by itself, so that any colleague goes on where it was left.

The client is locked before the sale, as everywhere: whoever merges clients, or sells, locks them first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import joinedload, selectinload

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.covers import CoveredHome, CoverPlan, CoverPlanVersion
from webapp.models.identity import User
from webapp.models.sales import CoverSale, SaleStep
from webapp.services.clients.creation import create_client
from webapp.services.clients.fields import ClientFields
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers import plans
from webapp.services.covers.homes import HomeFields
from webapp.services.dunning import days
from webapp.transactions import transaction

UNKNOWN = "Cette souscription n’existe pas ou plus."
MEANWHILE = "Un collègue a modifié cette souscription entre-temps\u202f: relisez-la, rien n’a été écrasé."


class SaleStateError(DomainError):
    """The state of the sale does not allow this."""


def find_sale(sale_id: UUID) -> CoverSale:
    """The sale with its client, its home and what is sold. Raises NotFoundError."""
    found = _sales().where(CoverSale.id == sale_id).execution_options(populate_existing=True)
    return _found(db.session.scalar(found))


def _sales() -> Select[CoverSale]:
    version = joinedload(CoverSale.plan_version)
    return select(CoverSale).options(
        joinedload(CoverSale.client),
        joinedload(CoverSale.owner),
        joinedload(CoverSale.home),
        version.selectinload(CoverPlanVersion.options),
        version.selectinload(CoverPlanVersion.zones),
        version.selectinload(CoverPlanVersion.documents),
        version.joinedload(CoverPlanVersion.plan).options(
            joinedload(CoverPlan.company), selectinload(CoverPlan.versions)
        ),
    )


def _found(sale: CoverSale | None) -> CoverSale:
    if sale is None:
        raise NotFoundError(UNKNOWN)
    return sale


def lock_sale(sale_id: UUID) -> CoverSale:
    """The sale, whose client and which itself nobody changes meanwhile. Raises NotFoundError."""
    for _ in range(2):  # a merge may have moved it to another client before we had the lock
        client_id = db.session.scalar(select(CoverSale.client_id).where(CoverSale.id == sale_id))
        db.session.execute(select(Client.id).where(Client.id == client_id).with_for_update(key_share=True))
        locking = select(CoverSale.client_id).where(CoverSale.id == sale_id).with_for_update()
        if db.session.scalar(locking) == client_id:
            break
    found = _sales().where(CoverSale.id == sale_id).execution_options(populate_existing=True)
    return _found(db.session.scalar(found))


@contextmanager
def step(sale_id: UUID, done: SaleStep | None, version: int, *, at: datetime) -> Iterator[CoverSale]:
    """Change a sale as its editor saw it: what is written within is saved with the step that is ``done``, if one is.

    A link that the client has leads nowhere any more: it was for something else. Raises NotFoundError; SaleStateError
    where the sale is signed or given up; EditConflictError where a colleague changed it meanwhile.
    """
    with transaction():
        sale = lock_sale(sale_id)
        check_open(sale)
        if sale.version != version:
            raise EditConflictError(MEANWHILE)
        if sale.step is done:
            sale.step = done.following
        yield sale
        sale.version += 1
        sale.changed_at = at
        sale.token_hash = sale.token_expires_at = sale.sent_at = sale.sent_by_id = None


def check_open(sale: CoverSale) -> None:
    """Raise SaleStateError where the sale can no longer be changed or signed."""
    if sale.client.erased_at:
        raise SaleStateError("Les données de ce client sont effacées\u202f: rien ne peut lui être vendu.")
    if sale.signed_at:
        raise SaleStateError("Cette souscription est signée\u202f: elle ne change plus.")
    if sale.abandoned_at:
        raise SaleStateError("Cette souscription est abandonnée.")


def abandon(sale_id: UUID, *, version: int, at: datetime) -> CoverSale:
    """Give the sale up; nothing of it is left but the row. Raises as ``step``."""
    with transaction():
        if lock_sale(sale_id).abandoned_at is None:
            with step(sale_id, None, version, at=at) as sale:
                sale.abandoned_at = at
    return find_sale(sale_id)


def open_sale(client_id: UUID, *, sale_id: UUID | None, by: User, at: datetime) -> CoverSale:
    """Begin a sale to a client. A form brings the ``sale_id``: sent twice, it begins one. Raises NotFoundError."""
    with transaction():
        standing = _standing(sale_id)
        _find_client(client_id)
        if standing:
            return standing
        sale = CoverSale(
            id=sale_id or new_id(),
            client_id=client_id,
            owner_id=by.id,
            step=SaleStep.HOME,
            changed_at=at,
            created_at=at,
        )
        db.session.add(sale)
    return sale


def _standing(sale_id: UUID | None) -> CoverSale | None:
    """The sale that a form began when it was sent before. Sent twice at once, the second waits for the first."""
    if sale_id is None:
        return None
    name = f"sale|{tenancy.current_organisation_id()}|{sale_id}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
    return db.session.scalar(_sales().where(CoverSale.id == sale_id))


def _find_client(client_id: UUID) -> None:
    """The client is locked, so that nobody erases or merges it meanwhile."""
    present = Client.id == client_id, Client.erased_at.is_(None), Client.archived_at.is_(None)
    if db.session.scalar(select(Client.id).where(*present).with_for_update(key_share=True)) is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")


def open_with_client(
    written: ClientFields, *, confirmed: bool, sale_id: UUID | None, by: User, at: datetime
) -> CoverSale:
    """Create the client and begin the sale, both or none.

    Raises InvalidInputError, naming the field; SimilarClientsError unless ``confirmed``.
    """
    with transaction():
        if standing := _standing(sale_id):
            return standing
        client = create_client(written, bank=None, confirmed=confirmed, by=by, at=at)
        return open_sale(client.id, sale_id=sale_id, by=by, at=at)


def choose_client(sale_id: UUID, client_id: UUID | None, *, version: int, at: datetime) -> CoverSale:
    """Sell to another client: what was the former one's (home, means of payment) is to be chosen anew."""
    with step(sale_id, SaleStep.CLIENT, version, at=at) as sale:
        if client_id is None:
            raise InvalidInputError("Choisissez un client.", field="client")
        _find_client(client_id)
        if client_id != sale.client_id:
            sale.client_id, sale.step = client_id, SaleStep.HOME
            _write_home(sale, None, HomeFields())
            sale.documents_version_id = sale.documents_way = sale.documents_given_at = None
            forget_payment(sale)
    return find_sale(sale_id)


def forget_payment(sale: CoverSale) -> None:
    """How it is paid is to be chosen anew."""
    sale.payment_method = sale.saved_method_id = sale.mandate_id = None
    sale.follows_default = sale.asks_client = False


def write_home(sale_id: UUID, home_id: UUID | None, written: HomeFields, *, version: int, at: datetime) -> CoverSale:
    """Say which home is covered: one of the client's, or a further one. Raises as ``step``; InvalidInputError, naming
    the field, also where no plan is sold there. A plan that is not sold there is to be chosen anew.
    """
    with step(sale_id, SaleStep.HOME, version, at=at) as sale:
        home: CoveredHome | HomeFields
        if home_id is not None:
            home = _find_home(sale.client_id, home_id)
            _write_home(sale, home_id, HomeFields())
        else:
            home = written.normalised(on=days.local(at))
            _write_home(sale, None, home)
        sold = list_sold_at(home)
        if not sold:
            raise InvalidInputError(_nothing_sold_at(home), field="postcode")
        if sale.plan_version_id and sale.plan_version_id not in {each.id for each in sold}:
            sale.plan_version_id, sale.plan_price, sale.option_codes, sale.step = None, None, [], SaleStep.PLAN
    return find_sale(sale_id)


def _find_home(client_id: UUID, home_id: UUID) -> CoveredHome:
    home = db.session.scalar(select(CoveredHome).where(CoveredHome.id == home_id, CoveredHome.client_id == client_id))
    if home is None:
        raise InvalidInputError("Choisissez un logement du client.", field="home")
    return home


def list_sold_at(home: CoveredHome | HomeFields) -> list[CoverPlanVersion]:
    """What is sold today for such a home."""
    return [each for each in plans.list_sold() if each.price_for(home.postcode, home.kind) is not None]


def _nothing_sold_at(home: CoveredHome | HomeFields) -> str:
    kind = home.kind.label.lower() if home.kind else "ce logement"
    return f"Aucune formule n’est vendue au code postal {home.postcode} pour un logement de type «\u00a0{kind}\u00a0»."


def _write_home(sale: CoverSale, home_id: UUID | None, written: HomeFields) -> None:
    sale.home_id = home_id
    sale.home_kind, sale.home_occupancy = written.kind, written.occupancy
    sale.home_occupied_since = written.occupied_since
    sale.home_address_line1, sale.home_address_line2 = written.address_line1 or None, written.address_line2
    sale.home_postcode, sale.home_city = written.postcode or None, written.city or None
    sale.home_access_notes = written.access_notes


def home_of(sale: CoverSale) -> CoveredHome | HomeFields:
    """The home as chosen or written."""
    return sale.home or HomeFields(
        kind=sale.home_kind,
        occupancy=sale.home_occupancy,
        occupied_since=sale.home_occupied_since,
        address_line1=sale.home_address_line1 or "",
        address_line2=sale.home_address_line2,
        postcode=sale.home_postcode or "",
        city=sale.home_city or "",
        access_notes=sale.home_access_notes,
    )


def home_line(sale: CoverSale) -> str:
    """The address of the home in a line."""
    return home_of(sale).one_line
