"""Erasing a client: what goes, what stays and why, and that nothing brings it back."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from tests.rows import make_row, table_named
from tests.services.merging.test_merging import merged
from tests.services.rights.markers import EMAIL, MARK, find_marks, mark_all
from tests.services.winleadplus.conftest import Sync
from tests.services.winleadplus.looking import client_of, items
from tests.services.winleadplus.raw import first
from tests.services.woocommerce import bodies
from tests.services.woocommerce.deliveries import deliver, events, make_signed_shop
from tests.upstream import Upstream
from webapp import tenancy
from webapp.errors import DomainError, ForbiddenError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.gateways.messaging import ProviderEvent
from webapp.models.banking import BankAccount
from webapp.models.clients import Client, ClientStatus
from webapp.models.consents import ConsentPurpose
from webapp.models.events import EventState
from webapp.models.identity import User
from webapp.models.journal import JournalEntry, JournalKind
from webapp.models.means_requests import MeansRequestStatus
from webapp.models.messages import Message, MessageEventKind
from webapp.models.operations import ItemAction, ListedIn, Operation, OperationItem, OperationState
from webapp.models.personal_data import ERASED, HOLDINGS
from webapp.models.saved_views import SavedList, SavedView
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import ItemKind
from webapp.services import bulk, saved_views
from webapp.services.clients import activities, documents, editing
from webapp.services.clients.activities import Genre
from webapp.services.clients.fields import ClientFields
from webapp.services.clients.selection import ClientsView
from webapp.services.consents import unsubscribing
from webapp.services.messages import hearing
from webapp.services.operations import deciding, runs, undoing, undoing_syncs
from webapp.services.operations.carry_out import carry_out
from webapp.services.rights import commands
from webapp.services.saved_views import ViewState
from webapp.services.woocommerce import handling

LATER = NOW + timedelta(hours=1)
KEPT = {f"{table}.{column}" for table, holding in HOLDINGS.items() for column in holding.kept} | {
    "contracts.reference_key"
}


def erased(client: Client, by: User) -> Operation:
    """Erase the client, as an admin would."""
    operation = commands.erase(client.id, typed=client.full_name, version=client.version, by=by, at=LATER)
    db.session.expire_all()
    assert operation.state is OperationState.DONE, operation.error
    return operation


def test_what_is_kept_by_law_stays_and_nothing_else_of_any_table(cast: Cast) -> None:
    client = factories.ClientFactory()
    mark_all(client)
    before = find_marks()
    erased(client, cast.admin)
    assert find_marks() <= KEPT
    must_be_gone = {f"{table}.{column}" for table, holding in HOLDINGS.items() for column in holding.goes}
    assert len(before & must_be_gone) > 60  # the test fills what it looks for
    assert {"messages.content", "bank_accounts.iban", "webhook_events.body"} <= before
    assert client.full_name == ERASED


def _marked_prospect(**more: object) -> dict[str, object]:
    words = {each: f"{MARK} {each}" for each in ("adresse", "ville")}
    account = {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPLIL", "mandatSepa": True}
    return first(
        397,
        nom=MARK,
        prenom="Zoé",
        email=EMAIL,
        telephone="0611223344",
        informationsPaiement=[account],
        **words,
        **more,
    )


def test_what_the_product_itself_writes_about_a_client_goes(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([_marked_prospect()])
    run = sync()
    winleadplus.serve([_marked_prospect(codePostal="69001")])
    sync()
    client, admin = client_of(397), cast.admin
    for genre in (Genre.NOTE, Genre.CALL, Genre.TASK):
        activities.record(client.id, genre, f"{MARK} a dit", due_on=LATER.date(), by=admin, at=NOW)
    document = documents.add_document(client.id, f"{MARK}.pdf", b"%PDF-1.7 zz", by=admin, at=NOW)
    fields = ClientFields.of(client)
    editing.edit_client(client.id, fields, version=client.version, bank=None, confirmed=True, by=admin, at=NOW)
    other = factories.ClientFactory(last_name=f"{MARK}2", email=None, city=MARK)
    db.session.commit()
    merge = merged(client, other, by=admin)
    path = document_store.path_of(document.stored_as, organisation_id=cast.organisation.id)
    assert path.is_file()
    assert {"sync_mappings.snapshot", "operations.title", "timeline_events.changes"} <= find_marks()

    erased(client, admin)

    assert find_marks() == set()
    assert not path.exists()
    assert other.full_name == ERASED  # a client that was merged into it is the same person
    told = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == client.id)).all()
    assert EventKind.CLIENT_ERASED in told
    # Nothing that is undone brings it back, and both say so.
    undo_id = undoing.plan_undo(merge.id, by=admin, at=LATER)
    carry_out(cast.organisation.id, undo_id)
    assert "effacées" in (runs.find(undo_id).error or "")

    undo_id = undoing_syncs.plan_undo(run.id, by=admin, at=LATER)
    carry_out(cast.organisation.id, undo_id)
    assert find_marks() == set()
    if runs.find(undo_id).state is OperationState.PLANNED:
        deciding.apply(undo_id, by=admin, at=LATER)
        carry_out(cast.organisation.id, undo_id)
    assert client_of(397).full_name == ERASED
    assert find_marks() == set()


SEARCHES = ("Lefèvre Zoé", "zoe LEFEVRE", "zoe.lefevre@exemple.fr", "+33611223344")


@pytest.mark.parametrize("search", SEARCHES)
def test_the_words_of_a_search_go_from_saved_views_and_from_bulk_actions(cast: Cast, search: str) -> None:
    client = factories.ClientFactory(
        last_name="Lefèvre", first_name="Zoé", email="zoe.lefevre@exemple.fr", phone="+33611223344"
    )
    others = factories.ClientFactory(last_name="Dupont").last_name
    db.session.commit()
    choice = bulk.BulkChoice(action=bulk.BulkAction.ARCHIVE)
    queries, operation_ids = {}, {}
    for words in (search, others):
        queries[words] = address = f"q={quote_plus(words)}"
        saved_views.create(SavedList.CLIENTS, ViewState(address), name=f"Vue {len(queries)}", by=cast.admin, at=NOW)
        selection = bulk.Selection(ClientsView(), listed_in=ListedIn(words, f"/clients?{address}"))
        operation_ids[words] = bulk.plan(selection, choice, by=cast.admin, at=NOW)

    erased(client, cast.admin)

    assert db.session.scalars(select(SavedView.query)).all() == [queries[others]]
    kept = {words: runs.find(operation_id) for words, operation_id in operation_ids.items()}
    assert kept[search].listed_in is None
    assert kept[others].listed_in_in_clear() == ListedIn(others, f"/clients?{queries[others]}")
    assert {each.title for each in kept.values()} == {"Archivage de 2 clients"}  # of whom it does not tell


def test_the_next_synchronisation_refuses_it(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([_marked_prospect()])
    sync()
    erased(client_of(397), cast.admin)
    for answer in (_marked_prospect(), _marked_prospect(codePostal="69001"), _marked_prospect(statut=7, contrats="x")):
        winleadplus.serve([answer])
        run = sync()
        assert (run.created, run.updated, run.skipped) == (0, 0, 1)
        assert find_marks() == set()
        [item] = items(run, *ItemKind)
        assert (item.label, item.payload) == ("", None)
        assert "effacé" in (item.reason or "")
    assert db.session.query(Client).count() == 1


def test_the_next_word_of_a_shop_is_not_even_kept(cast: Cast) -> None:
    make_signed_shop(factories.default_company().id)
    deliver(bodies.customer(8, EMAIL, at=NOW, name=MARK), "customer.created")
    handling.handle_due(cast.organisation.id)
    [client] = db.session.query(Client).all()
    db.session.commit()
    sealed = ("events.body", "resources.body", "resources.email", "mappings.email", "mappings.snapshot")
    assert {f"woocommerce_{where}" for where in sealed} <= find_marks()
    erased(client, cast.admin)
    assert find_marks() == set()
    who = bodies.person(MARK, EMAIL)
    deliver(bodies.customer(8, EMAIL, at=LATER, name=MARK, username="z"), "customer.updated")
    deliver(bodies.order(44, at=LATER, customer_id=8, billing=who), "order.created")
    deliver(bodies.order(45, at=LATER, customer_id=0, billing=who), "order.created")
    handling.handle_due(cast.organisation.id)
    assert [event.state for event in events()][1:] == [EventState.IGNORED] * 3
    assert find_marks() == set()
    assert db.session.query(Client).count() == 1


def test_it_is_noted_without_anything_of_the_person(cast: Cast) -> None:
    client = factories.ClientFactory(last_name=MARK, email=EMAIL)
    operation = erased(client, cast.admin)
    [entry] = db.session.scalars(select(JournalEntry)).all()
    assert (entry.kind, entry.user_id) == (JournalKind.ERASURE, cast.admin.id)
    assert entry.details == [["Fiche", str(client.id)], ["Motif", commands.ON_REQUEST]]
    assert (operation.title, operation.can_be_undone(at=LATER)) == ("Effacement d’un client", False)
    assert find_marks() == set()
    assert "files" not in operation.settings


# ---- What forbids it


def _row(table: str, client: Client, **values: object) -> None:

    named = {"client_id": client.id} if "client_id" in table_named(table).columns else {}
    make_row(table_named(table), **(named | values))


def _charge(client: Client) -> None:
    subscription = factories.SubscriptionFactory(client_id=client.id, status="canceled", next_charge_at=None)
    factories.ChargeFactory(subscription_id=subscription.id, client_id=client.id, status="processing")


Obstacle = Callable[[Client], object]
OBSTACLES: list[tuple[Obstacle, str]] = [
    (lambda client: factories.SubscriptionFactory(client_id=client.id), "abonnement est en cours"),
    (_charge, "prélèvement n’est pas terminé"),
    (lambda client: _row("dunning_cases", client, status="open"), "dossier de relance"),
    (lambda client: _row("shipments", client, status="labelled", consignment_no=1), "envoi n’est pas parti"),
    (lambda client: _row("fulfilment_batch_lines", client, status="pending"), "envoi n’est pas parti"),
    (lambda client: _row("messages", client, status="sending", lease_until=LATER), "message part"),
    (lambda client: _row("means_requests", client, status=MeansRequestStatus.SENT), "demande de moyen de paiement"),
    (lambda client: _row("invoices", client), "facture attend son numéro"),
    (lambda client: _row("exports", client, status="running"), "export est en cours"),
    (lambda client: _row("operations", client, state="running", kind="merge"), "opération est en cours"),
    (lambda client: _row("webhook_events", client), "notification"),
    (lambda client: _row("sync_items", client, kind="conflict", client_id=None, candidate_ids=[client.id]), "prospect"),
]


@pytest.mark.parametrize(("make", "words"), OBSTACLES)
def test_what_is_under_way_forbids_it(cast: Cast, make: Obstacle, words: str) -> None:
    client = factories.ClientFactory()
    db.session.flush()
    assert commands.preview(client.id, by=cast.admin).obstacles == []
    make(client)
    db.session.commit()
    assert words in " ".join(commands.preview(client.id, by=cast.admin).obstacles)
    with pytest.raises(DomainError, match=words):
        commands.erase(client.id, typed=client.full_name, version=client.version, by=cast.admin, at=LATER)
    assert client.erased_at is None


def test_what_comes_up_after_the_confirmation_leaves_the_client_out(cast: Cast) -> None:
    fine, moved, busy = (factories.ClientFactory() for _ in range(3))
    db.session.commit()
    chosen = [fine.id, moved.id, busy.id]
    operation_id = commands.erase_many(chosen, "essai", typed="3", by=cast.admin, at=LATER)
    moved.version += 1
    factories.SubscriptionFactory(client_id=busy.id)
    db.session.commit()
    carry_out(cast.organisation.id, operation_id)
    operation = runs.find(operation_id)
    assert (operation.state, operation.applied, operation.left_out) == (OperationState.PARTIAL, 1, 2)
    said = db.session.scalars(select(OperationItem.left_out).order_by(OperationItem.position)).all()
    assert [bool(each) for each in said] == [False, True, True]
    db.session.expire_all()
    assert [each.erased_at is not None for each in (fine, moved, busy)] == [True, False, False]


def test_admins_alone_erase_and_only_what_is_theirs(cast: Cast) -> None:
    client = factories.ClientFactory()
    db.session.commit()
    for by in (cast.manager, cast.commercial):
        with pytest.raises(ForbiddenError):
            commands.erase(client.id, typed=client.full_name, version=1, by=by, at=LATER)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        commands.erase(client.id, typed=client.full_name, version=1, by=cast.outsider, at=LATER)
    with pytest.raises(InvalidInputError, match="nombre"):
        commands.erase_many([client.id], "essai", typed="2", by=cast.admin, at=LATER)


# ---- The database itself


def test_nothing_but_a_running_erasure_may_change_what_is_kept(cast: Cast) -> None:
    client = factories.ClientFactory()
    mark_all(client)
    bulk = db.session.scalars(select(Operation)).one()
    statements = [
        "UPDATE timeline_events SET body = NULL",
        "UPDATE payments SET reason = NULL",
        "UPDATE subscription_history SET reason = NULL",
        "UPDATE journal_entries SET details = '[]'",
        "DELETE FROM consents",
        "DELETE FROM present_consents",
    ]
    for value in ("on", "", str(bulk.id)):
        db.session.execute(text("SELECT set_config('crm.erasing', :value, true)"), {"value": value})
        for statement in statements:
            with pytest.raises(DBAPIError), db.session.begin_nested():
                db.session.execute(text(statement))
    db.session.execute(text("UPDATE operations SET state = 'running', kind = 'erasure'"))
    for statement in statements:
        db.session.execute(text(statement))
    for statement in (
        "UPDATE payments SET amount = amount + 1",
        "UPDATE invoices SET buyer = '{}'",
        "UPDATE invoices SET reason = NULL",
        "DELETE FROM payments",
        "DELETE FROM timeline_events",
        "DELETE FROM journal_entries",
    ):
        with pytest.raises(DBAPIError), db.session.begin_nested():
            db.session.execute(text(statement))


def test_an_erased_client_is_neither_filled_nor_given_anything(cast: Cast) -> None:
    client = factories.ClientFactory()
    db.session.commit()
    erased(client, cast.admin)
    for change in ("email = 'a@example.fr'", "last_name = 'X'", "archived_at = NULL", "erased_at = NULL"):
        with pytest.raises(DBAPIError, match="erased"), db.session.begin_nested():
            db.session.execute(text(f"UPDATE clients SET {change}"))
    db.session.execute(text("UPDATE clients SET commercial_id = NULL, version = version + 1"))
    for table in ("tasks", "documents", "bank_accounts", "subscriptions", "contracts", "messages", "consents"):
        with pytest.raises(DBAPIError, match="erased"), db.session.begin_nested():
            _row(table, client)


def test_the_number_of_statements_does_not_grow_with_the_clients(cast: Cast) -> None:
    numbers = []
    for size in (2, 20):
        clients = [factories.ClientFactory() for _ in range(size)]
        accounts = [factories.make_bank_account(each).id for each in clients]
        db.session.commit()
        ids = [each.id for each in clients]
        operation_id = commands.erase_many(ids, "essai", typed=str(size), by=cast.admin, at=LATER)
        with recorded_statements() as statements:
            carry_out(cast.organisation.id, operation_id)
        assert runs.find(operation_id).applied == size
        numbers.append(len(statements))
        sealed = db.session.scalars(select(BankAccount).where(BankAccount.id.in_(accounts)))
        assert {each.reveal_iban() for each in sealed} == {f"effacé {account_id}" for account_id in accounts}
    assert numbers[0] == numbers[1]


def test_a_plan_that_waits_does_not_bring_a_value_back(cast: Cast) -> None:

    client = factories.ClientFactory(last_name=MARK)
    db.session.commit()
    choice = bulk.BulkChoice(action=bulk.BulkAction.STATUS, status=ClientStatus.INACTIVE)
    waiting = bulk.plan(bulk.Selection(ClientsView()), choice, by=cast.admin, at=NOW)
    erased(client, cast.admin)
    assert find_marks() == set()
    [item] = db.session.scalars(select(OperationItem).where(OperationItem.operation_id == waiting)).all()
    assert item.action is ItemAction.NOTHING
    deciding.apply(waiting, by=cast.admin, at=LATER)
    carry_out(cast.organisation.id, waiting)
    assert db.session.scalars(select(Client.last_name)).one() == ERASED


def test_a_late_word_of_the_person_is_heard_and_not_noted(cast: Cast) -> None:
    client = factories.ClientFactory()
    mark_all(client)
    token = unsubscribing.make_token(client.id, ConsentPurpose.SATISFACTION)
    company_id = db.session.scalars(select(Message.company_id)).one()
    message_id = db.session.scalars(select(Message.id)).one()
    erased(client, cast.admin)
    assert unsubscribing.unsubscribe(token, at=LATER).is_over
    said = ProviderEvent(None, str(message_id), MessageEventKind.REPLIED, LATER, EMAIL, MARK)
    hearing.hear_events(company_id, [said], at=LATER)
    assert find_marks() <= KEPT
    assert db.session.execute(text("SELECT count(*) FROM consents")).scalar_one() == 0
