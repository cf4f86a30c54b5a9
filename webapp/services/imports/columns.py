"""What the columns of a file can be, by which headings they are known, and how a cell of each is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from webapp.gateways.spreadsheets import Cell
from webapp.services.clients import columns as client_columns
from webapp.services.clients.fields import LENGTHS as CLIENT_LENGTHS
from webapp.services.contracts import columns as contract_columns
from webapp.services.contracts.fields import LENGTHS as CONTRACT_LENGTHS
from webapp.services.contracts.fields import LINE_LENGTH
from webapp.services.imports import transforms
from webapp.services.imports.transforms import TextReader, fold, refuse, text_of

Reader = Callable[..., str | None]


@dataclass(frozen=True)
class Column:
    """Something that a column of a file can be.

    ``key`` is « part.name »; ``headings`` are folded (see ``transforms.fold``), ours first. ``knows_1904``: the reader
    wants to know from when bare numbers count days.
    """

    key: str
    label: str
    headings: tuple[str, ...]
    read: Reader
    knows_1904: bool = False

    @property
    def part(self) -> str:
        """client · contract · account · mandate."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The column of the table, or what stands for it."""
        return self.key.partition(".")[2]


PARTS = {"client": "Client", "contract": "Contrat", "account": "Compte bancaire", "mandate": "Mandat SEPA"}


def _column(key: str, label: str, headings: str, read: Reader, *, knows_1904: bool = False) -> Column:
    folded = dict.fromkeys(fold(heading) for heading in (label, *headings.split("|")) if heading)
    return Column(key, label, tuple(folded), read, knows_1904)


def _client_text(name: str) -> Reader:
    return TextReader(CLIENT_LENGTHS[name])


def _contract_text(name: str) -> Reader:
    return TextReader(CONTRACT_LENGTHS[name])


def _read_id(cell: Cell) -> str | None:
    text = text_of(cell).strip()
    try:
        return str(UUID(text)) if text else None
    except ValueError as error:
        raise refuse("Cet identifiant n’est pas celui d’un client du CRM\u202f: laissez la cellule vide.") from error


