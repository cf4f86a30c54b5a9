"""What an export's file holds: the rows, the order and the columns of the list; nothing that a spreadsheet runs."""

import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from tests import factories
from tests.conftest import NOW, Cast
from tests.examples import some
from tests.queries import recorded_statements
from tests.services.exports.wanting import csv_rows, sheets, want, write
from webapp.errors import ForbiddenError, InvalidInputError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import Client, ClientStatus
from webapp.models.exports import ExportFormat
from webapp.models.journal import JournalKind
from webapp.services import journal
from webapp.services.clients import columns as client_columns
from webapp.services.clients import listing as clients
from webapp.services.clients.selection import Asset, ClientSort, ClientsView, Days
from webapp.services.contracts.selection import ContractsView
from webapp.services.exports import commands, writing
from webapp.services.list_columns import ListColumn, ValueKind
from webapp.services.mandates.listing import MandatesView

XLSX = ExportFormat.XLSX


def test_an_export_holds_what_the_list_shows_in_its_order(cast: Cast) -> None:
    for name in ("Zola", "Amiel", "Hugo"):
        factories.ClientFactory(last_name=name, commercial_id=cast.sales_rep.id)
    factories.ClientFactory(last_name="Autre", city="Paris")
    view = ClientsView(commercial=cast.sales_rep.id, sort=ClientSort.NAME_DESCENDING)
    heading, *rows = csv_rows(write(want("clients", view, by=cast.commercial), by=cast.commercial))
    listed = clients.list_clients(view).page.rows
    assert heading == "Nom;E-mail;Téléphone;Ville;Commercial;Statut;Contrats;Modifié".split(";")
    assert [row[0] for row in rows] == [each.name for each in listed] == ["Zola Élodie", "Hugo Élodie", "Amiel Élodie"]
    assert [row[4:6] for row in rows] == [[each.cells["commercial"], each.cells["statut"].label] for each in listed]


def test_columns_are_chosen_and_ordered(cast: Cast) -> None:
    factories.ClientFactory(phone="+33612345678", birth_date=date(1984, 2, 29), created_at=NOW)
    wanted = want("clients", ClientsView(), keys=["naissance", "telephone", "cree", "inconnue"], by=cast.commercial)
    heading, row = csv_rows(write(wanted, by=cast.commercial))
    assert heading == ["Date de naissance", "Téléphone", "Créé"]
    assert row == ["29/02/1984", "06 12 34 56 78", "20/11/2026 10:00:00"]


def test_excel_gets_numbers_and_dates(cast: Cast) -> None:
    client = factories.ClientFactory()
    factories.ContractFactory(
        client_id=client.id, amount=Decimal("-1234.50"), signed_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    )
    keys = ["montant", "signature", "modifie", "statut"]
    wanted = want("contrats", ContractsView(), keys=keys, file_format=XLSX, by=cast.commercial)
    (rows,) = sheets(write(wanted, by=cast.commercial)).values()
    # 23:30 UTC is the second of March in Paris.
    assert rows[1] == [-1234.5, date(2026, 3, 2), datetime(2026, 11, 20, 10), "Actif"]  # noqa: DTZ001  local, as Excel has it
    assert csv_rows(write(want("contrats", ContractsView(), keys=keys, by=cast.commercial), by=cast.commercial))[1] == [
        *("-1234,50", "02/03/2026", "20/11/2026 10:00:00", "Actif")
    ]


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]


@pytest.mark.parametrize("text", FORMULAS, ids=[repr(text) for text in FORMULAS])
def test_a_text_that_looks_like_a_formula_is_none(cast: Cast, text: str) -> None:
    # Seen to fail without ``harmless``, and without the format of Excel.
    factories.ClientFactory(last_name="x", city=text)
    keys = ["ville"]
    assert csv_rows(write(want("clients", ClientsView(), keys=keys, by=cast.admin), by=cast.admin))[1] == [f"'{text}"]
    content = write(want("clients", ClientsView(), keys=keys, file_format=XLSX, by=cast.admin), by=cast.admin)
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        sheet, styles = (parts.read(f"xl/{part}.xml").decode() for part in ("worksheets/sheet1", "styles"))
    assert "<f>" not in sheet
    assert 'quotePrefix="1"' in styles


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.text(
    st.sampled_from('\\\t\r\n\v";=+N.tn '), max_size=6
)


