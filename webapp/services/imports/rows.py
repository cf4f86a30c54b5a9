"""A row of a file as what it says of a client, a contract, an account and a mandate, or why it is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import select

from webapp import crypto, tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways.spreadsheets import Cell
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount
from webapp.models.base import new_id, new_id_text
from webapp.models.clients import full_name
from webapp.models.commercials import Commercial
from webapp.models.commercials import full_name as commercial_name
from webapp.models.organisations import Company
from webapp.services.contact import normalise_postcode
from webapp.services.imports.columns import BY_KEY, Column
from webapp.services.imports.reading import Row
from webapp.services.imports.transforms import fold, split_full_name

MOST_UNKNOWN = 50
UNNAMED = frozenset({full_name("", ""), commercial_name("", "", None, None)})
"""What our lists show where there is no name: it says nothing."""


class StagedRow(NamedTuple):
    """A line as ``import_rows`` has it: see ImportRow."""

    organisation_id: UUID
    operation_id: UUID
    line: int
    leader: int
    label: str
    wanted_id: str | None
    email: str | None
    phone: str | None
    reference: str | None
    new_id: str
    client_id: str
    client: str
    contract: str | None
    contract_id: str | None
    account: str | None
    account_indexes: list[bytes] | None
    account_id: UUID | None
    mandate: str | None
    mandate_id: UUID | None
    secrets: str | None
    fault: str | None


@dataclass
class Directory:
    """The commercials and companies that cells may name, and those commercials who are to be created.

    ``inactive_ids`` are those who left: their name may stand where they are, and comes to nobody else.
    """

    creates_commercials: bool
    companies: dict[str, UUID]
    company_id: UUID
    commercials: dict[str, UUID | None] = field(default_factory=dict)
    new_commercials: dict[UUID, dict[str, str]] = field(default_factory=dict)
    inactive_ids: set[UUID] = field(default_factory=set)
    unknown_companies: dict[str, None] = field(default_factory=dict)

    @classmethod
    def load(cls, rules: dict[str, Any]) -> "Directory":
        """As the organisation has them; ``rules`` say which company a foreign name stands for."""
        companies = db.session.execute(select(Company.id, Company.name, Company.is_default)).all()
        by_name = {fold(row.name): row.id for row in companies}
        by_name |= {fold(name): UUID(company_id) for name, company_id in rules.get("companies", {}).items()}
        default = next((row.id for row in companies if row.is_default), companies[0].id)
        chosen = UUID(rules["company_id"]) if rules.get("company_id") else default
        directory = cls(bool(rules.get("creates_commercials")), by_name, chosen)
        commercials = db.session.scalars(select(Commercial).order_by(Commercial.id)).all()
        directory._name([each for each in commercials if each.is_active])
        gone = [each for each in commercials if not each.is_active]
        directory.inactive_ids = {each.id for each in gone}
        directory._name(gone)
        return directory

    def _name(self, commercials: Sequence[Commercial]) -> None:
        """Two who are called alike are told by their e-mail alone; a name that is known already stays whose it is."""
        named: dict[str, UUID | None] = {}
        for each in commercials:
            first, last = each.first_name, each.last_name
            names = {fold(f"{first} {last}"), fold(f"{last} {first}"), fold(each.external_id or "")}
            for name in filter(None, {*names, (each.email or "").lower()}):
                named[name] = each.id if name not in named else None
        self.commercials = named | self.commercials

    def commercial(self, text: str) -> str:
        """The id of a commercial by name or e-mail, or of the one to be created. Raises InvalidInputError."""
        name = text.lower() if "@" in text else fold(text)
        if name not in self.commercials and self.creates_commercials:
            created = new_id()
            last, first = ("", "") if "@" in text else split_full_name(text, is_last_first=False)
            self.new_commercials[created] = {
                "last_name": last[:100],
                "first_name": first[:100],
                **({"email": name} if "@" in text else {}),
            }
            self.commercials[name] = created
        found = self.commercials.get(name)
        if found is not None:
            return str(found)
        if name in self.commercials:
            raise InvalidInputError("Plusieurs commerciaux portent ce nom\u202f: indiquez l’e-mail.")
        raise InvalidInputError("Ce commercial n’existe pas, ou n’est plus actif.")

    def company(self, text: str) -> str:
        """The id of a company by its name. Raises InvalidInputError."""
        found = self.companies.get(fold(text))
        if found is None:
            if len(self.unknown_companies) < MOST_UNKNOWN:
                self.unknown_companies[text] = None
            raise InvalidInputError("Cette société n’existe pas\u202f: dites sous le plan laquelle c’est.")
        return str(found)


class RowReader:
    """Reads rows of one file: which cell is what was decided once."""

    def __init__(
        self,
        keys: Sequence[str | None],
        headings: Sequence[str],
        directory: Directory,
        *,
        operation_id: UUID,
        is_1904: bool,
    ) -> None:
        self.organisation_id, self.operation_id = tenancy.current_organisation_id(), operation_id
        self.directory, self.width = directory, len(keys)
        self.chosen = [
            (
                place,
                BY_KEY[key],
                partial(BY_KEY[key].read, is_1904=is_1904) if BY_KEY[key].knows_1904 else BY_KEY[key].read,
            )
            for place, key in enumerate(keys)
            if key
        ]
        self.headings = {key: headings[place] for place, key in enumerate(keys) if key}
        self.purpose = iban_purpose(self.organisation_id)

    def staged(self, row: Row) -> StagedRow:
        """What the row says. What is wrong with it stands in ``fault``, each with the heading of its column."""
        said: dict[str, dict[str, Any]] = {"client": {}, "contract": {}, "account": {}, "mandate": {}}
        faults: list[str] = []
        cells = row.cells
        for place, column, read in self.chosen:
            cell = cells[place] if place < len(cells) else None
            if cell is None or cell == "":
                continue
            try:
                value = read(cell)
            except InvalidInputError as error:
                faults.append(self._fault(column.key, error.message))
                continue
            if value is not None:
                self._put(said, column, cell, value, faults)
        self._check(said, faults)
        return self._row(row.line, said, faults)

    def _put(self, said: dict[str, dict[str, Any]], column: Column, cell: Cell, value: str, faults: list[str]) -> None:
        part, name = said[column.part], column.name
        if value in UNNAMED:
            return
        if name in ("full_name", "full_name_first"):
            last, first = split_full_name(cell, is_last_first=name == "full_name")
            part["whole"] = value
            part.update({key: text for key, text in (("last_name", last), ("first_name", first)) if text})
            if len(last) > 200 or len(first) > 200:
                faults.append(self._fault(column.key, "C’est trop long\u202f: 200 caractères au plus."))
        elif name in ("commercial", "company"):
            try:
                part[f"{name}_id"] = getattr(self.directory, name)(value)
            except InvalidInputError as error:
                faults.append(self._fault(column.key, error.message))
        elif name == "amount":
            part[name] = float(value)
        elif name == "withdrawal_day":
            part[name] = int(value)
        else:
            part[name] = value

    def _check(self, said: dict[str, dict[str, Any]], faults: list[str]) -> None:
        """What cells say together."""
        self._check_postcodes(said["client"], faults)
        contract, account, mandate = said["contract"], said["account"], said["mandate"]
        if contract and "reference" not in contract:
            faults.append(self._fault("contract.reference", "Indiquez la référence du contrat."))
        if contract.get("ends_on") and contract["ends_on"] < contract.get("starts_on", ""):
            faults.append(self._fault("contract.ends_on", "La fin précède le début."))
        if account and "iban" not in account and not faults:
            faults.append(self._fault("account.iban", "Indiquez l’IBAN du compte."))
        if mandate and not {"umr", "signed_on"} <= mandate.keys() and not faults:
            missing = "umr" if "umr" not in mandate else "signed_on"
            faults.append(self._fault(f"mandate.{missing}", "Un mandat demande sa référence (RUM) et sa signature."))
        if mandate:
            mandate["company_id"] = contract.get("company_id") or str(self.directory.company_id)

    def _check_postcodes(self, client: dict[str, Any], faults: list[str]) -> None:
        for postcode, country in (("postcode", "country"), ("delivery_postcode", "delivery_country")):
            if postcode in client:
                try:
                    client[postcode] = normalise_postcode(client[postcode], client.get(country, "FR"))
                except InvalidInputError as error:
                    faults.append(self._fault(f"client.{postcode}", error.message))

    def _fault(self, key: str, sentence: str) -> str:
        heading = self.headings.get(key, BY_KEY[key].label)
        return f"{heading}\u202f: {sentence}"

    def _row(self, line: int, said: dict[str, dict[str, Any]], faults: list[str]) -> StagedRow:
        client, contract, account, mandate = said["client"], said["contract"], said["account"], said["mandate"]
        wanted_id = client.pop("id", None)
        whole = client.pop("whole", "")
        label = whole or full_name(client.get("last_name", ""), client.get("first_name", "")) if client else ""
        if label in ("", "Sans nom"):
            label = client.get("email") or contract.get("reference") or f"Ligne {line}"
        account_id = new_id() if account else None
        client_id = new_id_text()
        indexes, secrets = None, None
        if account and "iban" in account and not faults:
            indexes = crypto.blind_indexes(account["iban"], purpose=self.purpose)
            secrets = self._sealed(account, account_id, indexes[0])
            account["iban_masked"] = mask_iban(account["iban"])
        account.pop("iban", None)
        account.pop("bic", None)
        return StagedRow(
            self.organisation_id,
            self.operation_id,
            line,
            line,
            label[:200],
            wanted_id,
            client.get("email"),
            client.get("phone"),
            contract.get("reference"),
            client_id,
            client_id,
            _json(client) or "{}",
            _json(contract),
            new_id_text() if contract else None,
            _json(account),
            indexes,
            account_id,
            _json(mandate),
            new_id() if mandate else None,
            secrets,
            " · ".join(faults) or None,
        )

    def _sealed(self, account: dict[str, Any], account_id: UUID | None, index: bytes) -> str:
        """The encrypted columns of the account to be, in the form in which PostgreSQL reads them from JSON."""
        assert account_id is not None  # noqa: S101  for mypy
        columns = {"iban_index": index}
        for name in ("iban", "bic"):
            if name in account:
                place = BankAccount.place(self.organisation_id, account_id, name)
                columns[name] = crypto.seal(account[name], place=place)
        return orjson.dumps({name: f"\\x{value.hex()}" for name, value in columns.items()}).decode()


def _json(values: dict[str, Any]) -> str | None:
    return orjson.dumps(values).decode() if values else None
