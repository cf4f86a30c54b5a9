"""A bank file of SEPA debits (pain.008), written as text: ten thousand debits in less than a second, in little memory.

Its frame and one debit of each structure are held against the schema itself, which takes half a millisecond a debit. Of
the others, only values can break it: these are held against what the schema asks of each.

A mandate that changed is told with its next debit (AmdmntInfDtls): the former reference, the former name and identifier
of the creditor, the former account. An account at another bank is told as SMNDA under OrgnlDbtrAcct, the debtor's agent
no longer being told: « Same Mandate with a New Debtor Account » since version 9.0 of the implementation guidelines
(EPC130-08, section 1.5.4, in force since November 2016). Its debit is the first of the mandate at that bank, FRST.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from webapp import sepa

if TYPE_CHECKING:
    from xmlschema import XMLSchema

SCHEMA = "pain.008.001.08"


@dataclass(frozen=True)
class Creditor:
    """Who collects. ``ics`` is its SEPA creditor identifier."""

    name: str
    iban: str
    bic: str
    ics: str


@dataclass(frozen=True, slots=True)
class Amendment:
    """What the bank heard before of a mandate: each value is the former one, empty where it stays.

    ``name`` and ``ics`` are the creditor's. The former ``iban`` is told where the new one is at the same bank.
    """

    umr: str = ""
    name: str = ""
    ics: str = ""
    iban: str = ""
    is_new_bank: bool = False


@dataclass(frozen=True, slots=True)
class Debit:
    """One collection. The address is structured, as banks demand since November 2026; ``country`` is ISO 3166.

    ``sequence`` is FRST or RCUR.
    """

    end_to_end_id: str
    amount: Decimal
    name: str
    iban: str
    bic: str | None
    umr: str
    signed_on: date
    text: str
    street: str | None
    postcode: str | None
    city: str | None
    country: str
    sequence: str = "RCUR"
    amendment: Amendment | None = None


class InvalidFileError(Exception):
    """The file would not follow its schema; the message says where, in French where it is a debit."""


def build_file(
    creditor: Creditor, debits: Iterable[Debit], *, message_id: str, collected_on: date, at: datetime
) -> bytes:
    """A pain.008 file with a batch for each sequence, FRST first; ``at`` is local time. Raises InvalidFileError."""
    batches = {sequence: _Batch(sequence) for sequence in SEQUENCES}
    for debit in debits:
        batches[debit.sequence].add(debit)
    filled = [batch for batch in batches.values() if batch.debits]
    values = {
        "message_id": message_id,
        "created_at": f"{at:%Y-%m-%dT%H:%M:%S}",
        "collected_on": collected_on,
        "name": _text(creditor.name, 70),
        "iban": escape(creditor.iban),
        "bic": escape(creditor.bic),
        "ics": escape(creditor.ics),
        "number": sum(len(batch.debits) for batch in filled),
        "total": f"{sum((batch.total for batch in filled), Decimal('0.00')):.2f}",
    }
    hold_against_schema(_document(values, filled, is_sample=True))
    return _document(values, filled)


def hold_against_schema(content: bytes) -> None:
    """Raises InvalidFileError where a file does not follow the schema."""
    fault = next(_schema().iter_errors(content.decode()), None)
    if fault is not None:
        raise InvalidFileError(str(fault)) from fault


@cache
def _schema() -> "XMLSchema":
    """Read at the first file, which takes a tenth of a second, and so does the library; both are kept."""
    from xmlschema import XMLSchema  # noqa: PLC0415

    return XMLSchema(str(files("sepaxml") / "schemas" / f"{SCHEMA}.xsd"))


class _Batch:
    """The debits of one sequence, written, and of each structure the first one."""

    def __init__(self, sequence: str) -> None:
        self.sequence, self.total = sequence, Decimal("0.00")
        self.debits: list[str] = []
        self.samples: dict[object, str] = {}

    def add(self, debit: Debit) -> None:
        written = _debit(debit)
        self.debits.append(written)
        self.samples.setdefault(_structure(debit), written)
        self.total += debit.amount


def _structure(debit: Debit) -> object:
    """What of an amendment is told: nothing, for most."""
    told = debit.amendment
    return told and (bool(told.umr), bool(told.name), bool(told.ics), bool(told.iban), told.is_new_bank)


def _document(values: dict[str, object], batches: list[_Batch], *, is_sample: bool = False) -> bytes:
    parts = [_HEAD.format_map(values)]
    for place, batch in enumerate(batches):
        own = {
            "batch_id": _batch_id(str(values["message_id"]), place),
            "sequence": batch.sequence,
            "number": len(batch.debits),
            "total": f"{batch.total:.2f}",
        }
        parts.append(_BATCH.format_map(values | own))
        parts += batch.samples.values() if is_sample else batch.debits
        parts.append("</PmtInf>")
    return "".join([*parts, _FOOT]).encode()


def _batch_id(message_id: str, place: int) -> str:
    """The first batch has the name of its message, a second one the same with another end."""
    return message_id if place == 0 else f"{message_id[:-1]}-"


SEQUENCES = ("FRST", "RCUR")
"""Since 2016 the first debit may be RCUR too (SEPA Core rulebook)."""

_CREDITOR_ID = "<Id><PrvtId><Othr><Id>{ics}</Id><SchmeNm><Prtry>SEPA</Prtry></SchmeNm></Othr></PrvtId></Id>"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"><CstmrDrctDbtInitn>'
    "<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>{created_at}</CreDtTm>"
    "<NbOfTxs>{number}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
    "<InitgPty><Nm>{name}</Nm><Id><OrgId><Othr><Id>{ics}</Id></Othr></OrgId></Id></InitgPty></GrpHdr>"
)
_BATCH = (
    "<PmtInf><PmtInfId>{batch_id}</PmtInfId><PmtMtd>DD</PmtMtd><BtchBookg>true</BtchBookg>"
    "<NbOfTxs>{number}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
    "<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl><LclInstrm><Cd>CORE</Cd></LclInstrm><SeqTp>{sequence}</SeqTp></PmtTpInf>"
    "<ReqdColltnDt>{collected_on}</ReqdColltnDt><Cdtr><Nm>{name}</Nm></Cdtr>"
    "<CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct>"
    "<CdtrAgt><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></CdtrAgt><ChrgBr>SLEV</ChrgBr>"
    f"<CdtrSchmeId>{_CREDITOR_ID}</CdtrSchmeId>"
)
_FOOT = "</CstmrDrctDbtInitn></Document>"


def _debit(debit: Debit) -> str:
    name, address = escape(sepa.plain_name(debit.name, 70)), _address(debit)
    told = debit.amendment or Amendment()
    text = escape(sepa.plain_name(debit.text, 140, otherwise=debit.end_to_end_id))
    for label, value, pattern in (
        ("l’IBAN", debit.iban, _IBAN),
        ("le BIC", debit.bic or "", _BIC),
        ("le pays", debit.country if address else "FR", _COUNTRY),
        ("l’ancien IBAN", told.iban or debit.iban, _IBAN),
    ):
        if not pattern.fullmatch(value):
            raise InvalidFileError(f"{label} de {name} n’est pas conforme.")
    former = [("l’ancienne RUM du mandat", told.umr)] if told.umr else []
    for label, value in (("la référence", debit.end_to_end_id), ("la RUM du mandat", debit.umr), *former):
        if not sepa.is_identifier(value):
            raise InvalidFileError(f"{label} de {name} n’est pas conforme.")
    bank = f"<BICFI>{debit.bic}</BICFI>" if debit.bic else "<Othr><Id>NOTPROVIDED</Id></Othr>"
    return (
        f"<DrctDbtTxInf><PmtId><EndToEndId>{escape(debit.end_to_end_id)}</EndToEndId></PmtId>"
        f'<InstdAmt Ccy="EUR">{debit.amount:.2f}</InstdAmt>'
        f"<DrctDbtTx><MndtRltdInf><MndtId>{escape(debit.umr)}</MndtId><DtOfSgntr>{debit.signed_on}</DtOfSgntr>"
        f"{_amended(told)}</MndtRltdInf></DrctDbtTx><DbtrAgt><FinInstnId>{bank}</FinInstnId></DbtrAgt>"
        f"<Dbtr><Nm>{name}</Nm>{address}</Dbtr>"
        f"<DbtrAcct><Id><IBAN>{debit.iban}</IBAN></Id></DbtrAcct>"
        f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf></DrctDbtTxInf>"
    )


def _amended(told: Amendment) -> str:
    """What the bank heard before, in the order of the schema; nothing where nothing is told."""
    reference = f"<OrgnlMndtId>{escape(told.umr)}</OrgnlMndtId>" if told.umr else ""
    name = f"<Nm>{_text(told.name, 70)}</Nm>" if told.name else ""
    ics = _CREDITOR_ID.format(ics=escape(told.ics)) if told.ics else ""
    creditor = f"<OrgnlCdtrSchmeId>{name}{ics}</OrgnlCdtrSchmeId>" if name or ics else ""
    account = "<Othr><Id>SMNDA</Id></Othr>" if told.is_new_bank else f"<IBAN>{told.iban}</IBAN>" if told.iban else ""
    account = f"<OrgnlDbtrAcct><Id>{account}</Id></OrgnlDbtrAcct>" if account else ""
    details = f"{reference}{creditor}{account}"
    return f"<AmdmntInd>true</AmdmntInd><AmdmntInfDtls>{details}</AmdmntInfDtls>" if details else ""


# What the schema asks of them: the tests hold one against the other.
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[a-zA-Z0-9]{1,30}")
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?|")
_COUNTRY = re.compile(r"[A-Z]{2}")


def _address(debit: Debit) -> str:
    """Structured, or none: with the country, the town is the least of it."""
    town = _text(debit.city, 35)
    if not town:
        return ""
    street, postcode = _text(debit.street, 70), _text(debit.postcode, 16)
    parts = (("StrtNm", street), ("PstCd", postcode), ("TwnNm", town), ("Ctry", debit.country))
    return f"<PstlAdr>{''.join(f'<{tag}>{value}</{tag}>' for tag, value in parts if value)}</PstlAdr>"


def _text(text: str | None, length: int) -> str:
    return escape(sepa.plain_text(text, length))
