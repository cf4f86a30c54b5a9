"""From a raw prospect, of either generation, to the one shape that the CRM compares and applies.

What rejects a prospect: no usable id, no name at all, not an object. Anything else that cannot be read is left
out, with a warning; what was left out is not taken for a change (``unread``). Neither is a key that is absent: the two
generations have different keys, and only an explicit null or empty text says that something was emptied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from webapp.clock import PARIS
from webapp.errors import DomainError
from webapp.models.clients import ClientStatus
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.services.contact import check_bic, check_iban, normalise_email, normalise_phone
from webapp.services.winleadplus.values import (
    LOST_LETTER,
    TEN_THOUSANDTH,
    read_amount,
    read_commercial_id,
    read_country,
    read_instant,
    read_status,
    read_text,
)

T = TypeVar("T")

MAPPING_VERSION = 2
"""Raise it when a rule below changes: every prospect is then looked at again."""

KEYS = {
    "last_name": "nom",
    "first_name": "prenom",
    "email": "email",
    "phone": "telephone",
    "identity_card": "identityCard",
    "accounts": "informationsPaiement",
}
"""The fields of a prospect that have one key, in both generations."""
ADDRESS_KEYS = {
    "address_line1": "rue",
    "address_line2": "complement",
    "postcode": "codePostal",
    "city": "ville",
    "country": "pays",
}
CONTRACT_KEYS = {
    "status": "statut",
    "status_raw": "statut",
    "description": "description",
    "contract_type": "type",
    "supplier": "fournisseur",
    "amount": "montant",
    "signed_at": "dateSignature",
    "validated_at": "dateValidation",
    "document_url": "documentUrl",
    "audit_trail_url": "auditTrailUrl",
}
LINE_KEYS = {"unit_price": "prix_base", "category": "categorie", "supplier": "fournisseur", "offer_id": "offreId"}
LARGEST_ID = 2**63 - 1
CARD_LIMIT = 64 * 1024
QUOTED = 60


class RejectedProspectError(Exception):
    """The whole prospect is refused. ``reason`` is French; ``label`` names it as far as it can be named."""

    def __init__(self, reason: str, label: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.label = label


@dataclass(frozen=True, slots=True)
class Representative:
    """The commercial as WinLeadPlus names them. ``external_id`` is the Keycloak id."""

    external_id: str | None
    email: str | None
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class ProspectAccount:
    """A bank account. ``has_mandate``: WinLeadPlus says that a SEPA mandate was signed."""

    iban: str
    bic: str | None
    has_mandate: bool


@dataclass(frozen=True, slots=True)
class ProspectLine:
    """A product on a contract."""

    label: str
    unit_price: Decimal | None
    category: str | None
    supplier: str | None
    offer_id: str | None
    unsaid: tuple[str, ...] = field(default=(), compare=False)
    """The details above that the line has no key for; never part of a snapshot."""


@dataclass(frozen=True, slots=True)
class ProspectContract:
    """A contract; the names are those of the model's columns."""

    reference: str
    status: ContractStatus
    status_raw: str | None
    description: str | None
    contract_type: str | None
    supplier: str | None
    amount: Decimal | None
    signed_at: datetime | None
    validated_at: datetime | None
    starts_on: date | None
    payment_method: PaymentMethod | None
    document_url: str | None
    audit_trail_url: str | None
    lines: tuple[ProspectLine, ...]


@dataclass(frozen=True, slots=True)
class Prospect:
    """A prospect; the names are those of the client's columns. Empty names are "", anything else empty is None.

    ``commercial`` is a Keycloak id. ``unread`` names what could not be read, ``unsaid`` that for which there was no
    key: fields of this class, for contracts ``contract.REFERENCE.field``, for accounts ``account.IBAN.field``.
    """

    external_id: str
    last_name: str
    first_name: str
    email: str | None
    phone: str | None
    address_line1: str | None
    address_line2: str | None
    postcode: str | None
    city: str | None
    country: str
    status: ClientStatus
    commercial: str | None
    identity_card: str | None
    accounts: tuple[ProspectAccount, ...]
    contracts: tuple[ProspectContract, ...]
    has_contracts: bool
    representative: Representative | None
    warnings: tuple[str, ...]
    unread: frozenset[str]
    unsaid: frozenset[str]

    @property
    def commercial_key(self) -> str | None:
        """What the commercial is known by: a Keycloak id, else an e-mail."""
        return self.commercial or (self.representative.email if self.representative else None)

    @property
    def label(self) -> str:
        """Last name first, as the lists show it."""
        return f"{self.last_name} {self.first_name}".strip()