COLUMNS: tuple[Column, ...] = (
    _column("client.id", "Identifiant du client", "identifiant|id|id client|client id|identifiant crm|uuid", _read_id),
    _column("client.civility", "Civilité", "civ|titre|title|gender|salutation|genre|sexe", transforms.read_civility),
    _column(
        "client.last_name",
        "Nom",
        "nom de famille|nom client|nom du client|nom du titulaire|last name|lastname|surname|family name|raison sociale"
        "|nom d usage|nom raison sociale|societe client",
        _client_text("last_name"),
    ),
    _column(
        "client.first_name",
        "Prénom",
        "prenom client|prenom du client|first name|firstname|given name|prenoms",
        _client_text("first_name"),
    ),
    _column(
        "client.full_name",
        "NOM Prénom",
        "nom prenom|nom et prenom|nom complet|full name|fullname|client|nom prenom client|nom prenom du client|contact"
        "|customer|customer name|titulaire",
        TextReader(400),
    ),
    _column(
        "client.full_name_first",
        "Prénom NOM",
        "prenom nom|prenom et nom|prenom nom client",
        TextReader(400),
    ),
    _column(
        "client.birth_date",
        "Date de naissance",
        "naissance|ne le|nee le|ne e le|birth date|birthdate|birthday|date of birth|dob|ddn|date naissance",
        transforms.read_birthday,
        knows_1904=True,
    ),
    _column(
        "client.email",
        "E-mail",
        "email|mail|courriel|adresse e mail|adresse mail|adresse email|email address|e mail client|email client|mel",
        transforms.read_email,
    ),
    _column(
        "client.phone",
        "Téléphone",
        "tel|telephone portable|portable|mobile|gsm|phone|phone number|numero de telephone|tel portable|tel mobile"
        "|telephone mobile|n tel|n de telephone|telephone client|num tel|tel client",
        transforms.read_phone,
    ),
    _column(
        "client.address_line1",
        "Adresse",
        "adresse 1|adresse ligne 1|rue|voie|address|address 1|address line 1|street|adresse postale|n et voie",
        _client_text("address_line1"),
    ),
    _column(
        "client.address_line2",
        "Complément d’adresse",
        "adresse 2|adresse ligne 2|complement|complement adresse|address 2|address line 2",
        _client_text("address_line2"),
    ),
    _column(
        "client.postcode",
        "Code postal",
        "cp|code post|postcode|post code|zip|zip code|postal code|c p",
        transforms.read_postcode,
    ),
    _column("client.city", "Ville", "commune|city|town|localite", _client_text("city")),
    _column("client.country", "Pays", "country|code pays", transforms.read_country),
    _column(
        "client.status", "Statut du client", "statut client|etat client|client actif", transforms.read_client_status
    ),
    _column(
        "client.commercial",
        "Commercial",
        "apporteur|vendeur|conseiller|charge de clientele|sales rep|salesperson|sales|owner|account manager"
        "|commercial du client|nom du commercial|email du commercial|mail commercial|email commercial",
        TextReader(320),
    ),
    _column(
        "client.delivery_name",
        "Livraison\u202f: destinataire",
        "destinataire|nom de livraison|nom livraison|shipping name",
        _client_text("delivery_name"),
    ),
    _column(
        "client.delivery_line1",
        "Livraison\u202f: adresse",
        "adresse de livraison|adresse livraison|shipping address|delivery address",
        _client_text("delivery_line1"),
    ),
    _column(
        "client.delivery_line2",
        "Livraison\u202f: complément",
        "complement de livraison|complement adresse de livraison|complement livraison",
        _client_text("delivery_line2"),
    ),
    _column(
        "client.delivery_postcode",
        "Livraison\u202f: code postal",
        "code postal de livraison|code postal livraison|cp livraison|shipping postcode",
        transforms.read_postcode,
    ),
    _column(
        "client.delivery_city",
        "Livraison\u202f: ville",
        "ville de livraison|ville livraison|shipping city",
        _client_text("delivery_city"),
    ),
    _column(
        "client.delivery_country",
        "Livraison\u202f: pays",
        "pays de livraison|pays livraison|shipping country",
        transforms.read_country,
    ),
    _column(
        "client.delivery_instructions",
        "Livraison\u202f: consignes",
        "consignes de livraison|consignes|instructions de livraison|delivery instructions",
        _client_text("delivery_instructions"),
    ),
    _column(
        "contract.reference",
        "Référence du contrat",
        "reference contrat|ref contrat|n contrat|n de contrat|numero de contrat|numero contrat|no contrat|contrat"
        "|contract|contract reference|contract number|contract id|num contrat",
        _contract_text("reference"),
    ),
    _column(
        "contract.status",
        "Statut du contrat",
        "statut contrat|etat du contrat|etat contrat|contract status",
        transforms.read_contract_status,
    ),
    _column("contract.company", "Société", "entite|company|societe vendeuse|societe du contrat", TextReader(200)),
    _column(
        "contract.commercial",
        "Commercial à la signature",
        "commercial contrat|commercial du contrat|commercial signataire|signe par|vendu par",
        TextReader(320),
    ),
    _column(
        "contract.contract_type",
        "Type de contrat",
        "type contrat|type du contrat|contract type",
        _contract_text("contract_type"),
    ),
    _column("contract.supplier", "Fournisseur", "supplier|partenaire|assureur", _contract_text("supplier")),
    _column(
        "contract.description",
        "Description du contrat",
        "description|description contrat|objet|objet du contrat",
        _contract_text("description"),
    ),
    _column(
        "contract.amount",
        "Montant",
        "montant du contrat|montant contrat|montant ttc|montant ht|amount|prix|prime|price|montant euros|montant eur",
        transforms.read_amount,
    ),
    _column(
        "contract.product",
        "Produit",
        "nom du produit|nom produit|reference produit|reference du produit|ref produit|offre|article|designation"
        "|product|product name|product reference|item",
        TextReader(LINE_LENGTH),
    ),
    _column("contract.quantity", "Quantité", "qte|quantite vendue|quantity|qty", transforms.read_quantity),
    _column(
        "contract.unit_price",
        "Prix unitaire HT",
        "prix unitaire|prix unitaire hors taxes|pu|pu ht|p u|p u ht|prix ht unitaire|unit price|price per unit",
        transforms.read_unit_price,
    ),
    _column(
        "contract.signed_on",
        "Date de signature",
        "signe le|date signature|date de signature du contrat|signature|signed on|signature date|date signature contrat"
        "|date du contrat|date contrat",
        transforms.read_past_day,
        knows_1904=True,
    ),
    _column(
        "contract.validated_on",
        "Date de validation",
        "valide le|date validation|validation|validated on",
        transforms.read_past_day,
        knows_1904=True,
    ),
    _column(
        "contract.starts_on",
        "Date de début",
        "debut|date debut|date d effet|date effet|effet|start date|starts on|debut du contrat",
        transforms.read_day,
        knows_1904=True,
    ),
    _column(
        "contract.ends_on",
        "Date de fin",
        "fin|date fin|echeance|date d echeance|end date|ends on|fin du contrat",
        transforms.read_day,
        knows_1904=True,
    ),
    _column(
        "contract.payment_method",
        "Mode de paiement",
        "paiement|moyen de paiement|mode de reglement|reglement|payment method|payment",
        transforms.read_payment_method,
    ),
    _column(
        "contract.withdrawal_day",
        "Jour de prélèvement",
        "jour prelevement|jour du prelevement|date de prelevement|withdrawal day",
        transforms.read_day_of_month,
    ),
    _column("account.iban", "IBAN", "rib|iban client|compte bancaire|compte", transforms.read_iban),
    _column("account.bic", "BIC", "swift|bic swift|code bic", transforms.read_bic),
    _column(
        "account.holder",
        "Titulaire du compte",
        "titulaire compte|titulaire iban|account holder",
        TextReader(200),
    ),
    _column(
        "mandate.umr",
        "RUM",
        "reference du mandat|reference mandat|reference unique du mandat|umr|mandat|n mandat",
        transforms.read_umr,
    ),
    _column(
        "mandate.signed_on",
        "Date de signature du mandat",
        "mandat signe le|date mandat|date du mandat|signature du mandat|date signature mandat|date de signature mandat",
        transforms.read_past_day,
        knows_1904=True,
    ),
    _column(
        "mandate.signed_in",
        "Lieu de signature du mandat",
        "lieu de signature|lieu signature|lieu",
        TextReader(70),
    ),
)
BY_KEY = {column.key: column for column in COLUMNS}
NAMES = ("client.last_name", "client.first_name", "client.full_name", "client.full_name_first")