@settings(max_examples=some(75), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_what_is_exported_reads_back(cast: Cast, rows: list[tuple[str, str]]) -> None:
    db.session.execute(delete(Client))
    for last_name, city in rows:
        factories.ClientFactory(last_name=last_name, city=city)
    keys = ["nom-de-famille", "ville"]
    _, *read = csv_rows(write(want("clients", ClientsView(), keys=keys, by=cast.admin), by=cast.admin))
    assert sorted(map(tuple, read)) == sorted(tuple(map(_safe, row)) for row in rows)


def test_a_view_is_narrowed_in_the_file_as_on_the_page(cast: Cast) -> None:
    """By enumerations, lists, days and patterns: each reaches PostgreSQL in another form."""
    for name, more in {"Amiel": {}, "Hugo": {"city": "Paris"}, "Zola": {"status": ClientStatus.ACTIVE}}.items():
        factories.ClientFactory(
            **{"last_name": name, "city": "Lille 100 %", "created_at": NOW, "status": ClientStatus.PROSPECT} | more
        )
    view = ClientsView(
        status=ClientStatus.PROSPECT,
        place="lille 100 %",
        among=("sans-commercial", cast.sales_rep.id),
        created=Days(NOW.date(), NOW.date()),
        having=frozenset({Asset.EMAIL}),
    )
    for file_format in ExportFormat:
        wanted = want("clients", view, file_format=file_format, by=cast.admin)
        assert commands.write_at_once(wanted, io.BytesIO(), by=cast.admin, at=NOW) == 1
    [_, row] = csv_rows(write(want("clients", view, by=cast.admin), by=cast.admin))
    assert [row[0]] == [each.name for each in clients.list_clients(view).page.rows] == ["Amiel Élodie"]


def test_what_one_row_needs_is_done_to_no_other(cast: Cast) -> None:
    for name, phone in {"A": "+33612345678", "B": "+4930123456", "C;": "+33612345678", "D": "+33012345678"}.items():
        factories.ClientFactory(last_name=name, first_name="", phone=phone, city="")
    _, *rows = csv_rows(
        write(want("clients", ClientsView(), keys=["nom", "telephone", "ville"], by=cast.admin), by=cast.admin)
    )
    assert rows == [
        ["A", "06 12 34 56 78", ""],
        ["B", "'+4930123456", ""],
        ["C;", "06 12 34 56 78", ""],
        ["D", "'+33012345678", ""],
    ]


def _safe(text: str) -> str:
    """With the apostrophe that an export puts before what might be run."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} else text


def test_rows_beyond_a_sheet_go_on_in_another(tmp_path: Path) -> None:
    columns = [ListColumn("n", "N", Client.contracts_count, ValueKind.INTEGER)]
    file = io.BytesIO()
    batches = [[(1,), (2,)], [(3,)], [(4,), (5,)]]
    writing.write_xlsx(file, columns, batches, title="Clients", working_folder=tmp_path, most_rows=2)
    assert sheets(file.getvalue()) == {
        "Clients": [["N"], [1.0], [2.0]],
        "Clients 2": [["N"], [3.0], [4.0]],
        "Clients 3": [["N"], [5.0]],
    }


def test_days_that_excel_does_not_know_are_texts(tmp_path: Path) -> None:
    columns = [ListColumn("d", "D", Client.birth_date, ValueKind.DAY)]
    file = io.BytesIO()
    writing.write_xlsx(file, columns, [[(date(1900, 1, 1),), (None,)]], title="D", working_folder=tmp_path)
    assert sheets(file.getvalue())["D"][1] == ["01/01/1900"]


def test_ibans_are_masked_unless_an_admin_says_why(cast: Cast) -> None:
    account = factories.make_bank_account(factories.ClientFactory())
    db.session.add(Mandate(client_id=account.client_id, bank_account_id=account.id, status=MandateStatus.DECLARED))
    db.session.flush()
    masked = csv_rows(write(want("mandats", MandatesView(), keys=["iban"], by=cast.admin), by=cast.admin))
    assert masked[1] == [account.iban_masked]

    reason = {"in_clear": True, "reason": "Contrôle de la banque"}
    for file_format, read in (
        (ExportFormat.CSV, csv_rows),
        (XLSX, lambda content: sheets(content)["Mandats à compléter"]),
    ):
        wanted = want(
            "mandats", MandatesView(), keys=["client", "iban"], by=cast.admin, file_format=file_format, **reason
        )
        assert read(write(wanted, by=cast.admin))[1][1] == "FR1420041010050500013M02606"
    entry = journal.list_entries(journal.JournalView()).rows[0]
    assert ["IBAN en clair", "Contrôle de la banque"] in entry.details

    with pytest.raises(ForbiddenError):
        want("mandats", MandatesView(), by=cast.manager, **reason)
    with pytest.raises(InvalidInputError) as refused:
        want("mandats", MandatesView(), by=cast.admin, in_clear=True, reason="  parce   ")
    assert refused.value.field == "reason"


def test_each_export_is_an_entry_of_the_journal(cast: Cast) -> None:
    factories.ClientFactory.create_batch(3)
    view = ClientsView(search="dupont")
    write(want("clients", view, by=cast.commercial, filters=["recherche"]), by=cast.commercial)
    (entry,) = journal.list_entries(journal.JournalView()).rows
    assert (entry.kind, entry.user) == (JournalKind.EXPORT, cast.commercial)
    assert entry.details == [["Liste", "Clients"], ["Lignes", 3], ["Format", "CSV"], ["Filtres", "recherche"]]


def test_statements_do_not_grow_with_rows(cast: Cast) -> None:
    numbers = []
    for _ in range(2):
        for client in factories.ClientFactory.create_batch(3):
            factories.ContractFactory(client_id=client.id)
        with recorded_statements() as statements:
            write(want("contrats", ContractsView(), by=cast.admin), by=cast.admin)
        numbers.append(len([each for each in statements if "contracts" in each]))
    assert numbers == [0, 0], "the one that reads is a COPY, which is not recorded"


def test_every_key_of_the_clients_columns_is_there() -> None:
    # Saved views and imports name them.
    wanted = (
        "nom email telephone ville commercial statut contrats modifie cree source code-postal civilite prenom"
        " nom-de-famille naissance adresse complement pays"
    )
    assert set(wanted.split()) <= {column.key for column in client_columns.COLUMNS}