@dataclass(slots=True)
class _Notes:
    """What could not be read, collected while reading."""

    warnings: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    unsaid: set[str] = field(default_factory=set)

    def warn(self, sentence: str, *fields: str) -> None:
        self.warnings.append(sentence)
        self.unread.update(fields)

    def value(self, name: str, what: str, read: Callable[[Any], T], raw: object) -> T | None:
        """``read(raw)``, or None with a warning that quotes it."""
        try:
            return read(raw)
        except (ValueError, DomainError):
            self.warn(f"{what} illisible{_quoted(raw)}\u202f: valeur laissée de côté.", name)
            return None

    def text(self, name: str, what: str, raw: object, limit: int) -> str:
        """The text, cut to ``limit`` with a warning, or "" with a warning."""
        if raw is None:
            return ""
        try:
            text, was_cut = read_text(raw, limit)
        except ValueError:
            self.warn(f"{what} illisible\u202f: valeur laissée de côté.", name)
            return ""
        if was_cut:
            self.warn(f"{what}\u202f: texte trop long, coupé à {limit} caractères.")
        return text


def _quoted(raw: object) -> str:
    try:
        text = read_text(raw, QUOTED)[0]
    except ValueError:
        text = ""
    return f" («\u202f{text}\u202f»)" if text else ""


def external_id_of(raw: object) -> str:
    """The prospect's id as text. Raises RejectedProspectError where there is none, or where it is no object."""
    if not isinstance(raw, dict):
        raise RejectedProspectError("Ce n’est pas un prospect\u202f: un objet était attendu.")
    number = raw.get("idProspect")
    if type(number) is int:
        pass
    elif number is None or number == "":
        raise RejectedProspectError("Prospect sans idProspect\u202f: il ne pourrait pas être reconnu.", _label_of(raw))
    elif isinstance(number, str) and number.strip().isdecimal() and len(number) < 40:
        number = int(number)
    else:
        raise RejectedProspectError(f"idProspect illisible{_quoted(number)}.", _label_of(raw))
    if not 0 <= number <= LARGEST_ID:
        raise RejectedProspectError(f"idProspect hors limites{_quoted(number)}.", _label_of(raw))
    return str(number)


def _label_of(raw: dict[str, Any]) -> str:
    notes = _Notes()
    names = (notes.text(key, key, raw.get(key), 80) for key in ("nom", "prenom"))
    return " ".join(filter(None, names))


def read(raw: dict[str, Any]) -> Prospect:
    """The prospect behind a raw object. Raises RejectedProspectError."""
    external_id = external_id_of(raw)
    notes = _Notes()
    last_name = notes.text("last_name", "Nom", raw.get("nom"), 200)
    first_name = notes.text("first_name", "Prénom", raw.get("prenom"), 200)
    for name, key in KEYS.items():
        if key not in raw:
            notes.unsaid.add(name)
    if not last_name and not first_name:
        raise RejectedProspectError("Prospect sans nom ni prénom.", f"Prospect {external_id}")
    accounts = _accounts(raw, notes)
    contracts, has_contracts = _contracts(raw, bool(accounts), notes)
    representative = _representative(raw.get("commercial"), notes)
    commercial = notes.value("commercial", "Identifiant du commercial", read_commercial_id, raw.get("commercialId"))
    if commercial is None and representative is not None and "commercial" not in notes.unread:
        commercial = representative.external_id
    if "commercialId" not in raw and "commercial" not in raw:
        notes.unsaid.add("commercial")
    return Prospect(
        external_id=external_id,
        last_name=last_name,
        first_name=first_name,
        email=_email(raw.get("email"), "email", "E-mail", notes),
        phone=_phone(raw.get("telephone"), notes),
        **_address(raw, notes),
        status=_client_status(contracts),
        commercial=commercial,
        identity_card=_identity_card(raw.get("identityCard"), notes),
        accounts=accounts,
        contracts=contracts,
        has_contracts=has_contracts,
        representative=representative,
        warnings=tuple(dict.fromkeys(notes.warnings)),
        unread=frozenset(notes.unread),
        unsaid=frozenset(notes.unsaid),
    )


