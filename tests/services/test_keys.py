"""Sealing everything anew: nothing is missed, people go on working, and the old key then serves for nothing."""

import os
from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, text

from tests import factories
from tests.conftest import Cast
from tests.services.claims.files import make_cover
from tests.services.operators.events import claim_of, make_operator, tell
from tests.services.winleadplus.conftest import Sync, sync, winleadplus
from tests.services.winleadplus.looking import accounts_of, client_of
from tests.services.winleadplus.raw import IBAN, first, second
from tests.services.woocommerce.deliveries import make_signed_shop
from tests.upstream import Upstream
from webapp import clock, crypto, tenancy
from webapp.crypto import DecryptionError, Keyring
from webapp.extensions import db
from webapp.iban import iban_purpose, mask_iban
from webapp.models.bank_files import BankFile
from webapp.models.banking import BankAccount
from webapp.models.base import Base, new_id
from webapp.models.carriers import Carrier, CarrierAccount
from webapp.models.clients import Client
from webapp.models.exports import Export, ExportFormat
from webapp.models.imports import Import, ImportState
from webapp.models.means_requests import HostedPage, MeansRequest, MeansRequestStatus
from webapp.models.messages import Channel, Message, MessageKind, MessageProvider, MessageSender, SuppressionReason
from webapp.models.operations import (
    ItemAction,
    ItemTarget,
    ListedIn,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
)
from webapp.models.provider_events import WebhookEvent
from webapp.models.providers import Provider
from webapp.models.runs import RunTrigger
from webapp.models.woocommerce import (
    MappingKind,
    ResourceKind,
    WooCommerceEvent,
    WooCommerceMapping,
    WooCommerceResource,
)
from webapp.services import keys
from webapp.services.bank_files.files import read_content
from webapp.services.clients import banking, identity_card
from webapp.services.messages import suppressing, writing
from webapp.services.messages.drafts import Draft
from webapp.services.messages.rendering import Text
from webapp.services.operations import deciding, undoing
from webapp.services.operations.carry_out import carry_out
from webapp.services.operators import connecting, handling
from webapp.services.operators.connecting import Direction
from webapp.services.winleadplus import runs

__all__ = ["sync", "winleadplus"]

NEW = {"new": os.urandom(32)}


@pytest.fixture
def old() -> Iterator[Keyring]:
    """The key of before."""
    ring = crypto.keyring()
    yield ring
    crypto.use(ring)


@pytest.fixture
def everything(cast: Cast, winleadplus: Upstream, sync: Sync, old: Keyring) -> UUID:
    """At least one value in every encrypted column, sealed with the old key."""
    card = {"numero": "123"}
    accounts = [{"iban": IBAN, "BIC": "AGRIFRPPXXX"}]
    winleadplus.serve([first(1, informationsPaiement=accounts), second(2, identityCard=card), first(None)])  # type: ignore[arg-type]
    sync()
    winleadplus.serve([first(1, ville="Roubaix", informationsPaiement=accounts), second(2, identityCard=card)])
    sync()
    account = factories.ProviderAccountFactory(provider=Provider.STRIPE)
    account.keep_credentials({"api_key": "sk", "webhook_secret": "whsec"})
    carrier = CarrierAccount(company_id=account.company_id, carrier=Carrier.COLISSIMO)
    carrier.keep_credentials({"contract_number": "123456", "password": "secret"})
    db.session.add(carrier)
    event_id, file_id = new_id(), new_id()
    organisation_id = cast.organisation.id
    db.session.add_all(
        [
            WebhookEvent(
                id=event_id,
                provider_account_id=account.id,
                event_id="evt",
                kind="x",
                body=old.encrypt(b"body", place=WebhookEvent.place(organisation_id, event_id)),
                received_at=clock.now(),
            ),
            BankFile(
                id=file_id,
                provider_account_id=account.id,
                message_id="M",
                collected_on=clock.today(),
                content=old.encrypt(b"<xml/>", place=BankFile.place(organisation_id, file_id)),
            ),
        ]
    )
    request = MeansRequest(
        id=new_id(),
        organisation_id=organisation_id,
        client_id=client_of(1).id,
        provider_account_id=account.id,
        status=MeansRequestStatus.SENT,
        expires_at=clock.now(),
    )
    request.keep_token("the-token")
    page = HostedPage(
        id=new_id(),
        organisation_id=organisation_id,
        request_id=request.id,
        closes_at=clock.now(),
        next_look_at=clock.now(),
    )
    page.keep_url("https://provider.example/page")
    db.session.add(request)
    db.session.flush()
    db.session.add(page)
    _write_a_message(organisation_id)
    _have_a_shop_tell()
    _have_an_operator_tell(cast)
    _plan_an_account()
    _ask_for_an_export(cast.admin.id)
    runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), by=cast.admin.id, user_token="token", enqueue=False)
    db.session.commit()
    return file_id


