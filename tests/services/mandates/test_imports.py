"""Mandates completed by a list: what each line does is said first, and done once."""

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.mandates.conftest import AT, Fields
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateImport, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.mandates import commands, imports, lists

IBAN = "FR14 2004 1010 0505 0001 3M02 606"


@pytest.fixture
def declared(owner: Client, declared: Mandate) -> Mandate:
    owner.email, owner.postcode = "lea@example.org", "59000"
    db.session.commit()
    return declared


def read(text: str, cast: Cast, charset: str = "utf-8") -> MandateImport:
    return imports.read_import("mandats.csv", text.encode(charset), by=cast.manager, at=AT)


def only_line(text: str, cast: Cast) -> imports.ImportedLine:
    [line] = imports.lines_of(read(text, cast))
    return line


SHAPES = {
    "e-mail; semicolons": ("Client;RUM;Date de signature;Lieu\nLEA@example.org;R-1;03/11/2026;Béthune", "utf-8"),
    "as Excel writes it": ("Client;RUM;Date;Lieu\nlea@example.org;R-1;3/11/26;Béthune", "cp1252"),
    "byte order mark, commas": (
        "\ufeffE-mail,Référence (RUM),Date,Lieu\nlea@example.org,R-1,2026-11-03,Béthune",
        "utf-8",
    ),
    "tabs, a name": ("Nom\tCode postal\tRUM\tDate\tLieu\nDURAND léa\t59000\tR-1\t3 novembre 2026\tBéthune", "utf-8"),
    "an IBAN": (f"IBAN;RUM;Date;Lieu\n{IBAN};R-1;03.11.2026;Béthune", "utf-8"),
    "an IBAN as the client": (f"Client;RUM;Signé le;Lieu\n{IBAN};R-1;03-11-2026;Béthune", "utf-8"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_completes_the_mandate_once_applied_and_only_then(declared: Mandate, cast: Cast, shape: str) -> None:
    kept = read(SHAPES[shape][0], cast, SHAPES[shape][1])
    [line] = imports.lines_of(kept)
    assert (line.fault, line.client_name, line.umr) == (None, "Durand Léa", "R-1")
    assert declared.status is MandateStatus.DECLARED
    assert "2004 1010" not in str(kept.lines).replace("20041010", "2004 1010")
    for _ in range(2):
        imports.apply_import(kept.id, by=cast.manager, at=AT)
    assert (declared.umr, declared.signed_on, declared.signed_in) == ("R-1", date(2026, 11, 3), "Béthune")
    assert declared.is_usable(AT.date())
    told = select(TimelineEvent).where(TimelineEvent.kind == EventKind.MANDATE_CHANGED)
    assert len(db.session.scalars(told).all()) == 1


def test_an_id_names_a_client_too(declared: Mandate, owner: Client, cast: Cast) -> None:
    assert only_line(f"Client;RUM;Date\n{owner.id};R-1;03/11/2026", cast).fault is None


REFUSED = {
    "unknown client": ("nobody@example.org;R-1;03/11/2026", "Aucun client"),
    "a name without postcode": ("Durand Léa;R-1;03/11/2026", "code postal"),
    "forbidden letters": ("lea@example.org;RÛM;03/11/2026", "35 caractères"),
    "no reference": ("lea@example.org;;03/11/2026", "RUM\\) manque"),
    "in the future": ("lea@example.org;R-1;21/11/2026", "futur"),
    "30 February": ("lea@example.org;R-1;30/02/2026", "n’existe pas"),
    "no date": ("lea@example.org;R-1;bientôt", "pas lisible"),
    "a reference of another mandate": ("lea@example.org;taken;03/11/2026", "autre mandat"),
    "a wrong IBAN": ("lea@example.org;R-1;03/11/2026;FR76", "IBAN n’est pas valide"),
    "not SEPA": ("lea@example.org;R-1;03/11/2026;BR1800360305000010009795493C1", "SEPA"),
    "another client's IBAN": ("lea@example.org;R-1;03/11/2026;DE89370400440532013000", "Aucun client"),
    "an endless place": (f"lea@example.org;R-1;03/11/2026;;{'x' * 71}", "70 caractères"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_completed_says_why_and_changes_nothing(declared: Mandate, cast: Cast, case: str) -> None:
    stranger: Client = factories.ClientFactory()
    factories.make_bank_account(stranger, "DE89370400440532013000")
    account_id = factories.make_bank_account(stranger).id
    taken = {"bank_account_id": account_id, "company_id": factories.default_company().id, "umr": "TAKEN"}
    commands.create_mandate(stranger.id, commands.MandateFields(**taken), by=cast.manager, at=AT)
    kept = read(f"Client;RUM;Date;IBAN;Lieu\n{REFUSED[case][0]}", cast)
    [line] = imports.lines_of(kept)
    assert re.search(REFUSED[case][1], line.fault or "")
    imports.apply_import(kept.id, by=cast.manager, at=AT)
    assert declared.status is MandateStatus.DECLARED


def test_two_clients_two_mandates_and_one_signed_already_are_told(
    declared: Mandate, owner: Client, fields: Fields, cast: Cast
) -> None:
    text = "Client;RUM;Date;IBAN\nlea@example.org;R-1;03/11/2026;"
    other = factories.make_bank_account(owner, "DE89370400440532013000")
    unsigned = fields(bank_account_id=other.id, signed_on=None)
    commands.create_mandate(owner.id, unsigned, by=cast.manager, at=AT)
    assert "précisez l’IBAN" in (only_line(text, cast).fault or "")
    assert only_line(text.replace("R-1", "md-0000001"), cast).fault is None
    assert only_line(f"{text}{IBAN}", cast).fault is None
    twin: Client = factories.ClientFactory(email="lea@example.org")
    db.session.commit()
    assert "Plusieurs clients" in (only_line(text, cast).fault or "")
    twin.email = None
    imports.apply_import(read(f"{text}{IBAN}", cast).id, by=cast.manager, at=AT)
    assert "déjà signé" in (only_line(f"{text}{IBAN}", cast).fault or "")


def test_lines_that_meet_are_told(declared: Mandate, cast: Cast) -> None:
    lines = "lea@example.org;R-1;03/11/2026\nlea@example.org;R-2;03/11/2026\nx@example.org;R-1;03/11/2026"
    first, second, _ = imports.lines_of(read(f"Client;RUM;Date\n{lines}", cast))
    assert "plusieurs fois" in (first.fault or "")
    assert second.fault is None


def test_one_client_may_be_written_in_several_ways(declared: Mandate, owner: Client, cast: Cast) -> None:
    written = ("lea@example.org;", "LEA@example.org;", "lea@example.org;59000", f"{owner.id};", f"{owner.id};59000")
    lines = "\n".join(f"{client};R-{place};03/11/2026" for place, client in enumerate(written))
    read_lines = imports.lines_of(read(f"Client;Code postal;RUM;Date\n{lines}", cast))
    assert [line.fault for line in read_lines] == [None, *["Une autre ligne complète déjà ce mandat."] * 4]


def test_what_changed_since_the_preview_is_left_alone(
    declared: Mandate, owner: Client, fields: Fields, cast: Cast
) -> None:
    kept = read("Client;RUM;Date\nlea@example.org;R-1;03/11/2026", cast)
    commands.change_mandate(owner.id, declared.id, fields(umr="BY-HAND"), by=cast.manager, at=AT)
    imports.apply_import(kept.id, by=cast.manager, at=AT)
    [line] = imports.lines_of(kept)
    assert (line.fault, line.is_done, declared.umr) == (imports.CHANGED, False, "BY-HAND")


def test_a_reference_given_meanwhile_costs_its_line_alone(
    declared: Mandate, bank_account: BankAccount, fields: Fields, cast: Cast
) -> None:
    stranger: Client = factories.ClientFactory(email="x@example.org")
    account_id = factories.make_bank_account(stranger, "DE89370400440532013000").id
    waits = Mandate(id=new_id(), client_id=stranger.id, bank_account_id=account_id, status=MandateStatus.DECLARED)
    db.session.add(waits)
    db.session.commit()
    kept = read("Client;RUM;Date\nlea@example.org;R-1;03/11/2026\nx@example.org;R-2;03/11/2026", cast)
    other = factories.make_bank_account(stranger)
    commands.create_mandate(stranger.id, fields(bank_account_id=other.id, umr="r-1"), by=cast.manager, at=AT)
    imports.apply_import(kept.id, by=cast.manager, at=AT)
    assert [line.fault for line in imports.lines_of(kept)] == [commands.TAKEN, None]
    assert (declared.umr, waits.umr) == (None, "R-2")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"Client;RUM;Date\n\x81", b"Nom;Montant\nx;1", b"Client;RUM;Date\n", b'Client;RUM;Date\n"x'],
)
def test_what_is_no_list_is_refused_at_its_field(cast: Cast, content: bytes) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        imports.read_import("x.csv", content, by=cast.manager, at=AT)
    assert refusal.value.field == "file"


def test_a_list_without_end_is_refused(cast: Cast) -> None:
    content = b"Client;RUM;Date\n" + b"x@example.org;R;03/11/2026\n" * (lists.MOST_LINES + 1)
    with pytest.raises(InvalidInputError, match="découpez-la"):
        imports.read_import("x.csv", content, by=cast.manager, at=AT)


def test_reading_takes_as_many_statements_for_many_lines(declared: Mandate, cast: Cast) -> None:
    counts = []
    for number in (1, 50):
        lines = "\n".join(f"c{place}@example.org;R-{place};03/11/2026" for place in range(number))
        with recorded_statements() as statements:
            read(f"Client;RUM;Date\n{lines}", cast)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_old_lists_go_and_an_outsider_finds_none(declared: Mandate, cast: Cast) -> None:
    kept = read("Client;RUM;Date\nlea@example.org;R-1;03/11/2026", cast)
    with tenancy.organisation(cast.other_organisation.id):
        for act in (imports.find_import, lambda each: imports.apply_import(each, by=cast.outsider, at=AT)):
            with pytest.raises(NotFoundError):
                act(kept.id)
    later = AT + imports.KEPT_FOR + timedelta(minutes=1)
    imports.read_import("x.csv", b"Client;RUM;Date\nx;y;z", by=cast.manager, at=later)
    assert len(db.session.scalars(select(MandateImport)).all()) == 1