def _email(raw: object, name: str, what: str, notes: _Notes) -> str | None:
    text = notes.text(name, what, raw, 1000)
    return notes.value(name, what, normalise_email, text) if text else None


def _phone(raw: object, notes: _Notes) -> str | None:
    text = notes.text("phone", "Téléphone", raw, 100)
    return notes.value("phone", "Téléphone", normalise_phone, text) if text else None


def _address(raw: dict[str, Any], notes: _Notes) -> dict[str, Any]:
    """Flat, or nested in ``adresse``; what the nested one lacks is looked for in the flat one."""
    address = raw.get("adresse")
    nested = address if isinstance(address, dict) else {}
    is_street = "adresse" in raw and not isinstance(address, dict)
    parts = {key: nested.get(key) or raw.get(key) for key in ("rue", "complement", "codePostal", "ville", "pays")}
    if is_street:
        parts["rue"] = address
    for name, key in ADDRESS_KEYS.items():
        if key not in nested and key not in raw and not (key == "rue" and is_street):
            notes.unsaid.add(name)
    country = notes.text("country", "Pays", parts["pays"], 100)
    postcode = notes.text("postcode", "Code postal", parts["codePostal"], 20)
    if isinstance(parts["codePostal"], int):
        postcode = postcode.zfill(5)  # a number has lost the zero that 01000 begins with
    return {
        "address_line1": notes.text("address_line1", "Adresse", parts["rue"], 200) or None,
        "address_line2": notes.text("address_line2", "Complément d’adresse", parts["complement"], 200) or None,
        "postcode": postcode or None,
        "city": notes.text("city", "Ville", parts["ville"], 100) or None,
        "country": (notes.value("country", "Pays", read_country, country) if country else None) or "FR",
    }


def _identity_card(raw: object, notes: _Notes) -> str | None:
    """Whatever it holds, as JSON with its keys sorted."""
    if not raw:
        return None
    try:
        card = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        card = b""
    if not card or len(card) > CARD_LIMIT or LOST_LETTER.encode() in card:
        notes.warn("Pièce d’identité illisible, laissée de côté.", "identity_card")
        return None
    return card.decode()


def _representative(raw: object, notes: _Notes) -> Representative | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        notes.warn(f"Commercial illisible{_quoted(raw)}\u202f: laissé de côté.", "commercial")
        return None
    external_id = notes.value("representative", "Identifiant du commercial", read_commercial_id, raw.get("id"))
    email = _email(raw.get("email"), "representative", "E-mail du commercial", notes)
    if external_id is None and email is None:
        if any(raw.values()):
            notes.warn("Commercial sans identifiant ni e-mail\u202f: laissé de côté.", "commercial")
        return None
    return Representative(
        external_id=external_id,
        email=email,
        first_name=notes.text("representative", "Prénom du commercial", raw.get("prenom"), 100),
        last_name=notes.text("representative", "Nom du commercial", raw.get("nom"), 100),
    )


def _objects(raw: object, what: str, notes: _Notes) -> list[dict[str, Any]]:
    """The objects of a list; nulls count for nothing, and anything else is said to be unreadable."""
    if raw is None:
        return []
    entries = raw if isinstance(raw, list) else [raw]
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if len(objects) < sum(entry is not None for entry in entries):
        notes.warn(f"{what}\u202f: un élément illisible, laissé de côté.")
    return objects


def _accounts(raw: dict[str, Any], notes: _Notes) -> tuple[ProspectAccount, ...]:
    """Both spellings; an IBAN that comes twice counts once. An IBAN is never quoted in a warning."""
    accounts: dict[str, ProspectAccount] = {}
    for entry in _objects(raw.get("informationsPaiement"), "Informations de paiement", notes):
        given = entry.get("IBAN") or entry.get("iban")
        iban = _bank_value("IBAN", check_iban, given, notes)
        bic = _bank_value("BIC", check_bic, entry.get("BIC") or entry.get("bic"), notes)
        has_mandate = _has_mandate(entry.get("mandatSepa"), notes)
        if iban:
            accounts[iban] = ProspectAccount(iban, bic, has_mandate)
            if "BIC" not in entry and "bic" not in entry:
                notes.unsaid.add(f"account.{iban}.bic")
            if "mandatSepa" not in entry:
                notes.unsaid.add(f"account.{iban}.has_mandate")
        elif has_mandate and not given:
            notes.warn("Mandat SEPA annoncé sans IBAN\u202f: il n’y a rien à prélever.")
        elif bic and not given:
            notes.warn("BIC sans IBAN, laissé de côté.")
    return tuple(accounts.values())