@cache
def _by_heading() -> dict[str, str]:
    """The one column that a heading means; what means two is left to a person."""
    found: dict[str, str | None] = {}
    for column in COLUMNS:
        for heading in column.headings:
            found[heading] = column.key if heading not in found else None
    return {heading: key for heading, key in found.items() if key is not None}


# Our own lists, as they are exported: what columns of theirs are called in a file of ours alone.
_OWN = {"client.full_name": "Nom", "client.status": "Statut"}
_OWN_OF_CONTRACTS = {
    "contract.reference": "Référence",
    "contract.status": "Statut",
    "contract.commercial": "Commercial",
    "contract.signed_on": "Signature",
    "contract.contract_type": "Type",
    "client.email": "E-mail du client",
    "client.phone": "Téléphone du client",
}
_LISTS_SEVERAL = "contract.product"
"""Our list names all the products of a contract in one cell: that is not the product of its one line."""
_OWN_LISTS = (
    (client_columns.COLUMNS, frozenset({"Contrats", "Modifié", "Créé", "Source", "Identifiant du client"}), _OWN),
    (contract_columns.COLUMNS, frozenset({"Référence"}), _OWN_OF_CONTRACTS),
)


def _guess_own(headings: Sequence[str]) -> list[str | None] | None:
    """What the columns are of a file that we exported: told by headings that are all of one list, one of them its own.

    Its « Nom » is the whole name. None for any other file.
    """
    for listed, marks, named in _OWN_LISTS:
        if set(headings) <= {column.label for column in listed} and marks & set(headings):
            known = _by_heading() | {fold(heading): key for key, heading in named.items()}
            keys = [known.get(fold(heading)) for heading in headings]
            return [None if key == _LISTS_SEVERAL else key for key in keys]
    return None


def guess(headings: Sequence[str]) -> list[str | None]:
    """What each column of a file is, by its heading; None where that is not sure."""
    keys = _guess_own(headings) or [_by_heading().get(fold(heading)) for heading in headings]
    if "client.last_name" in keys:  # what is given in parts needs no whole
        keys = [None if key == "client.full_name" else key for key in keys]
    return [key if key is not None and keys.count(key) == 1 else None for key in keys]


def known_headings(cells: Sequence[Cell]) -> int:
    """How many cells of a row read as headings."""
    return sum(1 for cell in cells if isinstance(cell, str) and fold(cell) in _by_heading())


def in_shape(headings: Sequence[str]) -> list[int]:
    """The places of the headings in an order that does not depend on that of the file."""
    return sorted(range(len(headings)), key=lambda place: (fold(headings[place]), place))


def shape_of(headings: Sequence[str]) -> str:
    """What two files have in common that a mapping fits both: their headings, whatever their order."""
    return "\n".join(fold(headings[place]) for place in in_shape(headings))


def faults_of_mapping(keys: Sequence[str | None]) -> list[str]:
    """What keeps a mapping from being used: each a sentence."""
    chosen = [key for key in keys if key]
    faults = [
        f"«\u00a0{BY_KEY[key].label}\u00a0» est choisi pour plusieurs colonnes."
        for key in dict.fromkeys(chosen)
        if chosen.count(key) > 1
    ]
    if not chosen:
        return ["Aucune colonne n’est reprise\u202f: dites ce que sont au moins le nom ou l’e-mail."]
    has_name = any(key in chosen for key in NAMES)
    if not has_name and not any(
        key in chosen for key in ("client.id", "client.email", "client.phone", "contract.reference")
    ):
        faults.append("Il manque de quoi reconnaître le client\u202f: nom, identifiant, e-mail ou téléphone.")
    if sum(key in chosen for key in ("client.full_name", "client.full_name_first")) and "client.last_name" in chosen:
        faults.append("Le nom est choisi deux fois\u202f: seul, et avec le prénom.")
    parts = {BY_KEY[key].part for key in chosen}
    if "contract" in parts and "contract.reference" not in chosen:
        faults.append("Aucune colonne ne donne la référence du contrat\u202f: elle est nécessaire.")
    if {"contract.quantity", "contract.unit_price"} & set(chosen) and "contract.product" not in chosen:
        faults.append("Une quantité ou un prix unitaire demande une colonne qui donne le produit.")
    if parts & {"account"} and "account.iban" not in chosen:
        faults.append("Aucune colonne ne donne l’IBAN du compte\u202f: il est nécessaire.")
    if "mandate" in parts and not {"mandate.umr", "mandate.signed_on"} <= set(chosen):
        faults.append("Un mandat demande sa référence (RUM) et sa date de signature.")
    return faults
