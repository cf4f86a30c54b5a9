"""What clients pay: subscriptions, charges, invoices, bank files, mandates, cards, and what providers tell of it."""

from dataclasses import dataclass
from uuid import UUID

from webapp.models.charges import Attention
from webapp.services import outbox
from webapp.services.bank_files import columns as bank_file_columns
from webapp.services.bank_files import listing as bank_files
from webapp.services.charges import columns as charge_columns
from webapp.services.charges import event_columns as outbox_columns
from webapp.services.charges import listing as charges
from webapp.services.charges.listing import ChargesView
from webapp.services.exports.exported_list import Everything, ExportedList
from webapp.services.invoices import columns as invoice_columns
from webapp.services.invoices import listing as invoices
from webapp.services.invoices.listing import InvoicesView
from webapp.services.mandates import columns as mandate_columns
from webapp.services.mandates import listing as mandates
from webapp.services.mandates.listing import MandatesView
from webapp.services.provider_events import columns as event_columns
from webapp.services.provider_events import listing as provider_events
from webapp.services.provider_events.listing import EventsView
from webapp.services.subscriptions import columns as subscription_columns
from webapp.services.subscriptions import coupons, other_columns, saved_methods
from webapp.services.subscriptions import listing as subscriptions
from webapp.services.subscriptions.listing import SubscriptionsView
from webapp.services.subscriptions.saved_methods import CardsView


@dataclass(frozen=True)
class NeedingPerson:
    """The charges that need a person, for that reason or any."""

    attention: Attention | None


@dataclass(frozen=True)
class OfFile:
    """The debits of a bank file."""

    file_id: UUID


LISTS = (
    ExportedList.of_any_day(
        "abonnements",
        "Abonnements",
        "abonnement",
        view=SubscriptionsView,
        select=subscriptions.select_all,
        columns=subscription_columns.COLUMNS,
        default=subscription_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "coupons",
        "Coupons",
        "coupon",
        view=Everything,
        select=lambda _: coupons.select_all(),
        columns=other_columns.COUPONS,
    ),
    ExportedList.of_any_day(
        "prelevements",
        "Prélèvements",
        "prélèvement",
        view=ChargesView,
        select=charges.select_all,
        columns=charge_columns.COLUMNS,
        default=charge_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "prelevements-a-traiter",
        "Prélèvements à traiter",
        "prélèvement",
        view=NeedingPerson,
        select=lambda view: charges.select_needing_person(view.attention),
        columns=charge_columns.COLUMNS,
        default=charge_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "factures",
        "Factures et avoirs",
        "facture ou avoir",
        many="factures et avoirs",
        view=InvoicesView,
        select=invoices.select_all,
        columns=invoice_columns.COLUMNS,
        default=invoice_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "fichiers-bancaires",
        "Fichiers bancaires",
        "fichier",
        view=Everything,
        select=lambda _: bank_files.select_all_files(),
        columns=bank_file_columns.FILES,
    ),
    ExportedList.of_any_day(
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
        "cartes",
        "Cartes qui expirent",
        "carte",
        "cartes",
        CardsView,
        lambda view, today: saved_methods.select_all(view, today=today),
        lambda _: other_columns.CARDS,
    ),
    ExportedList.of_any_day(
        "notifications",
        "Notifications",
        "notification",
        view=EventsView,
        select=provider_events.select_all,
        columns=event_columns.COLUMNS,
    ),
    ExportedList.of_any_day(
        "evenements",
        "Événements",
        "événement",
        view=Everything,
        select=lambda _: outbox.select_all(),
        columns=outbox_columns.COLUMNS,
    ),
)
