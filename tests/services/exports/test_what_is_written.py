"""What files hold of lists whose rows are not told by columns alone: opened, worded, or seen by some only."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.exports.wanting import csv_rows, want, write
from tests.woocommerce_rows import make_event, make_resource, make_shop
from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.duplicates import DuplicatePair, PairScore
from webapp.models.events import EventState
from webapp.models.exports import ExportFormat
from webapp.models.journal import JournalEntry, JournalKind
from webapp.models.messages import SuppressionReason
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.models.woocommerce import ResourceKind
from webapp.services import journal
from webapp.services.duplicates.pairs import PairsView, SeenPairs, own_only
from webapp.services.exports.exported_list import Everything
from webapp.services.exports.lists.operations import OperationsOf
from webapp.services.journal import JournalView
from webapp.services.messages import suppressing
from webapp.services.subscriptions.saved_methods import CardsView, Expiry
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.status import ItemsView
from webapp.services.woocommerce.events_listing import EventsView
from webapp.services.woocommerce.reviewing import ReviewView

IBAN = "FR1420041010050500013M02606"


def exported(key: str, view: object, cast: Cast) -> list[list[str]]:
    """The rows of the CSV file of an admin, its headings left out."""
    return csv_rows(write(want(key, view, by=cast.admin), by=cast.admin))[1:]


def test_blocked_addresses_are_written_as_the_page_shows_them(cast: Cast) -> None:
    suppressing.block("lea@example.org", by=cast.admin, at=NOW)
    suppressing.suppress("mort@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=NOW + timedelta(1))
    gone = suppressing.list_suppressions()[0].suppression.id
    suppressing.block("06 39 98 12 34", by=cast.admin, at=NOW - timedelta(days=1))
    rows = exported("adresses-bloquees", Everything(), cast)
    assert [row[0] for row in rows] == ["mort@example.org", "lea@example.org", "06 39 98 12 34"]
    suppressing.lift(gone, by=cast.admin, at=NOW)
    assert len(exported("adresses-bloquees", Everything(), cast)) == 2
    wanted = want("adresses-bloquees", Everything(), by=cast.admin, file_format=ExportFormat.XLSX)
    assert write(wanted, by=cast.admin)


@pytest.mark.parametrize(("dry_run", "word"), [(False, "Mis à jour"), (True, "À mettre à jour")])
def test_items_of_a_run_say_what_changed_with_ibans_masked(cast: Cast, dry_run: bool, word: str) -> None:
    run = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.SUCCESS, started_at=NOW, dry_run=dry_run)
    db.session.add(run)
    db.session.flush()
    item_id = new_id()
    images = {
        name: field_changes.seal(
            values,
            organisation_id=cast.organisation.id,
            table_column=f"sync_items.{name}",
            row_id=item_id,
        )
        for name, values in (("before", {"city": "Lille"}), ("after", {"city": "Lyon", "iban": IBAN}))
    }
    db.session.add(
        SyncItem(id=item_id, run_id=run.id, external_id="397", kind=ItemKind.UPDATED, label="HAMDANI", **images)
    )
    db.session.add(SyncItem(run_id=run.id, external_id="398", kind=ItemKind.SKIPPED, reason="Sans contrat"))
    db.session.flush()
    [row] = exported("elements-de-synchronisation", ItemsView(run.id, (ItemKind.UPDATED,)), cast)
    assert row[:4] == [word, "HAMDANI", "397", ""]
    assert row[4] == "Ville\u202f: Lille"
    assert "Ville\u202f: Lyon · IBAN\u202f: FR••" in row[5]
    assert IBAN not in row[5]
    assert len(exported("elements-de-synchronisation", ItemsView(run.id, tuple(ItemKind)), cast)) == 2


def test_a_commercial_exports_the_pairs_that_are_theirs_to_decide(cast: Cast) -> None:
    own, others = ([factories.ClientFactory(commercial_id=each) for _ in range(2)] for each in _sellers(cast))
    for clients in (own, others):
        low, high = sorted(clients, key=lambda each: each.id)
        pair = DuplicatePair(
            first_id=low.id,
            second_id=high.id,
            score=PairScore.CERTAIN,
            evidence=["name", "email"],
            search_id=new_id(),
        )
        db.session.add(pair)
    db.session.flush()
    assert len(exported("doublons", SeenPairs(PairsView(), own_only(cast.admin)), cast)) == 2
    [row] = exported("doublons", SeenPairs(PairsView(), own_only(cast.commercial)), cast)
    assert row[:2] == ["Certain", "même nom, même e-mail"]


def _sellers(cast: Cast) -> tuple[object, object]:
    return cast.sales_rep.id, factories.CommercialFactory().id


def test_the_journal_is_written_with_its_facts_in_order(cast: Cast) -> None:
    journal.note(JournalKind.DISCLOSURE, {"Client": "C-1", "Lignes": 3, "Tout": True}, by=cast.manager, at=NOW)
    journal.note(JournalKind.ERASURE, {}, by=None, at=NOW + timedelta(minutes=1))
    rows = exported("journal", JournalView(), cast)
    assert [row[1:] for row in rows] == [
        ["Le CRM", "Effacement", ""],
        [cast.manager.full_name, "Remise de données", "Client\u202f: C-1 · Lignes\u202f: 3 · Tout\u202f: oui"],
    ]
    assert len(exported("journal", JournalView(user_id=cast.manager.id), cast)) == 1
    kinds = db.session.scalars(select(JournalEntry.kind).where(JournalEntry.kind == JournalKind.EXPORT)).all()
    assert len(kinds) == 2, "each export of the journal is an entry of it"


def test_what_shops_tell_is_written_without_bodies(cast: Cast) -> None:
    shop = make_shop()
    make_event(shop, 1, EventState.FAILED, body={"id": 1, "email": "secret@example.org"})
    make_event(shop, 2)
    make_event(shop, 3, topic="pull.order")
    review = [{"code": "UNKNOWN_STATUS", "sentence": "État inconnu de nous."}, {"code": "AUTRE", "sentence": "Quoi."}]
    make_resource(
        shop, 7, factories.ClientFactory(last_name="AMIEL", first_name=""), kind=ResourceKind.ORDER, review=review
    )
    make_resource(shop, 8, kind=ResourceKind.ORDER)
    rows = exported("evenements-de-boutiques", EventsView(), cast)
    assert [row[1:7] for row in rows] == [
        ["Boutique 1", "Relevé", "Commande", "3", "Traité", ""],
        ["Boutique 1", "Commande mise à jour", "Commande", "2", "Traité", ""],
        ["Boutique 1", "Commande mise à jour", "Commande", "1", "En échec", "Une raison."],
    ]
    assert len(exported("evenements-de-boutiques", EventsView(state=EventState.FAILED), cast)) == 1
    why = "État inconnu\u202f: État inconnu de nous. · AUTRE\u202f: Quoi."
    assert exported("a-revoir", ReviewView(), cast) == [["Commande", "7", "AMIEL", "Boutique 1", why]]
    assert exported("a-revoir", ReviewView(code="MISSING"), cast) == []


def _make_cards(*days: int) -> None:
    account, client = factories.ProviderAccountFactory(), factories.ClientFactory()
    for each in days:
        expires_on = (NOW + timedelta(days=each)).date()
        factories.SavedPaymentMethodFactory(client_id=client.id, provider_account_id=account.id, expires_on=expires_on)


def test_operations_and_cards_are_narrowed_as_on_their_pages(cast: Cast) -> None:
    for kind in (OperationKind.BULK, OperationKind.MERGE):
        db.session.add(Operation(kind=kind, title=kind.label, state=OperationState.DONE, by_id=cast.admin.id))
    _make_cards(-10, 10, 100)
    db.session.flush()
    assert len(exported("operations", OperationsOf(None), cast)) == 2
    [row] = exported("operations", OperationsOf(OperationKind.MERGE), cast)
    assert row[:4] == ["Fusion", "Terminée", "0", cast.admin.full_name]
    assert len(exported("cartes", CardsView(), cast)) == 2
    assert len(exported("cartes", CardsView(expiry=Expiry.EXPIRED), cast)) == 1


def test_nothing_of_another_organisation_is_written(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        factories.ProductFactory()
        shop = make_shop()
        make_event(shop)
        make_resource(shop, 7, kind=ResourceKind.ORDER, review=[{"code": "MISSING", "sentence": "Absente."}])
        suppressing.block("lea@example.org", by=cast.outsider, at=NOW)
        journal.note(JournalKind.ERASURE, {}, by=None, at=NOW)
        db.session.add(Operation(kind=OperationKind.BULK, title="Ailleurs", state=OperationState.DONE))
        db.session.add(SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.SUCCESS, started_at=NOW))
        _make_cards(0)
        db.session.flush()
    views = {
        "journal": JournalView(),
        "adresses-bloquees": Everything(),
        "evenements-de-boutiques": EventsView(),
        "a-revoir": ReviewView(),
        "operations": OperationsOf(None),
        "synchronisations": Everything(),
        "cartes": CardsView(),
    }
    assert [key for key, view in views.items() if exported(key, view, cast)] == []