def _has_mandate(raw: object, notes: _Notes) -> bool:
    if raw in (None, False, True):
        return raw is True
    notes.warn(f"Mandat SEPA illisible{_quoted(raw)}\u202f: valeur laissée de côté.")
    return False


def _bank_value(what: str, check: Callable[[str], str], raw: object, notes: _Notes) -> str | None:
    if not raw:
        return None
    try:
        return check(read_text(raw, 100)[0])
    except (ValueError, DomainError):
        notes.warn(f"{what} non valide, laissé de côté.", "accounts")
        return None


def _contracts(raw: dict[str, Any], has_iban: bool, notes: _Notes) -> tuple[tuple[ProspectContract, ...], bool]:
    """The contracts of both generations, and whether there were any at all, usable or not."""
    sold = _first_generation(raw, notes) + _second_generation(raw, notes)
    contracts: dict[str, ProspectContract] = {}
    for entry, lines in sold:
        reference = _reference(entry, notes)
        if reference is None:
            continue
        if reference in contracts:
            notes.warn(f"Contrat {reference} donné deux fois\u202f: le dernier compte.")
        contracts[reference] = _contract(reference, entry, lines, has_iban, notes)
    _note_unsaid(raw, contracts, notes)
    for names in (notes.unread, notes.unsaid):
        if "contracts" in names or any(name.endswith(".status") for name in names):
            names.add("status")  # the client's follows from its contracts
    return tuple(contracts.values()), bool(sold)


def _note_unsaid(raw: dict[str, Any], contracts: dict[str, ProspectContract], notes: _Notes) -> None:
    """What stands beside the contracts, or would hold them, and was not said."""
    if "contrats" not in raw and "Souscription" not in raw:
        notes.unsaid.add("contracts")
    for reference, contract in contracts.items():
        if not contract.lines and "abonnements" not in raw:
            notes.unsaid.add(f"contract.{reference}.lines")
        if "informationsPaiement" not in raw:
            notes.unsaid.add(f"contract.{reference}.payment_method")


Sold = list[tuple[dict[str, Any], list[ProspectLine]]]


def _first_generation(raw: dict[str, Any], notes: _Notes) -> Sold:
    """``abonnements`` and ``contrats`` side by side: a line belongs to the contract of the same amount."""
    contracts = _objects(raw.get("contrats"), "Contrats", notes)
    lines = [_line(entry, notes) for entry in _objects(raw.get("abonnements"), "Abonnements", notes)]
    sold: Sold = [(contract, []) for contract in contracts]
    if not sold:
        for line in lines:
            notes.warn(f"Abonnement «\u202f{line.label}\u202f» sans contrat\u202f: laissé de côté.")
        return sold
    by_amount: dict[Decimal | None, list[ProspectLine]] = {}
    for contract, belonging in sold:
        by_amount.setdefault(_amount_or_none(contract.get("montant")), belonging)
    for line in lines:
        belonging = sold[0][1] if len(sold) == 1 else by_amount.get(line.unit_price)  # type: ignore[assignment]
        if belonging is None or (len(sold) > 1 and line.unit_price is None):
            notes.warn(f"Ligne «\u202f{line.label}\u202f» sans contrat du même montant\u202f: rattachée au premier.")
            belonging = sold[0][1]
        belonging.append(line)
    return sold


def _amount_or_none(raw: object) -> Decimal | None:
    try:
        return read_amount(raw, TEN_THOUSANDTH)
    except ValueError:
        return None


def _second_generation(raw: dict[str, Any], notes: _Notes) -> Sold:
    """``Souscription``: an offer and the contracts that it was sold by."""
    sold: Sold = []
    for entry in _objects(raw.get("Souscription"), "Souscriptions", notes):
        lines = [_line(offer, notes) for offer in _objects(entry.get("offre"), "Offre", notes)]
        contracts = _objects(entry.get("contrats"), "Contrats", notes)
        sold += [(contract, lines) for contract in contracts]
        if not contracts:
            for line in lines:
                notes.warn(f"Offre «\u202f{line.label}\u202f» sans contrat\u202f: laissée de côté.")
    return sold