def _write_a_message(organisation_id: UUID) -> None:
    """A sender with keys and a mailbox, a message to an address, and an address that gets nothing."""
    company_id = factories.default_company().id
    sender = MessageSender(
        id=new_id(),
        organisation_id=organisation_id,
        company_id=company_id,
        channel=Channel.EMAIL,
        provider=MessageProvider.SMTP,
        from_name="Verger",
        from_address="bonjour@verger.example",
        webhook_token="token",
    )
    sender.keep_credentials({"host": "127.0.0.1"})
    sender.keep_mailbox({"host": "127.0.0.1"})
    db.session.add(sender)
    db.session.flush()
    client = factories.ClientFactory(email="lea@example.org")
    writing.write(
        Draft(
            kind=MessageKind.FREE,
            company_id=company_id,
            client_id=client.id,
            subject_id=client.id,
            occasion="1",
            variables={},
            text=Text("Bonjour", "Bonjour"),
        ),
        at=clock.now(),
    )
    suppressing.suppress("mort@example.org", SuppressionReason.HARD_BOUNCE, message_id=None, at=clock.now())


def _plan_an_account() -> None:
    """An operation that is to create a bank account."""
    organisation_id, operation_id = tenancy.current_organisation_id(), new_id()
    operation = Operation(
        id=operation_id,
        kind=OperationKind.IMPORT,
        title="Import",
        state=OperationState.PLANNED,
        created_at=clock.now(),
        total=1,
    )
    db.session.add(operation)
    db.session.flush()
    item = OperationItem(
        operation_id=operation_id, position=1, target=ItemTarget.BANK_ACCOUNT, action=ItemAction.CREATE
    )
    kept = Import(
        id=new_id(), file_name="a.csv", size=1, state=ImportState.READ, asked_at=clock.now(), created_at=clock.now()
    )
    kept.reading = crypto.seal("{}", place=kept.place_of("reading"))
    kept.keep_file_key(bytes(32))
    db.session.add(kept)
    item.row_id, item.client_id = new_id(), factories.ClientFactory().id
    purpose = iban_purpose(organisation_id)
    sealed = {
        "iban": crypto.seal(IBAN, place=BankAccount.place(organisation_id, item.row_id, "iban")),
        "bic": crypto.seal("AGRIFRPPXXX", place=BankAccount.place(organisation_id, item.row_id, "bic")),
        "iban_index": crypto.keyring().blind_index(IBAN, purpose=purpose),
    }
    item.after = {
        "client_id": str(item.client_id),
        "iban_masked": mask_iban(IBAN),
        **{name: f"\\x{value.hex()}" for name, value in sealed.items()},
    }
    operation.keep_listed_in(ListedIn("dupont", "/clients?q=dupont"))
    item.secrets = crypto.seal("{}", place=OperationItem.place_of_secrets(organisation_id, operation_id, 1))
    db.session.add(item)
    db.session.flush()


