"""Bank files: whatever is written follows the schema, and what would not is refused."""

import string
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webapp.gateways.providers.pain008 import (
    SCHEMA,
    Amendment,
    Creditor,
    Debit,
    InvalidFileError,
    build_file,
    hold_against_schema,
)

NAMESPACE = {"p": f"urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"}
IBAN = "FR1420041010050500013M02606"
CREDITOR = Creditor(name="Société d’essai & Cie", iban=IBAN, bic="PSSTFRPPXXX", ics="FR72ZZZ123456")
DEBIT = Debit(
    end_to_end_id="CRM1",
    amount=Decimal("1234.5"),
    name="Durand Léa",
    iban="DE89370400440532013000",
    bic="COBADEFF",
    umr="RUM-1",
    signed_on=date(2026, 1, 2),
    text="ABO-1/2",
    street="1 rue du Sacré-Cœur",
    postcode="59000",
    city="Lille",
    country="FR",
)


def build(*debits: Debit, creditor: Creditor = CREDITOR) -> bytes:
    at = datetime(2026, 12, 1, 10)  # noqa: DTZ001  # as the bank reads it: local time
    return build_file(creditor, iter(debits), message_id="M" * 35, collected_on=date(2026, 12, 16), at=at)


def found(content: bytes, path: str) -> list[str | None]:
    document = ElementTree.fromstring(content)  # noqa: S314  # our own file
    return [each.text for each in document.iterfind(f".//p:{path.replace('/', '/p:')}", NAMESPACE)]


def test_every_shape_of_debit_follows_the_schema() -> None:
    nothing = {"bic": None, "street": None, "postcode": None, "city": None}
    shapes = [replace(DEBIT, **{name: None for name in nothing if name not in kept}) for kept in _subsets(nothing)]
    content = build(*shapes)
    hold_against_schema(content)
    assert (len(shapes), len(found(content, "DrctDbtTxInf"))) == (16, 16)


def _subsets(names: Any) -> list[set[str]]:
    subsets: list[set[str]] = [set()]
    for name in names:
        subsets += [subset | {name} for subset in subsets]
    return subsets


FORMER = {"umr": "OLD-1", "name": "Ancien & Cie", "ics": "FR19ZZZ654321", "iban": IBAN, "is_new_bank": True}


def test_every_shape_of_amendment_follows_the_schema_in_either_sequence() -> None:
    shapes = [Amendment(**{name: FORMER[name] for name in told}) for told in _subsets(FORMER)]  # type: ignore[arg-type]
    debits = [replace(DEBIT, amendment=shape, sequence=name) for shape in shapes for name in ("RCUR", "FRST")]
    content = build(*debits)
    hold_against_schema(content)
    assert found(content, "PmtInf/NbOfTxs") == ["32", "32"]
    assert found(content, "SeqTp") == ["FRST", "RCUR"]
    assert found(content, "GrpHdr/NbOfTxs") == ["64"]
    assert found(content, "GrpHdr/CtrlSum") == [f"{DEBIT.amount * 64:.2f}"]
    assert found(content, "PmtInf/PmtInfId") == ["M" * 35, "M" * 34 + "-"]
    assert len(found(content, "AmdmntInd")) == 62
    assert set(found(content, "OrgnlDbtrAcct/Id/Othr/Id")) == {"SMNDA"}
    assert set(found(content, "OrgnlCdtrSchmeId/Nm")) == {"Ancien + Cie"}
    assert found(content, "OrgnlDbtrAgt") == []


@pytest.mark.parametrize(("former", "words"), [({"umr": "É"}, "l’ancienne RUM"), ({"iban": "x"}, "l’ancien IBAN")])
def test_a_former_value_that_the_schema_refuses_is_refused(former: dict[str, str], words: str) -> None:
    amended = replace(DEBIT, amendment=Amendment(**former))  # type: ignore[arg-type]
    with pytest.raises(InvalidFileError, match=words):
        build(DEBIT, amended)


def test_it_says_who_collects_how_many_and_how_much() -> None:
    content = build(DEBIT, replace(DEBIT, amount=Decimal("0.05")))
    for part in ("GrpHdr", "PmtInf"):
        assert found(content, f"{part}/NbOfTxs") == ["2"]
        assert found(content, f"{part}/CtrlSum") == ["1234.55"]
    assert found(content, "GrpHdr/MsgId") == found(content, "PmtInf/PmtInfId") == ["M" * 35]
    assert found(content, "InitgPty/Nm") == found(content, "Cdtr/Nm") == ["Societe d'essai + Cie"]
    assert found(content, "CdtrSchmeId//Othr/Id".replace("//", "/Id/PrvtId/")) == ["FR72ZZZ123456"]
    assert found(content, "InstdAmt") == ["1234.50", "0.05"]
    assert found(content, "DrctDbtTxInf/DbtrAgt/FinInstnId/BICFI") == ["COBADEFF"] * 2