def _line(entry: dict[str, Any], notes: _Notes) -> ProspectLine:
    label = notes.text("lines", "Nom de l’offre", entry.get("nom"), 200) or "Offre sans nom"
    price = entry.get("prix_base")
    return ProspectLine(
        label=label,
        unit_price=notes.value(
            "lines", f"Prix de «\u202f{label}\u202f»", lambda raw: read_amount(raw, TEN_THOUSANDTH), price
        ),
        category=notes.text("lines", "Catégorie", entry.get("categorie"), 100) or None,
        supplier=notes.text("lines", "Fournisseur", entry.get("fournisseur"), 200) or None,
        offer_id=notes.text("lines", "Identifiant de l’offre", entry.get("offreId"), 64) or None,
        unsaid=tuple(name for name, key in LINE_KEYS.items() if key not in entry),
    )


def _reference(entry: dict[str, Any], notes: _Notes) -> str | None:
    try:
        reference, is_too_long = read_text(entry.get("titre"), 100)
    except ValueError:
        reference, is_too_long = "", True
    if not reference or is_too_long:
        notes.warn("Contrat sans référence utilisable, laissé de côté.", "contracts")
        return None
    return reference


def _contract(
    reference: str, entry: dict[str, Any], lines: list[ProspectLine], has_iban: bool, outer: _Notes
) -> ProspectContract:
    notes = _Notes()
    what = f"Contrat {reference}\u202f: "
    signed_at = notes.value("signed_at", f"{what}date de signature", read_instant, entry.get("dateSignature"))
    validated_at = notes.value("validated_at", f"{what}date de validation", read_instant, entry.get("dateValidation"))
    start = validated_at or signed_at
    status_text = notes.text("status", f"{what}statut", entry.get("statut"), 100)
    status = read_status(status_text)
    if status is None:
        notes.warn(f"{what}statut inconnu{_quoted(status_text)}, compté en attente.")
    contract = ProspectContract(
        reference=reference,
        status=status or ContractStatus.PENDING,
        status_raw=status_text or None if status is None else None,
        description=notes.text("description", f"{what}description", entry.get("description"), 5000) or None,
        contract_type=notes.text("contract_type", f"{what}type", entry.get("type"), 100) or None,
        supplier=notes.text("supplier", f"{what}fournisseur", entry.get("fournisseur"), 200) or None,
        amount=notes.value("amount", f"{what}montant", read_amount, entry.get("montant")),
        signed_at=signed_at,
        validated_at=validated_at,
        starts_on=start.astimezone(PARIS).date() if start else None,
        payment_method=PaymentMethod.SEPA if has_iban else None,
        document_url=notes.text("document_url", f"{what}document", entry.get("documentUrl"), 2000) or None,
        audit_trail_url=notes.text("audit_trail_url", f"{what}preuve", entry.get("auditTrailUrl"), 2000) or None,
        lines=tuple(lines),
    )
    notes.unsaid.update(name for name, key in CONTRACT_KEYS.items() if key not in entry)
    _carry_over(notes, reference, outer)
    return contract


def _carry_over(notes: _Notes, reference: str, outer: _Notes) -> None:
    outer.warnings += notes.warnings
    for names, outer_names in ((notes.unread, outer.unread), (notes.unsaid, outer.unsaid)):
        derived = {"starts_on"} if names & {"signed_at", "validated_at"} else set()
        outer_names.update(f"contract.{reference}.{name}" for name in names | derived)


def _client_status(contracts: tuple[ProspectContract, ...]) -> ClientStatus:
    """Active with an active contract; inactive when all that was sold has been terminated."""
    statuses = {contract.status for contract in contracts}
    if ContractStatus.ACTIVE in statuses:
        return ClientStatus.ACTIVE
    if ContractStatus.TERMINATED in statuses and statuses <= {ContractStatus.TERMINATED, ContractStatus.CANCELED}:
        return ClientStatus.INACTIVE
    return ClientStatus.PROSPECT