def _create_the_planned_account(cast: Cast) -> None:
    """What was planned under another key is written, opened and found under the present one; and undone."""
    operation = db.session.query(Operation).one()
    item = db.session.query(OperationItem).one()
    deciding.apply(operation.id, by=cast.admin, at=clock.now())
    carry_out(cast.organisation.id, operation.id)
    assert item.client_id is not None
    (account,) = accounts_of(item.client_id)
    assert (account.reveal_iban(), account.reveal_bic()) == (IBAN, "AGRIFRPPXXX")
    owner = db.session.query(Client).filter_by(id=item.client_id).one()
    details = banking.BankDetails(iban=IBAN, bic="", holder="")
    assert banking.add_account(owner, details, by=cast.admin, at=clock.now()) is False
    crypto.use(Keyring({"third": os.urandom(32)} | NEW))
    list(keys.rotate())
    undo_id = undoing.plan_undo(operation.id, by=cast.admin, at=clock.now())
    carry_out(cast.organisation.id, undo_id)
    deciding.apply(undo_id, by=cast.admin, at=clock.now())
    carry_out(cast.organisation.id, undo_id)
    assert accounts_of(item.client_id) == []


def _ask_for_an_export(user_id: UUID) -> None:
    """What was asked, and the key of its file."""
    export = Export(id=new_id(), user_id=user_id, list_key="clients", format=ExportFormat.CSV, columns=[])
    export.keep_asked("{}", [])
    export.keep_file_key(bytes(32))
    db.session.add(export)


def _have_a_shop_tell() -> None:
    """A shop with keys, an event of it, the resource that is kept, and whose client that is."""
    shop = make_signed_shop(factories.default_company().id)
    shop.keep_credentials({"consumer_key": "ck", "consumer_secret": "cs"})
    event = WooCommerceEvent(shop_id=shop.id, topic="customer.created", body_hash=b"hash")
    event.keep_body(b"{}")
    resource = WooCommerceResource(shop_id=shop.id, kind=ResourceKind.CUSTOMER, woo_id=17)
    resource.modified_at, resource.rank, resource.hash = clock.now(), 0, b"hash"
    resource.body = crypto.seal("{}", place=resource.place_of("body"))
    resource.keep_email("lea@example.org")
    client_id = factories.ClientFactory().id
    mapping = WooCommerceMapping(shop_id=shop.id, kind=MappingKind.CLIENT, client_id=client_id)
    mapping.keep_email("lea@example.org")
    mapping.keep_snapshot({"city": "Lille"})
    db.session.add_all([event, resource, mapping])
    db.session.flush()


def _have_an_operator_tell(cast: Cast) -> None:
    """An operator with both secrets, an event of it, and a file that it links to."""
    operator = make_operator(cast.admin)
    connecting.new_secret(operator.id, Direction.OURS, seen=operator.secrets_changed_at, at=clock.now())
    linked = {"external_id": "d1", "name": "Photo.jpg", "url": "https://example.org/photo.jpg"}
    tell(operator, claim_of(make_cover(cast.commercial), documents=[linked]))
    handling.handle_due(cast.organisation.id)


def test_every_column_of_bytes_is_sealed_or_known_not_to_be() -> None:
    bytes_ = {
        str(each)
        for table in Base.metadata.tables.values()
        for each in table.columns
        if isinstance(each.type, LargeBinary)
    }
    sealed = {str(each) for columns in keys.sealed_columns().values() for each in columns}
    assert sealed | keys.NOT_SEALED == bytes_
    assert not sealed & keys.NOT_SEALED


