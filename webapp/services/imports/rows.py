"""A row of a file as what it says of a client, a contract, an account and a mandate, or why it is refused."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
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
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.services.contact import normalise_postcode
from webapp.services.imports.cells import ColumnReader
from webapp.services.imports.columns import BY_KEY, PARTS
from webapp.services.imports.reading import Row
from webapp.services.imports.transforms import complete_postcode, fold, split_full_name, split_title

MOST_UNKNOWN = 50


class StagedRow(NamedTuple):
    """A line as ``import_rows`` has it: see ImportRow."""

    organisation_id: str
    operation_id: str
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
    """The commercials, companies and products that cells may name, and those commercials who are to be created.

    ``inactive_ids`` are those who left: their name may stand where they are, and comes to nobody else.
    """

    creates_commercials: bool
    companies: dict[str, UUID]
    company_id: UUID
    commercials: dict[str, UUID | None] = field(default_factory=dict)
    new_commercials: dict[UUID, dict[str, str]] = field(default_factory=dict)
    inactive_ids: set[UUID] = field(default_factory=set)
    unknown_companies: dict[str, None] = field(default_factory=dict)
    products: dict[str, str | None] = field(default_factory=dict)
    product_names: dict[str, str] = field(default_factory=dict)
    unknown_products: dict[str, None] = field(default_factory=dict)

    @classmethod
    def load(cls, rules: dict[str, Any], *, has_products: bool = False) -> "Directory":
        """As the organisation has them; ``rules`` say which company or product a foreign name stands for.

        ``has_products``: the file names products, so that the catalogue is needed.
        """
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
        if has_products:
            directory._know_products(rules.get("products", {}))
        return directory

    def _know_products(self, mapped: dict[str, str]) -> None:
        """Accents and case aside; two whose names then are one are told by the exact name alone."""
        found = db.session.execute(select(Product.id, Product.name)).all()
        self.product_names = {str(row.id): row.name for row in found}
        for product_id, name in self.product_names.items():
            folded = fold(name)
            self.products[folded] = product_id if folded not in self.products else None
        self.products |= {name: product_id for product_id, name in self.product_names.items()}
        known = {name: product_id for name, product_id in mapped.items() if product_id in self.product_names}
        self.products |= known | {fold(name): product_id for name, product_id in known.items()}

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

    def product(self, text: str) -> str:
        """The id of a product by its name. Raises InvalidInputError."""
        found = self.products.get(text) or self.products.get(fold(text))
        if found is not None:
            return found
        if len(self.unknown_products) < MOST_UNKNOWN:
            self.unknown_products[text] = None
        if fold(text) in self.products:
            raise InvalidInputError("Plusieurs produits portent ce nom\u202f: dites sous le plan lequel c’est.")
        raise InvalidInputError("Ce produit n’existe pas\u202f: dites sous le plan lequel c’est, ou créez-le.")


class Line(NamedTuple):
    """A row whose cells are read: by name what it says of each, and what is wrong with it."""

    number: int
    faults: list[str]
    client: dict[str, Any]
    contract: dict[str, Any]
    account: dict[str, Any]
    mandate: dict[str, Any]


_NAMED_WHOLE = {"full_name": True, "full_name_first": False}
"""The columns of whole names, and whether the last name stands first."""
_NUMBERS: dict[str, Callable[[str], float]] = {
    "amount": float,
    "withdrawal_day": int,
    "quantity": float,
    "unit_price": float,
}
_POSTCODES = {"postcode": "country", "delivery_postcode": "delivery_country"}
Said = dict[str, dict[str, list[Any]]]
"""By part and name, what each row says."""


class RowReader:
    """Reads rows of one file, column by column: which is what was decided once."""

    def __init__(
        self,
        keys: Sequence[str | None],
        headings: Sequence[str],
        directory: Directory,
        *,
        operation_id: UUID,
        is_1904: bool,
    ) -> None:
        self.organisation_id = tenancy.current_organisation_id()
        self.key = str(self.organisation_id), str(operation_id)
        self.directory = directory
        resolved = {
            "commercial": directory.commercial,
            "company": directory.company,
            "product": directory.product,
        }
        self.chosen = [
            (place, ColumnReader(BY_KEY[key], is_1904=is_1904, resolve=resolved.get(BY_KEY[key].name)))
            for place, key in enumerate(keys)
            if key
        ]
        self.headings = {key: headings[place] for place, key in enumerate(keys) if key}
        self.purpose = iban_purpose(self.organisation_id)

    def staged(self, rows: Sequence[Row]) -> list[StagedRow]:
        """What the rows say. What is wrong with one stands in ``fault``, each with the heading of its column."""
        faults: defaultdict[int, list[str]] = defaultdict(list)
        said: Said = {"client": {}, "contract": {}, "account": {}, "mandate": {}}
        columns = list(zip_longest(*(row.cells for row in rows)))
        for place, reader in self.chosen:
            self._put(said, reader, columns[place] if place < len(columns) else [None] * len(rows), faults)
        staged = []
        for number, parts in enumerate(zip(*(_by_row(said[part], len(rows)) for part in PARTS), strict=True)):
            line = Line(rows[number].line, faults.pop(number, []), *parts)
            self._check(line)
            staged.append(self._row(line))
        return staged

    def _put(
        self, said: Said, reader: ColumnReader, cells: Sequence[Cell], faults: defaultdict[int, list[str]]
    ) -> None:
        """What a column says of each row."""
        column, part = reader.column, said[reader.column.part]

        def refuse(number: int, sentence: str) -> None:
            faults[number].append(self._fault(column.key, sentence))

        values: list[Any] = reader.read(cells, refuse)
        if column.name in _NAMED_WHOLE:
            _add(part, "whole", values)
            titled = [split_title(value or "") for value in values]
            names = [split_full_name(name, is_last_first=_NAMED_WHOLE[column.name]) for _, name in titled]
            if "client.civility" not in self.headings:
                _add(part, "civility", [civility for civility, _ in titled])
            for number, (last, first) in enumerate(names):
                if len(last) > 200 or len(first) > 200:
                    refuse(number, "C’est trop long\u202f: 200 caractères au plus.")
            _add(part, "last_name", [last or None for last, _ in names])
            _add(part, "first_name", [first or None for _, first in names])
        elif column.name in _NUMBERS:
            number_of = _NUMBERS[column.name]
            _add(part, column.name, [None if value is None else number_of(value) for value in values])
        else:
            _add(part, f"{column.name}_id" if reader.resolve else column.name, values)

    def _check(self, line: Line) -> None:
        """What cells say together."""
        contract, account, mandate, faults = line.contract, line.account, line.mandate, line.faults
        self._check_postcodes(line.client, faults)
        if contract and "reference" not in contract:
            faults.append(self._fault("contract.reference", "Indiquez la référence du contrat."))
        if "product_id" in contract:
            contract["product"] = self.directory.product_names[contract["product_id"]]
        elif contract.keys() & {"quantity", "unit_price"} and not faults:
            faults.append(self._fault("contract.product", "Indiquez le produit qui a cette quantité ou ce prix."))
        if "ends_on" in contract and contract["ends_on"] < contract.get("starts_on", ""):
            faults.append(self._fault("contract.ends_on", "La fin précède le début."))
        if account and "iban" not in account and not faults:
            faults.append(self._fault("account.iban", "Indiquez l’IBAN du compte."))
        if mandate and not {"umr", "signed_on"} <= mandate.keys() and not faults:
            missing = "umr" if "umr" not in mandate else "signed_on"
            faults.append(self._fault(f"mandate.{missing}", "Un mandat demande sa référence (RUM) et sa signature."))
        if mandate:
            mandate["company_id"] = contract.get("company_id") or str(self.directory.company_id)

    def _check_postcodes(self, client: dict[str, Any], faults: list[str]) -> None:
        for postcode, country in _POSTCODES.items():
            if postcode in client:
                in_country = client.get(country, "FR")
                try:
                    client[postcode] = normalise_postcode(complete_postcode(client[postcode], in_country), in_country)
                except InvalidInputError as error:
                    faults.append(self._fault(f"client.{postcode}", error.message))

    def _fault(self, key: str, sentence: str) -> str:
        heading = self.headings.get(key, BY_KEY[key].label)
        return f"{heading}\u202f: {sentence}"

    def _row(self, line: Line) -> StagedRow:
        client, contract, account, mandate, faults = line.client, line.contract, line.account, line.mandate, line.faults
        wanted_id = client.pop("id", None)
        whole = client.pop("whole", "")
        label = whole or full_name(client.get("last_name", ""), client.get("first_name", "")) if client else ""
        if label in ("", "Sans nom"):
            label = client.get("email") or contract.get("reference") or f"Ligne {line.number}"
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
            *self.key,
            line.number,
            line.number,
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


def _add(part: dict[str, list[Any]], name: str, values: list[Any]) -> None:
    """What one more column says: it wins over an earlier one where it is not blank."""
    if earlier := part.get(name):
        values = [before if value is None else value for before, value in zip(earlier, values, strict=True)]
    part[name] = values


def _by_row(said: dict[str, list[Any]], count: int) -> list[dict[str, Any]]:
    """Of each row what it says, by name."""
    if not said:
        return [{} for _ in range(count)]
    rows = zip(*said.values(), strict=True)
    if any(None in values for values in said.values()):
        return [{name: value for name, value in zip(said, row, strict=True) if value is not None} for row in rows]
    return [dict(zip(said, row, strict=True)) for row in rows]


def _json(values: dict[str, Any]) -> str | None:
    return orjson.dumps(values).decode() if values else None
