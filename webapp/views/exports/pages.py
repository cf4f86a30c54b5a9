"""Which page shows which list: where « Exporter » stands for it, who may, and how its address is read."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from flask import request

from webapp.models.charges import Attention
from webapp.models.identity import Role
from webapp.models.messages import MessageKind
from webapp.models.operations import OperationKind
from webapp.security import current_user
from webapp.services.bank_files import listing as bank_files
from webapp.services.duplicates.pairs import SeenPairs, own_only
from webapp.services.exports.exported_list import Everything
from webapp.services.exports.lists.clients import OpenTasks
from webapp.services.exports.lists.fulfilment import OfBatch, ProductsNamed
from webapp.services.exports.lists.messages import LettersOf
from webapp.services.exports.lists.money import NeedingPerson, OfFile
from webapp.services.exports.lists.operations import OperationsOf
from webapp.services.fulfilment import listing as batches
from webapp.views import invoices, journal, winleadplus
from webapp.views.charges import listing as charges
from webapp.views.claims import listing as claims
from webapp.views.clients import duplicates, expiring, tasks
from webapp.views.clients import listing as clients
from webapp.views.contracts import listing as contracts
from webapp.views.covers import listing as covers
from webapp.views.dunning import figures as dunning_figures
from webapp.views.dunning import listing as dunning
from webapp.views.figures import depanssur
from webapp.views.fulfilment import page as batch
from webapp.views.fulfilment import shipments
from webapp.views.lists import read
from webapp.views.mandates import listing as mandates
from webapp.views.messages import listing as messages
from webapp.views.operators import events as operator_events
from webapp.views.provider_events import listing as provider_events_listing
from webapp.views.shown_lists import ListPage
from webapp.views.subscriptions import cards
from webapp.views.subscriptions import listing as subscriptions
from webapp.views.woocommerce import events as shop_events
from webapp.views.woocommerce import reviews as shop_reviews

ADMINS = (Role.ADMIN,)
MANAGERS = (Role.MANAGER, Role.ADMIN)
EVERYBODY = tuple(Role)


class ExportedPage(NamedTuple):
    """A page that shows the list ``key`` at ``path``, to ``roles``.

    ``view_of`` reads the view that the present address asks for, from what stands in its path; it raises NotFoundError
    where that is not there. Where the list has saved views, it is ``saved``, and ``view_of`` is given the arguments
    that its filters are to be read from. ``name`` tells pages of one list apart.
    """

    key: str
    path: str
    roles: tuple[Role, ...]
    view_of: Callable[..., Any]
    tab: str = ""
    saved: ListPage | None = None

    @property
    def name(self) -> str:
        """What ``export_link`` calls it."""
        return f"{self.key}-{self.tab}" if self.tab else self.key


def _of_file(file_id: UUID) -> OfFile:
    bank_files.find_file(file_id)
    return OfFile(file_id)


def _shipments_of_batch(batch_id: UUID) -> Any:
    batches.show_batch(batch_id)
    return shipments.read_view(batch_id)


def _lines_of_batch(batch_id: UUID) -> Any:
    batches.show_batch(batch_id)
    return batch.read_view(batch_id)


def _lines_to_decide(batch_id: UUID) -> OfBatch:
    batches.show_batch(batch_id)
    return OfBatch(batch_id)


def _seen_pairs() -> SeenPairs:
    return SeenPairs(duplicates.read_view(), own_only(current_user()))


PAGES = (
    ExportedPage("clients", "/clients", EVERYBODY, lambda asked: clients.read_view(asked)[0], saved=clients.PAGE),
    ExportedPage("taches", "/taches", EVERYBODY, lambda: OpenTasks(tasks.read_whose(), current_user().id)),
    ExportedPage("documents-a-renouveler", "/taches/documents", EVERYBODY, expiring.read_view),
    ExportedPage("contrats", "/contrats", EVERYBODY, lambda asked: contracts.read_view(asked)[0], saved=contracts.PAGE),
    ExportedPage("abonnements", "/abonnements", EVERYBODY, subscriptions.read_view, saved=subscriptions.PAGE),
    ExportedPage("prelevements", "/prelevements", MANAGERS, charges.read_view, saved=charges.PAGE),
    ExportedPage(
        "prelevements-a-traiter",
        "/prelevements/a-traiter",
        MANAGERS,
        lambda: NeedingPerson(read(Attention, request.args.get("motif"))),
    ),
    ExportedPage("fichiers-bancaires", "/prelevements/fichiers", MANAGERS, Everything),
    ExportedPage("fichier-bancaire", "/prelevements/fichiers/<uuid:file_id>", MANAGERS, _of_file),
    ExportedPage("mandats", "/prelevements/mandats", MANAGERS, mandates.read_view),
    ExportedPage("notifications", "/prelevements/notifications", MANAGERS, provider_events_listing.read_view),
    ExportedPage("factures", "/factures", EVERYBODY, invoices.read_view, saved=invoices.PAGE),
    ExportedPage("couvertures", "/couvertures", EVERYBODY, covers.read_view),
    ExportedPage("dossiers", "/dossiers", EVERYBODY, claims.read_view),
    ExportedPage(
        "evenements-d-operateurs",
        "/couvertures/operateurs/evenements",
        MANAGERS,
        lambda: operator_events.view_of(request.args),
    ),
    *(
        ExportedPage(
            f"{group}-depanssur",
            f"/statistiques/depanssur/{group}/<string:figure>",
            EVERYBODY,
            depanssur.read_rows_of(group),
        )
        for group in depanssur.GROUPS
    ),
    ExportedPage("relances", "/relances", EVERYBODY, dunning.read_view),
    ExportedPage("lots", "/lots", EVERYBODY, Everything),
    ExportedPage("lignes-de-lot", "/lots/<uuid:batch_id>", EVERYBODY, _lines_of_batch),
    ExportedPage("expeditions", "/lots/<uuid:batch_id>/expeditions", EVERYBODY, _shipments_of_batch, tab="du-lot"),
    ExportedPage("expeditions", "/expeditions", EVERYBODY, shipments.read_view),
    ExportedPage("messages", "/messages", MANAGERS, messages.read_view),
    ExportedPage(
        "lettres", "/messages/lettres", MANAGERS, lambda: LettersOf(read(MessageKind, request.args.get("genre")))
    ),
    ExportedPage("lettres-de-relance", "/relances/lettres", MANAGERS, Everything),
    ExportedPage("creances", "/relances/chiffres/creances", EVERYBODY, dunning_figures.read_claims),
    ExportedPage(
        "documents-a-payer",
        "/relances/chiffres/dso/<string:mois>/creances",
        EVERYBODY,
        dunning_figures.read_documents,
    ),
    ExportedPage(
        "documents-du-mois", "/relances/chiffres/dso/<string:mois>/ventes", EVERYBODY, dunning_figures.read_documents
    ),
    ExportedPage("adresses-bloquees", "/reglages/messages/adresses-bloquees", ADMINS, Everything),
    ExportedPage("lignes-a-decider", "/lots/<uuid:batch_id>/de-cote", EVERYBODY, _lines_to_decide, tab="du-lot"),
    ExportedPage(
        "produits-expedies", "/lots/reglages/produits", ADMINS, lambda: ProductsNamed(request.args.get("q", ""))
    ),
    ExportedPage("coupons", "/abonnements/coupons", MANAGERS, Everything),
    ExportedPage("cartes", "/prelevements/cartes", MANAGERS, cards.read_view),
    ExportedPage("evenements", "/prelevements/evenements", ADMINS, Everything),
    ExportedPage("doublons", "/clients/doublons", EVERYBODY, _seen_pairs),
    ExportedPage("synchronisations", "/synchronisations", EVERYBODY, Everything),
    ExportedPage(
        "elements-de-synchronisation",
        "/synchronisations/<uuid:run_id>/elements",
        EVERYBODY,
        winleadplus.read_items_view,
    ),
    ExportedPage(
        "operations", "/operations", EVERYBODY, lambda: OperationsOf(read(OperationKind, request.args.get("genre")))
    ),
    ExportedPage(
        "evenements-de-boutiques",
        "/integrations/woocommerce/evenements",
        MANAGERS,
        lambda: shop_events.view_of(request.args),
    ),
    ExportedPage(
        "a-revoir", "/integrations/woocommerce/a-revoir", MANAGERS, lambda: shop_reviews.view_of(request.args)
    ),
    ExportedPage("journal", "/journal", ADMINS, journal.read_view),
)