def test_everything_is_sealed_anew_and_the_old_key_serves_for_nothing(
    cast: Cast, everything: UUID, old: Keyring, winleadplus: Upstream, sync: Sync
) -> None:
    before = {(each.column, each.number) for each in keys.list_usage() if each.key_id == "test"}
    sealed = {str(each) for columns in keys.sealed_columns().values() for each in columns}
    assert {column for column, _ in before} == sealed | {
        keys.PLANNED_PLACE
    }  # one of each at least, or this test shows nothing

    crypto.use(Keyring(NEW | dict(old.keys)))
    assert sum(progress.renewed for progress in keys.rotate())
    usage = keys.list_usage()
    assert {each.key_id for each in usage} == {"new"}
    assert {(each.column, each.number) for each in usage} == before
    assert not any(progress.renewed for progress in keys.rotate())

    crypto.use(Keyring(NEW))
    db.session.expire_all()
    (account,) = accounts_of(client_of(1).id)
    assert (account.reveal_iban(), account.reveal_bic()) == (IBAN, "AGRIFRPPXXX")
    details = banking.BankDetails(iban=IBAN, bic="", holder="")
    assert banking.add_account(client_of(1), details, by=cast.admin, at=clock.now()) is False  # the index finds it
    assert identity_card.reveal(client_of(2).id, by=cast.admin, at=clock.now())
    assert read_content(everything)[1] == b"<xml/>"
    assert suppressing.find_suppressed(["mort@example.org"])
    assert db.session.query(Export).one().file_key_in_clear() == bytes(32)
    assert db.session.query(Import).one().file_key_in_clear() == bytes(32)
    _create_the_planned_account(cast)
    assert db.session.query(Message).one().content_in_clear()["subject"] == "Bonjour"
    assert db.session.query(MessageSender).one().mailbox_in_clear() == {"host": "127.0.0.1"}
    db.session.execute(text("UPDATE sync_runs SET status = 'failed' WHERE status = 'running'"))
    accounts = [{"iban": IBAN, "BIC": "AGRIFRPPXXX"}]
    winleadplus.serve([first(1, ville="Tourcoing", informationsPaiement=accounts)])
    assert (sync().updated, len(accounts_of(client_of(1).id))) == (1, 1)  # snapshots open, accounts are known again


def test_an_index_of_an_older_key_finds_until_it_is_made_anew(cast: Cast, everything: UUID, old: Keyring) -> None:
    crypto.use(Keyring(NEW | dict(old.keys)))
    details = banking.BankDetails(iban=IBAN, bic="", holder="")
    assert banking.add_account(client_of(1), details, by=cast.admin, at=clock.now()) is False


def test_what_somebody_changes_meanwhile_is_kept(cast: Cast, everything: UUID, old: Keyring) -> None:
    ring = Keyring(NEW | dict(old.keys))
    crypto.use(ring)
    table = next(table for table in keys.sealed_columns() if table.name == "clients")
    rows = keys._next_rows(table, keys.sealed_columns()[table], after=None)
    place = f"{cast.organisation.id}|clients.identity_card|{client_of(2).id}"
    changed = ring.encrypt(b'{"numero": "changed"}', place=place)
    db.session.execute(
        text("UPDATE clients SET identity_card = :card WHERE id = :id"), {"card": changed, "id": client_of(2).id}
    )
    for row in rows:
        keys._renew(table, keys.sealed_columns()[table], row)
    assert db.session.scalar(text("SELECT identity_card FROM clients WHERE identity_card IS NOT NULL")) == changed


def test_batches_go_on_where_the_last_one_ended(
    everything: UUID, old: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "BATCH", 1)
    crypto.use(Keyring(NEW | dict(old.keys)))
    steps = keys.rotate()
    next(steps)
    steps.close()  # killed after the first batch
    list(keys.rotate())
    assert {each.key_id for each in keys.list_usage()} == {"new"}


def test_a_key_that_is_gone_is_said(app: Flask, everything: UUID, old: Keyring) -> None:
    crypto.use(Keyring(NEW))
    assert not any(each.is_known for each in keys.list_usage())
    with pytest.raises(DecryptionError):
        list(keys.rotate())
    status = app.test_cli_runner().invoke(args=["keys", "status"])
    assert (status.exit_code, "CLÉ INCONNUE" in status.output, "new : ne sert plus" in status.output) == (1, True, True)


def test_the_commands_tell_how_it_goes(app: Flask, everything: UUID, old: Keyring) -> None:
    crypto.use(Keyring(NEW | dict(old.keys)))
    done = app.test_cli_runner().invoke(args=["keys", "rotate"])
    assert done.exit_code == 0, done.output
    assert "Tout est scellé avec la première clé." in done.output
    assert "test : ne sert plus" in app.test_cli_runner().invoke(args=["keys", "status"]).output