def test_texts_are_in_letters_that_every_bank_reads_on_one_line_and_as_much_as_fits() -> None:
    content = build(replace(DEBIT, name="Œil\n<&>\x01" + "é" * 80, text="x " * 90, street="1 rue\tdu Sacré-Cœur"))
    assert found(content, "Dbtr/Nm") == ["OEil + " + "e" * 63]
    assert found(content, "Ustrd") == [("x " * 70).strip()]
    assert found(content, "StrtNm") == ["1 rue du Sacre-Coeur"]
    hold_against_schema(content)


@pytest.mark.parametrize(
    "largest",
    [
        {"umr": "R" * 35, "end_to_end_id": "E" * 35},
        {"name": "n" * 200, "text": "t" * 200, "street": "s" * 200, "postcode": "1" * 200, "city": "c" * 200},
        {"iban": "FR14" + "a" * 30, "bic": "PSSTFRPP", "amount": Decimal("99999999999.99")},
    ],
)
def test_the_largest_values_are_accepted_here_as_by_the_schema(largest: dict[str, Any]) -> None:
    hold_against_schema(build(DEBIT, replace(DEBIT, **largest)))


BAD = [
    ("umr", "MndtId", ""),
    ("umr", "MndtId", "R" * 36),
    ("end_to_end_id", "EndToEndId", ""),
    ("end_to_end_id", "EndToEndId", "E" * 36),
    ("iban", "IBAN", ""),
    ("iban", "IBAN", "14FR"),
    ("iban", "IBAN", "FR14 2004 1010"),
    ("iban", "IBAN", "FR14" + "1" * 31),
    ("bic", "BICFI", "PSST"),
    ("bic", "BICFI", "psstfrpp"),
    ("bic", "BICFI", "PSSTFRPPX"),
    ("country", "Ctry", "F"),
    ("country", "Ctry", "fr"),
]


@pytest.mark.parametrize(("field", "tag", "value"), BAD)
def test_a_value_that_the_schema_refuses_is_refused_wherever_it_stands(field: str, tag: str, value: str) -> None:
    good = build(DEBIT, DEBIT)
    before, after = good[: good.rindex(f"<{tag}>".encode())], good[good.rindex(f"</{tag}>".encode()) :]
    with pytest.raises(InvalidFileError):
        hold_against_schema(before + f"<{tag}>{value}".encode() + after)
    with pytest.raises(InvalidFileError, match="n’est pas conforme"):
        build(DEBIT, replace(DEBIT, **{field: value}))


def test_the_refusal_names_the_client_and_not_the_iban() -> None:
    with pytest.raises(InvalidFileError, match=r"^l’IBAN de Durand Lea n’est pas conforme\.$"):
        build(DEBIT, replace(DEBIT, iban="nonsense"))


@pytest.mark.parametrize("umr", ["R\x01", "RUM_1", "RUM&1", "É1", "/RUM", "RUM/", "R//M", " RUM", "RUM "])
def test_a_reference_that_banks_refuse_is_refused(umr: str) -> None:
    with pytest.raises(InvalidFileError, match="la RUM"):
        build(DEBIT, replace(DEBIT, umr=umr))
    with pytest.raises(InvalidFileError, match="la référence"):
        build(DEBIT, replace(DEBIT, end_to_end_id=umr))


BASIC_SET = set(string.ascii_letters + string.digits + " /-?:().,'+")


@given(name=st.text(max_size=90), text=st.text(max_size=160), city=st.text(max_size=40))
@example(name="🙂", text="日本語 ; _ @ # ! « & »", city="…")
@example(name="_", text="", city="Œuf & Cie")
def test_whatever_a_client_is_called_only_the_basic_set_leaves(name: str, text: str, city: str) -> None:
    content = build(replace(DEBIT, name=name, text=text, city=city, street=text))
    hold_against_schema(content)
    for tag in ("Dbtr/Nm", "Ustrd", "TwnNm", "StrtNm"):
        assert all(value and set(value) <= BASIC_SET for value in found(content, tag)), tag
    assert len(found(content, "Dbtr/Nm")) == len(found(content, "Ustrd")) == 1


def test_a_name_without_a_letter_left_is_not_provided_and_a_text_the_reference() -> None:
    content = build(replace(DEBIT, name="🙂 !", text="🙂"))
    assert found(content, "Dbtr/Nm") == ["NOTPROVIDED"]
    assert found(content, "Ustrd") == ["CRM1"]


@pytest.mark.parametrize("change", [{"bic": "x"}, {"iban": ""}, {"ics": "Z" * 36}, {"name": ""}])
def test_a_creditor_that_the_schema_refuses_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidFileError):
        build(DEBIT, creditor=replace(CREDITOR, **change))


def test_a_file_without_debits_is_refused() -> None:
    with pytest.raises(InvalidFileError):
        build()
