"""Nothing that a stolen backup or a log should not tell is kept in clear."""

import pytest
from sqlalchemy import text

from tests.conftest import Cast
from tests.services.winleadplus.conftest import Sync
from tests.services.winleadplus.looking import accounts_of, client_of, items
from tests.services.winleadplus.raw import IBAN, OTHER_IBAN, contract, first, second
from tests.upstream import Upstream
from webapp.crypto import DecryptionError
from webapp.extensions import db
from webapp.models.winleadplus import ItemKind, SyncMapping
from webapp.services.winleadplus import field_changes

TABLES = (
    "clients", "contracts", "bank_accounts", "mandates", "sync_runs", "sync_mappings", "sync_items", "timeline_events",
)  # fmt: skip
SECRETS = (IBAN, OTHER_IBAN, "AGRIFRPPXXX", "NUMERO-DE-CARTE", "token-of-the-user")


def _everything() -> str:
    """Every column of every row, bytes as they are."""
    found = []
    for table in TABLES:
        for row in db.session.execute(text(f"SELECT * FROM {table}")):
            found += [
                bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value) for value in row
            ]
    return "\n".join(found)


def test_ibans_cards_and_tokens_are_nowhere_in_clear(
    winleadplus: Upstream, sync: Sync, capsys: pytest.CaptureFixture[str]
) -> None:
    card = {"numero": "NUMERO-DE-CARTE"}
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN}]), second(2, identityCard=card)])
    sync()
    accounts = [{"iban": IBAN}, {"iban": OTHER_IBAN, "BIC": "AGRIFRPPXXX"}]
    borrowing = first(3, contrats=[contract("1WNC")], informationsPaiement=[{"iban": IBAN}])
    winleadplus.serve([first(1, informationsPaiement=accounts), second(2, identityCard=card | {"n": 1}), borrowing])
    run = sync()
    assert (run.updated, run.errors) == (2, 1)
    everything = _everything()
    captured = capsys.readouterr()
    for secret in SECRETS:
        assert secret not in everything
        assert secret not in captured.err + captured.out
    assert "HAMDANI" not in captured.err + captured.out
    assert {account.reveal_iban() for account in accounts_of(client_of(1).id)} == {IBAN, OTHER_IBAN}


def test_a_snapshot_opens_in_its_own_place_only(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    snapshot = db.session.query(SyncMapping.snapshot).scalar()
    place = {"organisation_id": cast.organisation.id, "table_column": "sync_mappings.snapshot"}
    assert field_changes.unseal(snapshot, **place, row_id="1")["last_name"] == "HAMDANI"
    with pytest.raises(DecryptionError):
        field_changes.unseal(snapshot, **place, row_id="2")
    with pytest.raises(DecryptionError):
        field_changes.unseal(snapshot, **place | {"organisation_id": cast.other_organisation.id}, row_id="1")


def test_the_payload_of_an_item_is_encrypted(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(None, informationsPaiement=[{"iban": IBAN}])])  # type: ignore[arg-type]
    (item,) = items(sync(), ItemKind.ERROR)
    assert item.payload is not None
    assert IBAN.encode() not in item.payload


def test_one_iban_of_two_clients_has_one_index_within_an_organisation(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(number, informationsPaiement=[{"iban": IBAN}]) for number in (1, 2)])
    sync()
    (one,), (two,) = accounts_of(client_of(1).id), accounts_of(client_of(2).id)
    assert one.iban_index == two.iban_index
    assert one.iban != two.iban
