"""A bank file of SEPA debits (pain.008), written as text: ten thousand debits in less than a second, in little memory.

Its frame and first debit are held against the schema itself, which takes half a millisecond a debit. Of the others,
which have the same structure, only values can break it: these are held against what the schema asks of each.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from xml.sax.saxutils import escape

from sepaxml.validation import ValidationError, try_valid_xml

from webapp import sepa

SCHEMA = "pain.008.001.08"


@dataclass(frozen=True)
class Creditor:
    """Who collects. ``ics`` is its SEPA creditor identifier."""

    name: str
    iban: str
    bic: str
    ics: str


@dataclass(frozen=True, slots=True)
class Debit:
    """One collection. The address is structured, as banks demand since November 2026; ``country`` is ISO 3166."""

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


class InvalidFileError(Exception):
    """The file would not follow its schema; the message says where, in French where it is a debit."""


def build_file(
    creditor: Creditor, debits: Iterable[Debit], *, message_id: str, collected_on: date, at: datetime
) -> bytes:
    """A pain.008 file with one batch; ``at`` is local time. Raises InvalidFileError."""
    written, total = [], Decimal("0.00")
    for debit in debits:
        written.append(_debit(debit))
        total += debit.amount
    head = _HEAD.format(
        message_id=message_id,
        created_at=f"{at:%Y-%m-%dT%H:%M:%S}",
        number=len(written),
        total=f"{total:.2f}",
        collected_on=collected_on,
        name=_text(creditor.name, 70),
        iban=escape(creditor.iban),
        bic=escape(creditor.bic),
        ics=escape(creditor.ics),
    )
    try:
        try_valid_xml(_document(head, written[:1]), SCHEMA)
    except ValidationError as error:
        raise InvalidFileError(str(error.__cause__ or error)) from error
    return _document(head, written)


def _document(head: str, debits: list[str]) -> bytes:
    return "".join([head, *debits, _FOOT]).encode()


# RCUR serves for the first debit too (SEPA Core rulebook, since 2016). The batch has the name of its message.
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"><CstmrDrctDbtInitn>'
    "<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>{created_at}</CreDtTm>"
    "<NbOfTxs>{number}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
    "<InitgPty><Nm>{name}</Nm><Id><OrgId><Othr><Id>{ics}</Id></Othr></OrgId></Id></InitgPty></GrpHdr>"
    "<PmtInf><PmtInfId>{message_id}</PmtInfId><PmtMtd>DD</PmtMtd><BtchBookg>true</BtchBookg>"
    "<NbOfTxs>{number}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
    "<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl><LclInstrm><Cd>CORE</Cd></LclInstrm><SeqTp>RCUR</SeqTp></PmtTpInf>"
    "<ReqdColltnDt>{collected_on}</ReqdColltnDt><Cdtr><Nm>{name}</Nm></Cdtr>"
    "<CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct>"
    "<CdtrAgt><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></CdtrAgt><ChrgBr>SLEV</ChrgBr>"
    "<CdtrSchmeId><Id><PrvtId><Othr><Id>{ics}</Id><SchmeNm><Prtry>SEPA</Prtry></SchmeNm></Othr></PrvtId></Id>"
    "</CdtrSchmeId>"
)
_FOOT = "</PmtInf></CstmrDrctDbtInitn></Document>"


def _debit(debit: Debit) -> str:
    name, address = escape(sepa.plain_name(debit.name, 70)), _address(debit)
    text = escape(sepa.plain_name(debit.text, 140, otherwise=debit.end_to_end_id))
    for label, value, pattern in (
        ("l’IBAN", debit.iban, _IBAN),
        ("le BIC", debit.bic or "", _BIC),
        ("le pays", debit.country if address else "FR", _COUNTRY),
    ):
        if not pattern.fullmatch(value):
            raise InvalidFileError(f"{label} de {name} n’est pas conforme.")
    for label, value in (("la référence", debit.end_to_end_id), ("la RUM du mandat", debit.umr)):
        if not sepa.is_identifier(value):
            raise InvalidFileError(f"{label} de {name} n’est pas conforme.")
    bank = f"<BICFI>{debit.bic}</BICFI>" if debit.bic else "<Othr><Id>NOTPROVIDED</Id></Othr>"
    return (
        f"<DrctDbtTxInf><PmtId><EndToEndId>{escape(debit.end_to_end_id)}</EndToEndId></PmtId>"
        f'<InstdAmt Ccy="EUR">{debit.amount:.2f}</InstdAmt>'
        f"<DrctDbtTx><MndtRltdInf><MndtId>{escape(debit.umr)}</MndtId><DtOfSgntr>{debit.signed_on}</DtOfSgntr>"
        f"</MndtRltdInf></DrctDbtTx><DbtrAgt><FinInstnId>{bank}</FinInstnId></DbtrAgt>"
        f"<Dbtr><Nm>{name}</Nm>{address}</Dbtr>"
        f"<DbtrAcct><Id><IBAN>{debit.iban}</IBAN></Id></DbtrAcct>"
        f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf></DrctDbtTxInf>"
    )


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
