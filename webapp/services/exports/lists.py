"""The lists that can be exported: of each, its rows in its order, and the columns that it can have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Select

from webapp.french import plural
from webapp.models.charges import Attention
from webapp.models.messages import MessageKind
from webapp.models.operations import OperationKind
from webapp.services import journal, outbox
from webapp.services.bank_files import columns as bank_file_columns
from webapp.services.bank_files import listing as bank_files
from webapp.services.charges import columns as charge_columns
from webapp.services.charges import event_columns as outbox_columns
from webapp.services.charges import listing as charges
from webapp.services.charges.listing import ChargesView
from webapp.services.claims import columns as claim_columns
from webapp.services.claims import listing as claims
from webapp.services.claims.listing import ClaimsView
from webapp.services.clients import columns as client_columns
from webapp.services.clients import listing as clients
from webapp.services.clients import task_columns, tasks
from webapp.services.clients.selection import ClientsView
from webapp.services.clients.tasks import Whose
from webapp.services.contracts import columns as contract_columns
from webapp.services.contracts import listing as contracts
from webapp.services.contracts.selection import ContractsView
from webapp.services.covers import columns as cover_columns
from webapp.services.covers import listing as covers
from webapp.services.covers.listing import CoversView
from webapp.services.dunning import columns as case_columns
from webapp.services.dunning import figures as dunning_figures
from webapp.services.dunning import letters as dunning_letters
from webapp.services.dunning import listing as cases
from webapp.services.dunning.figures import DocumentsView
from webapp.services.dunning.listing import CasesView
from webapp.services.dunning.listing import ClaimsView as DunningClaimsView
from webapp.services.duplicates import columns as pair_columns
from webapp.services.duplicates import pairs
from webapp.services.duplicates.pairs import SeenPairs
from webapp.services.fulfilment import columns as fulfilment_columns
from webapp.services.fulfilment import listing as batches
from webapp.services.fulfilment import products
from webapp.services.fulfilment import shipment_listing as shipments
from webapp.services.fulfilment.listing import LinesView
from webapp.services.fulfilment.shipment_listing import ShipmentsView
from webapp.services.invoices import columns as invoice_columns
from webapp.services.invoices import listing as invoices
from webapp.services.invoices.listing import InvoicesView
from webapp.services.journal import JournalView
from webapp.services.list_columns import ListColumn
from webapp.services.mandates import columns as mandate_columns
from webapp.services.mandates import listing as mandates
from webapp.services.mandates.listing import MandatesView
from webapp.services.messages import columns as message_columns
from webapp.services.messages import listing as messages
from webapp.services.messages import suppressing
from webapp.services.messages.listing import MessagesView
from webapp.services.operations import columns as operation_columns
from webapp.services.operations import listing as operations
from webapp.services.provider_events import columns as event_columns
from webapp.services.provider_events import listing as provider_events
from webapp.services.provider_events.listing import EventsView
from webapp.services.subscriptions import columns as subscription_columns
from webapp.services.subscriptions import coupons, other_columns, saved_methods
from webapp.services.subscriptions import listing as subscriptions
from webapp.services.subscriptions.listing import SubscriptionsView
from webapp.services.subscriptions.saved_methods import CardsView
from webapp.services.winleadplus import columns as sync_columns
from webapp.services.winleadplus import status as syncs
from webapp.services.winleadplus.status import ItemsView
from webapp.services.woocommerce import columns as shop_columns
from webapp.services.woocommerce import events_listing as shop_events
from webapp.services.woocommerce import reviewing
from webapp.services.woocommerce.events_listing import EventsView as ShopEventsView
from webapp.services.woocommerce.reviewing import ReviewView


@dataclass(frozen=True)
class Everything:
    """The view of a list without filters."""


@dataclass(frozen=True)
class NeedingPerson:
    """The charges that need a person, for that reason or any."""

    attention: Attention | None


@dataclass(frozen=True)
class OfFile:
    """The debits of a bank file."""

    file_id: UUID


@dataclass(frozen=True)
class OpenTasks:
    """The open tasks that somebody sees."""

    whose: Whose
    viewer_id: UUID


@dataclass(frozen=True)
class OfBatch:
    """The lines of a batch that wait for a person."""

    batch_id: UUID


@dataclass(frozen=True)
class LettersOf:
    """The letters that wait to be posted, of that kind or any."""

    kind: MessageKind | None


@dataclass(frozen=True)
class OperationsOf:
    """The operations of that kind, or any."""

    kind: OperationKind | None


@dataclass(frozen=True)
class ProductsNamed:
    """The products whose name holds that."""

    search: str


@dataclass(frozen=True)
class ExportedList:
    """A list. ``title`` names it, ``one`` and ``many`` its rows; ``view`` is the class of its views.

    ``select`` gives the rows of a view today, in its order, joined with what ``columns`` need. ``default`` are the keys
    of the columns that the page shows; all where there are none.
    """

    key: str
    title: str
    one: str
    many: str
    view: type
    select: Callable[[Any, date], Select[*tuple[Any, ...]]]
    columns: Callable[[date], Sequence[ListColumn]]
    default: Sequence[str] = ()

    def rows(self, number: int) -> str:
        """The word for so many rows."""
        return plural(number, self.one, self.many)

    def defaults(self, today: date) -> list[str]:
        """The keys of the columns that the page shows."""
        return list(self.default) or [column.key for column in self.columns(today)]

    def written(self, view: Any) -> str:
        """A view as JSON, for ``read``."""
        adapter: TypeAdapter[Any] = TypeAdapter(self.view)
        return adapter.dump_json(view).decode()

    def read(self, text: str) -> Any:
        """The view that was written. Raises ValueError for what an earlier version wrote and nobody can read now."""
        return TypeAdapter(self.view).validate_json(text)


Rows = Select[*tuple[Any, ...]]


def _list(
    key: str,
    title: str,
    one: str,
    *,
    view: type,
    select: Callable[[Any], Rows],
    columns: Sequence[ListColumn],
    default: Sequence[str] = (),
    many: str = "",
) -> ExportedList:
    """A list whose columns and rows do not depend on the day."""

    def select_any_day(seen: Any, _today: date) -> Rows:
        return select(seen)

    return ExportedList(key, title, one, many or plural(2, one), view, select_any_day, lambda _: columns, default)


_ALL = (
    _list(
        "clients",
        "Clients",
        "client",
        view=ClientsView,
        select=clients.select_all,
        columns=client_columns.COLUMNS,
        default=client_columns.DEFAULT,
    ),
    _list(
        "taches",
        "Tâches",
        "tâche",
        view=OpenTasks,
        select=lambda view: tasks.select_all(view.whose, view.viewer_id),
        columns=task_columns.COLUMNS,
    ),
    _list(
        "contrats",
        "Contrats",
        "contrat",
        view=ContractsView,
        select=contracts.select_all,
        columns=contract_columns.COLUMNS,
        default=contract_columns.DEFAULT,
    ),
    _list(
        "abonnements",
        "Abonnements",
        "abonnement",
        view=SubscriptionsView,
        select=subscriptions.select_all,
        columns=subscription_columns.COLUMNS,
        default=subscription_columns.DEFAULT,
    ),
    _list(
        "prelevements",
        "Prélèvements",
        "prélèvement",
        view=ChargesView,
        select=charges.select_all,
        columns=charge_columns.COLUMNS,
        default=charge_columns.DEFAULT,
    ),
    _list(
        "prelevements-a-traiter",
        "Prélèvements à traiter",
        "prélèvement",
        view=NeedingPerson,
        select=lambda view: charges.select_needing_person(view.attention),
        columns=charge_columns.COLUMNS,
        default=charge_columns.DEFAULT,
    ),
    _list(
        "factures",
        "Factures et avoirs",
        "facture ou avoir",
        many="factures et avoirs",
        view=InvoicesView,
        select=invoices.select_all,
        columns=invoice_columns.COLUMNS,
        default=invoice_columns.DEFAULT,
    ),
    _list(
        "fichiers-bancaires",
        "Fichiers bancaires",
        "fichier",
        view=Everything,
        select=lambda _: bank_files.select_all_files(),
        columns=bank_file_columns.FILES,
    ),
    _list(
        "fichier-bancaire",
        "Prélèvements du fichier",
        "prélèvement",
        view=OfFile,
        select=lambda view: bank_files.select_all_debits(view.file_id),
        columns=bank_file_columns.DEBITS,
    ),
    ExportedList(
        "mandats",
        "Mandats à compléter",
        "mandat",
        "mandats",
        MandatesView,
        lambda view, today: mandates.select_all(view, today=today),
        mandate_columns.columns,
        mandate_columns.DEFAULT,
    ),
    ExportedList(
        "couvertures",
        "Couvertures",
        "couverture",
        "couvertures",
        CoversView,
        lambda view, _: covers.select_all(view),
        lambda _: cover_columns.COVERS,
        cover_columns.DEFAULT,
    ),
    _list(
        "dossiers",
        "Dossiers de sinistre",
        "dossier",
        view=ClaimsView,
        select=claims.select_all,
        columns=claim_columns.CLAIMS,
        default=claim_columns.DEFAULT,
    ),
    ExportedList(
        "relances",
        "Dossiers de relance",
        "dossier",
        "dossiers",
        CasesView,
        lambda view, today: cases.select_all(view, today=today),
        lambda _: case_columns.COLUMNS,
        case_columns.DEFAULT,
    ),
    _list(
        "lots",
        "Lots",
        "lot",
        view=Everything,
        select=lambda _: batches.select_all_past(),
        columns=fulfilment_columns.BATCHES,
    ),
    _list(
        "lignes-de-lot",
        "Lignes du lot",
        "ligne",
        view=LinesView,
        select=batches.select_all_lines,
        columns=fulfilment_columns.LINES,
    ),
    _list(
        "expeditions",
        "Expéditions",
        "expédition",
        view=ShipmentsView,
        select=shipments.select_all,
        columns=fulfilment_columns.SHIPMENTS,
        default=fulfilment_columns.SHIPMENTS_DEFAULT,
    ),
    _list(
        "messages",
        "Messages",
        "message",
        view=MessagesView,
        select=messages.select_all,
        columns=message_columns.COLUMNS,
        default=message_columns.DEFAULT,
    ),
    _list(
        "notifications",
        "Notifications",
        "notification",
        view=EventsView,
        select=provider_events.select_all,
        columns=event_columns.COLUMNS,
    ),
    _list(
        "evenements",
        "Événements",
        "événement",
        view=Everything,
        select=lambda _: outbox.select_all(),
        columns=outbox_columns.COLUMNS,
    ),
    _list(
        "lettres",
        "Lettres à poster",
        "lettre",
        view=LettersOf,
        select=lambda view: messages.select_all_letters(view.kind),
        columns=message_columns.LETTERS,
    ),
    _list(
        "lettres-de-relance",
        "Lettres de relance à poster",
        "lettre",
        view=Everything,
        select=lambda _: dunning_letters.select_all_waiting(),
        columns=case_columns.LETTERS,
    ),
    ExportedList(
        "creances",
        "Créances",
        "créance",
        "créances",
        DunningClaimsView,
        lambda view, today: cases.select_all_claims(view, today=today),
        lambda _: case_columns.CLAIMS,
    ),
    _list(
        "documents-a-payer",
        "À payer à la fin d’un mois",
        "document",
        view=DocumentsView,
        select=dunning_figures.select_all_receivables,
        columns=case_columns.DOCUMENTS,
    ),
    _list(
        "documents-du-mois",
        "Facturé en un mois",
        "document",
        view=DocumentsView,
        select=dunning_figures.select_all_revenue,
        columns=case_columns.DOCUMENTS,
    ),
    _list(
        "adresses-bloquees",
        "Adresses bloquées",
        "adresse",
        view=Everything,
        select=lambda _: suppressing.select_all_suppressions(),
        columns=message_columns.SUPPRESSIONS,
    ),
    _list(
        "lignes-a-decider",
        "Lignes à décider du lot",
        "ligne",
        view=OfBatch,
        select=lambda view: batches.select_all_attention(view.batch_id),
        columns=fulfilment_columns.LINES,
    ),
    _list(
        "produits-expedies",
        "Produits expédiés",
        "produit",
        view=ProductsNamed,
        select=lambda view: products.select_all(view.search),
        columns=fulfilment_columns.PRODUCTS,
    ),
    _list(
        "coupons",
        "Coupons",
        "coupon",
        view=Everything,
        select=lambda _: coupons.select_all(),
        columns=other_columns.COUPONS,
    ),
    ExportedList(
        "cartes",
        "Cartes qui expirent",
        "carte",
        "cartes",
        CardsView,
        lambda view, today: saved_methods.select_all(view, today=today),
        lambda _: other_columns.CARDS,
    ),
    _list(
        "doublons",
        "Doublons",
        "paire",
        view=SeenPairs,
        select=pairs.select_all,
        columns=pair_columns.COLUMNS,
    ),
    _list(
        "synchronisations",
        "Synchronisations",
        "synchronisation",
        view=Everything,
        select=lambda _: syncs.select_all_runs(),
        columns=sync_columns.RUNS,
    ),
    _list(
        "elements-de-synchronisation",
        "Éléments de la synchronisation",
        "élément",
        view=ItemsView,
        select=syncs.select_all_items,
        columns=sync_columns.ITEMS,
    ),
    _list(
        "operations",
        "Opérations",
        "opération",
        view=OperationsOf,
        select=lambda view: operations.select_all(view.kind),
        columns=operation_columns.COLUMNS,
        default=operation_columns.DEFAULT,
    ),
    _list(
        "evenements-de-boutiques",
        "Événements des boutiques",
        "événement",
        view=ShopEventsView,
        select=shop_events.select_all,
        columns=shop_columns.EVENTS,
    ),
    _list(
        "a-revoir",
        "À revoir dans les boutiques",
        "ressource",
        view=ReviewView,
        select=reviewing.select_all,
        columns=shop_columns.REVIEWS,
    ),
    _list(
        "journal",
        "Journal",
        "entrée",
        view=JournalView,
        select=journal.select_all,
        columns=journal.COLUMNS,
    ),
)
LISTS = {each.key: each for each in _ALL}
