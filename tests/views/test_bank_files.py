"""The pages of bank files: what waits, a file's way to the bank, and the debits that it sends back. For managers."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries, recorded_statements
from tests.services.bank_files.conftest import COLLECTED_ON, NOW, MakeDebit, account, make_debit
from webapp import clock, queue
from webapp.extensions import db
from webapp.gateways.providers.sepa_file import end_to_end_id
from webapp.models.bank_files import BankFile, BankFileStatus
from webapp.models.charges import AttemptStatus, Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.outbox import OutboxEvent
from webapp.models.providers import ProviderAccount
from webapp.services.bank_files import files as bank_files
from webapp.services.bank_files import listing, notices

__all__ = ["account", "make_debit"]

PAGE = "/prelevements/fichiers"
LATER = NOW + timedelta(days=16)


@pytest.fixture(autouse=True)
def _now(app_context: object) -> Iterator[None]:
    clock.start_at(NOW)
    yield
    clock.start_at(None)


def prepare(account: ProviderAccount) -> BankFile:
    return bank_files.prepare_file(account.id, collected_on=COLLECTED_ON, at=NOW)


def send(file: BankFile) -> BankFile:
    bank_files.export_file(file.id, at=NOW)
    return bank_files.mark_sent(file.id, at=NOW)


def files() -> list[BankFile]:
    db.session.expire_all()
    return list(db.session.scalars(select(BankFile)))


def status_of(attempt: ChargeAttempt) -> AttemptStatus:
    db.session.expire_all()
    return db.session.scalars(select(ChargeAttempt.status).where(ChargeAttempt.id == attempt.id)).one()


def steps(page: str) -> list[str]:
    return re.findall(r'data-step="([^"]+)"', page)


# --- who ---


def test_commercials_see_and_change_nothing(
    client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    waiting, filed = make_debit(due_on=date(2026, 12, 20)), make_debit()
    file = prepare(account)
    for path in ("", f"/{file.id}", f"/{file.id}/contenu", "/retours"):
        assert client.get(PAGE + path).status_code == 403
    for path in (
        f"/comptes/{account.id}",
        f"/attente/{waiting.id}/retirer",
        f"/{file.id}/generer",
        f"/{file.id}/defaire",
    ):
        assert client.post(PAGE + path).status_code == 403
    data = {"reference": end_to_end_id(filed.id), "code": "AC04", "date": "2026-12-01"}
    assert client.post(f"{PAGE}/retours", data=data).status_code == 403
    assert client.post(f"{PAGE}/retours/liste").status_code == 403
    assert status_of(filed) is AttemptStatus.PROCESSING


def test_an_outsider_finds_nothing_and_changes_nothing(
    outsider_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    waiting, filed = make_debit(due_on=date(2026, 12, 20)), make_debit()
    file = send(prepare(account))
    page = outsider_client.get(PAGE).text
    assert "file-row" not in page
    assert "waiting-debit" not in page
    for path in (f"/{file.id}", f"/{file.id}/contenu"):
        assert outsider_client.get(PAGE + path).status_code == 404
    for word in ("generer", "transmis", "confirme", "defaire"):
        assert outsider_client.post(f"{PAGE}/{file.id}/{word}").status_code == 404
    assert outsider_client.post(f"{PAGE}/comptes/{account.id}", data={"date": "2026-12-21"}).status_code == 404
    assert outsider_client.post(f"{PAGE}/attente/{waiting.id}/retirer").status_code == 404
    data = {"reference": end_to_end_id(filed.id), "code": "AC04", "date": "2026-12-01"}
    assert outsider_client.post(f"{PAGE}/retours", data=data).status_code == 404
    assert {status_of(waiting), status_of(filed)} == {AttemptStatus.PROCESSING}


# --- what waits ---


def test_the_page_says_what_waits_from_when_and_what_keeps_it(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    make_debit(due_on=date(2026, 12, 25), signed_on=date(2023, 1, 1))
    page = manager_client.get(PAGE).text
    assert re.search(rf'data-testid="waiting"\s+data-account-id="{account.id}"\s+data-count="2"', page)
    assert "48,00\xa0€" in page
    assert 'value="2026-12-28"' in page  # the day after the banks' Christmas on which all can be collected
    assert "36 mois" in page


def test_the_page_says_whose_client_is_not_told_and_offers_a_letter(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    attempt = make_debit(is_told=False)
    client = db.session.query(Client).one()
    client.address_line1 = None
    db.session.commit()
    notices.announce_due(at=NOW)
    page = manager_client.get(PAGE).text
    assert re.search(r'data-testid="untold"\s+data-count="1"', page)
    assert "retenu" in page
    assert "Imprimer l’avis" in page
    client.address_line1 = "1 rue de l’Église"
    db.session.commit()
    assert "Imprimer l’avis" in manager_client.get(f"/prelevements/{attempt.charge_id}").text
    assert manager_client.post(f"{PAGE}/avis/{attempt.charge_id}/lettre").status_code == 303
    page = manager_client.get(PAGE).text
    assert "à imprimer et à poster" in page
    assert "/messages/lettres?genre=sepa_notice" in page
    assert "Imprimer l’avis" not in page


def test_only_managers_of_the_organisation_write_a_letter(
    client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    attempt = make_debit(is_told=False)
    assert client.post(f"{PAGE}/avis/{attempt.charge_id}/lettre").status_code == 403


def test_an_outsider_writes_no_letter(
    outsider_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    attempt = make_debit(is_told=False)
    assert outsider_client.post(f"{PAGE}/avis/{attempt.charge_id}/lettre").status_code == 404


def test_looking_writes_nothing(manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit) -> None:
    make_debit(is_told=False)
    with recorded_statements() as statements:
        manager_client.get(PAGE)
    assert [each for each in statements if not each.startswith(("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK"))] == []
    assert db.session.query(OutboxEvent).count() == 0


def test_the_number_of_queries_does_not_grow_with_the_debits_and_their_notices(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    def count() -> int:
        notices.announce_due(at=NOW)
        db.session.expire_all()
        with recorded_queries() as statements:
            assert manager_client.get(PAGE).status_code == 200
        return len(statements)

    make_debit(is_told=False)
    manager_client.get(PAGE)
    before = count()
    for _ in range(5):
        make_debit(is_told=False)
        make_debit()
    assert count() == before


def test_what_waits_is_shown_page_by_page(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing.list_waiting, "__kwdefaults__", {"cursor": None, "size": 2})
    for day in (1, 2, 3):
        make_debit(due_on=date(2026, 12, day))
    first = manager_client.get(PAGE).text
    assert first.count('data-testid="waiting-debit"') == 2
    [following] = re.findall(r'href="([^"]+compte=[^"]+)"', first)
    assert manager_client.get(following.replace("&amp;", "&")).text.count('data-testid="waiting-debit"') == 1


def test_a_waiting_debit_can_be_withdrawn(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    waiting, filed = make_debit(due_on=date(2026, 12, 20)), make_debit()
    prepare(account)
    assert manager_client.post(f"{PAGE}/attente/{waiting.id}/retirer").status_code == 303
    assert status_of(waiting) is AttemptStatus.CANCELED
    refused = manager_client.post(f"{PAGE}/attente/{filed.id}/retirer")
    assert refused.status_code == 409
    assert "n’attend plus" in refused.text
    assert status_of(filed) is AttemptStatus.PROCESSING


# --- a file, from the preparation to the bank's answer ---


def test_a_file_goes_its_way_and_only_where_its_state_allows(
    cast: Cast, sign_in: SignIn, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    manager_client = sign_in(cast.manager)
    make_debit()
    answer = manager_client.post(f"{PAGE}/comptes/{account.id}", data={"date": "2026-12-16"})
    [file] = files()
    address = f"{PAGE}/{file.id}"
    assert (answer.status_code, answer.headers["Location"]) == (303, address)
    assert steps(manager_client.get(address).text) == ["defaire", "generer"]
    assert manager_client.get(f"{address}/contenu").status_code == 409

    manager_client.post(f"{address}/generer")
    assert steps(manager_client.get(address).text) == ["transmis"]
    assert manager_client.post(f"{address}/defaire").status_code == 409

    manager_client.post(f"{address}/transmis")
    assert steps(manager_client.get(address).text) == []  # not before the day itself
    early = manager_client.post(f"{address}/confirme")
    assert early.status_code == 409
    assert "pas encore passée" in early.text

    clock.start_at(LATER)
    manager_client = sign_in(cast.manager)
    assert steps(manager_client.get(address).text) == ["confirme"]
    manager_client.post(f"{address}/confirme")
    assert files()[0].status is BankFileStatus.CONFIRMED
    assert [job.func_name for job in queue.queue("payments").jobs] == ["jobs.payments.settle_bank_file"]


def test_a_file_that_nobody_has_can_be_taken_apart(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    file = prepare(account)
    assert manager_client.post(f"{PAGE}/{file.id}/defaire").headers["Location"] == PAGE
    assert files() == []
    assert 'data-testid="waiting-debit"' in manager_client.get(PAGE).text


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        ("", "Indiquez une date"),
        ("demain", "Indiquez une date"),
        ("2026-12-01", "au moins demain"),
        ("2026-12-19", "jour ouvré"),
        ("2026-12-02", "Aucun prélèvement ne peut être présenté"),
    ],
)
def test_a_day_on_which_nothing_can_be_collected_is_refused_at_its_field(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit, day: str, sentence: str
) -> None:
    make_debit(is_told=False)
    answer = manager_client.post(f"{PAGE}/comptes/{account.id}", data={"date": day})
    assert answer.status_code in (409, 422)
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert files() == []


def test_the_download_is_always_the_same_and_kept_nowhere(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    file = send(prepare(account))
    first, second = (manager_client.get(f"{PAGE}/{file.id}/contenu") for _ in range(2))
    assert first.data == second.data
    assert first.data.startswith(b"<?xml")
    assert first.mimetype == "application/xml"
    name = f"prelevements-2026-12-16-{file.code}.xml"
    assert first.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert "no-store" in first.headers["Cache-Control"]
    assert "sandbox" in first.headers["Content-Security-Policy"]


def test_a_file_that_breaks_the_format_says_so_and_can_be_taken_apart(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    attempt = make_debit()
    file = prepare(account)
    attempt.end_to_end_id = "//"
    db.session.commit()
    answer = manager_client.post(f"{PAGE}/{file.id}/generer")
    assert answer.status_code == 409
    assert "ne respecte pas le format des banques" in answer.text
    assert steps(answer.text) == ["defaire", "generer"]


def test_a_company_that_the_bank_would_refuse_is_told_before_there_is_a_file(
    manager_client: FlaskClient, admin_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    assert "creditor-fault" not in manager_client.get(PAGE).text
    account.ics = None
    db.session.commit()
    page = manager_client.get(PAGE).text
    assert re.search(r'data-testid="creditor-fault"\s+data-fault="ics"', page)
    assert "Un administrateur" in page
    assert 'href="/prelevements/prestataires"' in admin_client.get(PAGE).text
    answer = manager_client.post(f"{PAGE}/comptes/{account.id}", data={"date": "2026-12-16"})
    assert answer.status_code == 409
    assert "ICS" in answer.text
    assert files() == []


def test_a_file_in_a_name_that_the_bank_would_refuse_is_not_made(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    file = prepare(account)
    assert "creditor-fault" not in manager_client.get(f"{PAGE}/{file.id}").text
    factories.default_company().name = "★"
    db.session.commit()
    page = manager_client.get(f"{PAGE}/{file.id}").text
    assert re.search(r'data-testid="creditor-fault"\s+data-fault="name"', page)
    assert steps(page) == ["defaire"]
    answer = manager_client.post(f"{PAGE}/{file.id}/generer")
    assert answer.status_code == 409
    assert "ni lettre ni chiffre" in answer.text
    assert files()[0].exported_at is None


def test_settling_is_followed_to_its_end(
    cast: Cast, sign_in: SignIn, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    file = send(prepare(account))
    clock.start_at(LATER)
    manager_client = sign_in(cast.manager)
    manager_client.post(f"{PAGE}/{file.id}/confirme")
    running = manager_client.get(f"{PAGE}/{file.id}", headers=HTMX).text
    assert 'data-unsettled="1"' in running
    assert "every 1s" in running
    assert "every 1s" in manager_client.get(f"{PAGE}/{file.id}").text
    bank_files.settle(file.organisation_id, file.id, at=LATER)
    ended = manager_client.get(f"{PAGE}/{file.id}", headers=HTMX).text
    assert 'data-unsettled="0"' in ended
    assert "every 1s" not in ended
    assert 'data-testid="toast"' in ended
    assert re.search(r'data-testid="debit-row"\s+data-status="succeeded"', ended)


def test_each_step_is_told_with_the_number_of_the_file_or_charge(
    cast: Cast, sign_in: SignIn, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    manager_client = sign_in(cast.manager)
    returned, withdrawn = make_debit(), make_debit(due_on=date(2026, 12, 20))

    def told(path: str, **data: str) -> str:
        answer = manager_client.post(PAGE + path, data=data)
        page = manager_client.get(answer.headers["Location"]).text
        return " ".join(re.findall(r'data-testid="toast".*?<p[^>]*>(.*?)</p>', page, re.DOTALL))

    prepared = told(f"/comptes/{account.id}", date="2026-12-16")
    [file] = files()
    code = file.code
    assert f"Fichier {code} préparé" in prepared
    assert f"Fichier {code} généré" in told(f"/{file.id}/generer")
    assert f"Fichier {code} noté comme transmis" in told(f"/{file.id}/transmis")
    charges = {each.id: each.code for each in db.session.scalars(select(Charge))}
    number = charges[returned.charge_id]
    reference = end_to_end_id(returned.id)
    assert f"Rejet noté pour {number}." in told("/retours", reference=reference, code="AC04", date="2026-12-01")
    number = charges[withdrawn.charge_id]
    assert number in manager_client.get(PAGE).text
    assert f"Prélèvement {number} retiré" in told(f"/attente/{withdrawn.id}/retirer")
    assert charges[returned.charge_id] in manager_client.get(f"{PAGE}/{file.id}").text


# --- what comes back ---


def test_a_return_is_noted_from_the_files_debits(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    attempt = make_debit()
    file = prepare(account)
    assert "reference=" not in manager_client.get(f"{PAGE}/{file.id}").text  # the bank does not have it yet
    send(file)
    reference = end_to_end_id(attempt.id)
    assert f"reference={reference}" in manager_client.get(f"{PAGE}/{file.id}").text
    assert f'value="{reference}"' in manager_client.get(f"{PAGE}/retours?reference={reference}").text
    data = {"reference": f" {reference} ", "code": "AC04", "date": "2026-12-01"}
    assert manager_client.post(f"{PAGE}/retours", data=data).status_code == 303
    assert status_of(attempt) is AttemptStatus.REFUSED
    again = manager_client.post(f"{PAGE}/retours", data=data)
    assert again.status_code == 409
    assert "déjà noté" in again.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reference": "INCONNU"}, "Référence inconnue"),
        ({"reference": "\0"}, "Référence inconnue"),
        ({"reference": "CRM" + "F" * 32}, "Référence inconnue"),
        ({"code": ""}, "n’est pas un code de rejet"),
        ({"code": "ZZ99"}, "n’est pas un code de rejet"),
        ({"date": "hier"}, "Indiquez une date"),
        ({"date": "2027-01-01"}, "dans le futur"),
    ],
)
def test_a_return_that_makes_no_sense_is_refused_at_its_field(
    manager_client: FlaskClient,
    account: ProviderAccount,
    make_debit: MakeDebit,
    change: dict[str, str],
    sentence: str,
) -> None:
    attempt = make_debit()
    prepare(account)
    data = {"reference": end_to_end_id(attempt.id), "code": "AC04", "date": "2026-12-01"} | change
    answer = manager_client.post(f"{PAGE}/retours", data=data)
    assert answer.status_code in (404, 422)
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert status_of(attempt) is AttemptStatus.PROCESSING


def upload(browser: FlaskClient, content: bytes) -> TestResponse:
    """Encoded here: the test browser would put a large form into a temporary file, and leave it open."""
    boundary, body = encode_multipart({"liste": FileStorage(io.BytesIO(content), "rejets.csv")})
    return browser.post(f"{PAGE}/retours/liste", data=body, content_type=f"multipart/form-data; boundary={boundary}")


def test_of_a_list_the_good_lines_are_noted_and_the_others_reported(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    good, bad = make_debit(), make_debit()
    prepare(account)
    rows = (
        f"{end_to_end_id(good.id)};AM04;01/12/2026\n<b>x</b>;AM04;01/12/2026\n{end_to_end_id(bad.id)};ZZ99;01/12/2026"
    )
    answer = upload(manager_client, f"EndToEndId;Code;Date\n{rows}".encode())
    assert answer.status_code == 200
    assert re.search(r'data-noted="1"\s+data-faults="2"', answer.text)
    assert re.findall(r'data-testid="returned-line"\s+data-number="(\d+)"', answer.text) == ["3", "4"]
    assert "&lt;b&gt;x&lt;/b&gt;" in answer.text
    assert (status_of(good), status_of(bad)) == (AttemptStatus.REFUSED, AttemptStatus.PROCESSING)


@pytest.mark.parametrize(
    ("reference", "seen"),
    [
        ("INCONNU", "INCONNU"),
        ("CRM" + "F" * 32, "CRM" + "F" * 32),
        ("CRM" + "F" * 33, "CRM" + "F" * 33),
        ("x" * 5000, "x" * 39 + "…"),
        ("CRM\0\x07é", "CRMé"),
        ("/CRM//1", "/CRM//1"),
        ("\u202eMRC<script>alert(1)</script>", "MRC&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("", "—"),
        ("  ", "—"),
    ],
)
def test_a_reference_that_is_none_of_ours_is_a_line_of_the_report(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit, reference: str, seen: str
) -> None:
    good = make_debit()
    prepare(account)
    rows = f"{reference};AM04;01/12/2026\n{end_to_end_id(good.id)};AM04;01/12/2026"
    answer = upload(manager_client, f"EndToEndId;Code;Date\n{rows}".encode())
    assert answer.status_code == 200
    assert re.search(r'data-noted="1"\s+data-faults="1"', answer.text)
    [line] = re.findall(r'data-number="2">.*?<td>(.*?)</td>.*?</svg>(.*?)</span>', answer.text, re.DOTALL)
    assert (line[0].strip(), line[1].strip()) == (seen, "Référence inconnue.")
    assert status_of(good) is AttemptStatus.REFUSED


def test_only_references_that_may_be_ours_are_looked_up(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    prepare(account)
    with recorded_queries() as queries:
        upload(manager_client, b"EndToEndId;Code;Date\nINCONNU;AM04;01/12/2026\n//;AM04;01/12/2026")
    assert [each for each in queries if "charge_attempts.end_to_end_id IN" in each] == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "n’est pas une liste de rejets"),
        (b"\xff\xfe\x00PNG", "n’est pas une liste de rejets"),
        (b"Nom;Montant\nx;1", "n’est pas une liste de rejets"),
        (b"EndToEndId;Code;Date\n" + b"x;AC04;2026-12-01\n" * 2001, "découpez-la"),
    ],
)
def test_what_is_no_list_is_refused_at_its_field(
    manager_client: FlaskClient, account: ProviderAccount, content: bytes, sentence: str
) -> None:
    answer = upload(manager_client, content)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert re.search(r'id="liste"[^>]+aria-invalid="true"', answer.text)


def test_a_list_without_end_is_refused(manager_client: FlaskClient, account: ProviderAccount) -> None:
    answer = upload(manager_client, b"x" * 1_100_000)
    assert answer.status_code == 413
    assert "trop volumineux" in answer.text


# --- lists ---


def test_files_are_shown_the_latest_first_page_by_page(
    manager_client: FlaskClient, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.views.bank_files.PAGE_SIZE", 2)
    for day in (14, 15, 16):
        db.session.add(BankFile(provider_account_id=account.id, message_id=f"M{day}", collected_on=date(2026, 12, day)))
        db.session.commit()
    first = manager_client.get(PAGE).text
    assert re.findall(r"(\d\d)/12/2026\s*</a>", first) == ["16", "15"]
    [following] = re.findall(r'href="([^"]+avant=[^"]+)"', first)
    assert re.findall(r"(\d\d)/12/2026\s*</a>", manager_client.get(following).text) == ["14"]


@pytest.mark.parametrize("where", ["index", "file"])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit, where: str
) -> None:
    def queries(address: str) -> int:
        db.session.commit()
        with recorded_queries() as statements:
            assert manager_client.get(address).status_code == 200
        return len(statements)

    def fill(number: int) -> str:
        for _ in range(number):
            make_debit()
        file = prepare(account)
        for _ in range(number):
            make_debit(due_on=date(2026, 12, 20))
        return PAGE if where == "index" else f"{PAGE}/{file.id}"

    few = queries(fill(1))
    assert queries(fill(5)) == few


def test_addresses_that_make_no_sense_show_the_first_page(
    manager_client: FlaskClient, account: ProviderAccount, make_debit: MakeDebit
) -> None:
    make_debit()
    page = manager_client.get(f"{PAGE}?compte={account.id}&apres=%00&avant=x")
    assert page.status_code == 200
    assert 'data-testid="waiting-debit"' in page.text
    assert manager_client.get(f"{PAGE}/{uuid4()}").status_code == 404


def test_without_an_account_the_page_says_where_to_open_one(manager_client: FlaskClient) -> None:
    clock.start_at(datetime(2026, 12, 1, tzinfo=UTC))
    assert "Aucun compte pour fichiers SEPA" in manager_client.get(PAGE).text
